"""Metrics of point tracking, after TAP-Vid (Doersch et al. 2022, arXiv 2211.03726), on plain arrays.

Errors are distances in px after the frame is resized to 256 x 256. Only frames that a query mode evaluates count
(never the query's own), and positions count only where the point can truly be seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.clip import checked_spacing
from echomotion.measure.lengths import line_length, line_strain

THRESHOLDS_PX = (1, 2, 4, 8, 16)
METRIC_SIZE = 256
# Bins of confidence in the expected calibration error.
CALIBRATION_BINS = 10

Errors = NDArray[np.float64]
Mask = NDArray[np.bool_]


def errors_px(found: ArrayLike, true: ArrayLike, shape: tuple[int, int]) -> Errors:
    """Distance of found from true positions (..., 2) in px of a frame resized to 256 x 256.

    A position that is not given (NaN) is infinitely wrong where the truth is known.

    Parameters
    ----------
    found, true : float (..., 2)
        Native pixels.
    shape : (int, int)
        Rows and columns of the native frame.
    """
    return _distances(found, true, (METRIC_SIZE / shape[1], METRIC_SIZE / shape[0]))


def errors_mm(found: ArrayLike, true: ArrayLike, spacing_mm: tuple[float, float]) -> Errors:
    """Distance of found from true native positions (..., 2) in mm; otherwise as :func:`errors_px`."""
    row, column = checked_spacing(spacing_mm)
    return _distances(found, true, (column, row))


def _distances(found: ArrayLike, true: ArrayLike, scale: tuple[float, float]) -> Errors:
    true = np.asarray(true, dtype=np.float64)
    step = (np.asarray(found, dtype=np.float64) - true) * scale
    distance = np.hypot(step[..., 0], step[..., 1])
    return np.where(np.isnan(distance) & np.isfinite(true).all(axis=-1), np.inf, distance)


def shares_within(errors: Errors, visible: Mask, evaluated: Mask) -> dict[int, float]:
    """Share of truly visible positions whose error is below each threshold (px at 256); NaN where there are none."""
    wrong = errors[visible & evaluated]
    return {px: float(np.mean(wrong < px)) if wrong.size else np.nan for px in THRESHOLDS_PX}


def jaccards(errors: Errors, visible: Mask, found_visible: Mask, evaluated: Mask) -> dict[int, float]:
    """Jaccard per threshold: true positives over truly visible points plus false positives.

    A true positive is visible, called visible and within the threshold; a false positive is called visible but
    is either not visible or not within the threshold (TAP-Vid, section 3).
    """
    out = {}
    for px in THRESHOLDS_PX:
        hit = visible & found_visible & (errors < px) & evaluated
        false = found_visible & ~hit & evaluated
        whole = np.count_nonzero(visible & evaluated) + np.count_nonzero(false)
        out[px] = np.count_nonzero(hit) / whole if whole else np.nan
    return out


def occlusion_accuracy(visible: Mask, found_visible: Mask, evaluated: Mask) -> float:
    """Share of evaluated positions whose visibility is predicted rightly."""
    return float(np.mean((visible == found_visible)[evaluated])) if evaluated.any() else np.nan


def median_error(errors: Errors, visible: Mask, evaluated: Mask) -> float:
    """Median over all truly visible positions of all trajectories."""
    wrong = errors[visible & evaluated]
    return float(np.median(wrong)) if wrong.size else np.nan


def calibration_error(confidence: ArrayLike, within: Mask, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: mean gap between confidence and what came true, weighted by the bins' sizes.

    Parameters
    ----------
    confidence : float (K,)
        Predicted probability, 0 to 1.
    within : bool (K,)
        What came true.
    bins : int
        Equal bins from 0 to 1 (Guo et al. 2017, arXiv 1706.04599, equation 3).
    """
    count = np.asarray(confidence).size
    return float(np.abs(calibration_gaps(confidence, within, bins)).sum() / count) if count else np.nan


def calibration_gaps(confidence: ArrayLike, within: Mask, bins: int = CALIBRATION_BINS) -> NDArray[np.float64]:
    """Sum of confidence less what came true, in each bin (bins,); those of several clips add up to their whole."""
    sure = np.asarray(confidence, dtype=np.float64)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    return np.bincount(which, weights=sure - within, minlength=bins).astype(np.float64)


def gls_error(found: ArrayLike, true: ArrayLike, ed_frame: int, spacing_mm: tuple[float, float] | None = None) -> float:
    """Absolute error of a line's strain in points, on the frame where the true line is shortest.

    Neither smoothed nor drift-compensated.

    Parameters
    ----------
    found, true : float (N, T, 2)
        Points in order along the line, native pixels.
    ed_frame : int
        The frame of the undeformed line.
    spacing_mm : (float, float), optional
        Height and width of a pixel; square without.
    """
    es_frame = int(np.argmin(line_length(true, spacing_mm, ed_frame=ed_frame)))
    gap = line_strain(found, ed_frame, spacing_mm) - line_strain(true, ed_frame, spacing_mm)
    return float(abs(gap[es_frame]))
