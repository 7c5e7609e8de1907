"""Displacement of the mitral annulus towards the apex (MAPSE), and of the endocardium inwards.

MAPSE is the largest displacement of an annulus point towards the apex from end-diastole to end-systole, along the line
from the middle of the annulus to the apex at end-diastole; the mean of both sides is the view's. It is measured in the
picture, as an M-mode line measures it: movement of the whole heart counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.tracks import Layer, Tracks
from echomotion.core.views import View
from echomotion.measure.beats import doubts, frame_at, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import fill_single_gaps
from echomotion.measure.reading import checked_times, extreme, value_at
from echomotion.measure.segment_quality import MIN_CONFIDENCE
from echomotion.measure.strain_curves import wall_of

MAPSE = "mitral_annular_plane_systolic_excursion"


def mapse_measurements(
    tracks: Tracks | None,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    view: View | None = None,
) -> list[Measurement]:
    """MAPSE of every beat, of both sides and their mean, in mm (px without spacing).

    Parameters
    ----------
    tracks : Tracks or None
        A line of the wall from annulus to annulus.
    phases, times_s, spacing_mm, view
        As for strain.

    Returns
    -------
    list of Measurement
        ``mitral_annular_plane_systolic_excursion``, with ``segment`` the basal segment at which the side lies, or None
        for the mean; then means over beats.
    """
    unit = "px" if spacing_mm is None else "mm"
    wall = None if tracks is None else wall_of(tracks)
    shown = View(view) if view is not None else (View.UNKNOWN if wall is None else wall.view)
    refusal = not_apical(shown, "excursions of the mitral annulus")
    if not refusal and tracks is None:
        refusal = "no ventricular wall was tracked"
    if not refusal and not phases.beats:
        refusal = phases.reason or "no heart beat was found in the recording"
    if refusal or tracks is None or wall is None:
        return [Measurement.missing(MAPSE, unit, refusal, view=shown)]
    times = checked_times(times_s, tracks.n_frames)
    rows: list[Measurement] = []
    for k, beat in enumerate(phases.beats):
        rows += _beat_rows(tracks, phases, beat, k, times, spacing_mm, shown)
    return rows + mean_over_beats(rows, len(phases.beats))


def _beat_rows(
    tracks: Tracks,
    phases: Phases,
    beat: Beat,
    k: int,
    times: FloatArray,
    spacing_mm: tuple[float, float] | None,
    view: View,
) -> list[Measurement]:
    wall = wall_of(tracks)
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    xy = tracks.xy.astype(np.float64) * (sx, sy)
    ed, es = (float(np.clip(t, times[0], times[-1])) for t in (beat.ed_s, beat.es_s))
    frame = frame_at(times, ed)
    base = (xy[0, frame] + xy[-1, frame]) / 2
    far = np.hypot(*(xy[:, frame] - base).T)
    sides = {wall.segment[0]: 0, wall.segment[-1]: len(xy) - 1}
    found: dict[str, tuple[float, float]] = {}
    if np.isfinite(far).any():
        axis = xy[int(np.nanargmax(far)), frame] - base
        axis = axis / np.hypot(*axis)
        for segment, index in sides.items():
            along = xy[index] @ axis
            along = along - value_at(times, along, ed)
            # Where the systole is not recorded from its start, what is known is end-systole.
            found[segment] = extreme(times, along, ed, es, 1) if ed < es else (es, value_at(times, along, es))
    unit = "px" if spacing_mm is None else "mm"
    where: dict[str, Any] = {"view": view, "beat": k, "layer": str(wall.layer)}
    how = f"largest displacement towards the apex in systole of the end of the {wall.layer} line"
    shared = doubts(phases, view) + ([] if spacing_mm is not None else ["the recording is not calibrated"])
    rows = []
    for segment, index in sides.items():
        at, value = found.get(segment, (float("nan"), float("nan")))
        if not np.isfinite(value):
            reason = "the annulus point is not tracked at end-diastole or in systole"
            rows.append(Measurement.missing(MAPSE, unit, reason, method=how, segment=segment, **where))
            continue
        frames = (frame, frame_at(times, at))
        sure = float(tracks.confidence[index, min(frames) : max(frames) + 1].mean())
        reasons = list(shared)
        if sure < MIN_CONFIDENCE:
            reasons.insert(0, f"the annulus point is tracked with a mean confidence of {sure:.2f} only")
        rows.append(
            Measurement(MAPSE, value, unit, _status(reasons), "; ".join(reasons), how, frames, segment=segment, **where)
        )
    known = [row for row in rows if row.status is not Status.NOT_MEASURABLE]
    if len(known) < 2:
        return [Measurement.missing(MAPSE, unit, "one side of the annulus is not tracked", method=how, **where), *rows]
    reasons = list(dict.fromkeys(part for row in known if row.reason for part in row.reason.split("; ")))
    mean = float(np.mean([row.value for row in known]))
    both = tuple(dict.fromkeys(f for row in known for f in row.frames))
    how = f"mean of both sides, {how}"
    return [Measurement(MAPSE, mean, unit, _status(reasons), "; ".join(reasons), how, both, **where), *rows]


def _status(reasons: list[str]) -> Status:
    return Status.LOW_CONFIDENCE if reasons else Status.OK


def inward_excursion(
    endocardial: Tracks, phases: Phases, times_s: ArrayLike, spacing_mm: tuple[float, float], beat: int = 0
) -> dict[str, float]:
    """How far each segment of the endocardium moves inwards from end-diastole to end-systole, in mm.

    The mean over the segment's points of the loss of distance from the centre of the cavity, which is the centre of the
    area within the line on each of both frames: movement of the whole heart does not count. NaN where unknown.

    Parameters
    ----------
    endocardial : Tracks
        The endocardial line, open or closed.
    beat : int
        Number of the beat.

    Raises
    ------
    DataError
        Where the tracks are no endocardial line.
    """
    wall = wall_of(endocardial)
    if wall.layer is not Layer.ENDOCARDIAL:
        raise DataError(f"inward excursion needs the endocardial line; this one is {wall.layer}")
    step = np.array(checked_spacing(spacing_mm)[::-1])
    times = checked_times(times_s, endocardial.n_frames)
    which = phases.beats[beat]
    frames = [frame_at(times, t) for t in (which.ed_s, which.es_s)]
    lines = fill_single_gaps(endocardial.xy, frames[0])[:, frames] * step
    away = [np.hypot(*(lines[:, k] - _centre(lines[:, k])).T) for k in range(2)]
    owner = np.asarray(wall.segment)
    return {name: float(np.mean((away[0] - away[1])[owner == name])) for name in wall.segment_names()}


def _centre(line: FloatArray) -> FloatArray:
    """Centre of the area within a polygon (N, 2)."""
    x, y = line.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    return np.array([np.sum((v + np.roll(v, -1)) * cross) for v in (x, y)]) / (3 * np.sum(cross))
