"""Measurements as a table: for files, and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.table import Table

from echomotion.analysis import LAYERS, Analysis, describe_clip
from echomotion.core import Measurement
from echomotion.measure.beats import headline
from echomotion.report.style import STATUS_WORDS, in_words, value_words

_BRIEF = (
    "end_diastolic_volume",
    "end_systolic_volume",
    "ejection_fraction",
    "heart_rate",
    "global_longitudinal_strain",
    "longitudinal_strain",
)


def measurement_table(measurements: Sequence[Measurement]) -> pd.DataFrame:
    """One row per measurement with every field; lists become text, missing values are empty."""
    rows = [m.as_dict() for m in measurements]
    table = pd.DataFrame(rows)
    for column in ("frames", "interval"):
        table[column] = [" ".join(map(str, value)) if value else "" for value in table[column]]
    table["beat"] = table["beat"].astype("Int64")
    return table


def brief(analysis: Analysis) -> list[Measurement]:
    """The measurements that a reader looks for first: means over beats, first layer only."""
    rows = [m for m in headline(analysis.measurements) if m.layer in (None, str(LAYERS[0]))]
    return [m for name in _BRIEF for m in rows if m.name == name]


def terminal_table(analysis: Analysis) -> Table:
    """What the recording is, its phases, and the main numbers with unit and status."""
    table = Table(title=analysis.clip.source.name, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    facts = describe_clip(analysis.clip)
    table.add_row("View", str(analysis.clip.view), analysis.clip.source.view_origin)
    table.add_row("Frames", str(facts["frames"]), f"{facts['frame_rate_hz']} per second ({facts['times_from']})")
    table.add_row("Duration", f"{facts['duration_s']} s", "")
    table.add_row("Pixel size", facts["pixel_mm"] or "unknown", facts["pixel_size_from"])
    for k, beat in enumerate(analysis.phases.beats):
        name = "ED and ES" if len(analysis.phases.beats) == 1 else f"ED and ES, beat {k + 1}"
        sure = f"from {analysis.phases.source}, confidence {analysis.phases.confidence:.2f}"
        table.add_row(name, f"{beat.ed_s:.3f} s, {beat.es_s:.3f} s", sure)
    if not analysis.phases.beats:
        table.add_row("ED and ES", "–", analysis.phases.reason)
    table.add_section()
    for m in brief(analysis):
        name = in_words(m.name) if m.segment is None else f"  {in_words(m.segment)}"
        status = STATUS_WORDS[m.status] + (f": {m.reason}" if m.reason else "")
        table.add_row(name, value_words(m), status)
    return table
