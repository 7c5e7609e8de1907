"""Metrics of how a tracker errs: when it is lost, whether it lags or shakes, and by direction and phase.

On plain arrays, as :mod:`echomotion.evaluation.metrics_tracking`; lengths are px of a frame resized to 256 x 256.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.evaluation.metrics_tracking import METRIC_SIZE, Errors, Mask

# A point that was further off than this has been lost.
LOST_PX = 16
# True motion shorter than this has no direction.
MOVING_PX = 1.0
# Of the picture, each in the middle of its eighth of the circle; y runs down.
DIRECTIONS = ("right", "down_right", "down", "down_left", "left", "up_left", "up", "up_right")
PHASE_BINS = 8

Vectors = NDArray[np.float64]


def vectors_px(found: ArrayLike, true: ArrayLike, shape: tuple[int, int]) -> Vectors:
    """Vectors (..., 2) from true to found native positions in px of a frame resized to 256 x 256.

    Parameters
    ----------
    found, true : float (..., 2)
        Native pixels.
    shape : (int, int)
        Rows and columns of the native frame.
    """
    scale = (METRIC_SIZE / shape[1], METRIC_SIZE / shape[0])
    return (np.asarray(found, dtype=np.float64) - np.asarray(true, dtype=np.float64)) * scale


def survival(errors: Errors, visible: Mask, step: NDArray[np.int64], evaluated: Mask) -> float:
    """Share of points that have not yet missed by more than 16 px, mean over the evaluated frames.

    As PIPs++ has it (Zheng et al. 2023, PointOdyssey, arXiv 2307.15055, and the threshold of its published code): a
    point that was off by more than the threshold once, where it could be seen, is lost from then on. TAP-Vid has no
    such figure. As in all figures here the query's own frame is left out.

    Parameters
    ----------
    errors : float (M, T)
        px at 256; infinite where no position was given.
    visible : bool (M, T)
    step : int (M, T)
        Frames since the query, negative before it: towards both ends a point is lost for itself.
    evaluated : bool (M, T)
    """
    lost = visible & (errors > LOST_PX)
    after = np.logical_or.accumulate(lost & (step > 0), axis=1)
    before = np.logical_or.accumulate((lost & (step < 0))[:, ::-1], axis=1)[:, ::-1]
    gone = np.where(step > 0, after, before)
    return float(np.mean(~gone[evaluated])) if evaluated.any() else np.nan


def signed_error(vectors: Vectors, motion: Vectors, seen: Mask) -> float:
    """Mean component of the error along the true motion since the query; negative where the tracker lags behind.

    Positions whose true motion is under 1 px, or that were not given, are left out.

    Parameters
    ----------
    vectors : float (..., 2)
        Error, px at 256.
    motion : float (..., 2)
        True displacement since the query's frame, px at 256.
    seen : bool (...)
        Positions that count.
    """
    length = np.hypot(motion[..., 0], motion[..., 1])
    with np.errstate(invalid="ignore"):
        counts = seen & (length > MOVING_PX) & np.isfinite(vectors).all(axis=-1)
    if not counts.any():
        return np.nan
    along = np.sum(vectors[counts] * motion[counts], axis=-1) / length[counts]
    return float(np.mean(along))


def jitter(vectors: Vectors, usable: Mask) -> float:
    """Root mean square of the second difference in time of the error: 0 for an error that is steady or grows evenly.

    Parameters
    ----------
    vectors : float (M, T, 2)
        Error, px at 256.
    usable : bool (M, T)
        Frames that may count; a difference needs three in a row.
    """
    known = usable & np.isfinite(vectors).all(axis=-1)
    three = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    if not three.any():
        return np.nan
    second = (vectors[:, :-2] - 2 * vectors[:, 1:-1] + vectors[:, 2:])[three]
    return float(np.sqrt(np.mean(np.sum(second**2, axis=-1))))


def median_by_direction(errors: Errors, motion: Vectors, seen: Mask) -> dict[str, float]:
    """Median error for each eighth of the circle into which the true motion since the query points.

    Parameters
    ----------
    errors : float (...)
    motion : float (..., 2)
        True displacement since the query's frame, px at 256; under 1 px it has no direction and is left out.
    seen : bool (...)
    """
    with np.errstate(invalid="ignore"):
        counts = seen & (np.hypot(motion[..., 0], motion[..., 1]) > MOVING_PX)
    turn = np.arctan2(motion[counts][:, 1], motion[counts][:, 0]) / (2 * np.pi)
    return _median_of_bins(errors[counts], turn, DIRECTIONS)


def median_by_phase(errors: Errors, phase: ArrayLike, seen: Mask, bins: int = PHASE_BINS) -> dict[str, float]:
    """Median error by the phase of the beat on which a point was asked for.

    Parameters
    ----------
    errors, seen : (M, T)
    phase : float (M,)
        Of each query's frame, 0 at end-diastole, 1 at the next.
    bins : int
        Equal bins round the beat, the first around 0; their middles name them.
    """
    names = tuple(f"{k / bins:.3f}" for k in range(bins))
    each = np.broadcast_to(np.asarray(phase, dtype=np.float64)[:, None], errors.shape)
    return _median_of_bins(errors[seen], each[seen], names)


def _median_of_bins(errors: Errors, turn: NDArray[np.float64], names: tuple[str, ...]) -> dict[str, float]:
    """Medians by bin of a circle of circumference 1, the first bin around 0; NaN where a bin is empty."""
    which = np.round(turn * len(names)).astype(int) % len(names)
    return {
        name: float(np.median(errors[which == k])) if np.any(which == k) else np.nan for k, name in enumerate(names)
    }
