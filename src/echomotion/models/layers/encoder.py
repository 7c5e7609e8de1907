"""A light residual CNN that turns grey frames into features at several strides, each frame on its own.

After the encoder of RAFT (Teed and Deng 2020, arXiv 2003.12039). Ours are: downsampling with even kernels, which keeps
pixel centres where `layers.correlation` says they are (the 7 x 7 and 3 x 3 kernels of RAFT shift them by half a pixel
of the finer map); group normalisation; and frames of any size, repeated at the right and bottom border up to a
multiple of the largest stride.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class FrameNorm(nn.Module):
    """Group normalisation within one frame; one channel a group is instance normalisation.

    The function of PyTorch beneath `nn.GroupNorm` is called, because the module refuses a single pixel.
    """

    def __init__(self, width: int, channels_per_group: int = 8) -> None:
        super().__init__()
        self.groups = width // channels_per_group
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(F, C, h, w) to the same."""
        return torch.group_norm(x, self.groups, self.weight, self.bias)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; with `halve`, the first is 4 x 4 with stride 2.

    Shapes: (F, before, h, w) to (F, after, h, w), or to (F, after, h / 2, w / 2).
    """

    def __init__(self, before: int, after: int, halve: bool, channels_per_group: int = 8) -> None:
        super().__init__()
        kernel, stride = (4, 2) if halve else (3, 1)
        self.body = nn.Sequential(
            nn.Conv2d(before, after, kernel, stride, padding=1, bias=False),
            FrameNorm(after, channels_per_group),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            FrameNorm(after, channels_per_group),
        )
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if halve else []
        if before != after:
            shortcut.append(nn.Conv2d(before, after, 1))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """See the class for shapes."""
        return functional.relu(self.body(x) + self.shortcut(x))


class FrameEncoder(nn.Module):
    """What a network that takes any encoder asks of it.

    Attributes
    ----------
    strides, widths : tuple of int
        Grid px per feature px and channels of each map that comes out, finest first.
    """

    strides: tuple[int, ...]
    widths: tuple[int, ...]

    @abstractmethod
    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (F, 1, H, W), 0..1, to maps (F, C, h, w), each on its own.

        h times the stride is the same for all maps, and so is w: :func:`padded` sees to it.
        """


class ResidualEncoder(FrameEncoder):
    """Features of grey frames at strides 2, 4, 8, … px.

    Parameters
    ----------
    widths : sequence of int
        Channels at each stride, finest first; multiples of `channels_per_group`.
    blocks : int
        Residual blocks at each stride.
    channels_per_group : int
        Of the normalisation; 1 is the instance normalisation of RAFT.
    """

    def __init__(self, widths: Sequence[int], blocks: int = 2, channels_per_group: int = 8) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.strides = tuple(2 ** (level + 1) for level in range(len(self.widths)))
        self.stem = nn.Sequential(
            nn.Conv2d(1, self.widths[0], kernel_size=6, stride=2, padding=2, bias=False),
            FrameNorm(self.widths[0], channels_per_group),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.ModuleList()
        before = self.widths[0]
        for level, width in enumerate(self.widths):
            first = ResidualBlock(before, width, halve=level > 0, channels_per_group=channels_per_group)
            rest = [ResidualBlock(width, width, False, channels_per_group) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            before = width

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (F, 1, H, W), 0..1, to (F, C, ceil(H / m) * m / s, ceil(W / m) * m / s), m the largest stride."""
        x = self.stem(padded(frames, self.strides[-1]) * 2 - 1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


class Fusion(nn.Module):
    """Maps of all strides as one map of `width` channels with the size of the map number `level`.

    EchoTracker resizes and concatenates all scales before a convolution. A 1 x 1 convolution of that concatenation is
    the sum of the scales' own 1 x 1 convolutions, and these commute with resizing: the same, for a fraction of the
    work. A 3 x 3 convolution follows.

    Ours is that each channel's mean over the frame is taken out and features have length 1. A dot product is then a
    cosine that tells places apart before anything is learned; without it, what all places share outweighs the rest.
    """

    def __init__(self, widths: Sequence[int], width: int, level: int, channels_per_group: int = 8) -> None:
        super().__init__()
        self.level = level
        self.project = nn.ModuleList(nn.Conv2d(before, width, 1) for before in widths)
        self.norm = FrameNorm(width, channels_per_group)
        self.mix = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(F, C_l, h_l, w_l) of every level to (F, width, h, w)."""
        size = maps[self.level].shape[-2:]
        x = self.project[self.level](maps[self.level])
        for level, project in enumerate(self.project):
            if level != self.level:
                x = x + _resized(project(maps[level]), size)
        x = self.mix(functional.relu(self.norm(x)))
        return functional.normalize(x - x.mean(dim=(-1, -2), keepdim=True), dim=1)


def padded(frames: Tensor, multiple: int) -> Tensor:
    """Frames (F, C, H, W) whose last row and column are repeated until both sizes are multiples of `multiple`."""
    height, width = frames.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    return functional.pad(frames, (0, right, 0, bottom), mode="replicate") if right or bottom else frames


def _resized(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[-1] > size[-1]:
        return functional.adaptive_avg_pool2d(x, (size[0], size[1]))
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
