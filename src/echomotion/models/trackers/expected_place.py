"""Where correlation with a grid of places around an estimate says a point lies."""

from __future__ import annotations

import torch
from torch import Tensor

from echomotion.models.trackers.network import Volume


def place_volume(cosines: Tensor, xy: Tensor, stride: Tensor, sharpness: Tensor, belief: Tensor) -> Volume:
    """Cosines as scores of places, those far from the estimate less believed beforehand.

    Parameters
    ----------
    cosines : float (N, T, d, d)
        Likeness of the places, rows along y; d is odd.
    xy : float (N, T, 2)
        The estimate, which the middle of the grid lies on, in px of the model grid.
    stride : float (2,)
        Distance of neighbouring places in px of the model grid.
    sharpness, belief : float ()
        Logarithms: by which cosines are multiplied before a softmax, and how far (px) a point is believed to be from
        the estimate, in whatever direction, before they are seen.
    """
    reach = torch.arange(cosines.shape[-1], dtype=xy.dtype, device=xy.device) - cosines.shape[-1] // 2
    squares = (reach * stride[0]).square() + (reach * stride[1]).square()[:, None]
    return Volume(sharpness.exp() * cosines - squares / (2 * (2 * belief).exp()), xy, stride)


def expected_shift(volume: Volume) -> Tensor:
    """Displacement (N, T, 2) from the middle of a volume, in px of the grid: the mean of its places."""
    side = volume.scores.shape[-1]
    likely = volume.scores.flatten(-2).softmax(dim=-1).view(volume.scores.shape)
    reach = torch.arange(side, dtype=likely.dtype, device=likely.device) - side // 2
    return torch.stack([(likely.sum(dim=-2) * reach).sum(-1), (likely.sum(dim=-1) * reach).sum(-1)], -1) * volume.stride
