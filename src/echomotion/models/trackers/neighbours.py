"""What neighbouring points say of a point's motion: tissue moves alike over a few millimetres."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Weights of neighbours below this share of the point's own are left out.
_LEAST_WEIGHT = 0.02
# Scatter in px^2 that is as good as none.
_NONE = 1e-9
# So many times farther at most counts what lies across a band of points.
_ACROSS = 3.0
# Points whose neighbours are looked at together.
_CHUNK = 512


def band_distances(apart: FloatArray, around: float) -> FloatArray:
    """How far others are from each of N points (N, N) when they lie `apart` (N, N, 2), in px.

    Where points lie in a band, as those of a wall do, what lies across it counts as up to three times as far: a wall
    thickens and its layers slide, so that motion differs more across it than along. A band is told by how the points
    within a Gaussian of width `around` (px) scatter.
    """
    x, y = apart[..., 0], apart[..., 1]
    squared = x * x + y * y
    weight = np.exp(squared * (-0.5 / around**2))
    weight /= weight.sum(axis=1, keepdims=True)
    mx, my = (weight * x).sum(axis=1), (weight * y).sum(axis=1)
    xx, yy = (weight * x * x).sum(axis=1) - mx * mx, (weight * y * y).sum(axis=1) - my * my
    xy = (weight * x * y).sum(axis=1) - mx * my
    # The axes of the scatter of two coordinates: its longer one lies at this angle, and so long are both.
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)[:, None]
    half, apart_by = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    ratio = np.sqrt(np.maximum(half + apart_by, _NONE) / np.maximum(half - apart_by, _NONE))[:, None]
    across = y * np.cos(angle) - x * np.sin(angle)
    squared += (np.minimum(ratio, _ACROSS) ** 2 - 1) * across * across
    # Each of two points sees the other through its own band.
    return np.sqrt((squared + squared.T) / 2)


def neighbour_weights(xy: NDArray[np.floating], sigma: float, around: float) -> NDArray[np.float32]:
    """Weights (N, N) of a Gaussian over the mean distance of two trajectories (N, T, 2); rows add up to 1.

    Distances are those of :func:`band_distances`.
    """
    distance = np.zeros((len(xy), len(xy)))
    some = np.unique(np.linspace(0, xy.shape[1] - 1, 9).astype(int))
    for t in some:
        distance += band_distances(xy[None, :, t] - xy[:, None, t], around) / len(some)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    weight[weight < _LEAST_WEIGHT] = 0
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def local_affine(
    xy: FloatArray,
    start: NDArray[np.int64],
    origin: FloatArray,
    sigma: float,
    ridge: float,
    at: tuple[NDArray[np.int64], FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """The affine motion that fits each point's neighbourhood best, by weighted least squares.

    Neighbours count by a Gaussian of their distance on the point's query frame; when that is not among the T frames,
    only those with the same query frame do. Where they do not tell (too few, or all on a line, along which alone they
    do), the motion is a translation.

    Parameters
    ----------
    xy : float (N, T, 2)
    start : int (N,)
        The query frame of each point, 0 to T - 1 when it is among the frames.
    origin : float (N, 2)
        Place of each query.
    sigma : float
        Width of the Gaussian in px.
    ridge : float
        Spread of the neighbours, in parts of `sigma` squared, that weighs as much as no deformation does: it calms
        gradients and lessens them.
    at : (int (K,), float (K, 2)), optional
        Query frames and places of other points whose motion is asked for; that of the N points themselves without.

    Returns
    -------
    gradient : float (K, T, 2, 2)
        Deformation gradient from the point's query frame; 1 there.
    expected : float (K, T, 2)
        Where the neighbourhood, the point included, sees the point; not exactly its position on the query frame.
    """
    asked, places = (start, origin) if at is None else at
    shape = (len(asked), *xy.shape[1:])
    gradient, expected = np.empty((*shape, 2)), np.empty(shape)
    for frame in np.unique(asked):
        rows, same = np.flatnonzero(asked == frame), start == frame
        inside = 0 <= frame < xy.shape[1]
        near, before = (xy, xy[:, frame]) if inside else (xy[same], origin[same])
        for first in range(0, len(rows), _CHUNK):
            part = rows[first : first + _CHUNK]
            gradient[part], expected[part] = _affine_of(near, before, places[part], sigma, ridge)
    return gradient, expected


def spread_out(
    origin: FloatArray, start: NDArray[np.int64], spacing: float, most: int
) -> tuple[NDArray[np.int64], float]:
    """Points that stand for all: as far from each other as can be, of every query frame its share.

    Parameters
    ----------
    origin : float (N, 2)
    start : int (N,)
        Query frames.
    spacing : float
        Points nearer than this to a chosen one are not chosen.
    most : int
        How many may be chosen, but one of every query frame at least.

    Returns
    -------
    chosen : int (M,)
        In rising order.
    widest : float
        The largest distance of any point from the nearest chosen one with the same query frame.
    """
    chosen: list[int] = []
    widest = 0.0
    for frame in np.unique(start):
        rows = np.flatnonzero(start == frame)
        places, quota = origin[rows], max(1, most * len(rows) // len(start))
        distance = np.full(len(rows), np.inf)
        at = int(np.argmin(np.linalg.norm(places - places.mean(axis=0), axis=1)))
        for _ in range(min(quota, len(rows))):
            chosen.append(int(rows[at]))
            distance = np.minimum(distance, np.linalg.norm(places - places[at], axis=1))
            at = int(distance.argmax())
            if distance[at] < spacing:
                break
        widest = max(widest, float(distance.max()))
    return np.sort(np.array(chosen, dtype=np.int64)), widest


def _affine_of(
    xy: FloatArray, before: FloatArray, origin: FloatArray, sigma: float, ridge: float
) -> tuple[FloatArray, FloatArray]:
    """Gradients (K, T, 2, 2) and expected places (K, T, 2) of K origins among M points that were at `before`."""
    still = ridge * sigma**2 * np.eye(2)
    apart = before[None] - origin[:, None]
    weight = np.exp(-0.5 * (apart**2).sum(axis=-1) / sigma**2)
    weight[weight < _LEAST_WEIGHT] = 0
    weight /= weight.sum(axis=1, keepdims=True)
    middle = np.einsum("nm,nmi->ni", weight, apart)
    centred = apart - middle[:, None]
    weighted = (weight[..., None] * centred).swapaxes(1, 2)
    # Weighted centred offsets add up to 0, so positions need not be centred too.
    # By PyTorch, whose threads do not get into each other's way as NumPy's would with them.
    flat = torch.from_numpy(xy.reshape(len(xy), -1))
    sums = torch.from_numpy(np.concatenate([weighted, weight[:, None]], axis=1).reshape(-1, len(xy))) @ flat
    joint, mean = np.split(sums.view(len(origin), 3, -1, 2).numpy(), [2], axis=1)
    mean = mean[:, 0]
    own = np.einsum("nkm,nmi->nki", weighted, centred) + still
    gradient = (joint.transpose(0, 2, 3, 1) + still) @ np.linalg.inv(own)[:, None]
    return gradient, mean - np.einsum("ntij,nj->nti", gradient, middle)
