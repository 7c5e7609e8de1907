"""One trajectory per point out of displacements measured between many pairs of frames.

The most probable trajectories given all measurements, jointly: each pair counts by its information and loses weight
when it disagrees (Student's t, by reweighting); velocity and acceleration are finite; and tissue moves smoothly, so
that each point also hears where the affine motion of its neighbours sees it, each of them weighing by how well it is
known itself. Where the picture shows nothing, neighbours and time decide; where it is clear, they hardly matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echomotion.models.trackers.neighbours import band_distances

FloatArray = NDArray[np.float64]

# Information of what is known, and the most that anything else is given (1 / px^2).
_FIXED, _MOST = 1e6, 1e3
# Turns after which what the points know by themselves hardly changes.
_SETTLED = 2
# Neighbours below this weight are left out.
_LEAST_NEIGHBOUR = 0.02
# Points within so many widths of the Gaussian over neighbours tell how the band runs that they lie in.
_AROUND = 0.7


@dataclass(frozen=True)
class Pairs:
    """Displacements that trajectories should have beyond the present estimate, in material coordinates.

    Attributes
    ----------
    lag : int
        From frame s to s + lag for s = 0, 1, ...; 0 means from the query to every frame.
    offset : float (N, S, 2)
    information : float (N, S, 2)
        One over the variance, in 1 / px^2.
    """

    lag: int
    offset: FloatArray
    information: FloatArray

    def put(self, part: slice, offset: FloatArray, information: FloatArray) -> None:
        """Fill some of the frames."""
        self.offset[:, part], self.information[:, part] = offset, information


@dataclass(frozen=True)
class Beliefs:
    """What is believed of tissue before it is seen; lengths in px of the grid.

    Attributes
    ----------
    velocity_px, acceleration_px : float
        Standard deviation of the displacement from frame to frame, and of its change.
    neighbour_px : float
        Width of the Gaussian over neighbours.
    misfit_px : float
        Standard deviation of a point from the affine motion of its neighbourhood.
    slope : float
        Standard deviation of the strain by which the present estimate may be wrong.
    freedom : float
        Degrees of freedom of Student's t.
    """

    velocity_px: float
    acceleration_px: float
    neighbour_px: float
    misfit_px: float
    slope: float
    freedom: float


def reconcile(
    moved: FloatArray,
    known: NDArray[np.bool_],
    origin: FloatArray,
    start: NDArray[np.int64],
    measured: list[Pairs],
    beliefs: Beliefs,
    rounds: int,
) -> tuple[FloatArray, Tensor]:
    """Corrections of trajectories, zero where they are known, and how sure they are.

    Parameters
    ----------
    moved : float (N, T, 2)
        Present displacement from the query, in material coordinates.
    known : bool (N, T)
    origin : float (N, 2)
        Places of the queries, for distances between neighbours.
    start : int (N,)
        Frame of each query; only points with the same one are neighbours.
    measured : list of Pairs
    beliefs : Beliefs
    rounds : int
        How often pairs and neighbours are weighed anew.

    Returns
    -------
    correction : float (N, T, 2)
    factor : float (N, 2, T, T)
        Cholesky factor of the information along x and y; :func:`deviations` reads it.
    """
    count, length = known.shape
    smooth = _smoothness(length, beliefs)
    displacement = torch.from_numpy(np.ascontiguousarray(np.moveaxis(moved, 2, 1)))
    fixed = torch.from_numpy(known)[:, None] * _FIXED
    offsets = [torch.from_numpy(np.moveaxis(p.offset, 2, 1)) for p in measured]
    given = [torch.from_numpy(np.moveaxis(p.information, 2, 1)) for p in measured]
    weights, among = given, _neighbours(origin, start, beliefs.neighbour_px)
    heard: tuple[Tensor, Tensor] | None = None
    own = torch.zeros(())
    for turn in range(rounds + 1):
        matrix = smooth.expand(count, 2, length, length).clone()
        target = -(displacement @ smooth)
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        for pairs, offset, weight in zip(measured, offsets, weights, strict=True):
            lag, pull = pairs.lag, weight * offset
            diagonal[..., lag:] += weight
            target[..., lag:] += pull
            if lag:
                diagonal[..., :-lag] += weight
                target[..., :-lag] -= pull
                # The lower triangle is enough.
                matrix.diagonal(-lag, dim1=-2, dim2=-1).sub_(weight)
        if heard is not None:
            diagonal += heard[1]
            target += heard[0] * heard[1]
        diagonal += fixed
        lower = torch.linalg.cholesky(matrix)
        correction = torch.cholesky_solve(target[..., None], lower)[..., 0]
        if turn == rounds:
            break
        weights = [
            w * (beliefs.freedom + 1) / (beliefs.freedom + (_misses(p.lag, correction, o).square() * w).sum(1, True))
            for p, o, w in zip(measured, offsets, given, strict=True)
        ]
        if turn < _SETTLED:
            own = 1 / _variance(lower) - (0 if heard is None else heard[1])
        heard = _hearsay(correction, own.clamp(1e-6, _MOST), origin, among, beliefs)
    return correction.movedim(1, 2).numpy(), lower


def deviations(factor: Tensor) -> FloatArray:
    """Standard deviations (N, T) in px from the factor of the information that :func:`reconcile` returns."""
    return _variance(factor).mean(dim=1).sqrt().numpy()


def _smoothness(length: int, beliefs: Beliefs) -> Tensor:
    """Information (T, T) in what velocity and acceleration may be."""
    step = torch.eye(length, dtype=torch.float64).diff(dim=0)
    change = step.diff(dim=0)
    return step.T @ step / beliefs.velocity_px**2 + change.T @ change / beliefs.acceleration_px**2


def _variance(lower: Tensor) -> Tensor:
    """Diagonal (..., T) of the inverse of the matrices with these Cholesky factors."""
    # Single precision is enough for a width.
    inverse = torch.linalg.solve_triangular(lower.float(), torch.eye(lower.shape[-1]), upper=False)
    return inverse.square().sum(dim=-2).double()


def _misses(lag: int, correction: Tensor, offset: Tensor) -> Tensor:
    return (correction[..., lag:] - correction[..., :-lag] if lag else correction) - offset


def _neighbours(origin: FloatArray, start: NDArray[np.int64], sigma: float) -> Tensor:
    """Weights (N, N) of the others among the points with the same query frame."""
    distance = band_distances(origin[None] - origin[:, None], sigma * _AROUND)
    weight = np.exp(-0.5 * (distance / sigma) ** 2) * (start[:, None] == start[None])
    weight[weight < _LEAST_NEIGHBOUR] = 0
    np.fill_diagonal(weight, 0)
    return torch.from_numpy(weight)


def _hearsay(
    correction: Tensor, precision: Tensor, origin: FloatArray, among: Tensor, beliefs: Beliefs
) -> tuple[Tensor, Tensor]:
    """Where the affine motion of its neighbours sees each point (N, 2, T), and what that is worth.

    Weighted least squares with slopes held near 0; neighbours' errors are not independent, so many of them are worth
    as much as their mean. A lone point hears nothing.
    """
    count, _, length = correction.shape
    p = precision.mean(dim=1)
    x, y = torch.from_numpy(origin / beliefs.neighbour_px)[:, :, None].unbind(1)
    moments = torch.stack([p, p * x, p * y, p * x * x, p * x * y, p * y * y], dim=1)
    pulls = p[:, None] * correction
    pulls = torch.cat([pulls, x[:, None] * pulls, y[:, None] * pulls], dim=1)
    summed = (among @ torch.cat([moments, pulls], dim=1).view(count, -1)).view(count, 12, length)
    total = summed[:, 0].clamp(min=1e-9)
    _, mx, my, xx, xy, yy = (summed[:, :6] / total[:, None]).unbind(1)
    mean, with_x, with_y = (summed[:, k : k + 2] / total[:, None] for k in (6, 8, 10))
    weight = among.sum(dim=1)[:, None]
    quality = total / weight.clamp(min=1e-9)
    ridge = 1 / ((beliefs.slope * beliefs.neighbour_px) ** 2 * quality)
    a, b, d = xx - mx * mx + ridge, xy - mx * my, yy - my * my + ridge
    with_x, with_y = with_x - mx[:, None] * mean, with_y - my[:, None] * mean
    determinant = (a * d - b * b)[:, None]
    along_x = (d[:, None] * with_x - b[:, None] * with_y) / determinant
    along_y = (a[:, None] * with_y - b[:, None] * with_x) / determinant
    expected = mean + along_x * (x - mx)[:, None] + along_y * (y - my)[:, None]
    worth = 1 / (beliefs.misfit_px**2 + 1 / quality) * (weight / (weight + 0.5))
    return expected, worth[:, None]
