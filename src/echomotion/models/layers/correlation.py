"""Features at points, and how well a point's descriptor matches the places of a frame.

Points are `(x, y)` in px of the model grid, centres of pixels at whole numbers. On a feature map of stride s, whose
pixel i stands for the grid pixels s * i … s * i + s - 1, a point lies at ``(x + 0.5) / s - 0.5``: :func:`on_map`.
Everything here uses it, and only it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


def on_map(xy: Tensor, stride: float) -> Tensor:
    """Grid px to px of a feature map of that stride."""
    return (xy + 0.5) / stride - 0.5


def pyramid(features: Tensor, levels: int) -> tuple[Tensor, ...]:
    """Features (F, C, h, w) and their means over 2 x 2, 4 x 4, … px; an odd border is the mean of what is there."""
    maps = [features]
    for _ in range(levels - 1):
        maps.append(functional.avg_pool2d(maps[-1], 2, ceil_mode=True))
    return tuple(maps)


class FeatureTable(NamedTuple):
    """All levels of a pyramid of T frames as rows of one table, from which windows are read quickly.

    Attributes
    ----------
    rows : float (P, C)
        Feature pixels, level by level, frame by frame, row by row.
    sizes : tuple of (h, w)
    strides : tuple of float
        Of each level, in grid px.
    frames : int
        T.
    """

    rows: Tensor
    sizes: tuple[tuple[int, int], ...]
    strides: tuple[float, ...]
    frames: int

    @classmethod
    def of(cls, maps: Sequence[Tensor], stride: float) -> FeatureTable:
        """From levels (T, C, h_l, w_l), the finest with the given stride, each next one with twice that."""
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in maps])
        sizes = tuple((int(level.shape[-2]), int(level.shape[-1])) for level in maps)
        return cls(rows, sizes, tuple(stride * 2.0**i for i in range(len(maps))), len(maps[0]))

    def sample(self, frame: Tensor, xy: Tensor) -> Tensor:
        """As :func:`sample_points`, from the finest level."""
        (height, width), stride = self.sizes[0], self.strides[0]
        last = xy.new_tensor([width - 1, height - 1])
        place = torch.minimum(on_map(xy, stride).clamp(min=0), last)
        low = torch.minimum(place.detach().floor(), (last - 1).clamp(min=0))
        right, below = (place - low).unbind(dim=-1)
        x0, y0 = low.long().unbind(dim=-1)
        x1, y1 = (x0 + 1).clamp(max=width - 1), (y0 + 1).clamp(max=height - 1)
        above = frame * height
        index = torch.stack(
            [(above + y0) * width + x0, (above + y0) * width + x1, (above + y1) * width + x0, (above + y1) * width + x1]
        )
        weight = torch.stack(
            [(1 - right) * (1 - below), right * (1 - below), (1 - right) * below, right * below], dim=0
        )
        corners = self.rows.index_select(0, index.flatten()).view(*index.shape, -1)
        return (corners * weight[..., None]).sum(dim=0)


def sample_points(features: Tensor, frame: Tensor, xy: Tensor, stride: float) -> Tensor:
    """Features at points, between pixels by bilinear interpolation; beyond the border, those of the border.

    Parameters
    ----------
    features : float (F, C, h, w)
    frame : int64 (...)
        Which frame each point lies on.
    xy : float (..., 2)
        Grid px.
    stride : float

    Returns
    -------
    float (..., C)
    """
    return FeatureTable.of([features], stride).sample(frame, xy)


def whole_maps(
    descriptors: Tensor, maps: Sequence[Tensor], size: int, centre: Tensor | None = None, block: int = 256
) -> Tensor:
    """Correlation of descriptors with whole frames, each level resized to `size` x `size`, mean over the levels.

    Parameters
    ----------
    descriptors : float (N, C)
    maps : sequence of float (T, C, h, w)
        Levels of a pyramid of the same frames.
    size : int
    centre : float (N, T, 2), optional
        Instead of the frame itself, read a field of the frame's size about these places, zero beyond the frame; given
        in ``0..1`` of the width and height of the finest map (0 is its left edge, not the first pixel's centre).
    block : int
        Points held in memory at once.

    Returns
    -------
    float (N, T, size * size)
        Dot products; cosines where features have length 1.
    """
    frames = len(maps[0])
    beyond = "border" if centre is None else "zeros"
    about = descriptors.new_full((len(descriptors), frames, 2), 0.5) if centre is None else centre
    # Levels of odd maps reach a little beyond the frame.
    finest = descriptors.new_tensor(maps[0].shape[:-3:-1])
    extents = [finest / (descriptors.new_tensor(level.shape[:-3:-1]) * 2**i) for i, level in enumerate(maps)]

    def some(vectors: Tensor, about: Tensor) -> Tensor:
        total = vectors.new_zeros(len(vectors), frames, size, size)
        for level, extent in zip(maps, extents, strict=True):
            volume = torch.einsum("nc,tchw->nthw", vectors, level)
            total = total + _field(volume, about, size, extent, beyond)
        return total.flatten(-2) / len(maps)

    return in_blocks(some, block, descriptors, about)


def _field(volume: Tensor, centre: Tensor, size: int, extent: Tensor, beyond: str) -> Tensor:
    """Volume (N, T, h, w) read on `size` x `size` places over one frame's extent about the centres (N, T, 2)."""
    n, t, height, width = volume.shape
    steps = (torch.arange(size, dtype=volume.dtype, device=volume.device) + 0.5) / size - 0.5
    offset = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    grid = 2 * (centre.reshape(n * t, 1, 1, 2) + offset) * extent - 1
    flat = volume.reshape(n * t, 1, height, width)
    return functional.grid_sample(flat, grid, padding_mode=beyond, align_corners=False).view(n, t, size, size)


def local_windows(templates: Tensor, table: FeatureTable, xy: Tensor, radius: int, block: int = 256) -> Tensor:
    """Correlation of templates with the windows around an estimate, at every level of a pyramid.

    Parameters
    ----------
    templates : float (N, T, S, C)
        S templates for each point and frame.
    table : FeatureTable
    xy : float (N, T, 2)
        Estimates in grid px, one for each frame of the table.
    radius : int
        Windows have ``k = 2 * radius + 1`` px of the level along each side.
    block : int
        Points held in memory at once.

    Returns
    -------
    float (N, T, S, L * k * k)
        Dot products, cosines where features have length 1; zero beyond the frame.

    Notes
    -----
    All places of a window lie equally between pixels, and the dot product is linear: so products are taken at the
    (k + 1) x (k + 1) whole pixels, and these are interpolated, not the features.
    """
    return in_blocks(lambda some, about: _windows(some, table, about, radius), block, templates, xy)


def _windows(templates: Tensor, table: FeatureTable, xy: Tensor, radius: int) -> Tensor:
    n, t, s, channels = templates.shape
    side = 2 * radius + 2
    reach = torch.arange(side, device=xy.device) - radius
    frame = torch.arange(t, device=xy.device).view(1, t, 1, 1)
    # A diverged estimate must not overflow the whole numbers.
    xy = xy.clamp(-1e6, 1e6)
    indices, insides, parts, first = [], [], [], 0
    for (height, width), stride in zip(table.sizes, table.strides, strict=True):
        place = on_map(xy, stride)
        low = place.detach().floor()
        parts.append(place - low)
        x = low[..., 0].long()[..., None] + reach
        y = low[..., 1].long()[..., None] + reach
        inside = ((y >= 0) & (y < height))[..., :, None] & ((x >= 0) & (x < width))[..., None, :]
        y, x = y.clamp(0, height - 1)[..., :, None], x.clamp(0, width - 1)[..., None, :]
        indices.append((first + (frame * height + y) * width + x).flatten(2))
        insides.append(inside.flatten(2))
        first += table.frames * height * width
    index, inside = torch.stack(indices, dim=2), torch.stack(insides, dim=2)
    part = torch.stack(parts, dim=2)[..., None, None, None, :]
    levels = len(table.sizes)
    rows = table.rows.index_select(0, index.flatten()).view(n * t, levels * side * side, channels)
    scores = torch.bmm(rows, templates.reshape(n * t, s, channels).transpose(1, 2))
    scores = scores.view(n, t, levels, side * side, s) * inside[..., None]
    scores = scores.transpose(-1, -2).reshape(n, t, levels, s, side, side)
    px, py = part[..., 0], part[..., 1]
    scores = scores[..., :-1] * (1 - px) + scores[..., 1:] * px
    scores = scores[..., :-1, :] * (1 - py) + scores[..., 1:, :] * py
    return scores.transpose(2, 3).flatten(3)


def in_blocks(function: Callable[..., Tensor], block: int, *points: Tensor) -> Tensor:
    """`function` of tensors that each begin with the axis of the points, at most `block` points at a time.

    With more points than that, what a block needs for its gradient is computed again on the way back, so that memory
    stays that of one block.
    """
    if len(points[0]) <= block:
        return function(*points)
    parts = zip(*(tensor.split(block) for tensor in points), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(function, *part, use_reentrant=False) for part in parts])
    return torch.cat([function(*part) for part in parts])
