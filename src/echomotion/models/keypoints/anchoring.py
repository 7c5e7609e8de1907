"""Trajectories held on what SK-net sees: a tracker knows motion, SK-net knows places, and each lacks the other."""

from __future__ import annotations

import torch
from torch import Tensor

# Width (s) of the average over time that the difference is taken from, chosen on simulated cines of their own.
ANCHOR_S = 0.07
# Differences this many median deviations from the middle count less, in inverse proportion; in px at least.
_USUAL, _LEAST_PX = 2.2, 0.5
_LEAST_WEIGHT = 1e-3


def anchored(trajectories: Tensor, xy: Tensor, confidence: Tensor, width: float = 0.0) -> Tensor:
    """Trajectories shifted by how far SK-net's points lie from them.

    Parameters
    ----------
    trajectories, xy : float (T, 4, 2)
        SK-net's points of each frame by itself are `xy`.
    confidence : float (T, 4)
        Of those.
    width : float
        Standard deviation in frames of the Gaussian average over time of that difference, outliers counting less.
        With 0 the shift is the same on all frames: the weighted median.

    Returns
    -------
    float (T, 4, 2)
    """
    apart = xy - trajectories
    sure = confidence.clamp(min=_LEAST_WEIGHT)[..., None].expand_as(apart)
    middle = _weighted_median(apart, sure)
    if width <= 0:
        return trajectories + middle
    rest = apart - middle
    usual = _USUAL * rest.abs().median(dim=0, keepdim=True).values + _LEAST_PX
    weight = sure * (usual / rest.abs().clamp(min=1e-9)).clamp(max=1)
    at = torch.arange(len(apart), dtype=apart.dtype, device=apart.device)
    near = torch.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    return (
        trajectories
        + middle
        + torch.einsum("ts,s...->t...", near, weight * rest) / torch.einsum("ts,s...->t...", near, weight)
    )


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    """Of values (T, ...) over their first axis, (1, ...)."""
    order = values.argsort(dim=0)
    total = weight.gather(0, order).cumsum(dim=0)
    middle = (total >= total[-1:] / 2).to(torch.int8).argmax(dim=0, keepdim=True)
    return values.gather(0, order.gather(0, middle))
