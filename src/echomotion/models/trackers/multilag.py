"""Displacements between many pairs of frames, measured around a present estimate of the trajectories.

Frame-to-frame steps add up their errors, and stationary clutter biases each of them; a match to the query frame
alone fails where the speckle has changed. Here displacements over short and long lags and from the query frame are
measured, and :mod:`echomotion.models.trackers.reconcile` makes the trajectories that agree best with all of them.
Squares of the picture are read in material coordinates: turned and stretched as the neighbourhood is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echomotion.models.trackers.correlation import averaged, peaks, smoothed_in_time, smoothing_reach, spectra
from echomotion.models.trackers.neighbours import local_affine, neighbour_weights
from echomotion.models.trackers.reconcile import Beliefs, Pairs, reconcile

FloatArray = NDArray[np.float64]
FloatImage = NDArray[np.float32]

# Reads volumes (S, N, k, k) of pairs that lie so many frames apart (S, N), means over so many neighbours (N,):
# displacements in px and their information in 1 / px^2, both (N, S, 2).
Reader = Callable[[NDArray[np.float32], NDArray[np.int64], FloatArray], tuple[FloatArray, FloatArray]]

# Correlation below which a peak counts as if it had this much.
_LEAST_CORRELATION = 0.02
# Information in a peak of curvature and height 1. Fitted on simulated hearts: their errors scatter as a Laplace
# distribution whose width goes with one over the root of curvature times height, of frames with their haze; without it
# peaks are sharper and lower.
_INFORMATION = 80.0
# Bytes of templates and windows held at once, as far as a block of eight frames allows.
_MEMORY = 400e6
_LEAST_BLOCK = 8
# How squares are read need not be exact: rather too little deformed than by noise.
_CALM = 0.1


@dataclass(frozen=True)
class Stage:
    """One pass of measuring and reconciling.

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
    sigma_frames : float
        Gaussian over time on the correlation volumes.
    beliefs : Beliefs
    rounds : int
        How often the weights of pairs and neighbours are renewed.
    """

    size: int
    reach: int
    sigma_px: float
    gradient_px: float
    lags: tuple[int, ...]
    to_query: bool
    sigma_frames: float
    beliefs: Beliefs
    rounds: int


@dataclass(frozen=True)
class Estimate:
    """Trajectories on the frames of a window, in px of a grid.

    Attributes
    ----------
    xy : float (N, T, 2)
    known : bool (N, T)
        Where they stay.
    start : int (N,)
        Query frame of each point, counted from the window's first.
    origin : float (N, 2)
        Place of each query.
    """

    xy: FloatArray
    known: NDArray[np.bool_]
    start: NDArray[np.int64]
    origin: FloatArray


def refine(
    frames: FloatImage,
    query_frames: Mapping[int, FloatImage],
    seen: NDArray[np.bool_],
    estimate: Estimate,
    stage: Stage,
    read: Reader,
    tell: Callable[[], None],
) -> tuple[FloatArray, Tensor]:
    """Improve trajectories.

    Parameters
    ----------
    frames : float32 (T, h, w)
    query_frames : mapping of int to float32 (h, w)
        The frames of all queries.
    seen : bool (h, w)
        Where frames show something; see :mod:`.field_of_view`.
    estimate : Estimate
    stage : Stage
    read : Reader
    tell : callable
        Called after each of the :func:`work` units.

    Returns
    -------
    xy : float (N, T, 2)
    factor : float (N, 2, T, T)
        How sure they are; :func:`.reconcile.deviations` reads it.
    """
    xy = estimate.xy
    weights = neighbour_weights(xy, stage.sigma_px, stage.gradient_px)
    same = weights * (estimate.start[:, None] == estimate.start)
    same /= same.sum(axis=1, keepdims=True)
    gradient, _ = local_affine(xy, estimate.start, estimate.origin, stage.gradient_px, _CALM)
    length = len(frames)
    measured = [Pairs(lag, *_empty(len(xy), length - lag)) for lag in _usable(stage, length)]
    to_query = Pairs(0, *_empty(len(xy), length))
    asked = _query_templates(query_frames, seen, estimate, stage) if stage.to_query else None
    halo = smoothing_reach(stage.sigma_frames)
    for first, last in _blocks(len(xy), length, stage):
        low = max(0, first - halo)
        high = min(length, last + halo + max(_usable(stage, length), default=0))
        prepared = spectra(frames[low:high], xy[:, low:high], gradient[:, low:high], stage.size, stage.reach, seen)
        for pairs in measured:
            # Pairs whose first frame lies in this block, with the halo that smoothing needs.
            end, stop = min(last + halo, length - pairs.lag), min(last, length - pairs.lag)
            if stop > first:
                here, there = slice(0, end - low), slice(pairs.lag, end - low + pairs.lag)
                forth = prepared.volume(here, there)
                back = prepared.volume(there, here)[..., ::-1, ::-1]
                volumes = smoothed_in_time(averaged((forth + back) * np.float32(0.5), weights), stage.sigma_frames)
                lags = np.full((stop - first, len(xy)), pairs.lag)
                pairs.put(slice(first, stop), *read(volumes[first - low : stop - low], lags, _spread(weights)))
            tell()
        if asked is not None:
            end = min(length, last + halo)
            volumes = averaged(replace(prepared, templates=asked).volume(slice(None), slice(0, end - low)), same)
            volumes = smoothed_in_time(volumes, stage.sigma_frames)[first - low : last - low]
            lags = np.abs(np.arange(first, last)[:, None] - estimate.start)
            to_query.put(slice(first, last), *read(volumes, lags, _spread(same)))
            tell()
    if asked is not None:
        to_query.information[estimate.known] = 0
        measured.append(to_query)
    moved = np.linalg.solve(gradient, (xy - estimate.origin[:, None])[..., None])[..., 0].astype(np.float64)
    correction, factor = reconcile(
        moved, estimate.known, estimate.origin, estimate.start, measured, stage.beliefs, stage.rounds
    )
    return xy + np.einsum("ntij,ntj->nti", gradient, correction), factor


def work(stages: tuple[Stage, ...], n_points: int, length: int) -> int:
    """How often :func:`refine` will call `tell` over all stages."""
    return sum(len(list(_blocks(n_points, length, s))) * (len(_usable(s, length)) + s.to_query) for s in stages)


def read_peaks(
    volumes: NDArray[np.float32], lags: NDArray[np.int64], spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Displacements at the tops of volumes, trusted by how sharp and how high these are; a :data:`Reader`."""
    offset, curvature, value = peaks(volumes)
    information = _INFORMATION * curvature * np.maximum(value, _LEAST_CORRELATION)[..., None]
    return np.moveaxis(offset, 1, 0), np.moveaxis(information, 1, 0)


def _empty(count: int, length: int) -> tuple[FloatArray, FloatArray]:
    return np.zeros((count, length, 2)), np.zeros((count, length, 2))


def _spread(weights: FloatImage) -> FloatArray:
    """How many neighbours (N,) a mean with these weights is worth."""
    return 1 / np.square(weights, dtype=np.float64).sum(axis=1)


def _usable(stage: Stage, length: int) -> list[int]:
    return [lag for lag in stage.lags if lag < length]


def _blocks(n_points: int, length: int, stage: Stage) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) frames of blocks small enough to be held in memory."""
    side = stage.size + 2 * stage.reach
    # The windows twice, with their squares, and the spectra of templates and windows, per point and frame.
    per_frame = n_points * side**2 * 4 * 5
    block = max(
        _LEAST_BLOCK, int(_MEMORY / per_frame) - 2 * smoothing_reach(stage.sigma_frames) - max(stage.lags, default=0)
    )
    for first in range(0, length, block):
        yield first, min(first + block, length)


def _query_templates(
    query_frames: Mapping[int, FloatImage], seen: NDArray[np.bool_], estimate: Estimate, stage: Stage
) -> Tensor:
    """Templates (1, N, B) of the queries, each on its own frame and upright."""
    parts, order = [], []
    for q in np.unique(estimate.start):
        group = np.flatnonzero(estimate.start == q)
        upright = np.broadcast_to(np.eye(2), (len(group), 1, 2, 2))
        frame = query_frames[int(q)][None]
        parts.append(spectra(frame, estimate.origin[group, None], upright, stage.size, stage.reach, seen).templates)
        order.append(group)
    return torch.cat(parts, dim=1)[:, torch.from_numpy(np.argsort(np.concatenate(order)))]
