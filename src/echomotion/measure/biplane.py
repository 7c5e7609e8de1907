"""Biplane volumes and ejection fraction from the apical four- and two-chamber views of one heart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from echomotion.core.masks import Masks
from echomotion.core.measurement import Beat, Measurement, Phases
from echomotion.core.views import View
from echomotion.measure.area_length import chamber_volume
from echomotion.measure.beats import doubts, mean_over_beats
from echomotion.measure.contours import FloatArray
from echomotion.measure.disks import ChamberPlane, Convention, Technique, check_convention, chosen, shared_length
from echomotion.measure.rows import judged
from echomotion.measure.volumes import NAMES, VolumeCurve, beat_frames, curve_at, method_words, plane_at, volume_rows

LENGTH_DIFFERENCE = "long_axis_difference"
# The two views of one ventricle differ in length by less, unless one of them misses the apex.
MAX_LENGTH_DIFFERENCE = 10.0
# Beats whose lengths differ by more are not the same state of the heart.
MAX_RATE_DIFFERENCE = 20.0
_NAMES = NAMES[:4]


@dataclass(frozen=True)
class ApicalView:
    """One recording of a heart, as far as a measurement from two views needs it.

    Attributes
    ----------
    masks : Masks
        Segmentation of all T frames.
    phases : Phases
        Its own beats.
    times_s : float (T,)
        Time of each frame.
    spacing_mm : (float, float) or None
        Height and width of a pixel.
    view : View
    curve : VolumeCurve, optional
        From :func:`echomotion.measure.volumes.volume_curve`, where it was made before.
    wall_doubts : mapping of int to sequence of str
        By the number of the beat, as :func:`echomotion.measure.wall_seen.wall_doubts` finds them: why the border of the
        ventricle, and so its volume, is uncertain.
    """

    masks: Masks
    phases: Phases
    times_s: FloatArray
    spacing_mm: tuple[float, float] | None
    view: View
    curve: VolumeCurve | None = None
    wall_doubts: Mapping[int, Sequence[str]] = field(default_factory=dict)


def refusal(first: ApicalView, second: ApicalView, what: str) -> str:
    """Why two recordings give no biplane volume; empty where they do."""
    views = {first.view, second.view}
    if views - {View.A4C, View.A2C, View.UNKNOWN} or (first.view is second.view and first.view is not View.UNKNOWN):
        return f"biplane {what} need an A4C and an A2C view, these are {first.view} and {second.view}"
    if first.spacing_mm is None or second.spacing_mm is None:
        return f"biplane {what} need the pixel size of both views; at least one is not calibrated"
    for recording in (first, second):
        if not recording.phases.beats:
            reason = recording.phases.reason or "no heart beat was found in the recording"
            return f"{recording.view}: {reason}"
    return ""


def shared_doubts(first: ApicalView, second: ApicalView, beats: tuple[Beat, Beat]) -> list[str]:
    """Reasons to trust less whatever a pair of beats gives."""
    found = []
    for recording in (first, second):
        found += [f"{recording.view}: {reason}" for reason in doubts(recording.phases, recording.view)]
    durations = [beat.duration_s for beat in beats]
    if durations[0] is not None and durations[1] is not None:
        difference = 100 * abs(durations[0] - durations[1]) / max(durations[0], durations[1])
        if difference > MAX_RATE_DIFFERENCE:
            found.append(f"the beats of the two views differ by {difference:.0f} % in length")
    return found


def beat_pairs(first: ApicalView, second: ApicalView) -> list[tuple[Beat, Beat]]:
    """The beats of two recordings in their order; those that have no counterpart are left out."""
    return list(zip(first.phases.beats, second.phases.beats, strict=False))


def biplane_measurements(
    first: ApicalView,
    second: ApicalView,
    *,
    technique: str = Technique.DISKS,
    convention: str = Convention.ASE,
) -> list[Measurement]:
    """Volumes and ejection fraction from two views at right angles, per pair of beats and averaged.

    The beats of the two recordings are paired in their order. Disks have the diameters of both views and the longer
    view's length (:func:`echomotion.measure.disks.sum_of_disks`).

    Parameters
    ----------
    first, second : ApicalView
        A four- and a two-chamber view of one heart, in either order.
    technique : str
        ``disks`` or ``area_length``.
    convention : str
        ``ase``, or ``camus`` for one disk height over both phases and views.

    Returns
    -------
    list of Measurement
        For each pair of beats ``end_diastolic_volume``, ``end_systolic_volume``, ``stroke_volume``,
        ``ejection_fraction`` and ``long_axis_difference`` (how much the views differ in length at end-diastole, in %;
        over 10 % the volumes are of low confidence, since a view is then likely foreshortened; so they are where either
        view's wall is doubted); where there are several, then the means over beats with ``beat`` None. All have
        ``view`` None; `frames` are those of the first view, then those of the second.

    Raises
    ------
    DataError
        On an unknown technique or convention, or the camus convention with another technique than disks.
    """
    rule, way = chosen(Convention, convention), chosen(Technique, technique)
    check_convention(way, rule)
    reason = refusal(first, second, "volumes")
    if reason:
        units = ("mL", "mL", "mL", "%", "%")
        return [
            Measurement.missing(name, unit, reason)
            for name, unit in zip((*_NAMES, LENGTH_DIFFERENCE), units, strict=True)
        ]
    curves = [
        r.curve or curve_at(r.masks, beat_frames(r.phases, r.times_s), r.spacing_mm, way) for r in (first, second)
    ]
    pairs = beat_pairs(first, second)
    rows: list[Measurement] = []
    for k, pair in enumerate(pairs):
        found = [
            [
                plane_at(curve, recording.times_s, time, phase)
                for curve, recording, time in zip(curves, (first, second), times, strict=True)
            ]
            for phase, times in (
                ("end-diastole", [beat.ed_s for beat in pair]),
                ("end-systole", [beat.es_s for beat in pair]),
            )
        ]
        planes = [tuple(plane for plane, _, _ in phase) for phase in found]
        frames = [tuple(frame for _, frame, _ in phase if frame is not None) for phase in found]
        problems = [
            next((f"{r.view}: {why}" for r, (_, _, why) in zip((first, second), phase, strict=True) if why), "")
            for phase in found
        ]
        if rule is Convention.CAMUS:
            problems = [problems[0] or problems[1]] * 2
        difference = _length_difference(planes[0], problems[0], frames[0], k)
        doubt = shared_doubts(first, second, pair)
        doubt += [f"{r.view}: {why}" for r in (first, second) for why in r.wall_doubts.get(k, ())]
        if difference.value > MAX_LENGTH_DIFFERENCE:
            doubt.append(difference.reason)
        length = None if any(problems) else shared_length([p for pair in planes for p in pair if p], rule)
        edv, esv = (_volume(way, pair, length) for pair in planes)
        method = _method(way, rule, first, second)
        rows += volume_rows(
            edv, esv, "mL", method, (frames[0], frames[1]), (problems[0], problems[1]), doubt, view=None, beat=k
        )
        rows.append(difference)
    return rows + mean_over_beats(rows, len(pairs))


def _volume(technique: Technique, pair: tuple[ChamberPlane | None, ...], length: float | None) -> float:
    """Volume of a phase in mL; NaN where a view has no plane."""
    first, second = pair
    if first is None or second is None:
        return math.nan
    return chamber_volume(technique, first, second, length=length) / 1000


def _method(technique: Technique, convention: Convention, first: ApicalView, second: ApicalView) -> str:
    words = method_words(technique, convention, "biplane")
    return f"{words} from {first.view} and {second.view}, the longer length" if technique is Technique.DISKS else words


def _length_difference(
    planes: tuple[ChamberPlane | None, ...], problem: str, frames: tuple[int, ...], beat: int
) -> Measurement:
    """How much the long axes of the two views differ at end-diastole, in % of the longer one."""
    method = "difference of the two views' lengths at end-diastole, in % of the longer"
    first, second = planes
    if first is None or second is None:
        return judged(LENGTH_DIFFERENCE, math.nan, "%", method, frames, missing=problem, beat=beat)
    value = 100 * abs(first.length - second.length) / max(first.length, second.length)
    doubt = []
    if value > MAX_LENGTH_DIFFERENCE:
        doubt.append(
            f"the ventricle is {first.length:.0f} mm long in one view and {second.length:.0f} mm in the other: "
            "the shorter view may be foreshortened"
        )
    return judged(LENGTH_DIFFERENCE, value, "%", method, frames, doubts=doubt, beat=beat)
