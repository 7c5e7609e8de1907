"""Convolutions with a batch normalisation whose statistics stay fixed while they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPS = 1e-3


class FixedNormConv(nn.Module):
    """A convolution and a normalisation with fixed mean and variance, folded into one operation.

    Batch statistics of a few similar frames mislead, and group normalisation would throw away what a network learned
    with others on ImageNet. So statistics are measured once, on echo, by :func:`measured_statistics`.

    Parameters
    ----------
    before, after : int
        Channels.
    kernel : int
        Odd.
    stride : int
        1 or 2.
    groups : int
    ahead : bool
        With stride 2 and frames of even size, an odd kernel lies half a pixel before or after the middle of the two
        pixels that it stands for; this says which. Strides that alternate keep maps where their pixels are.
    """

    mean: Tensor
    var: Tensor

    def __init__(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, ahead: bool = False
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.groups, self.ahead = kernel, stride, groups, ahead and stride > 1
        self.weight = nn.Parameter(torch.empty(after, before // groups, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.gain = nn.Parameter(torch.ones(after))
        self.shift = nn.Parameter(torch.zeros(after))
        self.register_buffer("mean", torch.zeros(after))
        self.register_buffer("var", torch.ones(after))
        self.measuring = False

    def forward(self, x: Tensor) -> Tensor:
        """(F, before, h, w) to (F, after, h / stride, w / stride)."""
        if self.measuring:
            raw = self._convolve(x, self.weight, None)
            self.var, self.mean = (part.detach() for part in torch.var_mean(raw, dim=(0, 2, 3)))
        scale = self.gain * torch.rsqrt(self.var + _EPS)
        return self._convolve(x, self.weight * scale[:, None, None, None], self.shift - self.mean * scale)

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = (self.kernel - 1) // 2
        if self.ahead:
            low = (self.kernel - 2) // 2
            x, padding = functional.pad(x, (low, self.kernel - 2 - low) * 2), 0
        return functional.conv2d(x, weight, bias, self.stride, padding, groups=self.groups)


@contextmanager
def measured_statistics(network: nn.Module) -> Iterator[None]:
    """Frames that pass through the network inside this block set the statistics of its normalisations, for good."""
    parts = [part for part in network.modules() if isinstance(part, FixedNormConv)]
    for part in parts:
        part.measuring = True
    try:
        with torch.no_grad():
            yield
    finally:
        for part in parts:
            part.measuring = False
