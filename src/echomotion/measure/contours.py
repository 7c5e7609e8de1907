"""Plane curves: the outline of a mask below pixel precision, equal spacing along a line, smoothing, area."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def largest_component(mask: BoolArray, *, fill_holes: bool = True) -> BoolArray:
    """The largest connected part of a mask (H, W), its holes filled; empty stays empty."""
    whole = np.zeros_like(mask, dtype=bool)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return whole
    # A structure covers little of a frame; numbering parts takes time for every pixel.
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, _ = ndimage.label(mask[window])
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest = int(np.argmax(sizes))
    part = labels == largest
    if fill_holes:
        box = ndimage.find_objects(labels, max_label=largest)[largest - 1]
        # With a frame round the box, background that touches the outside is one part, numbered first.
        part[box] = ndimage.label(np.pad(~part[box], 1, constant_values=True))[0][1:-1, 1:-1] != 1
    whole[window] = part
    return whole


def without_specks(mask: BoolArray, share: float) -> BoolArray:
    """A mask (H, W) without the parts smaller than `share` of its largest part."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return np.asarray(mask, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= share * sizes.max())[labels] & mask


def level_contour(field: FloatArray, level: float = 0.5) -> FloatArray:
    """The longest closed curve on which a field takes a value (marching squares).

    Parameters
    ----------
    field : float (H, W)
        What lies outside the array counts as below the level, so that every curve closes.
    level : float
        The value on the curve.

    Returns
    -------
    float64 (M, 2)
        Points ``(x, y)`` in pixels, linear between pixel centres, the first not repeated at the end;
        (0, 2) where the field never reaches the level.
    """
    f = np.pad(np.asarray(field, dtype=np.float64), 1, constant_values=min(0.0, float(np.min(field)), level - 1))
    inside = f > level
    rows, columns = f.shape
    # Every edge between two neighbouring pixels has a number: first the horizontal ones, then the vertical.
    index = np.arange(rows * columns).reshape(rows, columns)
    vertical = rows * columns
    # Cells of four pixels through which the curve passes, and their corners clockwise from the top left.
    mixed = inside[:-1, :-1] + inside[:-1, 1:].astype(int) + inside[1:, 1:] + inside[1:, :-1]
    row, column = np.nonzero((mixed > 0) & (mixed < 4))
    rows4 = np.stack([row, row, row + 1, row + 1], axis=-1)
    columns4 = np.stack([column, column + 1, column + 1, column], axis=-1)
    corner = inside[rows4, columns4]
    edges = np.stack(  # top, right, bottom, left edge of each cell
        [
            index[row, column],
            vertical + index[row, column + 1],
            index[row + 1, column],
            vertical + index[row, column],
        ],
        axis=-1,
    )
    crossed = corner != np.roll(corner, -1, axis=1)
    count = crossed.sum(axis=1)
    pairs = [edges[count == 2][crossed[count == 2]].reshape(-1, 2)]
    saddle = count == 4
    if saddle.any():
        # Two curves pass through the cell; the value in its middle says which corners belong together.
        middle = f[rows4, columns4][saddle].mean(axis=1) > level
        same = (middle == corner[saddle, 0])[:, None]
        four = edges[saddle]
        pairs.append(np.where(same, four[:, [0, 1]], four[:, [3, 0]]))
        pairs.append(np.where(same, four[:, [2, 3]], four[:, [1, 2]]))
    links = np.concatenate(pairs)
    if len(links) == 0:
        return np.zeros((0, 2))
    loop = _longest_loop(links)
    horizontal = loop < vertical
    r, c = np.divmod(np.where(horizontal, loop, loop - vertical), columns)
    r2, c2 = r + ~horizontal, c + horizontal
    share = (level - f[r, c]) / (f[r2, c2] - f[r, c])
    return np.column_stack([c + share * (c2 - c), r + share * (r2 - r)]) - 1.0


def _longest_loop(links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow pairs of linked edges round; every edge occurs in exactly two pairs."""
    neighbours: dict[int, list[int]] = {}
    for a, b in links.tolist():
        neighbours.setdefault(a, []).append(b)
        neighbours.setdefault(b, []).append(a)
    best: list[int] = []
    while neighbours:
        node, found = next(iter(neighbours.items()))
        loop = [node]
        previous, current = node, found[0]
        del neighbours[node]
        while current in neighbours:
            loop.append(current)
            a, b = neighbours.pop(current)
            previous, current = current, (b if a == previous else a)
        if len(loop) > len(best):
            best = loop
    return np.asarray(best, dtype=np.int64)


def arc_length(line: FloatArray) -> FloatArray:
    """Length along a polyline (M, 2) from its first point to each point, (M,)."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])


def points_at(line: FloatArray, lengths: FloatArray) -> FloatArray:
    """Points (K, 2) at given arc lengths (K,) along a polyline (M, 2)."""
    along = arc_length(line)
    return np.column_stack([np.interp(lengths, along, line[:, k]) for k in range(2)])


def resample(line: FloatArray, count: int, *, closed: bool = False) -> FloatArray:
    """`count` points equally spaced by arc length; a closed line is not repeated at its end."""
    if closed:
        line = np.concatenate([line, line[:1]])
    total = arc_length(line)[-1]
    return points_at(line, np.linspace(0.0, total, count, endpoint=not closed))


def smooth_open(line: FloatArray, share: float) -> FloatArray:
    """Smooth an equally spaced open polyline whose ends stay where they are.

    A Gaussian of `share` of the line's length is applied twice, the second time to what the first took
    away, so that arcs do not shrink to first order in their curvature.
    """
    sigma = share * len(line)
    width = min(len(line) - 1, int(np.ceil(4 * sigma)))

    def blur(values: FloatArray) -> FloatArray:
        # Continued by point reflection in its ends, a line keeps them under a symmetric filter.
        before = 2 * values[0] - values[width:0:-1]
        after = 2 * values[-1] - values[-2 : -width - 2 : -1]
        long = np.concatenate([before, values, after])
        return ndimage.gaussian_filter1d(long, sigma, axis=0, mode="nearest")[width : width + len(values)]

    once = blur(line)
    return once + blur(line - once)


def polygon_area(polygon: FloatArray) -> float:
    """Area enclosed by a polygon (M, 2), by the shoelace formula, positive."""
    x, y = polygon.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
