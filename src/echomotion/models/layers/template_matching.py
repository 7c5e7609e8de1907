"""Squares of a map compared with squares of other frames by normalised cross-correlation, at whole pixels.

Nothing is read between pixels: speckle is fine-grained, and interpolation blurs the very detail that is compared.
A square stands at a whole pixel, so does each place that it is compared with, and displacements are their difference.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Square(NamedTuple):
    """A square of `side` px (odd) whose centre lies ``(x, y)`` px from the point that it belongs to."""

    side: int
    x: int = 0
    y: int = 0

    @property
    def extent(self) -> int:
        """How many px it reaches from the point."""
        return self.side // 2 + max(abs(self.x), abs(self.y))


def crop(maps: Tensor, frame: Tensor, centre: Tensor, radius: int) -> Tensor:
    """Squares of maps around whole pixels; beyond the border, the pixels of the border.

    Parameters
    ----------
    maps : float (F, C, h, w)
    frame : int64 (...)
    centre : int64 (..., 2)
        ``(x, y)``.
    radius : int

    Returns
    -------
    float (..., C, 2 * radius + 1, 2 * radius + 1)
    """
    _, channels, height, width = maps.shape
    reach = torch.arange(-radius, radius + 1, device=maps.device)
    x = (centre[..., 0, None] + reach).clamp(0, width - 1)
    y = (centre[..., 1, None] + reach).clamp(0, height - 1)
    index = (frame[..., None, None] * height + y[..., :, None]) * width + x[..., None, :]
    rows = maps.permute(0, 2, 3, 1).flatten(0, 2)
    return rows.index_select(0, index.flatten()).view(*index.shape, channels).movedim(-1, -3)


class Field(NamedTuple):
    """Surroundings of the places where points are looked for, with what all squares share.

    Attributes
    ----------
    values : float (T, N, C, s, s)
        About the mean of the whole surroundings.
    total : float (N, T, s + 1, s + 1) or None
        Integral of the values; None with more than one channel.
    energy : float (N, T, s + 1, s + 1)
        Integral of their squares, of all channels together.
    """

    values: Tensor
    total: Tensor | None
    energy: Tensor

    @classmethod
    def of(cls, regions: Tensor) -> Field:
        """From squares (N, T, C, s, s)."""
        # Variances are then not small differences of large numbers.
        values = (regions - regions.mean(dim=(-2, -1), keepdim=True)).transpose(0, 1)
        total = integral(values[:, :, 0]).transpose(0, 1) if values.shape[2] == 1 else None
        return cls(values, total, integral(values.square().sum(dim=2)).transpose(0, 1))


def compare(square: Square, templates: Tensor, field: Field, reach: int, floor: float) -> Tensor:
    """Normalised cross-correlation of a square around each point with all places within `reach` px.

    Parameters
    ----------
    square : Square
    templates : float (N, C, k, k)
        What surrounds the points, at least as far as the square extends.
    field : Field
        What surrounds the places where the points are looked for, at least `reach` px further than the square extends.
    reach : int
    floor : float
        Contrast (root mean square over the square) that is added to both, so that flat squares resemble nothing.

    Returns
    -------
    float (N, T, d, d), d = 2 * reach + 1
        From -1 to 1. Several channels count together, and at the places looked at about the mean of the field instead
        of that of the square.
    """
    t, n, channels = field.values.shape[:3]
    template = _part(templates, square, square.side // 2)
    template = template - template.mean(dim=(-2, -1), keepdim=True)
    region = _part(field.values, square, square.side // 2 + reach)
    size, area = region.shape[-1], square.side**2
    product = functional.conv2d(region.reshape(t, n * channels, size, size), template, groups=n).transpose(0, 1)
    spread = _box_means(field.energy, square, reach)
    if field.total is not None:
        spread = spread - _box_means(field.total, square, reach).square()
    own = template.square().sum(dim=(1, 2, 3))[:, None, None, None] / area
    return product / area / ((own + floor**2) * (spread.clamp(min=0) + floor**2)).sqrt()


def integral(x: Tensor) -> Tensor:
    """Sums over all that lies above and to the left: (..., h, w) to (..., h + 1, w + 1)."""
    return functional.pad(x.cumsum(dim=-1).cumsum(dim=-2), (1, 0, 1, 0))


def _box_means(total: Tensor, square: Square, reach: int) -> Tensor:
    """Means over the squares at all places within `reach` px, from an integral (..., s + 1, s + 1)."""
    middle, side, count = total.shape[-1] // 2 - 1, square.side, 2 * reach + 1
    top, left = middle + square.y - side // 2 - reach, middle + square.x - side // 2 - reach
    up, down = total[..., top : top + count, :], total[..., top + side : top + side + count, :]
    rows = down - up
    return (rows[..., left + side : left + side + count] - rows[..., left : left + count]) / side**2


def peak(scores: Tensor, radius: int = 1) -> tuple[Tensor, Tensor]:
    """Highest place of maps (N, T, d, d), between pixels by a softmax over its surroundings.

    Returns
    -------
    offset : float (N, T, 2)
        ``(x, y)`` from the centre of the map.
    weight : float (N, T, d, d)
        The softmax: zero further than `radius` px from the highest place.
    """
    side = scores.shape[-1]
    best = scores.detach().flatten(-2).argmax(dim=-1)
    places = torch.arange(side, device=scores.device)
    near_x = (places - (best % side)[..., None]).abs() <= radius
    near_y = (places - (best // side)[..., None]).abs() <= radius
    near = near_y[..., :, None] & near_x[..., None, :]
    weight = scores.masked_fill(~near, -torch.inf).flatten(-2).softmax(dim=-1).view(scores.shape)
    steps = (places - side // 2).to(scores)
    return torch.stack([(weight.sum(dim=-2) * steps).sum(-1), (weight.sum(dim=-1) * steps).sum(-1)], dim=-1), weight


def _part(x: Tensor, square: Square, radius: int) -> Tensor:
    """The part (..., 2 * radius + 1, 2 * radius + 1) around the square's centre."""
    middle = x.shape[-1] // 2
    top, left = middle + square.y - radius, middle + square.x - radius
    return x[..., top : top + 2 * radius + 1, left : left + 2 * radius + 1]
