"""Heart phases: end-diastole, end-systole and beats in seconds.

End-diastole (ED) is the R wave where the recording has an electrocardiogram, else the largest cavity area
before the ventricle empties; end-systole (ES) is the smallest area after it. Every width and distance
below is in seconds or in shares of a beat, so the frame rate decides nothing. Times found in the area are
times of frames; an R wave keeps its own time, and whoever needs its frame takes the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import signal

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Phases
from echomotion.measure.contours import FloatArray

PERIOD_RANGE_S = (60 / 150, 60 / 40)
# Shares of the curve's range.
_PROMINENCE = 0.35  # how far the area must fall and rise again round an end-systole
_TIE = 0.05  # maxima this close are the same height; the last of them is end-diastole
_FULL = 0.15  # how far below the largest area an end-diastole may lie
# Smoothing, as a share of the beat.
_WIDTH = 0.035
MIN_EXCURSION = 0.05  # of the median area; less is no heart beat
MAX_MISSING = 0.3

_STARTS_LATE = "the recording starts after end-diastole: its first frame stands for it"
_ENDS_AT_ES = "the recording ends at its smallest area, end-systole may come later"
_ENDS_AT_ED = "the recording ends before the next systole: its last frame stands for the next end-diastole"
_ES_FIRST = "the recording starts in systole: the end-systole before its only end-diastole is compared with it"
_NOISY = "the cavity area is noisy, so the phases are uncertain"


def phases_from_user(ed_s: float, es_s: float, next_ed_s: float | None = None) -> Phases:
    """One beat at times in seconds that the user gives; :class:`DataError` where their order is wrong."""
    values = [ed_s, es_s] if next_ed_s is None else [ed_s, es_s, next_ed_s]
    if not np.isfinite(values).all():
        raise DataError("the times of end-diastole and end-systole must be finite numbers of seconds")
    return Phases((Beat(float(ed_s), float(es_s), None if next_ed_s is None else float(next_ed_s)),), "user", 1.0)


def find_phases(area: ArrayLike, times_s: ArrayLike, r_wave_times_s: ArrayLike | None = None) -> Phases:
    """Find the beats of a recording.

    Parameters
    ----------
    area : float (T,)
        Size of the cavity on every frame, in any unit; NaN where it is unknown.
    times_s : float (T,)
        Time of each frame in seconds, increasing.
    r_wave_times_s : float (B,), optional
        R waves on the same clock. They give ED; the area still gives ES.

    Returns
    -------
    Phases
        Without beats, and with the reason, where there is nothing to be found. A beat whose end lies
        outside the recording has no next ED. `confidence` falls with the noise of the area relative to
        its excursion and where a phase had to be taken at the first or last frame; below 0.5 the
        `reason` says why.

    Notes
    -----
    The curve is smoothed by local quadratic regression with a Gaussian weight of 3.5 % of a beat. The beat
    length comes from the autocorrelation between 40 and 150 beats a minute, where the recording is long
    enough. An ES is a minimum round which the area falls and rises by at least 35 % of its range; an ED is
    the last of the highest maxima before it, which leaves early filling and diastasis behind. Where a recording
    starts in systole and holds one end-diastole only, its end-systole is the one before.
    """
    curve = frozen_array(area, "area", shape=(None,), dtype=np.float64, finite=False)
    times = frozen_array(times_s, "times_s", shape=(len(curve),), dtype=np.float64)
    if np.any(np.diff(times) <= 0):
        raise DataError("times_s must increase from frame to frame")
    prepared = _prepare(curve, times)
    if isinstance(prepared, str):
        return Phases((), "area", 0.0, prepared)
    if r_wave_times_s is not None:
        r_waves = frozen_array(r_wave_times_s, "r_wave_times_s", shape=(None,), dtype=np.float64)
        beats, notes = _beats_from_r_waves(prepared, r_waves)
        if beats:
            return _phases(beats, "r_wave", prepared, notes)
    beats, notes = _beats_from_area(prepared)
    return _phases(beats, "area", prepared, notes)


@dataclass(frozen=True)
class _Curve:
    """The smoothed area with what was learned about it."""

    area: FloatArray
    times: FloatArray
    noise: float
    period: float | None
    minima: NDArray[np.int64]

    @property
    def span(self) -> float:
        return float(np.ptp(self.area))


def _prepare(area: FloatArray, times: FloatArray) -> _Curve | str:
    """Fill, smooth and search the area curve, or say why nothing can be found in it."""
    known = np.isfinite(area) & (area > 0)
    if known.mean() < 1 - MAX_MISSING if len(area) else True:
        missing = len(area) - int(known.sum())
        return f"the left ventricle was not found on {missing} of {len(area)} frames"
    if len(area) < 5 or times[-1] - times[0] < 0.2:
        return "the recording is too short to hold a systole (at least 5 frames and 0.2 s are needed)"
    filled = _without_dropouts(np.interp(times, times[known], area[known]))
    interval = float(np.median(np.diff(times)))
    rough = _smooth(filled, times, max(0.02, 0.8 * interval))
    period = _period(rough, times)
    beat = period or 0.9
    smooth = _smooth(filled, times, max(_WIDTH * beat, 0.8 * interval))
    flicker = float(np.std(filled - smooth) / (np.ptp(smooth) + 1e-12))
    if flicker > 0.03:
        smooth = _smooth(filled, times, max(min(_WIDTH + 0.3 * flicker, 0.07) * beat, 0.8 * interval))
    middle = float(np.median(filled))
    if np.ptp(smooth) < MIN_EXCURSION * middle:
        change = 100 * np.ptp(smooth) / middle
        return f"the cavity area changes by {change:.1f} % only, no heart beat can be seen in it"
    noise = 1.2 * float(np.std(filled - smooth))
    return _Curve(smooth, times, noise, period, _minima(smooth, times, period))


def _without_dropouts(area: FloatArray) -> FloatArray:
    """Replace single frames on which the mask collapsed or burst by the mean of their neighbours.

    A frame is one when it leaves both neighbours in the same direction by more than half the usual range:
    even at 20 frames a second and 150 beats a minute no heart does that.
    """
    before, here, after = area[:-2], area[1:-1], area[2:]
    limit = 0.5 * float(np.quantile(area, 0.9) - np.quantile(area, 0.1))
    lone = (np.minimum(before, after) - here > limit) | (here - np.maximum(before, after) > limit)
    out = area.copy()
    out[1:-1][lone] = ((before + after) / 2)[lone]
    return out


def _smooth(values: FloatArray, times: FloatArray, sigma: float) -> FloatArray:
    """Local quadratic regression with a Gaussian weight of `sigma` seconds; frames may be unevenly spaced."""
    out = np.empty_like(values)
    for k, t in enumerate(times):
        low, high = np.searchsorted(times, (t - 4 * sigma, t + 4 * sigma))
        # At the ends at least five frames carry the parabola.
        low, high = max(0, min(low, k - 2, len(times) - 5)), min(len(times), max(high, k + 3, 5))
        x = (times[low:high] - t) / sigma
        weight = np.exp(-np.minimum(x**2, 60.0) / 4)  # the root of the Gaussian weight
        basis = np.stack([np.ones_like(x), x, x**2], axis=1) * weight[:, None]
        out[k] = np.linalg.lstsq(basis, values[low:high] * weight, rcond=None)[0][0]
    return out


def _period(area: FloatArray, times: FloatArray) -> float | None:
    """Length of a beat from the autocorrelation, or None where the recording is too short to tell."""
    interval = float(np.median(np.diff(times)))
    even = np.interp(np.arange(times[0], times[-1] + 1e-9, interval), times, area)
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


def _minima(area: FloatArray, times: FloatArray, period: float | None) -> NDArray[np.int64]:
    """Frames of end-systole inside the recording, in order."""
    found = signal.find_peaks(-area, prominence=_PROMINENCE * np.ptp(area))[0]
    apart = 0.5 * (period or PERIOD_RANGE_S[0])
    kept: list[int] = []
    for frame in found[np.argsort(area[found])]:  # the deepest first
        if all(abs(times[frame] - times[other]) > apart for other in kept):
            kept.append(int(frame))
    return np.asarray(sorted(kept), dtype=np.int64)


def _last_high(curve: _Curve, low: int, high: int) -> int:
    """The last of the highest local maxima in frames low to high (inclusive); ends of the window may count."""
    part = curve.area[low : high + 1]
    padded = np.concatenate([[-np.inf], part, [-np.inf]])
    peaks = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]))
    return low + int(peaks[part[peaks] >= part.max() - _TIE * curve.span][-1])


def _beats_from_area(curve: _Curve) -> tuple[list[Beat], list[str]]:
    """Beats from the area alone, and what was assumed at the ends of the recording."""
    area, times, span = curve.area, curve.times, curve.span
    top = float(area.max())
    notes: list[str] = []
    systoles = list(curve.minima)
    tail = systoles[-1] if systoles else 0
    # A recording that ends at or soon after end-systole does not show the rise that a minimum needs.
    peak = _last_high(curve, tail, len(area) - 1)
    low = peak + int(np.argmin(area[peak:]))
    if low > peak and area[low] <= area.min() + 0.15 * span and area[peak] - area[low] > 0.5 * span:
        cut = area[-1] - area[low] < 0.1 * span
        if not cut or not systoles:
            systoles.append(low)
        if cut and len(systoles) == 1:
            notes.append(_ENDS_AT_ES)
    before = _systole_before(curve, peak)
    if before is not None and (not systoles or (len(systoles) == 1 and systoles[0] == low and area[low] >= before[1])):
        return [Beat(float(times[peak]), float(times[before[0]]))], [_ES_FIRST]
    if not systoles:
        return [], ["the area does not fall to an end-systole and rise again within the recording"]

    diastoles = [_last_high(curve, low, high - 1) for low, high in zip([0, *systoles[:-1]], systoles, strict=True)]
    beats: list[Beat] = []
    for k, (ed, es) in enumerate(zip(diastoles, systoles, strict=True)):
        if k + 1 < len(systoles):
            following: float | None = float(times[diastoles[k + 1]])
        else:
            following = _next_ed(curve, ed, es, notes)
        inner = times[ed] - times[0] > 0.06 * (curve.period or PERIOD_RANGE_S[1])
        if area[ed] >= top - _FULL * span or (inner and area[ed] - area[es] > 0.5 * span):
            beats.append(Beat(float(times[ed]), float(times[es]), following))
        elif k == 0 and len(systoles) == 1 and area[ed] - area[es] > 0.5 * span:
            notes.append(_STARTS_LATE)
            beats.append(Beat(float(times[ed]), float(times[es]), None))
    if not beats:
        return [], ["the recording holds no whole systole: it starts too late after end-diastole"]
    return beats, notes


def _systole_before(curve: _Curve, ed: int) -> tuple[int, float] | None:
    """The end-systole that precedes a recording's only end-diastole, as frame and area, where it was recorded."""
    area, span = curve.area, curve.span
    es = int(np.argmin(area[: ed + 1]))
    # The area must have turned: a first frame that is the smallest may lie anywhere in diastole.
    turned = es > 0 and area[0] - area[es] > 0.05 * span
    full = area[ed] >= area.max() - _FULL * span and area[ed] - area[es] > 0.6 * span
    return (es, float(area[es])) if turned and full else None


def _next_ed(curve: _Curve, ed: int, es: int, notes: list[str]) -> float | None:
    """End-diastole after the last end-systole, where the recording reaches it."""
    area, times, span = curve.area, curve.times, curve.span
    if es >= len(area) - 1:
        return None
    peak = _last_high(curve, es + 1, len(area) - 1)
    if area[peak] < area[ed] - _FULL * span:
        return None
    if area[peak] - area[peak:].min() > 0.1 * span:
        return float(times[peak])
    length = float(times[-1] - times[ed])
    expected = PERIOD_RANGE_S if curve.period is None else (0.85 * curve.period, 1.15 * curve.period)
    if area[-1] >= area[ed] - _TIE * span and expected[0] <= length <= expected[1]:
        notes.append(_ENDS_AT_ED)
        return float(times[-1])
    return None


def _beats_from_r_waves(curve: _Curve, r_waves: FloatArray) -> tuple[list[Beat], list[str]]:
    """Beats from R wave to R wave with the smallest area between as end-systole."""
    area, times = curve.area, curve.times
    half = float(np.median(np.diff(times))) / 2
    waves = np.unique(r_waves[(r_waves >= times[0] - half) & (r_waves <= times[-1] + half)])
    if len(waves) == 0:
        return [], []
    waves = waves[np.concatenate([[True], np.diff(waves) > 0.25])]
    beats: list[Beat] = []
    for wave, following in zip(waves, [*waves[1:], None], strict=True):
        if following is not None:
            frames = np.flatnonzero((times > wave + 0.1) & (times < wave + 0.75 * (following - wave)))
        else:
            # The beat is cut off: its end-systole must be a minimum inside the recording.
            frames = curve.minima[times[curve.minima] > wave + 0.1][:1]
        if len(frames) == 0:
            continue
        es = int(frames[np.argmin(area[frames])])
        ed = int(np.argmin(np.abs(times - wave)))
        if area[ed] - area[es] > _PROMINENCE * curve.span:
            beats.append(Beat(float(wave), float(times[es]), None if following is None else float(following)))
    return beats, []


def _phases(beats: list[Beat], source: str, curve: _Curve, notes: list[str]) -> Phases:
    """Put beats, confidence and reason together."""
    if not beats:
        return Phases((), source, 0.0, notes[0])
    confidence = float(np.clip(1 - 5 * curve.noise / curve.span, 0.0, 1.0))
    reasons = [_NOISY] if confidence < 0.5 else []
    for note, limit in ((_STARTS_LATE, 0.4), (_ENDS_AT_ES, 0.45), (_ENDS_AT_ED, 0.6), (_ES_FIRST, 0.6)):
        if note in notes:
            confidence = min(confidence, limit) if len(beats) == 1 else confidence
            reasons.append(note)
    return Phases(tuple(beats), source, confidence, "; ".join(reasons))
