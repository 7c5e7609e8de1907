"""Heart phases: end-diastole, end-systole and beats in seconds.

End-diastole (ED) is the R wave where the recording has an electrocardiogram, else the moment before the
ventricle empties; end-systole (ES) is the moment at which it stops emptying. They are read from whatever is
known of its size: cavity area, motion of the mitral annulus, length of the wall. Every width and distance is
in seconds or in shares of a beat, so the frame rate decides nothing. Phases that are read from curves are
times of frames; an R wave keeps its own time, and whoever needs its frame takes the nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Phases
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.phase_beats import (
    ENDS_AT_ED,
    ENDS_AT_ES,
    ES_FIRST,
    STARTS_LATE,
    Course,
    beats_from_curve,
    beats_from_r_waves,
    course_of,
)
from echomotion.measure.phase_fit import Fit, fit_beat, share_systole
from echomotion.measure.phase_signals import ANNULUS, AREA, LENGTH, Signal, combine, prepare

# How far from its ends, in parts of the fall, a smoothed curve may be at the phases.
_STANDSTILL = 0.2
_NOISY = "the curves of the ventricle are noisy, so the phases are uncertain"
# Confidence of a single beat whose phase had to be taken at an end of the recording.
_AT_THE_END = ((STARTS_LATE, 0.4), (ENDS_AT_ES, 0.45), (ENDS_AT_ED, 0.6), (ES_FIRST, 0.6))
# Standard deviation of a phase, in seconds, that takes nothing of the confidence, and that takes all.
_GOOD_SD, _WORST_SD = 0.02, 0.14


def phases_from_user(ed_s: float, es_s: float, next_ed_s: float | None = None) -> Phases:
    """One beat at times in seconds that the user gives; :class:`DataError` where their order is wrong."""
    values = [ed_s, es_s] if next_ed_s is None else [ed_s, es_s, next_ed_s]
    if not np.isfinite(values).all():
        raise DataError("the times of end-diastole and end-systole must be finite numbers of seconds")
    return Phases((Beat(float(ed_s), float(es_s), None if next_ed_s is None else float(next_ed_s)),), "user", 1.0)


def find_phases(
    area: ArrayLike | None,
    times_s: ArrayLike,
    r_wave_times_s: ArrayLike | None = None,
    *,
    annulus: ArrayLike | None = None,
    length: ArrayLike | None = None,
) -> Phases:
    """Find the beats of a recording.

    Parameters
    ----------
    area : float (T,), optional
        Size of the cavity on every frame, in any unit; NaN where it is unknown. None leaves it out.
    times_s : float (T,)
        Time of each frame in seconds, increasing.
    r_wave_times_s : float (B,), optional
        R waves on the same clock. They give ED; the curves still give ES.
    annulus : float (T,), optional
        Distance of the mitral annulus from the apex
        (:func:`~echomotion.measure.phase_signals.annulus_distance`); NaN where it is unknown.
    length : float (T,), optional
        Length of the tracked wall (:func:`~echomotion.measure.lengths.line_length`); NaN where it is unknown.

    Returns
    -------
    Phases
        Without beats, and with the reason, where there is nothing to be found. A beat whose end lies
        outside the recording has no next ED. `source` is ``r_wave``, ``area``, ``wall_motion`` (annulus or
        length) or ``area_and_wall_motion``. `confidence` falls with the noise of the curves relative to their
        excursion, with the uncertainty of the times, and where a phase had to be taken at the first or last
        frame; below 0.5 the `reason` says why. The `reason` also names a signal that was not followed.

    Raises
    ------
    DataError
        Without any signal, or where their lengths differ or the times do not increase.

    Notes
    -----
    Signals are laid on each other and averaged, weighted by their noise; a frame on which one goes another way
    than the others counts little (:mod:`~echomotion.measure.phase_signals`). In that curve an ES is a minimum
    round which it falls and rises by at least 35 % of its range; an ED is the last of the highest maxima before
    it, which leaves early filling and diastasis behind (:mod:`~echomotion.measure.phase_beats`). Round both the
    ventricle stands still while its valves are closed: ED is the beginning of the first standstill and ES of the
    second, placed by fitting the course of a beat (:mod:`~echomotion.measure.phase_fit`). Where a recording starts
    in systole and holds one end-diastole only, its end-systole is the one before.
    """
    times = frozen_array(times_s, "times_s", shape=(None,), dtype=np.float64)
    if np.any(np.diff(times) <= 0):
        raise DataError("times_s must increase from frame to frame")
    given = {AREA: area, ANNULUS: annulus, LENGTH: length}
    curves = {
        name: frozen_array(values, name, shape=(len(times),), dtype=np.float64, finite=False)
        for name, values in given.items()
        if values is not None
    }
    if not curves:
        raise DataError("phases need at least one of area, annulus and length")
    # A leader or an end at which nothing is known is no part of the recording.
    known = np.flatnonzero(np.any([np.isfinite(values) & (values > 0) for values in curves.values()], axis=0))
    if len(known):
        part = slice(known[0], known[-1] + 1)
        times, curves = times[part], {name: values[part] for name, values in curves.items()}
    prepared = {name: prepare(name, values, times) for name, values in curves.items()}
    used = [signal for signal in prepared.values() if isinstance(signal, Signal)]
    refused = [reason for reason in prepared.values() if isinstance(reason, str)]
    source = _source([signal.name for signal in used] or list(curves))
    if not used:
        return Phases((), source, 0.0, refused[0])
    common = combine(used, times)
    course = course_of(common.values, common.weight, times)
    remarks = refused + [
        f"the {name} leaves the other signals between {first:.2f} and {last:.2f} s and is not followed there"
        for name, first, last in common.strays
    ]
    beats: list[Beat] = []
    notes: list[str] = []
    if r_wave_times_s is not None:
        r_waves = frozen_array(r_wave_times_s, "r_wave_times_s", shape=(None,), dtype=np.float64)
        beats, notes = beats_from_r_waves(course, r_waves)
        source = "r_wave" if beats else source
    if not beats:
        beats, notes = beats_from_curve(course)
    if not beats:
        return Phases((), source, 0.0, notes[0])
    placed, deviation = _place(beats, notes, course, common.values, common.weight, held=source == "r_wave")
    return _phases(placed, source, course, deviation, notes, remarks)


def _source(names: list[str]) -> str:
    if names == [AREA]:
        return "area"
    return "area_and_wall_motion" if AREA in names else "wall_motion"


def _place(
    beats: list[Beat], notes: list[str], course: Course, values: FloatArray, weight: FloatArray, *, held: bool
) -> tuple[list[Beat], float]:
    """Beats with their phases placed by a fit, and the typical standard deviation of these in seconds."""
    times = course.times
    fits = [
        None if beat.es_s < beat.ed_s else _fit(course, values, weight, beat, hold_ed=held or STARTS_LATE in notes)
        for beat in beats
    ]
    if not held and STARTS_LATE not in notes:
        fits = share_systole(fits)
    out: list[Beat] = []
    for k, (beat, fit) in enumerate(zip(beats, fits, strict=True)):
        if fit is None:
            out.append(beat)
            continue
        ed = beat.ed_s if held else float(times[frame_at(times, fit.ed_s)])
        es = float(times[frame_at(times, fit.es_s)])
        end = beat.next_ed_s
        after = fits[k + 1] if k + 1 < len(beats) else None
        if end is not None and not held:
            if after is None and k + 1 == len(beats) and ENDS_AT_ED not in notes:
                # The beat that follows is not seen whole; its systole is taken to last as long as this one's.
                follows = Beat(end, end + fit.es_s - fit.ed_s)
                after = _fit(course, values, weight, follows, hold_es=True, amplitude_of=beat)
            end = end if after is None else float(times[frame_at(times, after.ed_s)])
        in_order = ed < es and (end is None or es < end) and (not out or out[-1].es_s < ed)
        out.append(Beat(ed, es, end) if in_order else beat)
    found = [max(fit.ed_sd, fit.es_sd) for fit in fits if fit is not None]
    return out, float(np.median(found)) if found else 0.0


def _fit(
    course: Course,
    values: FloatArray,
    weight: FloatArray,
    beat: Beat,
    *,
    hold_ed: bool = False,
    hold_es: bool = False,
    amplitude_of: Beat | None = None,
) -> Fit | None:
    """Fit one beat, or one end-diastole with an end-systole that is not seen."""
    times, smooth = course.times, course.values
    whole = amplitude_of or beat
    top, bottom = smooth[frame_at(times, whole.ed_s)], smooth[frame_at(times, whole.es_s)]
    amplitude = float(top - bottom)
    if not amplitude > 0.2 * course.span:
        return None
    start = smooth[frame_at(times, beat.ed_s)]
    level, course_level = (values - start) / amplitude, (smooth - start) / amplitude
    return fit_beat(
        times,
        level,
        weight,
        course.noise / amplitude,
        beat.ed_s,
        beat.es_s,
        beat.next_ed_s,
        ed_range=_stretch(times, course_level > -_STANDSTILL, beat.ed_s),
        es_range=_stretch(times, course_level < _STANDSTILL - 1, beat.es_s),
        hold_ed=hold_ed,
        hold_es=hold_es,
    )


def _stretch(times: FloatArray, part: NDArray[np.bool_], time_s: float) -> tuple[float, float]:
    """First and last time of the frames in one piece with that at `time_s` for which `part` holds."""
    here = frame_at(times, time_s)
    before, after = np.flatnonzero(~part[:here]), np.flatnonzero(~part[here + 1 :])
    first = int(before[-1]) + 1 if len(before) else 0
    last = here + int(after[0]) if len(after) else len(times) - 1
    return min(float(times[first]), time_s), max(float(times[last]), time_s)


def _phases(
    beats: list[Beat], source: str, course: Course, deviation: float, notes: list[str], remarks: list[str]
) -> Phases:
    """Put beats, confidence and reason together."""
    quiet = float(np.clip(1 - 5 * course.noise / course.span, 0.0, 1.0))
    confidence = min(quiet, float(np.clip((_WORST_SD - deviation) / (_WORST_SD - _GOOD_SD), 0.0, 1.0)))
    reasons = [_NOISY] if confidence < 0.5 else []
    for note, limit in _AT_THE_END:
        if note in notes:
            confidence = min(confidence, limit) if len(beats) == 1 else confidence
            reasons.append(note)
    return Phases(tuple(beats), source, confidence, "; ".join(reasons + remarks))
