"""The tables of a batch: a row for each recording, and a row for each measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from echomotion.batch.case import Case, CaseStatus
from echomotion.core import Status
from echomotion.report.tables import SHOWN, measurement_table
from echomotion.report.words import find, headline_rows

_FACTS = ("view", "frames", "duration_s", "frame_rate_hz", "pixel_mm")


def case_table(cases: Sequence[Case]) -> pd.DataFrame:
    """One row a recording: what became of it, facts, and the measurements of its headline with their statuses.

    Parameters
    ----------
    cases : sequence of Case

    Returns
    -------
    DataFrame
        Columns ``case, status, reason, view, frames, duration_s, frame_rate_hz, pixel_mm, beats, warnings`` and, for
        each measurement that any of the recordings has, ``name status`` and ``name [unit]`` (``name`` alone where it
        has no unit), as ``echomotion agreement`` reads them. A value in pixels, of a recording without calibration,
        is not put beside millilitres: it stands in :func:`all_measurements` alone.
    """
    rows = [_row(case) for case in cases]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    # Measurements in the order of the list, whichever recording had them first.
    rank = {name: k for k, name in enumerate(SHOWN)}
    columns.sort(key=lambda column: rank.get(column.split(" ")[0], -1))
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"frames": "Int64", "beats": "Int64"})


def all_measurements(cases: Sequence[Case]) -> pd.DataFrame:
    """One row a measurement of each recording: a column ``case``, then those of a single one's ``measurements.csv``."""
    tables = []
    for case in cases:
        if case.status is CaseStatus.DONE:
            table = measurement_table(case.measurements)
            table.insert(0, "case", case.name)
            tables.append(table)
    if not tables:
        empty = measurement_table(())
        empty.insert(0, "case", pd.Series(dtype=str))
        return empty
    return pd.concat(tables, ignore_index=True)


def _row(case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case.name, "status": str(case.status), "reason": case.reason}
    row |= {fact: case.clip.get(fact) for fact in _FACTS}
    row |= {"beats": case.beats if case.status is CaseStatus.DONE else None, "warnings": "; ".join(case.warnings)}
    shown = headline_rows(case.measurements)
    for name in SHOWN:
        found = find(shown, name)
        if found is None:
            continue
        row[f"{name} status"] = str(found.status)
        if found.unit.startswith("px"):
            row[f"{name} status"] += f" ({found.unit})"
        elif found.status is not Status.NOT_MEASURABLE:
            row[name if found.unit == "1" else f"{name} [{found.unit}]"] = found.value
    return row
