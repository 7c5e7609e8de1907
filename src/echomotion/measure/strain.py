"""Longitudinal strain of the wall from the trajectories of a line of points.

Lagrangian strain of a line is ``100 * (L(t) / L(ED) - 1)`` %, negative for shortening; that of a view (GLS)
is taken from the length of the whole line, not as the mean of its segments (Voigt et al. 2015,
doi 10.1093/ehjci/jeu184).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.tracks import Tracks, WallPoints
from echomotion.core.views import View, segment_names
from echomotion.measure.beats import doubts, frame_at, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray

GLOBAL, PEAK, SEGMENTAL = (
    "global_longitudinal_strain",
    "peak_longitudinal_strain",
    "longitudinal_strain",
)
PLAUSIBLE = (-40.0, 20.0)
MIN_CONFIDENCE = 0.5
MAX_DRIFT = 5.0


def fill_single_gaps(xy: ArrayLike, reference: int) -> FloatArray:
    """Fill single missing points inside a line from their two neighbours.

    A point that is missing on a frame gets the mean displacement of its two neighbours since the reference
    frame, so the shape of the line is kept; where it is missing on the reference frame too, their midpoint.
    Two missing points in a row, and the ends, stay NaN.

    Parameters
    ----------
    xy : float (N, T, 2)
        Positions along the line; NaN where they are missing.
    reference : int
        Frame of the undeformed line.

    Returns
    -------
    float64 (N, T, 2)
    """
    out = np.array(xy, dtype=np.float64)
    known = np.isfinite(out).all(axis=-1)
    out[~known] = np.nan
    lone = np.zeros_like(known)
    lone[1:-1] = ~known[1:-1] & known[:-2] & known[2:]
    midpoint = np.full_like(out, np.nan)
    midpoint[1:-1] = (out[:-2] + out[2:]) / 2
    start = out[:, reference].copy()
    start[lone[:, reference]] = midpoint[lone[:, reference], reference]
    moved = out - start[:, None]
    carried = np.full_like(out, np.nan)
    carried[1:-1] = start[1:-1, None] + (moved[:-2] + moved[2:]) / 2
    guess = np.where(np.isfinite(carried), carried, midpoint)
    out[lone] = guess[lone]
    return out


def line_length(xy: ArrayLike, spacing_mm: tuple[float, float] | None = None, *, ed_frame: int = 0) -> FloatArray:
    """Length of a line of points on every frame, (T,), in mm (px without spacing).

    Parameters
    ----------
    xy : float (N, T, 2)
        Positions ``(x, y)`` in native pixels, in order along the line. Single missing points inside the
        line are filled (:func:`fill_single_gaps`); a frame that misses more is NaN.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    ed_frame : int
        The frame of the undeformed line.
    """
    points = frozen_array(xy, "xy", shape=(None, None, 2), dtype=np.float64, finite=False)
    if len(points) < 2:
        raise DataError("a line needs at least two points")
    if not 0 <= ed_frame < points.shape[1]:
        raise DataError(f"there is no frame {ed_frame}; the tracks have frames 0 to {points.shape[1] - 1}")
    return _pieces(points, spacing_mm, ed_frame).sum(axis=0)


def line_strain(xy: ArrayLike, ed_frame: int, spacing_mm: tuple[float, float] | None = None) -> FloatArray:
    """Lagrangian strain of a line of points in % on every frame, (T,); 0 on the ED frame.

    See :func:`line_length` for the arguments and for missing points.
    """
    length = line_length(xy, spacing_mm, ed_frame=ed_frame)
    return _strain(length, ed_frame)


def _pieces(xy: FloatArray, spacing_mm: tuple[float, float] | None, ed_frame: int) -> FloatArray:
    """Lengths (N - 1, T) of the pieces between neighbouring points."""
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    steps = np.diff(fill_single_gaps(xy, ed_frame), axis=0) * (sx, sy)
    return np.hypot(steps[..., 0], steps[..., 1])


def _strain(length: FloatArray, ed_frame: int) -> FloatArray:
    """Strain in % from lengths (T,); NaN throughout where the line is unknown or has no length at ED."""
    start = length[ed_frame]
    if not start > 0:
        return np.full_like(length, np.nan)
    return 100 * (length / start - 1)


def segment_lengths(
    xy: ArrayLike, wall: WallPoints, spacing_mm: tuple[float, float] | None = None, *, ed_frame: int = 0
) -> dict[str, FloatArray]:
    """Length of each segment on every frame, (T,) by name; the segments tile the line.

    The piece of line between the last point of a segment and the first of the next belongs to each by half,
    so that the lengths add up to :func:`line_length`.
    """
    points = frozen_array(xy, "xy", shape=(len(wall.segment), None, 2), dtype=np.float64, finite=False)
    pieces = _pieces(points, spacing_mm, ed_frame)
    owner = np.asarray(wall.segment)
    lengths = {}
    for name in wall.segment_names():
        share = ((owner[:-1] == name).astype(float) + (owner[1:] == name)) / 2
        part = share > 0
        lengths[name] = share[part] @ pieces[part]
    return lengths


def compensate_drift(curve: ArrayLike, times_s: ArrayLike, ed_s: float, next_ed_s: float | None) -> FloatArray:
    """Take a linear drift out of a strain curve, so that it returns to 0 at the next end-diastole.

    Parameters
    ----------
    curve : float (T,)
        Strain in %, 0 at end-diastole.
    times_s : float (T,)
        Time of each frame.
    ed_s, next_ed_s : float
        The beat.

    Returns
    -------
    float64 (T,)
        The compensated curve from one end-diastole to the next; NaN outside.

    Raises
    ------
    DataError
        Without a whole beat, or where the curve is not known at its end: the drift is then unknown.
    """
    times = np.asarray(times_s, dtype=np.float64)
    values = frozen_array(curve, "curve", shape=(len(times),), dtype=np.float64, finite=False)
    if next_ed_s is None:
        raise DataError("drift can be compensated over a whole beat only; this one has no next end-diastole")
    ed, end = frame_at(times, ed_s), frame_at(times, next_ed_s)
    drift = values[end] - values[ed]
    if end <= ed or not np.isfinite(drift):
        raise DataError("drift cannot be compensated: the strain at the ends of the beat is unknown")
    out = np.full_like(values, np.nan)
    part = slice(ed, end + 1)
    out[part] = values[part] - drift * (times[part] - times[ed]) / (times[end] - times[ed])
    return out


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
        return np.arange(self.ed_frame, end + 1)

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
    parts = {name: _strain(length, ed) for name, length in segment_lengths(xy, wall, spacing_mm, ed_frame=ed).items()}
    drift = float(raw[end]) if end is not None else float("nan")
    compensated = drift_compensation and bool(np.isfinite(drift))
    outside = np.ones(len(times), dtype=bool)
    outside[ed : len(times) if end is None else end + 1] = False

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
    layer = None if wall is None else str(wall.layer)
    if refusal or tracks is None or wall is None:
        names = segment_names(view) if wall is None else wall.segment_names()
        return [
            Measurement.missing(name, "%", refusal, view=view, segment=segment, layer=layer)
            for name, segment in [(GLOBAL, None), (PEAK, None), *((SEGMENTAL, n) for n in names)]
        ]
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
    shared = doubts(view, phases)
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
