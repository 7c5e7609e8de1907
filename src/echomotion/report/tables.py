"""Results as tables: rows for files, and the table that the terminal shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from echomotion.analysis_types import Analysis
from echomotion.core import Measurement, Status, View
from echomotion.report.words import (
    PHASE_SOURCES,
    SHORT,
    STATUSES,
    decimals_of,
    headline_rows,
    in_words,
    plain_name,
    unit_sign,
)

_COLUMNS = (
    "name",
    "segment",
    "layer",
    "beat",
    "value",
    "unit",
    "status",
    "reason",
    "interval_low",
    "interval_high",
    "frames",
    "view",
    "method",
)
# What is told of a recording in brief, in this order.
SHOWN = (
    "end_diastolic_volume",
    "end_systolic_volume",
    "ejection_fraction",
    "heart_rate",
    "global_longitudinal_strain",
    "longitudinal_strain",
    "global_circumferential_strain",
    "global_radial_strain",
    "mechanical_dispersion",
    "wall_motion_score_index",
    "mitral_annular_plane_systolic_excursion",
    "left_atrial_volume",
    "left_atrial_volume_index",
    "septal_thickness_diastole",
    "lv_internal_diameter_diastole",
    "posterior_wall_thickness_diastole",
    "lv_internal_diameter_systole",
    "fractional_shortening",
    "relative_wall_thickness",
    "lv_mass",
    "lv_mass_index",
)
_STYLES = {Status.OK: "green", Status.LOW_CONFIDENCE: "yellow", Status.NOT_MEASURABLE: "dim"}


def measurement_rows(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Measurements as flat rows of plain values.

    Parameters
    ----------
    measurements : sequence of Measurement

    Returns
    -------
    list of dict
        ``value`` is None where not measurable; ``beat`` counts from 0 and is None for the mean over beats;
        ``frames`` are joined by spaces.
    """
    rows = []
    for measurement in measurements:
        row = measurement.as_dict()
        low, high = row.pop("interval") or (None, None)
        row |= {"interval_low": low, "interval_high": high, "frames": " ".join(map(str, row["frames"]))}
        rows.append({column: row[column] for column in _COLUMNS})
    return rows


def measurement_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """The rows of :func:`measurement_rows` as a table, ``beat`` as whole numbers."""
    table = pd.DataFrame(measurement_rows(measurements), columns=list(_COLUMNS))
    return table.astype({"beat": "Int64", "value": "float64", "interval_low": "float64", "interval_high": "float64"})


def terminal_table(analysis: Analysis) -> Table:
    """What the command line shows: facts of the clip, phases, volumes, strain, each with unit and status.

    The reasons for low confidence and for missing numbers stand under the table.
    """
    notes: dict[str, int] = {}
    table = Table(title=escape(analysis.clip.source.name), title_justify="left", caption_justify="left")
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("status")
    _add_clip(table, analysis)
    table.add_section()
    _add_phases(table, analysis)
    table.add_section()
    rows = headline_rows(analysis.measurements)
    for name in SHOWN:
        for row in rows:
            if row.name == name:
                _add_measurement(table, row, notes)
    if notes:
        table.caption = "\n".join(f"({k}) {escape(reason)}" for reason, k in notes.items())
    return table


def _add_clip(table: Table, analysis: Analysis) -> None:
    clip, source = analysis.clip, analysis.clip.source
    known = clip.view is not View.UNKNOWN
    table.add_row("View", str(clip.view) if known else "-", "", _from(source.view_origin) if known else "not stated")
    table.add_row("Frames", str(clip.n_frames), "", _from(source.times_origin))
    table.add_row("Duration", f"{clip.times_s[-1] - clip.times_s[0]:.2f}", "s", _from(source.times_origin))
    if clip.spacing_mm is None:
        table.add_row("Pixel size", "-", "mm", "not calibrated")
    else:
        row, column = clip.spacing_mm
        same = math.isclose(row, column, rel_tol=1e-3)
        size = f"{row:.4g}" if same else f"{row:.4g} x {column:.4g}"
        table.add_row("Pixel size", size, "mm", _from(source.spacing_origin))


def _add_phases(table: Table, analysis: Analysis) -> None:
    phases = analysis.phases
    if not phases.beats:
        for name in ("End-diastole", "End-systole"):
            table.add_row(name, "-", "s", _status(Status.NOT_MEASURABLE))
        return
    several = len(phases.beats) > 1
    source = f"from {PHASE_SOURCES.get(phases.source, phases.source)}, confidence {phases.confidence:.2f}"
    for k, beat in enumerate(phases.beats, start=1):
        which = f", beat {k}" if several else ""
        table.add_row(f"End-diastole (ED){which}", f"{beat.ed_s:.3f}", "s", escape(source))
        table.add_row(f"End-systole (ES){which}", f"{beat.es_s:.3f}", "s", escape(source))


def _add_measurement(table: Table, row: Measurement, notes: dict[str, int]) -> None:
    name = in_words(row.name) + (f" ({SHORT[row.name]})" if row.name in SHORT else "")
    if row.segment:
        name = f"  {'strain' if row.name.endswith('strain') else in_words(row.name)} {plain_name(row.segment)}"
    # Plain signs only: not every terminal knows a true minus.
    value = f"{row.value:.{max(1, decimals_of(row.unit))}f}" if math.isfinite(row.value) else "-"
    mark = f" ({notes.setdefault(row.reason, len(notes) + 1)})" if row.reason else ""
    table.add_row(escape(name), value, unit_sign(row.unit) and row.unit, _status(row.status) + mark)


def _status(status: Status) -> str:
    return f"[{_STYLES[status]}]{STATUSES[status]}[/]"


def _from(where: str) -> str:
    return "" if where in ("", "none") else escape(f"from {where}")
