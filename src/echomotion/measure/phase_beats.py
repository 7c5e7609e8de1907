"""Which beats a curve of the ventricle's size holds: to the frame in a clean curve, to a standstill in any.

Every width and distance is in seconds, in shares of a beat or of the curve's range, so the frame rate decides
nothing. Where exactly in its standstill a phase lies is left to :mod:`echomotion.measure.phase_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from echomotion.core.measurement import Beat
from echomotion.measure.contours import FloatArray
from echomotion.measure.phase_curve import PERIOD_RANGE_S, smoothed

# Shares of the curve's range.
_PROMINENCE = 0.35  # how far the curve must fall and rise again round an end-systole
_TIE = 0.05  # maxima this close are the same height; the last of them is end-diastole
_FULL = 0.15  # how far below the largest value an end-diastole may lie
_LOW = 0.06  # above the smallest value, still at the bottom
# Less than half of the shortest beat, or of the usual one, does not lie between end-systoles. The usual beat says
# little in atrial fibrillation, so it counts up to this many seconds only.
_FARTHEST_APART_S = 0.3
# A curve that leaves its first frame faster than half a cosine does, by this part of its fall, was falling before.
_AT_ONCE = 0.06

STARTS_LATE = "the recording starts after end-diastole: its first frame stands for it"
ENDS_AT_ES = "the recording ends at its smallest size, end-systole may come later"
ENDS_AT_ED = "the recording ends before the next systole: its last frame stands for the next end-diastole"
ES_FIRST = "the recording starts in systole: the end-systole before its only end-diastole is compared with it"


@dataclass(frozen=True)
class Course:
    """A smoothed curve with what was learned about it; `noise` is the standard deviation of what was smoothed away."""

    values: FloatArray
    times: FloatArray
    noise: float
    period: float | None
    minima: NDArray[np.int64]

    @property
    def span(self) -> float:
        """Range of the curve."""
        return float(np.ptp(self.values))


def course_of(values: FloatArray, weight: FloatArray, times: FloatArray) -> Course:
    """Smooth a curve (T,) of which frames are believed by `weight`, and look for its end-systoles."""
    smooth, period = smoothed(values, times)
    noise = 1.2 * float(np.sqrt(np.average((values - smooth) ** 2, weights=weight)))
    return Course(smooth, times, noise, period, _minima(smooth, times, period))


def _minima(size: FloatArray, times: FloatArray, period: float | None) -> NDArray[np.int64]:
    """Frames of end-systole inside the recording, in order."""
    found = signal.find_peaks(-size, prominence=_PROMINENCE * np.ptp(size))[0]
    apart = min(0.5 * (period or PERIOD_RANGE_S[0]), _FARTHEST_APART_S)
    kept: list[int] = []
    for frame in found[np.argsort(size[found])]:  # the deepest first
        if all(abs(times[frame] - times[other]) > apart for other in kept):
            kept.append(int(frame))
    return np.asarray(sorted(kept), dtype=np.int64)


def _last_high(curve: Course, low: int, high: int) -> int:
    """The last of the highest local maxima in frames low to high (inclusive); ends of the window may count."""
    part = curve.values[low : high + 1]
    padded = np.concatenate([[-np.inf], part, [-np.inf]])
    peaks = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] > padded[2:]))
    return low + int(peaks[part[peaks] >= part.max() - _TIE * curve.span][-1])


def beats_from_curve(curve: Course) -> tuple[list[Beat], list[str]]:
    """Beats from the curve alone, and what was assumed at the ends of the recording."""
    size, times, span = curve.values, curve.times, curve.span
    top = float(size.max())
    notes: list[str] = []
    systoles = list(curve.minima)
    tail = systoles[-1] if systoles else 0
    # A recording that ends at or soon after end-systole does not show the rise that a minimum needs.
    peak = _last_high(curve, tail, len(size) - 1)
    low = peak + int(np.argmin(size[peak:]))
    if low > peak and size[low] <= size.min() + 0.15 * span and size[peak] - size[low] > 0.5 * span:
        cut = size[-1] - size[low] < 0.1 * span
        if not cut or not systoles or _stands(curve, peak, low):
            systoles.append(low)
        if cut and len(systoles) == 1:
            notes.append(ENDS_AT_ES)
    before = _systole_before(curve, peak)
    if before is not None and (not systoles or (len(systoles) == 1 and systoles[0] == low and size[low] >= before[1])):
        return [Beat(float(times[peak]), float(times[before[0]]))], [ES_FIRST]
    if not systoles:
        return [], ["the size of the ventricle does not fall to an end-systole and rise again within the recording"]

    diastoles = [_last_high(curve, low, high - 1) for low, high in zip([0, *systoles[:-1]], systoles, strict=True)]
    beats: list[Beat] = []
    for k, (ed, es) in enumerate(zip(diastoles, systoles, strict=True)):
        if k + 1 < len(systoles):
            following: float | None = float(times[diastoles[k + 1]])
        else:
            following = _next_ed(curve, ed, es, notes)
        inner = times[ed] - times[0] > 0.06 * (curve.period or PERIOD_RANGE_S[1])
        late = not inner and _falls_at_once(curve, ed, es)
        if not late and (size[ed] >= top - _FULL * span or (inner and size[ed] - size[es] > 0.5 * span)):
            beats.append(Beat(float(times[ed]), float(times[es]), following))
        elif k == 0 and len(systoles) == 1 and size[ed] - size[es] > 0.5 * span:
            notes.append(STARTS_LATE)
            beats.append(Beat(float(times[ed]), float(times[es]), None))
    if not beats:
        return [], ["the recording holds no whole systole: it starts too late after end-diastole"]
    return beats, notes


def _systole_before(curve: Course, ed: int) -> tuple[int, float] | None:
    """The end-systole that precedes a recording's only end-diastole, as frame and size, where it was recorded."""
    size, span = curve.values, curve.span
    es = int(np.argmin(size[: ed + 1]))
    # The curve must have turned: a first frame that is the smallest may lie anywhere in diastole.
    turned = es > 0 and size[0] - size[es] > 0.05 * span
    full = size[ed] >= size.max() - _FULL * span and size[ed] - size[es] > 0.6 * span
    return (es, float(size[es])) if turned and full else None


def _falls_at_once(curve: Course, ed: int, es: int) -> bool:
    """Whether the curve is in full fall already on frame `ed`, where a ventricle would still be closed."""
    size, times = curve.values, curve.times
    systole = float(times[es] - times[ed])
    share = max(0.2, float(times[ed + 1] - times[ed]) / systole)
    soon = float(np.interp(times[ed] + share * systole, times, size))
    usual = (1 - np.cos(np.pi * share)) / 2
    return float(size[ed]) - soon > (usual + _AT_ONCE) * float(size[ed] - size[es])


def _stands(curve: Course, peak: int, low: int) -> bool:
    """Whether the curve, which falls from `peak` to `low`, stands still there long enough for ejection to be over."""
    size, times = curve.values, curve.times
    reached = peak + int(np.argmax(size[peak:] <= size[low] + _LOW * (size[peak] - size[low])))
    return float(times[-1] - times[reached]) >= 0.5 * float(times[reached] - times[peak])


def _next_ed(curve: Course, ed: int, es: int, notes: list[str]) -> float | None:
    """End-diastole after the last end-systole, where the recording reaches it."""
    size, times, span = curve.values, curve.times, curve.span
    if es >= len(size) - 1:
        return None
    peak = _last_high(curve, es + 1, len(size) - 1)
    if size[peak] < size[ed] - _FULL * span:
        return None
    if size[peak] - size[peak:].min() > 0.1 * span:
        return float(times[peak])
    length = float(times[-1] - times[ed])
    expected = PERIOD_RANGE_S if curve.period is None else (0.85 * curve.period, 1.15 * curve.period)
    if size[-1] >= size[ed] - _TIE * span and expected[0] <= length <= expected[1]:
        notes.append(ENDS_AT_ED)
        return float(times[-1])
    return None


def beats_from_r_waves(curve: Course, r_waves: FloatArray) -> tuple[list[Beat], list[str]]:
    """Beats from R wave to R wave with the smallest size between as end-systole."""
    size, times = curve.values, curve.times
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
            # The beat is cut off: its end-systole must be a minimum inside the recording, or a standstill at its end.
            frames = curve.minima[times[curve.minima] > wave + 0.1][:1]
            rest = np.flatnonzero(times > wave + 0.1)
            if len(frames) == 0 and len(rest) > 0:
                low = int(rest[np.argmin(size[rest])])
                frames = np.array([low] if _stands(curve, int(np.argmin(np.abs(times - wave))), low) else [], dtype=int)
        if len(frames) == 0:
            continue
        es = int(frames[np.argmin(size[frames])])
        ed = int(np.argmin(np.abs(times - wave)))
        if size[ed] - size[es] > _PROMINENCE * curve.span:
            beats.append(Beat(float(wave), float(times[es]), None if following is None else float(following)))
    return beats, []
