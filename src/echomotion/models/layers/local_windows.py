"""Sums over the places of a local window in space and time, forward and backward without copies of the window.

Written place by place, autograd would keep a product and fill a map of zeros for each of them. Here the gradients are
sums over places too: that of a correlation is a weighted sum of what it was correlated with, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def correlate(query: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
    """Dot product of each pixel with every place of its window.

    Parameters
    ----------
    query : float (B, T, G, C, h, w)
        G groups (heads) of C channels.
    padded : float (B, T + 2 * reach, G, C, h + 2 * radius, w + 2 * radius)
        What is compared with, and its margin.
    reach, radius : int
        Of the window, in frames and in px.

    Returns
    -------
    float (N, B, T, G, h, w)
        N places, (2 reach + 1) (2 radius + 1)^2 of them: frame by frame, row by row.
    """
    found: Tensor = _Correlate.apply(query, padded, reach, radius)
    return found


def gather(weights: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
    """Sum over the window of `padded`, (B, T, G, C, h, w), with weights (N, B, T, G, h, w); see `correlate`."""
    found: Tensor = _Gather.apply(weights, padded, reach, radius)
    return found


class _Correlate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
        ctx.save_for_backward(query, padded)
        ctx.window = reach, radius
        return _correlated(query, padded, reach, radius)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        query, padded = ctx.saved_tensors
        return _gathered(gradient, padded, *ctx.window), _scattered(gradient, query, padded, *ctx.window), None, None


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
        ctx.save_for_backward(weights, padded)
        ctx.window = reach, radius
        return _gathered(weights, padded, reach, radius)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        weights, padded = ctx.saved_tensors
        return (
            _correlated(gradient, padded, *ctx.window),
            _scattered(weights, gradient, padded, *ctx.window),
            None,
            None,
        )


def _correlated(query: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
    return torch.stack([(query * part).sum(dim=3) for part in _places(padded, reach, radius)])


def _gathered(weights: Tensor, padded: Tensor, reach: int, radius: int) -> Tensor:
    parts = _places(padded, reach, radius)
    found = weights[0][:, :, :, None] * next(parts)
    for weight, part in zip(weights[1:], parts, strict=True):
        found.addcmul_(weight[:, :, :, None], part)
    return found


def _scattered(weights: Tensor, values: Tensor, like: Tensor, reach: int, radius: int) -> Tensor:
    found = torch.zeros_like(like)
    for weight, part in zip(weights, _places(found, reach, radius), strict=True):
        part.addcmul_(weight[:, :, :, None], values)
    return found


def _places(padded: Tensor, reach: int, radius: int) -> Iterator[Tensor]:
    """Views (B, T, G, C, h, w) of a padded map, one for each place of the window."""
    frames = padded.shape[1] - 2 * reach
    rows, columns = padded.shape[-2] - 2 * radius, padded.shape[-1] - 2 * radius
    for s in range(2 * reach + 1):
        for i in range(2 * radius + 1):
            for j in range(2 * radius + 1):
                yield padded[:, s : s + frames, ..., i : i + rows, j : j + columns]
