"""What the phases are read from: signals of the ventricle's size, and the one curve that they agree on.

Cavity area, distance of the mitral annulus from the apex and length of the wall all are largest at end-diastole
and smallest at end-systole, and each fails in its own way: a mask collapses or bursts for some frames, tracked
points drift. Together they are weighted by their noise, and on a frame where one goes another way than the
others it is not followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.tracks import Tracks
from echomotion.measure.contours import FloatArray
from echomotion.measure.phase_curve import smoothed, without_dropouts

AREA, ANNULUS, LENGTH = "cavity area", "motion of the mitral annulus", "length of the wall"
# Less change, as a part of the median, is no heart beat.
MIN_EXCURSION = {AREA: 0.05, ANNULUS: 0.02, LENGTH: 0.02}
MAX_MISSING = 0.3
# Errors that do not show as flicker, as a part of a signal's range: no signal is trusted beyond this.
_FLOOR = 0.03
_STRAY = 0.2  # of the range: a signal this far from the common curve is on the wrong way
_END_SHARE = 0.05  # of a wall line that stands for one end of the annulus


@dataclass(frozen=True)
class Signal:
    """One signal, its gaps filled: `values` (T,), which are `known`, their range `span`, `noise` in parts of it."""

    name: str
    values: FloatArray
    known: NDArray[np.bool_]
    noise: float
    span: float


@dataclass(frozen=True)
class Common:
    """The curve on which signals agree.

    Attributes
    ----------
    values : float64 (T,)
        In parts of the usual range of the signals; a single signal in its own unit.
    weight : float64 (T,)
        0 to 1: how far a frame is to be believed.
    strays : tuple of (str, float, float)
        Signals that went another way, each with the first and last time at which it did.
    """

    values: FloatArray
    weight: FloatArray
    strays: tuple[tuple[str, float, float], ...] = ()


def annulus_distance(tracks: Tracks, spacing_mm: tuple[float, float] | None = None) -> FloatArray:
    """Distance of the mitral annulus from the apex's mean place on every frame, (T,), in mm (px without spacing).

    The ends of a tracked line of the wall, 5 % of its points each, stand for the annulus; the point farthest from
    them on the query frame stands for the apex. Its mean over the recording is used because the true apex hardly
    moves, and the tracked one moves by errors.

    Raises
    ------
    DataError
        Where the tracks do not form a line of the wall.
    """
    if tracks.wall is None:
        raise DataError("these tracks do not form a line of the wall; track the queries of wall_points()")
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    xy = np.asarray(tracks.xy, dtype=np.float64) * (sx, sy)
    count = max(1, round(_END_SHARE * len(xy)))
    middle = (xy[:count].mean(axis=0) + xy[-count:].mean(axis=0)) / 2
    start = int(tracks.wall.queries[0, 0])
    apex = int(np.nanargmax(np.hypot(*(xy[:, start] - middle[start]).T)))
    return np.hypot(*(middle - np.nanmean(xy[apex], axis=0)).T)


def prepare(name: str, values: FloatArray, times: FloatArray) -> Signal | str:
    """Fill and judge one signal, or say why nothing can be found in it."""
    known = np.isfinite(values) & (values > 0)
    if len(values) == 0 or known.mean() < 1 - MAX_MISSING:
        missing = len(values) - int(known.sum())
        what = "left ventricle" if name == AREA else name
        return f"the {what} was not found on {missing} of {len(values)} frames"
    if len(values) < 5 or times[-1] - times[0] < 0.2:
        return "the recording is too short to hold a systole (at least 5 frames and 0.2 s are needed)"
    filled, lone = without_dropouts(np.interp(times, times[known], values[known]))
    smooth = smoothed(filled, times)[0]
    middle = float(np.median(filled))
    if np.ptp(smooth) < MIN_EXCURSION[name] * middle:
        change = 100 * np.ptp(smooth) / middle
        return f"the {name} changes by {change:.1f} % only, no heart beat can be seen in it"
    low, high = np.quantile(smooth, (0.03, 0.97))
    noise = 1.4826 * float(np.median(np.abs(filled - smooth))) / float(high - low)
    return Signal(name, filled, known & ~lone, noise, float(high - low))


def combine(signals: list[Signal], times: FloatArray) -> Common:
    """One curve from several signals, by a mean that is weighted by noise and robust on every frame."""
    known = np.stack([s.known for s in signals])
    if len(signals) == 1:
        return Common(signals[0].values, known[0].astype(np.float64))
    levels = np.stack([(s.values - np.quantile(s.values, 0.97)) / s.span for s in signals])
    spread = np.hypot([s.noise for s in signals], _FLOOR)[:, None]
    trust = np.where(known, 1.0, 1e-3) / spread**2
    common = np.median(levels, axis=0) if len(signals) > 2 else np.average(levels, axis=0, weights=trust)
    for _ in range(5):
        weight = trust / (1 + ((levels - common) / np.maximum(spread, 0.05)) ** 2) ** 2
        # Ranges are set by outliers, and tracked points move too little: each signal is laid on the common curve.
        for k, row in enumerate(levels):
            root = np.sqrt(weight[k])
            basis = np.stack([row, np.ones_like(row)], axis=1) * root[:, None]
            slope, shift = np.linalg.lstsq(basis, common * root, rcond=None)[0]
            if 0.5 < slope < 2:
                levels[k] = slope * row + shift
        common = (weight * levels).sum(axis=0) / weight.sum(axis=0)
    total = weight.sum(axis=0)
    away = (np.abs(levels - common) > np.maximum(_STRAY, 6 * spread)) & known
    strays = tuple(
        (s.name, float(times[row][0]), float(times[row][-1])) for s, row in zip(signals, away, strict=True) if row.any()
    )
    return Common(common, np.minimum(total / np.quantile(total, 0.9), 1.0), strays)
