"""Reading a sampled curve between its frames: values at a time, extremes of an interval, smoothing and slope.

Times of heart phases are seconds, not frames. Between frames a curve is the cubic through the four nearest known ones;
across a gap (NaN) nothing is read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.measure.contours import FloatArray

# Extremes are looked for on frames and between them at this spacing.
_FINE_S = 0.001
# Share of an interval that may be unknown where its extreme is looked for.
_MOST_UNKNOWN = 0.2
# A time this close to a frame is the frame's.
_SAME_S = 1e-6


def checked_times(times_s: ArrayLike, count: int | None = None) -> FloatArray:
    """Times of frames (T,) in seconds, or :class:`DataError` where they do not increase."""
    times: FloatArray = frozen_array(times_s, "times_s", shape=(count,), dtype=np.float64)
    if np.any(np.diff(times) <= 0):
        first = int(np.flatnonzero(np.diff(times) <= 0)[0]) + 1
        raise DataError(f"times_s must increase from frame to frame; frame {first} is not later than the one before")
    return times


def values_at(times: FloatArray, values: FloatArray, at: ArrayLike) -> FloatArray:
    """Values of a curve (T,) at times (K,), cubic between frames; NaN off the recording and in gaps."""
    wanted = np.atleast_1d(np.asarray(at, dtype=np.float64))
    out = np.full(wanted.shape, np.nan)
    after = np.clip(np.searchsorted(times, wanted), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(times[before] - wanted) <= np.abs(times[after] - wanted), before, after)
    on = np.abs(times[near] - wanted) <= _SAME_S
    out[on] = values[near[on]]
    known = np.isfinite(values)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for first, stop in edges.reshape(-1, 2):
        inside = ~on & (wanted > times[first]) & (wanted < times[stop - 1])
        if not inside.any():
            continue
        width = min(4, stop - first)
        cell = np.searchsorted(times, wanted[inside]) - 1
        start = np.clip(cell - (width - 1) // 2, first, stop - width)
        index = start[:, None] + np.arange(width)
        x, t = times[index], wanted[inside][:, None]
        weights = np.ones_like(x)
        for k in range(width):
            for j in range(width):
                if j != k:
                    weights[:, k] *= (t[:, 0] - x[:, j]) / (x[:, k] - x[:, j])
        out[inside] = np.sum(weights * values[index], axis=1)
    return out


def value_at(times: FloatArray, values: FloatArray, at: float) -> float:
    """Value of a curve (T,) at one time; see :func:`values_at`."""
    return float(values_at(times, values, at)[0])


def extreme(times: FloatArray, values: FloatArray, start: float, stop: float, sign: int) -> tuple[float, float]:
    """Time and value of the lowest (`sign` -1) or highest (+1) point of a curve (T,) from `start` to `stop` seconds.

    Both NaN where more than a fifth of it is unknown: the extreme may lie in the gap.
    """
    grid = fine_times(times, max(start, float(times[0])), min(stop, float(times[-1])))
    found = values_at(times, values, grid)
    if np.isfinite(found).mean() < 1 - _MOST_UNKNOWN:
        return float("nan"), float("nan")
    best = int(np.nanargmax(sign * found))
    return float(grid[best]), float(found[best])


def fine_times(times: FloatArray, start: float, stop: float) -> FloatArray:
    """The frames between two times, both ends, and times a millisecond apart between them."""
    inner = times[(times >= start) & (times <= stop)]
    count = max(2, int(np.ceil((stop - start) / _FINE_S)) + 1)
    return np.unique(np.concatenate([np.linspace(start, stop, count), inner]))


def local_fit(times: FloatArray, values: FloatArray, sigma_s: float, at: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Local cubic regression of a curve: smoothed values and slopes at times (K,).

    Parameters
    ----------
    times, values : float (T,)
        The curve; unknown frames (NaN) are left out.
    sigma_s : float
        Standard deviation in seconds of the Gaussian weight round each time. Where fewer than five known frames lie
        within three of them, the five nearest are used.
    at : float (K,)
        Where values are wanted.

    Returns
    -------
    (K,), (K,)
        Values, and slopes in the curve's unit per second; NaN where the time lies outside the known frames.
    """
    wanted = np.atleast_1d(np.asarray(at, dtype=np.float64))
    fitted, slope = np.full(wanted.shape, np.nan), np.full(wanted.shape, np.nan)
    known = np.isfinite(values)
    x, y = times[known], values[known]
    if len(x) < 5:
        return fitted, slope
    for k, t in enumerate(wanted):
        if not x[0] - _SAME_S <= t <= x[-1] + _SAME_S:
            continue
        away = np.abs(x - t)
        use = away <= 3 * sigma_s
        if np.count_nonzero(use) < 5:
            use = away <= np.partition(away, 4)[4]
        d = (x[use] - t) / sigma_s
        # The root of the Gaussian weight; distant frames keep a little, where they are needed at all.
        weight = np.exp(-np.minimum(d**2, 50.0) / 4)
        basis = np.stack([np.ones_like(d), d, d**2, d**3], axis=1) * weight[:, None]
        fit = np.linalg.lstsq(basis, y[use] * weight, rcond=None)[0]
        fitted[k], slope[k] = fit[0], fit[1] / sigma_s
    return fitted, slope
