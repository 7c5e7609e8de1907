"""How results are worded: names, segments, units, numbers, statuses."""

from __future__ import annotations

import math
from collections.abc import Sequence

from echomotion.analysis import LAYERS, Analysis
from echomotion.core import Clip, Measurement, Status
from echomotion.measure.beats import headline

NAMES = {
    "end_diastolic_volume": "End-diastolic volume",
    "end_systolic_volume": "End-systolic volume",
    "stroke_volume": "Stroke volume",
    "ejection_fraction": "Ejection fraction",
    "heart_rate": "Heart rate",
    "global_longitudinal_strain": "Global longitudinal strain",
    "peak_longitudinal_strain": "Peak longitudinal strain",
    "longitudinal_strain": "Longitudinal strain",
}
SHORT = {
    "end_diastolic_volume": "EDV",
    "end_systolic_volume": "ESV",
    "ejection_fraction": "EF",
    "global_longitudinal_strain": "GLS",
}
STATUSES = {Status.OK: "ok", Status.LOW_CONFIDENCE: "low confidence", Status.NOT_MEASURABLE: "not measurable"}
PHASE_SOURCES = {
    "r_wave": "the R waves",
    "area": "the cavity area",
    "wall_motion": "the motion of the wall",
    "area_and_wall_motion": "cavity area and motion of the wall",
    "user": "the user",
}

_UNITS = {"cm2": "cm²", "px2": "px²", "px3": "px³"}
_DECIMALS = {"bpm": 0, "px2": 0, "px3": 0, "s": 3}


def in_words(name: str) -> str:
    """A measurement's name for a reader."""
    return NAMES.get(name, name.replace("_", " ").capitalize())


def plain_name(name: str) -> str:
    """A segment's or layer's name for a reader; the middle of the wall is written as one word."""
    return "mid-wall" if name == "mid_wall" else name.replace("_", " ")


def unit_sign(unit: str) -> str:
    """A unit with its exponent raised."""
    return _UNITS.get(unit, unit)


def number(value: float, unit: str, *, decimals: int | None = None) -> str:
    """A value with the decimals its unit deserves, a true minus sign and spaced thousands; a dash where unknown."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.{_DECIMALS.get(unit, 1) if decimals is None else decimals}f}".replace(",", "\u202f")
    # A value that rounds to nothing has no sign.
    return text.lstrip("-") if not any(digit in text for digit in "123456789") else text.replace("-", "−")


def headline_rows(measurements: Sequence[Measurement]) -> list[Measurement]:
    """One row a measurement (mean over beats where there are several), of the layer that strain is reported from."""
    return [row for row in headline(measurements) if row.layer in (None, LAYERS[0])]


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
