"""Linear dimensions of the left ventricle on the measuring line of a parasternal long-axis view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.masks import PARASTERNAL_POINTS, Keypoints
from echomotion.core.measurement import Beat, Measurement, Phases
from echomotion.core.subject import Subject
from echomotion.core.views import View
from echomotion.measure.beats import doubts, frame_at, mean_over_beats
from echomotion.measure.contours import FloatArray
from echomotion.measure.lv_mass import mass_measurements, relative_wall_thickness
from echomotion.measure.rows import UNCALIBRATED, judged, phase_frame

SEPTUM, CAVITY, POSTERIOR = PARTS = ("septal_thickness", "lv_internal_diameter", "posterior_wall_thickness")
IVSD, LVIDD, LVPWD = (f"{part}_diastole" for part in PARTS)
IVSS, LVIDS, LVPWS = (f"{part}_systole" for part in PARTS)
SHORTENING, RELATIVE_THICKNESS = "fractional_shortening", "relative_wall_thickness"
THICKENINGS = ("septal_thickening", "posterior_wall_thickening")
NAMES = (IVSD, LVIDD, LVPWD, IVSS, LVIDS, LVPWS, SHORTENING, RELATIVE_THICKNESS, *THICKENINGS)

MIN_CONFIDENCE = 0.5
# The four points of a line that is square to both walls lie on it; further off, it cuts a wall obliquely.
MAX_BEND_DEG = 20.0
# In mm; beyond, a caliper is more likely to be wrong than the heart.
PLAUSIBLE = {SEPTUM: (3.0, 35.0), CAVITY: (10.0, 100.0), POSTERIOR: (3.0, 35.0)}


@dataclass(frozen=True)
class DimensionCurves:
    """Septum, cavity and posterior wall on every frame.

    Attributes
    ----------
    values : mapping of str to float64 (T,)
        By the names in :data:`PARTS`, in `unit`; NaN where a point is missing.
    unit : str
        ``mm``, or ``px`` (of square pixels) without calibration.
    reasons : tuple of str, T
        Why a frame has no dimensions; empty where it has them.
    doubts : tuple of tuple of str, T
        Why those of a frame are of low confidence.
    method : str
        How they were made.
    """

    values: dict[str, FloatArray]
    unit: str
    reasons: tuple[str, ...]
    doubts: tuple[tuple[str, ...], ...] = field(repr=False)
    method: str = ""


def dimension_curves(
    keypoints: Keypoints,
    spacing_mm: tuple[float, float] | None = None,
    *,
    reasons: Sequence[str] | None = None,
    method: str = "distance of neighbouring key-points",
) -> DimensionCurves:
    """Dimensions on every frame from the four key-points of the measuring line.

    The septum, the cavity and the posterior wall are the distances between neighbours of
    :data:`~echomotion.core.masks.PARASTERNAL_POINTS` (leading edges of the walls' borders, at the tips of the mitral
    leaflets and square to the long axis: Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).

    Parameters
    ----------
    keypoints : Keypoints
        With the four names; from a detector, an annotation, or :func:`echomotion.measure.parasternal.measuring_line`.
    spacing_mm : (float, float), optional
        Height and width of a pixel.
    reasons : sequence of str, T, optional
        Why points are missing on a frame, where that is known.
    method : str
        How the points were made, for the report.

    Raises
    ------
    DataError
        When a name is missing.
    """
    missing = [name for name in PARASTERNAL_POINTS if name not in keypoints.names]
    if missing:
        raise DataError(f"the key-points lack {', '.join(missing)}; there are {', '.join(keypoints.names) or 'none'}")
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    points = np.stack([keypoints.point(name) for name in PARASTERNAL_POINTS]) * (sx, sy)
    rows = [keypoints.names.index(name) for name in PARASTERNAL_POINTS]
    steps = np.diff(points, axis=0)
    lengths = np.hypot(steps[..., 0], steps[..., 1])
    why, unsure = [], []
    for t in range(points.shape[1]):
        problem = _problem(points[:, t])
        own = _frame_doubts(
            steps[:, t], lengths[:, t], keypoints.confidence[rows, t], calibrated=spacing_mm is not None
        )
        why.append((reasons[t] if reasons is not None and reasons[t] else problem) if problem else "")
        unsure.append(() if problem else own)
        if problem:
            lengths[:, t] = np.nan
    values = dict(zip(PARTS, lengths, strict=True))
    return DimensionCurves(values, "px" if spacing_mm is None else "mm", tuple(why), tuple(unsure), method)


def _problem(points: FloatArray) -> str:
    """Why four points (4, 2) make no measuring line; empty where they do."""
    lost = [name for name, point in zip(PARASTERNAL_POINTS, points, strict=True) if not np.isfinite(point).all()]
    if lost:
        return f"no {', '.join(lost)}"
    line = points[-1] - points[0]
    if not np.all(np.diff(points @ line) > 0):
        return "the key-points do not follow each other from the septum to the posterior wall"
    return ""


def _frame_doubts(
    steps: FloatArray, lengths: FloatArray, confidence: np.ndarray, *, calibrated: bool
) -> tuple[str, ...]:
    """Why the dimensions of a frame may be wrong, from steps (3, 2) between points, and their confidence."""
    found = [
        f"the key-point {name} has a confidence of {sure:.2f}"
        for name, sure in zip(PARASTERNAL_POINTS, confidence, strict=True)
        if not sure >= MIN_CONFIDENCE
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        units = steps / lengths[:, None]
        bend = np.degrees(np.arccos(np.clip(np.sum(units[:-1] * units[1:], axis=1), -1, 1)))
    if np.any(bend > MAX_BEND_DEG):
        found.append(f"the measuring line bends by {np.nanmax(bend):.0f} degrees: it cuts a wall obliquely")
    for name, length in zip(PARTS, lengths, strict=True):
        low, high = PLAUSIBLE[name]
        if calibrated and not low <= length <= high:
            found.append(f"{name.replace('_', ' ')} of {length:.0f} mm is not plausible")
    return tuple(found)


def fractional_shortening(diastole: float, systole: float) -> float:
    """``100 * (LVIDd - LVIDs) / LVIDd`` in % (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003)."""
    return 100 * (diastole - systole) / diastole


def thickening(curve: FloatArray, phases: Phases, times_s: FloatArray) -> FloatArray:
    """Thickening of a wall in % of its thickness at the end-diastole of each beat, (T,); NaN outside the beats.

    Parameters
    ----------
    curve : float (T,)
        Thickness.
    phases : Phases
    times_s : float (T,)
        Time of each frame.
    """
    out = np.full(len(curve), np.nan)
    for beat in phases.beats:
        ed, problem = phase_frame(times_s, beat.ed_s, "end-diastole")
        if ed is None or problem:
            continue
        end = len(curve) - 1 if beat.next_ed_s is None else frame_at(times_s, beat.next_ed_s)
        # The end-diastole between two beats belongs to the later one, whose reference it is.
        with np.errstate(divide="ignore", invalid="ignore"):
            out[ed : end + 1] = 100 * (curve[ed : end + 1] / curve[ed] - 1)
    return out


def dimension_measurements(
    curves: DimensionCurves,
    phases: Phases,
    times_s: FloatArray,
    view: View = View.UNKNOWN,
    subject: Subject | None = None,
) -> list[Measurement]:
    """Dimensions of every beat, what follows from them, mass and geometry, per beat and averaged.

    Parameters
    ----------
    curves : DimensionCurves
        From :func:`dimension_curves`.
    phases : Phases
        Beats; where there is none, every measurement is ``not_measurable`` with that reason.
    times_s : float (T,)
        Time of each frame.
    view : View
        PLAX; ``UNKNOWN`` is taken as that, with status ``low_confidence``.
    subject : Subject, optional
        Sex and body size, for the mass index and the geometry.

    Returns
    -------
    list of Measurement
        For each beat :data:`NAMES` and those of :func:`echomotion.measure.lv_mass.mass_measurements`; where there are
        several beats, then the means with ``beat`` None. Without calibration lengths are in px, ``low_confidence``,
        and mass is ``not_measurable``; ratios need none (square pixels are then assumed).
    """
    refusal = "" if view in (View.PLAX, View.UNKNOWN) else f"dimensions need a PLAX view, this one is {view}"
    if refusal or not phases.beats:
        reason = refusal or phases.reason or "no heart beat was found in the recording"
        rows = [Measurement.missing(name, _unit(name, curves.unit), reason, view=view) for name in NAMES]
        return rows + mass_measurements(rows, subject, 1)
    rows = []
    for k, beat in enumerate(phases.beats):
        rows += _beat_dimensions(curves, phases, beat, k, times_s, view)
    rows += mean_over_beats(rows, len(phases.beats))
    return rows + mass_measurements(rows, subject, len(phases.beats))


def _unit(name: str, length_unit: str) -> str:
    if name == RELATIVE_THICKNESS:
        return "1"
    return "%" if name == SHORTENING or name in THICKENINGS else length_unit


def _beat_dimensions(
    curves: DimensionCurves, phases: Phases, beat: Beat, k: int, times_s: FloatArray, view: View
) -> list[Measurement]:
    """The measurements of :data:`NAMES` for one beat."""
    shared = doubts(phases)
    if view is View.UNKNOWN:
        shared.append("the view is not stated, a parasternal long-axis view is assumed")
    found: dict[str, float] = {}
    frames: list[int] = []
    problems, unsure = [], []
    for phase, time, names in (
        ("end-diastole", beat.ed_s, (IVSD, LVIDD, LVPWD)),
        ("end-systole", beat.es_s, (IVSS, LVIDS, LVPWS)),
    ):
        frame, problem = phase_frame(times_s, time, phase)
        if frame is not None and curves.reasons[frame]:
            problem = f"no measuring line on frame {frame}: {curves.reasons[frame]}"
        problems.append(problem)
        unsure.append(shared if frame is None else [*curves.doubts[frame], *shared])
        frames += [] if frame is None else [frame]
        for part, name in zip(PARTS, names, strict=True):
            found[name] = math.nan if frame is None else float(curves.values[part][frame])
    either, doubt = problems[0] or problems[1], unsure[0] + unsure[1]
    uncalibrated = [] if curves.unit == "mm" else [UNCALIBRATED]
    square = ", square pixels assumed" if uncalibrated else ""
    rows = []
    for i, name in enumerate(NAMES[:6]):
        late = i >= 3
        where = () if not frames or problems[late] else (frames[-1 if late else 0],)
        how = f"{curves.method} at {'end-systole' if late else 'end-diastole'}"
        rows.append(
            judged(
                name,
                found[name],
                curves.unit,
                how,
                where,
                missing=problems[late],
                doubts=uncalibrated + unsure[late],
                view=view,
                beat=k,
            )
        )
    derived = (
        (SHORTENING, fractional_shortening(found[LVIDD], found[LVIDS]), "(LVIDd - LVIDs) / LVIDd", True),
        (RELATIVE_THICKNESS, relative_wall_thickness(found[LVIDD], found[LVPWD]), "2 LVPWd / LVIDd", False),
        (THICKENINGS[0], 100 * (found[IVSS] / found[IVSD] - 1), "(IVSs - IVSd) / IVSd", True),
        (THICKENINGS[1], 100 * (found[LVPWS] / found[LVPWD] - 1), "(LVPWs - LVPWd) / LVPWd", True),
    )
    for name, value, formula, both in derived:
        rows.append(
            judged(
                name,
                value,
                _unit(name, curves.unit),
                f"{formula}{square}, {curves.method}",
                frames if both else frames[:1],
                missing=either if both else problems[0],
                doubts=doubt if both else unsure[0],
                view=view,
                beat=k,
            )
        )
    return rows
