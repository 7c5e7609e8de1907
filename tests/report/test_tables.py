from __future__ import annotations

import math

import pandas as pd
from rich.console import Console

from echomotion.analysis_types import Analysis
from echomotion.report.tables import measurement_rows, measurement_table, terminal_table
from tests.report.samples import no_ventricle, ventricle, with_strange_text


def _printed(analysis: Analysis, width: int = 110) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(terminal_table(analysis))
    return console.export_text()


def test_rows_keep_every_field() -> None:
    analysis = ventricle()
    rows = measurement_rows(analysis.measurements)
    assert len(rows) == len(analysis.measurements)
    for row, measurement in zip(rows, analysis.measurements, strict=True):
        assert row["value"] == (None if math.isnan(measurement.value) else measurement.value)
        assert (row["name"], row["unit"], row["status"]) == (measurement.name, measurement.unit, measurement.status)
        assert row["frames"] == " ".join(map(str, measurement.frames))
        assert row["method"] == measurement.method


def test_missing_numbers_stay_missing() -> None:
    analysis = no_ventricle()
    assert all(row["value"] is None for row in measurement_rows(analysis.measurements))
    table = measurement_table(analysis.measurements)
    assert table["value"].isna().all()
    assert (table["reason"].str.len() > 0).all()
    assert isinstance(measurement_table(()), pd.DataFrame)


def test_the_terminal_shows_what_was_promised() -> None:
    analysis = ventricle()
    text = _printed(analysis)
    for words in ("View", "Frames", "Duration", "Pixel size", "End-diastole (ED)", "End-systole (ES)"):
        assert words in text
    for words in ("(EDV)", "(ESV)", "(EF)", "(GLS)", "basal inferoseptal", "apical lateral", "mL", "from DICOM region"):
        assert words in text
    assert f"{analysis['ejection_fraction'].value:.1f}" in text
    assert text.count("strain ") >= 6
    assert " ok" in text


def test_the_terminal_says_why_numbers_are_missing() -> None:
    text = _printed(no_ventricle())
    assert "not measurable (1)" in text
    assert "(1) no ventricular cavity was found on most frames" in text
    assert "nan" not in text
    assert "not calibrated" in text


def test_square_brackets_in_names_are_text() -> None:
    assert "[bold]x[/bold]" in _printed(with_strange_text(ventricle(), "[bold]x[/bold]"))


def test_no_value_is_nan_in_rows() -> None:
    for row in measurement_rows(no_ventricle().measurements):
        assert not any(isinstance(value, float) and math.isnan(value) for value in row.values())
