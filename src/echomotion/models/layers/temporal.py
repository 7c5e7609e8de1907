"""A one-dimensional residual network over the frames of a window."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class TemporalResNet(nn.Module):
    """1-D residual network over time, as EchoTracker and PIPs++ (Zheng et al. 2023, arXiv 2307.15055) use it.

    The kernel is 3 frames and the ends are filled with zeros, so that any number of frames goes, one included.
    Ours is layer normalisation of each frame's channels: statistics over time would be empty with one frame.

    Shapes: (N, T, before) to (N, T, widths[-1]).
    """

    def __init__(self, before: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.enter = nn.Conv1d(before, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            _TemporalBlock(source, after) for source, after in zip((widths[0], *widths[:-1]), widths, strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """See the class for shapes."""
        x = _over_time(self.enter, x)
        for block in self.blocks:
            x = block(x)
        return functional.relu(self.norm(x))


class _TemporalBlock(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(before), nn.LayerNorm(after)])
        self.convolutions = nn.ModuleList(
            [nn.Conv1d(before, after, 3, padding=1), nn.Conv1d(after, after, 3, padding=1)]
        )
        self.shortcut = nn.Identity() if before == after else nn.Linear(before, after)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            y = _over_time(convolution, functional.relu(norm(y)))
        return y + self.shortcut(x)


def _over_time(convolution: nn.Module, x: Tensor) -> Tensor:
    return convolution(x.transpose(1, 2)).transpose(1, 2)
