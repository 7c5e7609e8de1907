"""Key-points as maps of confidence, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from echomotion.models.layers.correlation import on_map

# Below this a map has no peak whose neighbours tell anything.
_FAINT = 1e-4


def gaussian_maps(xy: Tensor, size: tuple[int, int], stride: float, sigma_px: float) -> Tensor:
    """Maps (..., h, w) that are 1 at a point and fall off as a Gaussian.

    Parameters
    ----------
    xy : float (..., 2)
        In px of the grid.
    size : (int, int)
        Rows and columns of the maps.
    stride : float
        Grid px of a map px.
    sigma_px : float
        Standard deviation in px of the grid.
    """
    place, sigma = on_map(xy, stride), sigma_px / stride
    rows, columns = (torch.arange(n, dtype=xy.dtype, device=xy.device) for n in size)
    x = torch.exp(-0.5 * ((columns - place[..., :1]) / sigma) ** 2)
    y = torch.exp(-0.5 * ((rows - place[..., 1:]) / sigma) ** 2)
    return y[..., :, None] * x[..., None, :]


def read_maps(maps: Tensor, stride: float) -> tuple[Tensor, Tensor]:
    """Points (..., 2) in px of the grid and their confidence (...) from maps (..., h, w).

    The peak is refined by a parabola through the logarithms of its neighbours along each axis, which is exact for a
    Gaussian; the confidence is the height of the map's largest pixel, 0 to 1.
    """
    height, width = maps.shape[-2:]
    flat = maps.flatten(-2)
    best, at = flat.max(dim=-1)
    row, column = at // width, at % width
    logs = flat.clamp(min=_FAINT).log()

    def value(r: Tensor, c: Tensor) -> Tensor:
        return logs.gather(-1, (r * width + c)[..., None])[..., 0]

    def between(low: Tensor, middle: Tensor, high: Tensor) -> Tensor:
        bend = low - 2 * middle + high
        shift = torch.where(bend < 0, (low - high) / (2 * bend.clamp(max=-1e-6)), torch.zeros_like(bend))
        return shift.clamp(-0.5, 0.5)

    middle = value(row, column)
    left, right = value(row, (column - 1).clamp(min=0)), value(row, (column + 1).clamp(max=width - 1))
    above, below = value((row - 1).clamp(min=0), column), value((row + 1).clamp(max=height - 1), column)
    # At the border a neighbour is missing, and the peak stays where it is.
    dx = between(left, middle, right) * ((column > 0) & (column < width - 1))
    dy = between(above, middle, below) * ((row > 0) & (row < height - 1))
    place = torch.stack([column + dx, row + dy], dim=-1)
    return (place + 0.5) * stride - 0.5, best.clamp(0, 1)
