"""Longitudinal strain of the wall, as curves over each beat and as measurements.

The strain of a view (GLS) is taken from the length of the whole line, not as the mean of its segments
(Voigt et al. 2015, doi 10.1093/ehjci/jeu184). The formulas are in :mod:`echomotion.measure.lengths`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.tracks import Layer, Tracks, WallPoints
from echomotion.core.views import View, segment_names
from echomotion.measure.beats import doubts, frame_at, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import compensate_drift, line_strain, segment_lengths, strain_of_lengths

GLOBAL, PEAK, SEGMENTAL = (
    "global_longitudinal_strain",
    "peak_longitudinal_strain",
    "longitudinal_strain",
)
PLAUSIBLE = (-40.0, 20.0)
MIN_CONFIDENCE = 0.5
MAX_DRIFT = 5.0


@dataclass(frozen=True)
class StrainCurves:
    """Strain of one beat over time, in %, relative to its end-diastole.

    Attributes
    ----------
    beat : int
        Number of the beat, from 0.
    times_s : float64 (T,)
        Time of each frame of the clip.
    ed_frame, es_frame : int
        Frames nearest to end-diastole and end-systole.
    next_ed_frame : int or None
        None where the recording ends before.
    whole : float64 (T,)
        Of the whole line; NaN outside the beat and where too many points are missing.
    segments : mapping of str to float64 (T,)
        Of each segment, likewise, in their order along the wall.
    raw : float64 (T,)
        Of the whole line on all frames of the clip, without drift compensation.
    drift : float
        What `raw` fails to return to 0 by at the next end-diastole; NaN without one.
    compensated : bool
        Whether linear drift was taken out of `whole` and `segments`.
    """

    beat: int
    times_s: FloatArray
    ed_frame: int
    es_frame: int
    next_ed_frame: int | None
    whole: FloatArray
    segments: Mapping[str, FloatArray]
    raw: FloatArray
    drift: float
    compensated: bool

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames of the beat, (K,)."""
        end = len(self.times_s) - 1 if self.next_ed_frame is None else self.next_ed_frame
        return np.arange(_first_frame(self.ed_frame, self.es_frame), end + 1)

    def as_dict(self) -> dict[str, Any]:
        """The frames of the beat as ``times``, ``whole`` and ``segments``, in plain lists; NaN becomes None."""

        def plain(values: FloatArray) -> list[float | None]:
            return [float(v) if np.isfinite(v) else None for v in values[self.frames]]

        return {
            "beat": self.beat,
            "frames": self.frames.tolist(),
            "times": plain(self.times_s),
            "whole": plain(self.whole),
            "segments": {name: plain(values) for name, values in self.segments.items()},
            "drift": float(self.drift) if np.isfinite(self.drift) else None,
            "compensated": self.compensated,
        }


def _first_frame(ed: int, es: int) -> int:
    """Where a beat's curve begins: at end-diastole, or with the recording where that starts in systole."""
    return ed if ed < es else 0


def strain_curves(
    tracks: Tracks,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    *,
    drift_compensation: bool = True,
) -> list[StrainCurves]:
    """Strain curves of every beat, of the whole line and of its segments.

    Drift is compensated only where a beat is whole and its ends are known; `compensated` says whether.
    Raises :class:`DataError` where the tracks do not form a line of the wall.
    """
    wall = _wall_of(tracks)
    times = frozen_array(times_s, "times_s", shape=(tracks.n_frames,), dtype=np.float64)
    return [
        _beat_curves(tracks.xy, wall, beat, k, times, spacing_mm, drift_compensation)
        for k, beat in enumerate(phases.beats)
    ]


def _wall_of(tracks: Tracks) -> WallPoints:
    if tracks.wall is None:
        raise DataError("these tracks do not form a line of the wall; track the queries of wall_points()")
    return tracks.wall


def _beat_curves(
    xy: NDArray[np.floating],
    wall: WallPoints,
    beat: Beat,
    k: int,
    times: FloatArray,
    spacing_mm: tuple[float, float] | None,
    drift_compensation: bool,
) -> StrainCurves:
    ed, es = frame_at(times, beat.ed_s), frame_at(times, beat.es_s)
    end = None if beat.next_ed_s is None else frame_at(times, beat.next_ed_s)
    raw = line_strain(xy, ed, spacing_mm)
    parts = {
        name: strain_of_lengths(length, ed)
        for name, length in segment_lengths(xy, wall, spacing_mm, ed_frame=ed).items()
    }
    drift = float(raw[end]) if end is not None else float("nan")
    compensated = drift_compensation and bool(np.isfinite(drift))
    outside = np.ones(len(times), dtype=bool)
    outside[_first_frame(ed, es) : len(times) if end is None else end + 1] = False

    def finish(curve: FloatArray) -> FloatArray:
        # A segment that is lost at the end of the beat has no drift to be compensated, and no curve.
        if compensated:
            if end is None or not np.isfinite(curve[end]):
                return np.full_like(curve, np.nan)
            return compensate_drift(curve, times, beat.ed_s, beat.next_ed_s)
        return np.where(outside, np.nan, curve)

    return StrainCurves(
        k,
        times,
        ed,
        es,
        end,
        finish(raw),
        {name: finish(curve) for name, curve in parts.items()},
        raw,
        drift,
        compensated,
    )


def join_beats(curves: Sequence[StrainCurves]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Curves of all beats laid end to end: of the whole line (T,) and of each segment; NaN outside all beats."""
    if not curves:
        raise DataError("there are no beats to join")

    def join(parts: list[FloatArray]) -> FloatArray:
        out = parts[0]
        for part in parts[1:]:
            out = np.where(np.isfinite(out), out, part)
        return out

    names = curves[0].segments
    return join([c.whole for c in curves]), {name: join([c.segments[name] for c in curves]) for name in names}


def missing_strain(reason: str, view: View, layer: Layer | str | None = None) -> list[Measurement]:
    """The rows of :func:`strain_measurements`, none of which could be measured, and why."""
    which = None if layer is None else str(Layer(layer))
    rows = [(GLOBAL, None), (PEAK, None), *((SEGMENTAL, name) for name in segment_names(view))]
    return [Measurement.missing(name, "%", reason, view=view, segment=segment, layer=which) for name, segment in rows]


def strain_measurements(
    tracks: Tracks | None,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    view: View | None = None,
    *,
    drift_compensation: bool = True,
) -> list[Measurement]:
    """Longitudinal strain of every beat: end-systolic and peak of the view, end-systolic of six segments.

    Parameters
    ----------
    tracks : Tracks or None
        With their `wall`. None (no wall was found) makes everything ``not_measurable``.
    phases : Phases
        Beats; without any, everything is ``not_measurable`` with that reason.
    times_s : float (T,)
        Time of each frame.
    spacing_mm : (float, float), optional
        Strain is in % with or without it; without, pixels are taken as square.
    view : View, optional
        As a rule that of the tracks' wall, which is the default. Longitudinal strain needs an apical view;
        ``UNKNOWN`` is taken as one, with status ``low_confidence``.
    drift_compensation : bool
        Take linear drift out where a beat is whole.

    Returns
    -------
    list of Measurement
        Per beat ``global_longitudinal_strain`` (end-systolic), ``peak_longitudinal_strain`` (the most
        negative of the beat) and ``longitudinal_strain`` of each segment (end-systolic); then, where there
        are several beats, the means over beats with ``beat`` None.
    """
    wall = None if tracks is None else _wall_of(tracks)
    view = View(view) if view is not None else (View.UNKNOWN if wall is None else wall.view)
    refusal = not_apical(view, "longitudinal strains")
    if not refusal and tracks is None:
        refusal = "no ventricular wall was tracked"
    if not refusal and not phases.beats:
        refusal = phases.reason or "no heart beat was found in the recording"
    if refusal or tracks is None or wall is None:
        return missing_strain(refusal, view, None if wall is None else wall.layer)
    rows: list[Measurement] = []
    for curves in strain_curves(tracks, phases, times_s, spacing_mm, drift_compensation=drift_compensation):
        rows += _beat_rows(tracks, wall, curves, phases, spacing_mm, view)
    return rows + mean_over_beats(rows, len(phases.beats))


def _beat_rows(
    tracks: Tracks,
    wall: WallPoints,
    curves: StrainCurves,
    phases: Phases,
    spacing_mm: tuple[float, float] | None,
    view: View,
) -> list[Measurement]:
    """The measurements of one beat."""
    drift = (
        f"linear drift of {curves.drift:.1f} points compensated"
        if curves.compensated
        else "drift not compensated" + ("" if curves.next_ed_frame is not None else " (no whole beat)")
    )
    square = "" if spacing_mm is not None else ", square pixels assumed"
    how = f"Lagrangian strain from the length of the {wall.layer} line, {drift}{square}"
    shared = doubts(phases, view)
    if abs(curves.drift) > MAX_DRIFT:
        shared.append(f"the line does not return to its length at the next end-diastole ({curves.drift:+.1f} points)")
    owner = np.asarray(wall.segment)
    beat_frames = curves.frames
    rows = []

    def add(name: str, curve: FloatArray, frame: int, part: NDArray[np.bool_], when: str, segment: str | None) -> None:
        value = float(curve[frame])
        frames = (curves.ed_frame, frame)
        where: dict[str, Any] = {
            "method": f"{when} {how}",
            "frames": frames,
            "view": view,
            "beat": curves.beat,
            "segment": segment,
            "layer": str(wall.layer),
        }
        if not np.isfinite(value):
            lost = "at end-diastole, end-systole or the end of the beat"
            rows.append(Measurement.missing(name, "%", f"too many points of the line are missing {lost}", **where))
            return
        reasons = list(shared)
        sure = float(tracks.confidence[part, min(frames) : max(frames) + 1].mean())
        if sure < MIN_CONFIDENCE:
            reasons.insert(0, f"the points are tracked with a mean confidence of {sure:.2f} only")
        if not PLAUSIBLE[0] <= value <= PLAUSIBLE[1]:
            reasons.insert(0, f"a strain outside {PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:+g} % is not plausible")
        status = Status.LOW_CONFIDENCE if reasons else Status.OK
        rows.append(Measurement(name, value, "%", status, "; ".join(reasons), **where))

    everywhere = np.ones(len(owner), dtype=bool)
    add(GLOBAL, curves.whole, curves.es_frame, everywhere, "end-systolic", None)
    known = np.isfinite(curves.whole[beat_frames])
    peak = curves.es_frame if not known.any() else int(beat_frames[np.nanargmin(curves.whole[beat_frames])])
    add(PEAK, curves.whole, peak, everywhere, "peak (most negative of the beat)", None)
    for name, curve in curves.segments.items():
        add(SEGMENTAL, curve, curves.es_frame, owner == name, "end-systolic", name)
    return rows
