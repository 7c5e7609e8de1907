"""What neighbouring points say of a point's motion: tissue moves alike over a few millimetres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]

# Weights of neighbours below this share of the point's own are left out.
_LEAST_WEIGHT = 0.02
# Points whose neighbours are looked at together.
_CHUNK = 512


def neighbour_weights(xy: NDArray[np.floating], sigma: float) -> sparse.csr_array:
    """Weights (N, N) of a Gaussian over the mean distance of two trajectories (N, T, 2); rows add up to 1."""
    distance = np.zeros((len(xy), len(xy)))
    some = np.unique(np.linspace(0, xy.shape[1] - 1, 9).astype(int))
    for t in some:
        step = xy[:, None, t] - xy[None, :, t]
        distance += np.hypot(step[..., 0], step[..., 1]) / len(some)
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    weight[weight < _LEAST_WEIGHT] = 0
    return sparse.csr_array((weight / weight.sum(axis=1, keepdims=True)).astype(np.float32))


def local_affine(
    xy: FloatArray, start: NDArray[np.int64], origin: FloatArray, sigma: float, ridge: float
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

    Returns
    -------
    gradient : float (N, T, 2, 2)
        Deformation gradient from the point's query frame; 1 there.
    expected : float (N, T, 2)
        Where the neighbourhood, the point included, sees the point; not exactly its position on the query frame.
    """
    gradient, expected = np.empty((*xy.shape, 2)), np.empty(xy.shape)
    for frame in np.unique(start):
        rows = np.flatnonzero(start == frame)
        inside = 0 <= frame < xy.shape[1]
        near, before = (xy, xy[:, frame]) if inside else (xy[rows], origin[rows])
        for first in range(0, len(rows), _CHUNK):
            part = rows[first : first + _CHUNK]
            gradient[part], expected[part] = _affine_of(near, before, origin[part], sigma, ridge)
    return gradient, expected


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
    flat = xy.reshape(len(xy), -1)
    joint = (weighted @ flat).reshape(len(origin), 2, -1, 2).transpose(0, 2, 3, 1)
    gradient = (joint + still) @ np.linalg.inv(weighted @ centred + still)[:, None]
    mean = (weight @ flat).reshape(len(origin), -1, 2)
    return gradient, mean - np.einsum("ntij,nj->nti", gradient, middle)
