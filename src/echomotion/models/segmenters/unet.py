"""U-Net for the apical views: LV cavity, myocardium and left atrium, frame by frame.

After Ronneberger et al. 2015 (arXiv 1505.04597). Ours are: group normalisation in place of none (batch statistics
of small batches fail on echo), a space-to-depth stem that halves the cost of the finest level, and logits
that are enlarged bilinearly from that level, which is as fine as the expert contours are certain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import APICAL_CLASSES
from echomotion.models.base import Segmenter
from echomotion.models.registry import register
from echomotion.models.segmenters.frame_wise import FrameWiseSegmenter
from echomotion.models.weights import Weights


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of the U-Net.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first; multiples of 8.
    stem : int
        Pixels along each side of the block that the stem folds into channels.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    stem: int = 2


@dataclass(frozen=True)
class UNetOptions:
    """How the released U-Net is run.

    Attributes
    ----------
    mirror : bool
        Average the prediction with that of the mirrored frame: slightly better, twice the time.
    smooth_s : float
        Standard deviation in seconds of a Gaussian over time on the class probabilities; 0 switches it off.
    """

    mirror: bool = True
    smooth_s: float = 0.0


class UNet(nn.Module):
    """U-Net on grey frames.

    Shapes: ``(B, 1, H, W)`` in 0..1 to logits ``(B, K, H, W)``; H and W multiples of ``stem * 2 ** (levels - 1)``.
    """

    def __init__(self, config: UNetConfig, n_classes: int = len(APICAL_CLASSES)) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.down = nn.ModuleList(
            _block(before, after) for before, after in zip((config.stem**2, *widths[:-1]), widths, strict=True)
        )
        self.up = nn.ModuleList(
            _block(deep + skip, skip) for skip, deep in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[0], n_classes, kernel_size=1)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits per class; see the class for shapes."""
        # Folding leaves the layout of one channel, whatever that of the weights is.
        x = functional.pixel_unshuffle(frames * 2 - 1, self.config.stem)
        x = x.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            enlarged = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([enlarged, skip], dim=1))
        logits = self.head(x)
        return functional.interpolate(logits, size=frames.shape[-2:], mode="bilinear", align_corners=False)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (before, after):
        layers += [
            nn.Conv2d(source, after, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(8, after),
            nn.LeakyReLU(0.01, inplace=True),
        ]
    return nn.Sequential(*layers)


@register("segmenter", learned=True)
def unet(options: UNetOptions, *, weights: Weights) -> Segmenter:
    """U-Net, frame by frame: LV cavity, myocardium, left atrium in apical views."""
    config = UNetConfig(tuple(weights.card["options"]["widths"]), int(weights.card["options"]["stem"]))
    network = UNet(config)
    weights.load_into(network)
    return FrameWiseSegmenter(
        "unet", network, grid_shape=tuple(weights.card["grid"]), weights=weights, **asdict(options)
    )
