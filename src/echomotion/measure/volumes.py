"""Volumes of the left ventricle from one apical view, ejection fraction, cavity area, heart rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from echomotion.core.clip import checked_spacing
from echomotion.core.masks import Masks
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.views import View
from echomotion.measure.beats import doubts, frame_at, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.wall import WallLines, WallNotFoundError, cavity_area_px, find_wall

DISKS = 20
UNCALIBRATED = "the recording is not calibrated: no pixel spacing"
NAMES = ("end_diastolic_volume", "end_systolic_volume", "stroke_volume", "ejection_fraction", "heart_rate")
_METHOD = f"monoplane disk summation ({DISKS} disks)"


def disk_volume(contour: FloatArray, annulus: FloatArray, apex: FloatArray, disks: int = DISKS) -> float:
    """Volume of a ventricle from its outline in one apical view, by the summation of disks.

    The long axis runs from the middle of the annulus to the apex and is cut into disks of equal height;
    each has the diameter of the cavity across the axis at its middle: ``V = pi / 4 * sum(d_i^2) * L / n``
    (modified Simpson's rule: Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).

    Parameters
    ----------
    contour : float (M, 2)
        Endocardial border from one annulus point to the other, in a unit that is the same along x and y;
        the annulus closes it.
    annulus : float (2, 2)
        The two annulus points.
    apex : float (2,)
        Far end of the long axis.
    disks : int
        Number of disks n.

    Returns
    -------
    float
        Volume in the cube of the contour's unit.
    """
    middle = annulus.mean(axis=0)
    height = float(np.hypot(*(apex - middle)))
    along = (apex - middle) / height
    across = np.array([-along[1], along[0]])
    local = (np.concatenate([contour, contour[:1]]) - middle) @ np.stack([across, along], axis=1)
    (u0, v0), (u1, v1) = local[:-1].T, local[1:].T
    levels = (np.arange(disks)[:, None] + 0.5) * height / disks
    crosses = (v0 > levels) != (v1 > levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(crosses, u0 + (levels - v0) / (v1 - v0) * (u1 - u0), np.nan)
    diameters = np.zeros(disks)
    for k in range(disks):
        # Across an indented border the disk has the summed length of its chords.
        ends = np.sort(u[k][crosses[k]])
        diameters[k] = np.sum(ends[1::2] - ends[::2])
    return float(np.pi / 4 * np.sum(diameters**2) * height / disks)


def wall_volume(lines: WallLines, spacing_mm: tuple[float, float] | None) -> float:
    """Cavity volume in mL from an outlined wall; in px3, of square pixels, without spacing."""
    step = np.array([1.0, 1.0] if spacing_mm is None else checked_spacing(spacing_mm)[::-1])
    volume = disk_volume(lines.endocardial * step, lines.annulus * step, lines.apex * step)
    return volume if spacing_mm is None else volume / 1000


def long_axis(lines: WallLines, spacing_mm: tuple[float, float] | None) -> float:
    """Distance from the middle of the annulus to the apex in mm (px without spacing)."""
    step = np.array([1.0, 1.0] if spacing_mm is None else checked_spacing(spacing_mm)[::-1])
    return float(np.hypot(*((lines.apex - lines.annulus.mean(axis=0)) * step)))


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
    """

    volume: FloatArray
    area: FloatArray
    volume_unit: str
    area_unit: str
    reasons: tuple[str, ...]


def cavity_area(masks: Masks, spacing_mm: tuple[float, float] | None = None) -> FloatArray:
    """Area of the cavity's largest part on every frame (T,), in cm2 (px2 without spacing); NaN where none is."""
    scale = 1.0 if spacing_mm is None else math.prod(checked_spacing(spacing_mm)) / 100
    return cavity_area_px(masks) * scale


def volume_curve(masks: Masks, spacing_mm: tuple[float, float] | None = None) -> VolumeCurve:
    """Monoplane volume and area of the cavity on every frame."""
    volume = np.full(masks.n_frames, np.nan)
    reasons = []
    for t in range(masks.n_frames):
        try:
            volume[t] = wall_volume(find_wall(masks, t, spacing_mm), spacing_mm)
            reasons.append("")
        except WallNotFoundError as error:
            reasons.append(error.reason)
    units = ("px3", "px2") if spacing_mm is None else ("mL", "cm2")
    return VolumeCurve(volume, cavity_area(masks, spacing_mm), *units, tuple(reasons))


def volume_measurements(
    masks: Masks,
    phases: Phases,
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
    view: View = View.UNKNOWN,
    *,
    curve: VolumeCurve | None = None,
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
        From :func:`volume_curve`, where it was made before.

    Returns
    -------
    list of Measurement
        For each beat the five of :data:`NAMES`, then, where there are several beats, the means over beats
        with ``beat`` None.
    """
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
        curve = _curve_at(masks, phases, times_s, spacing_mm)
    rows: list[Measurement] = []
    for k, beat in enumerate(phases.beats):
        rows += _beat_volumes(curve, phases, beat, k, times_s, view)
        rows.append(_heart_rate(phases, beat, k, times_s, view))
    return rows + mean_over_beats(rows, len(phases.beats))


def _curve_at(masks: Masks, phases: Phases, times_s: FloatArray, spacing_mm: tuple[float, float] | None) -> VolumeCurve:
    """The volume curve at the end-diastoles and end-systoles alone."""
    frames = sorted({frame_at(times_s, t) for beat in phases.beats for t in (beat.ed_s, beat.es_s)})
    part = volume_curve(Masks(masks.labels[frames], masks.classes), spacing_mm)
    volume, area = np.full((2, masks.n_frames), np.nan)
    volume[frames], area[frames] = part.volume, part.area
    reasons = [""] * masks.n_frames
    for frame, reason in zip(frames, part.reasons, strict=True):
        reasons[frame] = reason
    return VolumeCurve(volume, area, part.volume_unit, part.area_unit, tuple(reasons))


def _beat_volumes(
    curve: VolumeCurve, phases: Phases, beat: Beat, k: int, times_s: FloatArray, view: View
) -> list[Measurement]:
    """Volumes and ejection fraction of one beat."""
    ed, es = frame_at(times_s, beat.ed_s), frame_at(times_s, beat.es_s)
    edv, esv = float(curve.volume[ed]), float(curve.volume[es])
    problem = {
        t: f"no ventricular wall on frame {t}: {curve.reasons[t]}" if math.isnan(curve.volume[t]) else ""
        for t in (ed, es)
    }
    both = problem[ed] or problem[es]
    uncalibrated = [UNCALIBRATED] if curve.volume_unit == "px3" else []
    shared = doubts(phases, view)
    fraction = 100 * (edv - esv) / edv
    odd = [] if both or 5 <= fraction <= 90 else ["an ejection fraction outside 5 to 90 % is not plausible"]
    square = ", square pixels assumed" if uncalibrated else ""
    plan = (
        (NAMES[0], edv, curve.volume_unit, problem[ed], uncalibrated, (ed,), f"{_METHOD} at end-diastole"),
        (NAMES[1], esv, curve.volume_unit, problem[es], uncalibrated, (es,), f"{_METHOD} at end-systole"),
        (NAMES[2], edv - esv, curve.volume_unit, both, uncalibrated + odd, (ed, es), f"{_METHOD}, EDV - ESV"),
        (NAMES[3], fraction, "%", both, odd, (ed, es), f"{_METHOD}, (EDV - ESV) / EDV{square}"),
    )
    rows = []
    for name, value, unit, missing, own, frames, method in plan:
        if missing:
            rows.append(Measurement.missing(name, unit, missing, method=method, frames=frames, view=view, beat=k))
            continue
        reasons = own + shared
        status = Status.LOW_CONFIDENCE if reasons else Status.OK
        rows.append(Measurement(name, value, unit, status, "; ".join(reasons), method, frames, view, k))
    return rows


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
