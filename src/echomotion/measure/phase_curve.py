"""Curves over a heart beat: dropped frames, smoothing in seconds, the length of the beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from echomotion.measure.contours import FloatArray

PERIOD_RANGE_S = (60 / 150, 60 / 40)
# Smoothing, as a share of the beat.
_WIDTH = 0.035


def without_dropouts(values: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Replace single frames on which the mask collapsed or burst by the mean of their neighbours; and which they were.

    A frame is one when it leaves both neighbours in the same direction by more than half the usual range:
    even at 20 frames a second and 150 beats a minute no heart does that.
    """
    before, here, after = values[:-2], values[1:-1], values[2:]
    limit = 0.5 * float(np.quantile(values, 0.9) - np.quantile(values, 0.1))
    lone = np.zeros(len(values), dtype=bool)
    lone[1:-1] = (np.minimum(before, after) - here > limit) | (here - np.maximum(before, after) > limit)
    out = values.copy()
    out[1:-1][lone[1:-1]] = ((before + after) / 2)[lone[1:-1]]
    return out, lone


def smoothed(values: FloatArray, times: FloatArray) -> tuple[FloatArray, float | None]:
    """A curve smoothed as far as its noise asks for, and the length of its beat in seconds, where it shows."""
    interval = float(np.median(np.diff(times)))
    period = beat_length(local_quadratic(values, times, max(0.02, 0.8 * interval)), times)
    beat = period or 0.9
    smooth = local_quadratic(values, times, max(_WIDTH * beat, 0.8 * interval))
    flicker = float(np.std(values - smooth) / (np.ptp(smooth) + 1e-12))
    if flicker > 0.03:
        width = max(min(_WIDTH + 0.3 * flicker, 0.07) * beat, 0.8 * interval)
        smooth = local_quadratic(values, times, width)
    return smooth, period


def local_quadratic(values: FloatArray, times: FloatArray, sigma: float) -> FloatArray:
    """Local quadratic regression with a Gaussian weight of `sigma` seconds; frames may be unevenly spaced."""
    count = len(times)
    # Within four sigma; at the ends at least five frames carry the parabola.
    low, high = np.searchsorted(times, times - 4 * sigma), np.searchsorted(times, times + 4 * sigma)
    here = np.arange(count)
    low = np.maximum(0, np.minimum(low, np.minimum(here - 2, count - 5)))
    high = np.minimum(count, np.maximum(high, np.maximum(here + 3, 5)))
    at = low[:, None] + np.arange(int((high - low).max()))
    inside = at < high[:, None]
    at = np.minimum(at, count - 1)
    x = (times[at] - times[:, None]) / sigma
    weight = np.where(inside, np.exp(-np.minimum(x**2, 60.0) / 2), 0.0)
    # In units of the window the equations stay well conditioned where frames are far apart.
    x = x / np.maximum(np.abs(x * inside).max(axis=1, keepdims=True), 1e-12)
    basis = np.stack([np.ones_like(x), x, x**2], axis=-1)
    weighted = basis * weight[..., None]
    matrix = np.einsum("twi,twj->tij", weighted, basis)
    right = np.einsum("twi,tw->ti", weighted, values[at])
    return np.asarray(np.linalg.solve(matrix, right[..., None])[:, 0, 0])


def beat_length(values: FloatArray, times: FloatArray) -> float | None:
    """Length of a beat from the autocorrelation, or None where the recording is too short to tell."""
    interval = float(np.median(np.diff(times)))
    even = np.interp(np.arange(times[0], times[-1] + 1e-9, interval), times, values)
    even = even - even.mean()
    # A peak at either end of the range needs a neighbour beyond it to be seen.
    first = max(1, int(np.floor(0.85 * PERIOD_RANGE_S[0] / interval)))
    last = min(int(np.ceil(1.1 * PERIOD_RANGE_S[1] / interval)), int(0.7 * len(even)))
    if last <= first + 1:
        return None
    scores = np.array(
        [
            np.dot(even[:-lag], even[lag:]) / (np.linalg.norm(even[:-lag]) * np.linalg.norm(even[lag:]) + 1e-12)
            for lag in range(first, last + 1)
        ]
    )
    peaks = signal.find_peaks(scores)[0]
    peaks = peaks[scores[peaks] > 0.4]
    if len(peaks) == 0:
        return None
    # Two beats repeat as well as one; the shortest of the good lags is the beat.
    best = peaks[np.flatnonzero(scores[peaks] >= scores[peaks].max() - 0.15)[0]]
    return float((first + best) * interval)
