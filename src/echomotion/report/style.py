"""Colours and words that the overlay, the curves and the page share."""

from __future__ import annotations

from echomotion.core import Measurement, Status

# Six colours that people with any colour vision tell apart (after Okabe and Ito 2008), along the wall.
SEGMENT_COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#F0E442", "#E69F00", "#D55E00")
# Yellow is too pale for a line on white paper.
SEGMENT_INKS = ("#0072B2", "#56B4E9", "#009E73", "#B8A900", "#E69F00", "#D55E00")
CAVITY, EPICARDIUM, ATRIUM = (255, 255, 255), (170, 200, 255), (200, 150, 220)

STATUS_WORDS = {
    Status.OK: "✓ ok",
    Status.LOW_CONFIDENCE: "△ low confidence",
    Status.NOT_MEASURABLE: "✕ not measurable",
}

NAMES = {
    "end_diastolic_volume": "End-diastolic volume (EDV)",
    "end_systolic_volume": "End-systolic volume (ESV)",
    "stroke_volume": "Stroke volume",
    "ejection_fraction": "Ejection fraction (EF)",
    "heart_rate": "Heart rate",
    "global_longitudinal_strain": "Global longitudinal strain (GLS)",
    "peak_longitudinal_strain": "Peak longitudinal strain",
    "longitudinal_strain": "Longitudinal strain",
}
UNITS = {"cm2": "cm²", "px2": "px²", "px3": "px³"}
_DECIMALS = {"%": 1, "mL": 0, "px3": 0, "px2": 0, "bpm": 0, "cm2": 1, "mm": 1, "s": 3}


def in_words(name: str) -> str:
    """A measurement's or segment's name for a reader."""
    return NAMES.get(name, name.replace("_", " ").capitalize())


def unit_words(unit: str) -> str:
    """A unit as it is printed."""
    return UNITS.get(unit, unit)


def value_words(measurement: Measurement) -> str:
    """Value with its unit, or a dash where there is none."""
    if measurement.status is Status.NOT_MEASURABLE:
        return "–"
    decimals = _DECIMALS.get(measurement.unit, 2)
    return f"{measurement.value:,.{decimals}f} {unit_words(measurement.unit)}"


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
