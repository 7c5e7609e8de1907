"""Volumes of the left ventricle from one apical view, ejection fraction, cavity area, heart rate."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from echomotion.core.clip import checked_spacing
from echomotion.core.masks import Masks
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.views import View
from echomotion.measure.area_length import chamber_volume
from echomotion.measure.beats import doubts, frame_at, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.disks import (
    DISKS,
    ChamberPlane,
    Convention,
    Technique,
    chamber_plane,
    check_convention,
    chosen,
    shared_length,
    sum_of_disks,
)
from echomotion.measure.rows import UNCALIBRATED, judged, phase_frame
from echomotion.measure.wall import WallLines, WallNotFoundError, cavity_area_px, find_wall

NAMES = ("end_diastolic_volume", "end_systolic_volume", "stroke_volume", "ejection_fraction", "heart_rate")
# Outside it an ejection fraction is more likely an error of outline or phase than a heart.
PLAUSIBLE_FRACTION = (5.0, 90.0)


def wall_plane(lines: WallLines, spacing_mm: tuple[float, float] | None) -> ChamberPlane:
    """What an outlined wall encloses, in mm; in px, of square pixels, without spacing."""
    step = np.array([1.0, 1.0] if spacing_mm is None else checked_spacing(spacing_mm)[::-1])
    return chamber_plane(lines.endocardial * step, lines.annulus * step, lines.apex * step)


def wall_volume(lines: WallLines, spacing_mm: tuple[float, float] | None) -> float:
    """Cavity volume in mL from an outlined wall, by disks; in px3, of square pixels, without spacing."""
    return _in_volume_unit(sum_of_disks(wall_plane(lines, spacing_mm)), spacing_mm)


@dataclass(frozen=True)
class VolumeCurve:
    """Size of the cavity on every frame.

    Attributes
    ----------
    volume : float64 (T,)
        In `volume_unit` (mL or px3); NaN where the wall is not found.
    area : float64 (T,)
        Cavity area in `area_unit` (cm2 or px2); NaN where there is no cavity.
    reasons : tuple of str, T
        Why a frame has no volume; empty where it has one.
    planes : tuple of ChamberPlane or None, T
        What the volumes were made from, in mm or px; None where the wall is not found.
    technique : Technique
        How they were made.
    walls : tuple of WallLines or None, T
        The outlines themselves.
    """

    volume: FloatArray
    area: FloatArray
    volume_unit: str
    area_unit: str
    reasons: tuple[str, ...]
    planes: tuple[ChamberPlane | None, ...] = field(repr=False)
    technique: Technique = Technique.DISKS
    walls: tuple[WallLines | None, ...] = field(default=(), repr=False)

    def volume_with(self, plane: ChamberPlane, length: float | None) -> float:
        """Volume of a plane in `volume_unit`, its disks as long as stated (:func:`shared_length`)."""
        volume = chamber_volume(self.technique, plane, length=length)
        return volume if self.volume_unit == "px3" else volume / 1000


def cavity_area(masks: Masks, spacing_mm: tuple[float, float] | None = None) -> FloatArray:
    """Area of the cavity's largest part on every frame (T,), in cm2 (px2 without spacing); NaN where none is."""
    scale = 1.0 if spacing_mm is None else math.prod(checked_spacing(spacing_mm)) / 100
    return cavity_area_px(masks) * scale


def volume_curve(
    masks: Masks, spacing_mm: tuple[float, float] | None = None, *, technique: str = Technique.DISKS
) -> VolumeCurve:
    """Single-plane volume and area of the cavity on every frame, by ``disks`` or ``area_length``."""
    return curve_at(masks, range(masks.n_frames), spacing_mm, chosen(Technique, technique))


def volume_measurements(
    masks: Masks,
    phases: Phases,
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
    view: View = View.UNKNOWN,
    *,
    curve: VolumeCurve | None = None,
    technique: str = Technique.DISKS,
    convention: str = Convention.ASE,
) -> list[Measurement]:
    """End-diastolic, end-systolic and stroke volume, ejection fraction and heart rate of every beat.

    Parameters
    ----------
    masks : Masks
        Segmentation of all T frames.
    phases : Phases
        Beats; where there is none, every measurement is ``not_measurable`` with that reason.
    times_s : float (T,)
        Time of each frame.
    spacing_mm : (float, float), optional
        Without it volumes come out in px3 with status ``low_confidence``; the ejection fraction needs none.
    view : View
        Volumes need an apical view. ``UNKNOWN`` is taken as one, with status ``low_confidence``.
    curve : VolumeCurve, optional
        From :func:`volume_curve`, where it was made before; its technique is then used.
    technique : str
        ``disks`` or ``area_length``.
    convention : str
        ``ase`` or ``camus``, see :class:`echomotion.measure.disks.Convention`.

    Returns
    -------
    list of Measurement
        For each beat the five of :data:`NAMES`, then, where there are several beats, the means over beats
        with ``beat`` None.

    Raises
    ------
    DataError
        On an unknown technique or convention, or the camus convention with another technique than disks.
    """
    rule, way = chosen(Convention, convention), chosen(Technique, technique)
    check_convention(curve.technique if curve is not None else way, rule)
    refusal = not_apical(view, "monoplane volumes")
    unit = "px3" if spacing_mm is None else "mL"
    units = dict(zip(NAMES, (unit, unit, unit, "%", "bpm"), strict=True))
    if refusal or not phases.beats:
        reason = phases.reason or "no heart beat was found in the recording"
        rates = [_heart_rate(phases, beat, k, times_s, view) for k, beat in enumerate(phases.beats)]
        rates = rates or [Measurement.missing("heart_rate", "bpm", reason, view=view)]
        volumes = [Measurement.missing(name, units[name], refusal or reason, view=view) for name in NAMES[:4]]
        return volumes + rates + mean_over_beats(rates, len(phases.beats))
    if curve is None:
        curve = curve_at(masks, beat_frames(phases, times_s), spacing_mm, way)
    rows: list[Measurement] = []
    for k, beat in enumerate(phases.beats):
        rows += _beat_volumes(curve, phases, beat, k, times_s, view, rule)
        rows.append(_heart_rate(phases, beat, k, times_s, view))
    return rows + mean_over_beats(rows, len(phases.beats))


def beat_frames(phases: Phases, times_s: FloatArray) -> list[int]:
    """The frames of all end-diastoles and end-systoles that lie on the recording, each once and in order."""
    times = [time for beat in phases.beats for time in (beat.ed_s, beat.es_s)]
    frames = {phase_frame(times_s, time, "phase")[0] for time in times}
    return sorted(frame for frame in frames if frame is not None)


def _in_volume_unit(volume: float, spacing_mm: tuple[float, float] | None) -> float:
    """A volume in px3 as it is, or in mm3 as mL."""
    return volume if spacing_mm is None else volume / 1000


def curve_at(
    masks: Masks, frames: Iterable[int], spacing_mm: tuple[float, float] | None, technique: Technique
) -> VolumeCurve:
    """The volume curve at some frames alone, NaN elsewhere."""
    frames = list(frames)
    volume, area = np.full((2, masks.n_frames), np.nan)
    reasons = [""] * masks.n_frames
    planes: list[ChamberPlane | None] = [None] * masks.n_frames
    walls: list[WallLines | None] = [None] * masks.n_frames

    def read(t: int) -> None:
        try:
            wall = walls[t] = find_wall(masks, t, spacing_mm)
            plane = planes[t] = wall_plane(wall, spacing_mm)
            volume[t] = _in_volume_unit(chamber_volume(technique, plane), spacing_mm)
        except WallNotFoundError as error:
            reasons[t] = error.reason

    # Filters of SciPy run beside each other, and each frame fills its own place.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(read, frames))
    if frames:
        part = masks if len(frames) == masks.n_frames else Masks(masks.labels[frames], masks.classes)
        area[frames] = cavity_area(part, spacing_mm)
    units = ("px3", "px2") if spacing_mm is None else ("mL", "cm2")
    return VolumeCurve(volume, area, *units, tuple(reasons), tuple(planes), technique, tuple(walls))


def plane_at(
    curve: VolumeCurve, times_s: FloatArray, time_s: float | None, phase: str
) -> tuple[ChamberPlane | None, int | None, str]:
    """What a curve holds at a phase of a beat: plane, frame, and why there is no plane; empty where there is one."""
    frame, problem = phase_frame(times_s, time_s, phase)
    if frame is None:
        return None, None, problem
    plane = curve.planes[frame]
    return plane, frame, "" if plane else f"no ventricular wall on frame {frame}: {curve.reasons[frame]}"


def method_words(technique: Technique, convention: Convention, planes: str) -> str:
    """How volumes were made, for a reader."""
    if technique is Technique.AREA_LENGTH:
        return f"{planes} area-length formula"
    height = ", greatest disk height of both phases" if convention is Convention.CAMUS else ""
    return f"{planes} disk summation ({DISKS} disks{height})"


def volume_rows(
    edv: float,
    esv: float,
    unit: str,
    method: str,
    frames: tuple[tuple[int, ...], tuple[int, ...]],
    problems: tuple[str, str],
    doubt: list[str],
    *,
    view: View | None,
    beat: int,
) -> list[Measurement]:
    """The first four of :data:`NAMES` of one beat, from its two volumes and what is wrong with either.

    `frames` and `problems` belong to end-diastole and end-systole; `doubt` applies to all four.
    """
    fraction = 100 * (edv - esv) / edv if edv else math.nan
    low, high = PLAUSIBLE_FRACTION
    odd = [] if low <= fraction <= high else ["an ejection fraction outside 5 to 90 % is not plausible"]
    uncalibrated = [UNCALIBRATED] if unit == "px3" else []
    square = ", square pixels assumed" if uncalibrated else ""
    both = problems[0] or problems[1]
    ed, es = frames
    last = method + ", EDV - ESV", method + ", (EDV - ESV) / EDV" + square
    plan = (
        (NAMES[0], edv, unit, f"{method} at end-diastole", ed, problems[0], uncalibrated),
        (NAMES[1], esv, unit, f"{method} at end-systole", es, problems[1], uncalibrated),
        (NAMES[2], edv - esv, unit, last[0], ed + es, both, uncalibrated + odd),
        (NAMES[3], fraction, "%", last[1], ed + es, both, odd),
    )
    return [
        judged(name, value, of, how, where, missing=missing, doubts=own + doubt, view=view, beat=beat)
        for name, value, of, how, where, missing, own in plan
    ]


def _beat_volumes(
    curve: VolumeCurve, phases: Phases, beat: Beat, k: int, times_s: FloatArray, view: View, rule: Convention
) -> list[Measurement]:
    """Volumes and ejection fraction of one beat."""
    ed, ed_frame, ed_problem = plane_at(curve, times_s, beat.ed_s, "end-diastole")
    es, es_frame, es_problem = plane_at(curve, times_s, beat.es_s, "end-systole")
    if rule is Convention.CAMUS:
        # The disks of either phase need the height of the other.
        ed_problem = es_problem = ed_problem or es_problem
    length = shared_length([plane for plane in (ed, es) if plane], rule) if ed or es else None
    edv, esv = (curve.volume_with(plane, length) if plane else math.nan for plane in (ed, es))
    frames = tuple(() if frame is None else (frame,) for frame in (ed_frame, es_frame))
    return volume_rows(
        edv,
        esv,
        curve.volume_unit,
        method_words(curve.technique, rule, "monoplane"),
        (frames[0], frames[1]),
        (ed_problem, es_problem),
        doubts(phases, view),
        view=view,
        beat=k,
    )


def _heart_rate(phases: Phases, beat: Beat, k: int, times_s: FloatArray, view: View) -> Measurement:
    """Heart rate of one beat, where it is whole."""
    if beat.duration_s is None or beat.next_ed_s is None:
        return Measurement.missing(
            "heart_rate", "bpm", "the recording ends before the next end-diastole", view=view, beat=k
        )
    reasons = doubts(phases)
    if phases.source == "area" and frame_at(times_s, beat.next_ed_s) == len(times_s) - 1:
        reasons.append("the next end-diastole is taken at the last frame of the recording")
    status = Status.LOW_CONFIDENCE if reasons else Status.OK
    source = {"r_wave": "R waves", "user": "the given times"}.get(phases.source, "the cavity area")
    frames = (frame_at(times_s, beat.ed_s), frame_at(times_s, beat.next_ed_s))
    method = f"60 s over the time from one end-diastole to the next, from {source}"
    return Measurement("heart_rate", 60 / beat.duration_s, "bpm", status, "; ".join(reasons), method, frames, view, k)
