"""Trajectories from displacements measured between many pairs of frames.

Frame-to-frame steps add up their errors, and stationary clutter biases each of them; a match to the query frame
alone fails where the speckle has changed. Here displacements over short and long lags and from the query frame
are measured around a present estimate, and one weighted least-squares problem per point and axis makes the
trajectory that agrees best with all of them; pairs that disagree lose weight (iteratively reweighted, Cauchy).
Squares of the picture are read, and the problem is solved, in material coordinates: turned and stretched as the
neighbourhood is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echomotion.models.trackers.clutter import without_clutter
from echomotion.models.trackers.correlation import averaged, peaks, smoothed_in_time, smoothing_reach, spectra
from echomotion.models.trackers.neighbours import local_affine, neighbour_weights

FloatArray = NDArray[np.float64]

# Correlation below which a peak counts as if it had this much.
_LEAST_CORRELATION = 0.02
# Bytes of templates and windows held at once, as far as a block of eight frames allows.
_MEMORY = 400e6
_LEAST_BLOCK = 8
# How squares are read need not be exact: rather too little deformed than by noise.
_CALM = 0.1


@dataclass(frozen=True)
class Stage:
    """One pass of measuring and solving.

    Attributes
    ----------
    size, reach : int
        Template side and search reach in px of the grid.
    sigma_px, gradient_px : float
        Gaussians over neighbouring points: for the mean of their correlations, and for the deformation in which
        squares of the picture are read.
    lags : tuple of int
        Distances in frames between the two frames of a pair.
    to_query : bool
        Also match every frame with the query's.
    clutter_share : float
        How much of what stands still is taken out of the frames, 0 to 1.
    """

    size: int
    reach: int
    sigma_px: float
    gradient_px: float
    lags: tuple[int, ...]
    to_query: bool
    clutter_share: float


@dataclass(frozen=True)
class Pairs:
    """Displacements that a trajectory should have beyond the present estimate, in material coordinates.

    Attributes
    ----------
    lag : int
        From frame s to s + lag for s = 0, 1, ...; 0 means from the query frame to every frame.
    offset, weight : float (N, S, 2)
    """

    lag: int
    offset: FloatArray
    weight: FloatArray


def refine(
    frames: NDArray[np.uint8],
    xy: FloatArray,
    start: NDArray[np.int64],
    stage: Stage,
    *,
    sigma_frames: float,
    tolerance_px: float,
    rounds: int,
    tell: Callable[[], None],
) -> tuple[FloatArray, FloatArray]:
    """Improve trajectories.

    Parameters
    ----------
    frames : uint8 (T, h, w)
    xy : float (N, T, 2)
        The present estimate.
    start : int (N,)
        Query frame of each point, whose position stays.
    stage : Stage
    sigma_frames : float
        Gaussian over time on the correlation volumes.
    tolerance_px : float
        Disagreement at which a pair has lost half its weight.
    rounds : int
        Times the weights are renewed.
    tell : callable
        Called after each of the :func:`work` units.

    Returns
    -------
    xy : float (N, T, 2)
    disagreement : float (N, T)
        Weighted root mean square of how far the pairs at a frame miss the trajectory, in px.
    """
    frames = without_clutter(frames, stage.clutter_share)
    weights = neighbour_weights(xy, stage.sigma_px)
    gradient, _ = local_affine(xy, start, stage.gradient_px, _CALM)
    length = len(frames)
    measured = []
    for lag in _usable(stage, length):
        measured.append(Pairs(lag, *(np.zeros((len(xy), length - lag, 2)) for _ in range(2))))
    if stage.to_query:
        measured.append(Pairs(0, *(np.zeros((len(xy), length, 2)) for _ in range(2))))
    halo = smoothing_reach(sigma_frames)
    for first, last in _blocks(len(xy), length, stage, halo):
        low = max(0, first - halo)
        high = min(length, last + halo + max(_usable(stage, length), default=0))
        prepared = spectra(frames[low:high], xy[:, low:high], gradient[:, low:high], stage.size, stage.reach)
        for pairs in measured:
            if pairs.lag == 0:
                continue
            # Pairs whose first frame lies in this block, with the halo that smoothing needs.
            begin, end = low, min(last + halo, length - pairs.lag)
            stop = min(last, length - pairs.lag)
            if stop > first:
                here, there = slice(0, end - begin), slice(pairs.lag, end - begin + pairs.lag)
                forth = prepared.volume(here, there)
                back = prepared.volume(there, here)[..., ::-1, ::-1]
                volumes = smoothed_in_time(
                    averaged(((forth + back) / 2).astype(np.float32, copy=False), weights), sigma_frames
                )
                _store(pairs, slice(first, stop), volumes[first - begin : stop - begin])
            tell()
    if stage.to_query:
        _match_query(frames, xy, gradient, start, stage, sigma_frames, measured[-1])
        tell()
    correction, disagreement = _solve(len(xy), length, start, measured, tolerance_px, rounds)
    return xy + np.einsum("ntij,ntj->nti", gradient, correction), disagreement


def work(stages: tuple[Stage, ...], n_points: int, length: int, sigma_frames: float) -> int:
    """How often :func:`refine` will call `tell` over all stages."""
    halo = smoothing_reach(sigma_frames)
    return sum(len(list(_blocks(n_points, length, s, halo))) * len(_usable(s, length)) + s.to_query for s in stages)


def _usable(stage: Stage, length: int) -> list[int]:
    return [lag for lag in stage.lags if lag < length]


def _blocks(n_points: int, length: int, stage: Stage, halo: int) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) frames of blocks small enough to be held in memory."""
    side = stage.size + 2 * stage.reach
    # Two complex spectra, the window and its tables while they are made, per point and frame.
    per_frame = n_points * side**2 * (8 + 4 + 4 + 16)
    block = max(_LEAST_BLOCK, int(_MEMORY / per_frame) - 2 * halo - max(stage.lags, default=0))
    for first in range(0, length, block):
        yield first, min(first + block, length)


def _store(pairs: Pairs, part: slice, volumes: NDArray[np.float32]) -> None:
    offset, sharpness, value = peaks(volumes)
    weight = sharpness * np.maximum(value, _LEAST_CORRELATION)[..., None]
    pairs.offset[:, part] = np.moveaxis(offset, 1, 0)
    pairs.weight[:, part] = np.moveaxis(weight, 1, 0)


def _match_query(
    frames: NDArray[np.uint8],
    xy: FloatArray,
    gradient: FloatArray,
    start: NDArray[np.int64],
    stage: Stage,
    sigma_frames: float,
    pairs: Pairs,
) -> None:
    """Displacements from each point's query frame, averaged over neighbours with the same one."""
    halo = smoothing_reach(sigma_frames)
    for q in np.unique(start):
        group = np.flatnonzero(start == q)
        among = neighbour_weights(xy[group], stage.sigma_px)
        own = spectra(frames[q : q + 1], xy[group, q : q + 1], gradient[group, q : q + 1], stage.size, stage.reach)
        for first, last in _blocks(len(group), len(frames), replace(stage, lags=()), halo):
            low, high = max(0, first - halo), min(len(frames), last + halo)
            there = spectra(frames[low:high], xy[group, low:high], gradient[group, low:high], stage.size, stage.reach)
            joint = type(there)(own.templates, there.windows, there.scale, there.side)
            volumes = smoothed_in_time(averaged(joint.volume(slice(None), slice(None)), among), sigma_frames)
            offset, sharpness, value = peaks(volumes[first - low : last - low])
            pairs.offset[group, first:last] = np.moveaxis(offset, 1, 0)
            weight = sharpness * np.maximum(value, _LEAST_CORRELATION)[..., None]
            pairs.weight[group, first:last] = np.moveaxis(weight, 1, 0)
        pairs.weight[group, q] = 0


def _solve(
    count: int, length: int, start: NDArray[np.int64], measured: list[Pairs], tolerance_px: float, rounds: int
) -> tuple[FloatArray, FloatArray]:
    """The correction of each trajectory, zero at its query, that agrees best with all pairs."""
    band = max((pairs.lag for pairs in measured), default=0)
    weights = [pairs.weight for pairs in measured]
    for _ in range(rounds + 1):
        # Lower banded form: entry (j + i, j) of the symmetric matrix stands at [i, j].
        matrix = np.zeros((count, 2, band + 1, length))
        # Where nothing was measured, nothing moves.
        matrix[:, :, 0] = 1e-9
        target = np.zeros((count, 2, length))
        for pairs, weight in zip(measured, weights, strict=True):
            w = np.moveaxis(weight, 2, 1)
            pull = w * np.moveaxis(pairs.offset, 2, 1)
            lag = pairs.lag
            matrix[:, :, 0, lag:] += w
            target[:, :, lag:] += pull
            if lag:
                matrix[:, :, 0, :-lag] += w
                target[:, :, :-lag] -= pull
                matrix[:, :, lag, :-lag] -= w
        matrix[np.arange(count), :, 0, start] += 1e6
        correction = np.moveaxis(solve_banded_systems(matrix, target), 1, 2)
        weights = [
            pairs.weight / (1 + (_misses(pairs, correction) ** 2).sum(-1, keepdims=True) / tolerance_px**2)
            for pairs in measured
        ]
    squares, total = np.zeros((count, length)), np.full((count, length), 1e-9)
    for pairs in measured:
        # Here the weights of before count: a pair that was put aside is a disagreement too.
        weight = pairs.weight.mean(axis=-1)
        miss = weight * (_misses(pairs, correction) ** 2).sum(axis=-1)
        squares[:, pairs.lag :] += miss
        total[:, pairs.lag :] += weight
        if pairs.lag:
            squares[:, : -pairs.lag] += miss
            total[:, : -pairs.lag] += weight
    return correction, np.sqrt(squares / total)


def _misses(pairs: Pairs, correction: FloatArray) -> FloatArray:
    if pairs.lag == 0:
        return correction - pairs.offset
    return correction[:, pairs.lag :] - correction[:, : -pairs.lag] - pairs.offset


def solve_banded_systems(matrix: FloatArray, target: FloatArray) -> FloatArray:
    """Solve many symmetric, positive definite, banded systems at once, by factors L D L^T.

    SciPy's banded solver takes one system a call, which for thousands of small ones costs far more.

    Parameters
    ----------
    matrix : float64 (..., b + 1, n)
        Lower banded form: entry ``(j + i, j)`` at ``[..., i, j]``.
    target : float64 (..., n)

    Returns
    -------
    float64 (..., n)
    """
    # The system runs along the last axis: reads and writes are then contiguous.
    factors = np.moveaxis(matrix, (-1, -2), (0, 1)).copy()
    x = np.moveaxis(target, -1, 0).copy()
    n, band = len(factors), factors.shape[1] - 1
    for j in range(n):
        column = factors[j, 1 : min(band, n - 1 - j) + 1]
        scaled = column / factors[j, 0]
        for q in range(len(column)):
            factors[j + 1 + q, : len(column) - q] -= scaled[q] * column[q:]
        column[:] = scaled
        x[j + 1 : j + 1 + len(column)] -= scaled * x[j]
    x /= factors[:, 0]
    for j in range(n - 2, -1, -1):
        below = min(band, n - 1 - j)
        x[j] -= np.sum(factors[j, 1 : below + 1] * x[j + 1 : j + 1 + below], axis=0)
    return np.moveaxis(x, 0, -1)
