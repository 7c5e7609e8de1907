"""The U-Net without its head: features of a frame at several strides, fine ones that know the coarse."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.encoder import FrameEncoder, padded


class UNetEncoder(FrameEncoder):
    """The maps on a U-Net's way up, the bottom the coarsest of them.

    After Ronneberger et al. 2015 (arXiv 1505.04597). Ours are: group normalisation in place of none (batch statistics
    of small batches fail on echo), and a space-to-depth stem that halves the cost of the finest level.

    Parameters
    ----------
    widths : sequence of int
        Channels per level, finest first; multiples of 8.
    stem : int
        Pixels along each side of the block that the stem folds into channels.
    """

    def __init__(self, widths: Sequence[int], stem: int = 2) -> None:
        super().__init__()
        self.widths, self.stem = tuple(widths), stem
        self.strides = tuple(stem * 2**level for level in range(len(self.widths)))
        self.down = nn.ModuleList(
            _block(before, after) for before, after in zip((stem**2, *self.widths[:-1]), self.widths, strict=True)
        )
        self.up = nn.ModuleList(
            _block(deep + skip, skip) for skip, deep in zip(self.widths[-2::-1], self.widths[:0:-1], strict=True)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (F, 1, H, W), 0..1, to (F, C, ceil(H / m) * m / s, ceil(W / m) * m / s), m the largest stride."""
        # Folding leaves the layout of one channel, whatever that of the weights is.
        x = functional.pixel_unshuffle(padded(frames, self.strides[-1]) * 2 - 1, self.stem)
        x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        maps = [x]
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            enlarged = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([enlarged, skip], dim=1))
            maps.insert(0, x)
        return tuple(maps)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (before, after):
        layers += [
            nn.Conv2d(source, after, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(8, after),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)
