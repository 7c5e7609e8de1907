"""Displacement of what is not wall: carried inwards over the cavity, and outwards until it fades."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def mean_value_weights(points: FloatArray, polygon: FloatArray) -> FloatArray:
    """Mean value coordinates (N, K) of points inside a polygon (K, 2); they reproduce affine fields exactly.

    Floater 2003, doi 10.1016/S0167-8396(03)00002-5.
    """
    # The first corner is repeated at the end, so that neighbours are views into the same arrays.
    ring = np.concatenate([polygon, polygon[:1]])
    x, y = ring[:, 0] - points[:, :1], ring[:, 1] - points[:, 1:]
    length = np.sqrt(x * x + y * y)
    np.maximum(length, 1e-9, out=length)
    area = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
    area[np.abs(area) < 1e-9] = 1e-9
    half_tangent = length[:, :-1] * length[:, 1:]
    half_tangent -= x[:, :-1] * x[:, 1:] + y[:, :-1] * y[:, 1:]
    half_tangent /= area
    weight = half_tangent.copy()
    weight[:, 1:] += half_tangent[:, :-1]
    weight[:, 0] += half_tangent[:, -1]
    weight /= length[:, :-1]
    weight /= weight.sum(axis=1, keepdims=True)
    return weight


def fading_weights(points: FloatArray, sources: FloatArray, mass: FloatArray, reach_mm: float) -> FloatArray:
    """Weights (N, K) of sources (K, 2) that fall with the fourth power of distance and sum to less than 1 far away.

    Parameters
    ----------
    mass : (K,)
        Length of line that each source stands for, in mm.
    reach_mm : float
        Distance from a long line of sources at which half of its displacement is left.
    """
    squared = np.sum(points**2, axis=1)[:, None] + np.sum(sources**2, axis=1)[None] - 2 * points @ sources.T
    weight = mass[None] / (np.maximum(squared, 0.0) + 0.25) ** 2
    # A line of sources at distance D weighs pi / (2 D^3).
    rest = np.pi / (2 * reach_mm**3)
    return weight / (weight.sum(axis=1, keepdims=True) + rest)


def inside_polygon(points: FloatArray, polygon: FloatArray) -> NDArray[np.bool_]:
    """Which points (N, 2) lie inside a polygon (K, 2): an odd number of its edges cross the ray to the right."""
    inside = np.zeros(len(points), dtype=bool)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero(np.all((points >= low) & (points <= high), axis=1))
    x, y = points[near].T
    odd = np.zeros(len(near), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        odd ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    inside[near] = odd
    return inside


def fill_polygons(
    shape: tuple[int, int], parts: list[tuple[FloatArray, int]], oversampling: int = 4
) -> NDArray[np.uint8]:
    """Label image (H, W) of polygons in px, painted one over the other; a pixel is what its centre lies in."""
    n = oversampling
    canvas = np.zeros((shape[0] * n, shape[1] * n), dtype=np.uint8)
    for polygon, label in parts:
        corners = np.round(np.asarray(polygon) * n * 256).astype(np.int64)
        corners = np.clip(corners, -(2**30), 2**30).astype(np.int32)
        cv2.fillPoly(canvas, [corners], int(label), lineType=cv2.LINE_8, shift=8)
    return np.ascontiguousarray(canvas[::n, ::n])
