"""How results are worded: names, segments, units, numbers, statuses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from echomotion.analysis_types import Analysis
from echomotion.core import Clip, Measurement, Status
from echomotion.measure.beats import headline
from echomotion.wall_tracking import LAYERS

NAMES = {
    "end_diastolic_volume": "End-diastolic volume",
    "end_systolic_volume": "End-systolic volume",
    "long_axis_length_diastole": "Long-axis length at end-diastole",
    "long_axis_length_systole": "Long-axis length at end-systole",
    "long_axis_difference": "Difference of the long axes",
    "sphericity_index_diastole": "Sphericity index at end-diastole",
    "sphericity_index_systole": "Sphericity index at end-systole",
    "mean_segmental_longitudinal_strain": "Mean of the segments' longitudinal strain",
    "mean_segmental_circumferential_strain": "Mean of the segments' circumferential strain",
    "mean_segmental_radial_strain": "Mean of the segments' radial strain",
    "peak_systolic_longitudinal_strain": "Peak systolic longitudinal strain",
    "positive_peak_systolic_longitudinal_strain": "Positive peak systolic longitudinal strain",
    "post_systolic_index": "Post-systolic index",
    "time_to_peak_longitudinal_strain": "Time to peak longitudinal strain",
    "systolic_longitudinal_strain_rate": "Systolic strain rate",
    "early_diastolic_longitudinal_strain_rate": "Early diastolic strain rate",
    "late_diastolic_longitudinal_strain_rate": "Late diastolic strain rate",
    "mitral_annular_plane_systolic_excursion": "Mitral annular plane systolic excursion",
    "wall_motion_score": "Wall-motion score",
    "wall_motion_score_index": "Wall-motion score index",
    "septal_thickness": "Septum",
    "lv_internal_diameter": "Cavity",
    "posterior_wall_thickness": "Posterior wall",
    "septal_thickness_diastole": "Septal thickness at end-diastole",
    "septal_thickness_systole": "Septal thickness at end-systole",
    "lv_internal_diameter_diastole": "Internal diameter at end-diastole",
    "lv_internal_diameter_systole": "Internal diameter at end-systole",
    "posterior_wall_thickness_diastole": "Posterior wall thickness at end-diastole",
    "posterior_wall_thickness_systole": "Posterior wall thickness at end-systole",
    "lv_mass": "Left-ventricular mass",
    "lv_mass_index": "Left-ventricular mass index",
    "lv_geometry": "Left-ventricular geometry",
}
SHORT = {
    "end_diastolic_volume": "EDV",
    "end_systolic_volume": "ESV",
    "ejection_fraction": "EF",
    "global_longitudinal_strain": "GLS",
    "global_circumferential_strain": "GCS",
    "global_radial_strain": "GRS",
    "post_systolic_index": "PSI",
    "mechanical_dispersion": "MD",
    "systolic_longitudinal_strain_rate": "s'",
    "early_diastolic_longitudinal_strain_rate": "e'",
    "late_diastolic_longitudinal_strain_rate": "a'",
    "mitral_annular_plane_systolic_excursion": "MAPSE",
    "wall_motion_score_index": "WMSI",
    "septal_thickness": "IVS",
    "lv_internal_diameter": "LVID",
    "posterior_wall_thickness": "LVPW",
    "septal_thickness_diastole": "IVSd",
    "lv_internal_diameter_diastole": "LVIDd",
    "posterior_wall_thickness_diastole": "LVPWd",
    "septal_thickness_systole": "IVSs",
    "lv_internal_diameter_systole": "LVIDs",
    "posterior_wall_thickness_systole": "LVPWs",
    "fractional_shortening": "FS",
    "relative_wall_thickness": "RWT",
    "left_atrial_volume": "LAV",
    "left_atrial_volume_index": "LAVI",
}
STATUSES = {Status.OK: "ok", Status.LOW_CONFIDENCE: "low confidence", Status.NOT_MEASURABLE: "not measurable"}
PHASE_SOURCES = {
    "r_wave": "the R waves",
    "area": "the cavity area",
    "wall_motion": "the motion of the wall",
    "area_and_wall_motion": "the cavity area and the motion of the wall",
    "user": "the user",
}

_UNITS = {"cm2": "cm²", "px2": "px²", "px3": "px³", "mL/m2": "mL/m²", "g/m2": "g/m²", "1": ""}
_DECIMALS = {"bpm": 0, "ms": 0, "px2": 0, "px3": 0, "s": 3, "1/s": 2, "1": 2}


def in_words(name: str) -> str:
    """A measurement's name for a reader."""
    return NAMES.get(name, name.replace("_", " ").capitalize())


def plain_name(name: str) -> str:
    """A segment's or layer's name for a reader; the middle of the wall is written as one word."""
    return "mid-wall" if name == "mid_wall" else name.replace("_", " ")


def unit_sign(unit: str) -> str:
    """A unit with its exponent raised."""
    return _UNITS.get(unit, unit)


def decimals_of(unit: str) -> int:
    """How many decimals a value of a unit is shown with."""
    return _DECIMALS.get(unit, 1)


def number(value: float, unit: str, *, decimals: int | None = None) -> str:
    """A value with its unit's decimals, a true minus sign and spaced thousands; a dash where unknown."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{decimals_of(unit) if decimals is None else decimals}f}".replace(",", "\u202f")
    # A value that rounds to nothing has no sign.
    return text.lstrip("-") if not any(digit in text for digit in "123456789") else text.replace("-", "−")


def headline_rows(measurements: Sequence[Measurement]) -> list[Measurement]:
    """One row a measurement: the mean over beats where there are several, of the layer that strain is reported from.

    What that layer does not have comes from the first one that does.
    """
    rows = headline(measurements)
    layers: dict[str, str | None] = {}
    for row in rows:
        if row.name not in layers or row.layer == LAYERS[0]:
            layers[row.name] = row.layer
    return [row for row in rows if row.layer in (None, layers[row.name])]


def find(rows: Sequence[Measurement], name: str) -> Measurement | None:
    """The measurement of the whole wall with that name, if there is one."""
    return next((row for row in rows if row.name == name and row.segment is None), None)


def pixel_size(clip: Clip) -> tuple[str, str]:
    """Pixel size with its unit, and where it came from."""
    if clip.spacing_mm is None:
        return "not calibrated", clip.source.spacing_origin if clip.source.spacing_origin != "none" else ""
    row, column = clip.spacing_mm
    text = f"{row:.4g} mm" if math.isclose(row, column, rel_tol=1e-3) else f"{row:.4g} x {column:.4g} mm"
    return text, clip.source.spacing_origin if clip.source.spacing_origin != "none" else "given"


def phase_times(analysis: Analysis) -> tuple[list[float], list[float]]:
    """Times of all end-diastoles and of all end-systoles in seconds, each once and in order."""
    beats = analysis.phases.beats
    ed = {time for beat in beats for time in (beat.ed_s, beat.next_ed_s) if time is not None}
    return sorted(ed), sorted({beat.es_s for beat in beats})


def closure_times(analysis: Analysis) -> list[float]:
    """Times of aortic valve closure in seconds, where it was given; empty where end-systole stands for it."""
    measure = analysis.provenance.get("options", {}).get("measure", {})
    after = measure.get("strain", {}).get("avc_after_ed_s") if isinstance(measure, dict) else None
    return [] if after is None else [beat.ed_s + after for beat in analysis.phases.beats if beat.ed_s < beat.es_s]
