"""HRNet: branches of several resolutions side by side, which exchange what they know again and again.

After Sun et al. 2019 (arXiv 1902.09212). Ours are: normalisation within each frame in place of batch statistics, which
fail on small batches of echo; downsampling with even kernels, which keeps pixel centres where
:func:`~echomotion.models.layers.correlation.on_map` says they are; and a choice of the finest stride, 1 as SK-net has
it, or 4 as HRNet has it for a sixteenth of the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.encoder import FrameNorm, ResidualBlock

BRANCHES = 4


class HRNet(nn.Module):
    """Frames (F, 1, H, W), 0..1, to one map a branch, (F, width * 2**b, H / s_b, W / s_b), finest first.

    H and W are multiples of the coarsest stride.

    Parameters
    ----------
    width : int
        Channels of the finest branch, a multiple of 8; each coarser one has twice as many.
    blocks : int
        Residual blocks of a branch between two exchanges.
    modules : sequence of int
        Exchanges of the stages with two, three and four branches.
    stride : int
        Of the finest branch: 1, 2 or 4.
    """

    def __init__(self, width: int, blocks: int, modules: Sequence[int], stride: int) -> None:
        super().__init__()
        self.widths = tuple(width * 2**b for b in range(BRANCHES))
        self.strides = tuple(stride * 2**b for b in range(BRANCHES))
        stem: list[nn.Module] = []
        before, reached = 1, 1
        while reached < stride:
            stem += [_down(before, width), nn.ReLU(inplace=True)]
            before, reached = width, reached * 2
        self.stem = nn.Sequential(*stem)
        self.first = nn.Sequential(*[ResidualBlock(before if i == 0 else width, width, False) for i in range(blocks)])
        self.begin = nn.ModuleList(_down(self.widths[b], self.widths[b + 1]) for b in range(BRANCHES - 1))
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Exchange(self.widths[: b + 2], blocks) for _ in range(count)])
            for b, count in enumerate(modules)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """See the class for shapes."""
        maps: tuple[Tensor, ...] = (self.first(self.stem(frames * 2 - 1)),)
        for begin, stage in zip(self.begin, self.stages, strict=True):
            maps = stage((*maps, functional.relu(begin(maps[-1]))))
        return maps


class _Exchange(nn.Module):
    """Residual blocks in every branch, then every branch receives the sum of all."""

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*[ResidualBlock(width, width, False) for _ in range(blocks)]) for width in widths
        )
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(source, target, widths) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        maps = tuple(branch(x) for branch, x in zip(self.branches, maps, strict=True))
        out = []
        for target, paths in enumerate(self.paths):
            total = maps[target]
            for source, path in enumerate(cast(nn.ModuleList, paths)):
                if source < target:
                    total = total + path(maps[source])
                elif source > target:
                    size = maps[target].shape[-2:]
                    total = total + functional.interpolate(
                        path(maps[source]), size=size, mode="bilinear", align_corners=False
                    )
            out.append(functional.relu(total))
        return tuple(out)


def _path(source: int, target: int, widths: Sequence[int]) -> nn.Module:
    """From one branch to another; the caller enlarges."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(nn.Conv2d(widths[source], widths[target], 1, bias=False), FrameNorm(widths[target]))
    steps: list[nn.Module] = []
    for branch in range(source, target):
        last = branch + 1 == target
        steps.append(_down(widths[source] if not steps else widths[branch], widths[branch + 1]))
        if not last:
            steps.append(nn.ReLU(inplace=True))
    return nn.Sequential(*steps)


def _down(before: int, after: int) -> nn.Sequential:
    """Half the size, with a kernel of even size about the middle of the four pixels that become one."""
    return nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False), FrameNorm(after))


def joined(maps: Sequence[Tensor]) -> Tensor:
    """All branches on the grid of the finest, (F, 15 * width, H / s, W / s)."""
    size = maps[0].shape[-2:]
    enlarged = [functional.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in maps[1:]]
    return torch.cat([maps[0], *enlarged], dim=1)
