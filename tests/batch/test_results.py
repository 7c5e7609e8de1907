"""Tables and page of cases whose results are known."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from echomotion.batch.case import Case, CaseStatus, analysed_hash, read_case
from echomotion.batch.page import batch_page
from echomotion.batch.tables import all_measurements, case_table
from echomotion.core import OutputError
from echomotion.report.save import save_analysis
from tests.report.samples import no_ventricle, parasternal, ventricle

SMALL = {"fps": 10, "shape": (96, 96), "spacing_mm": (1.5, 1.5)}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    root = tmp_path_factory.mktemp("cases")
    made = {
        "a b/one.dcm": ventricle(**SMALL),
        "empty.dcm": no_ventricle(),
        "plax.dcm": parasternal(),
        "raw.avi": ventricle(**SMALL, calibrated=False),
    }
    done = []
    for name, analysis in made.items():
        save_analysis(analysis, root / name)
        done.append(read_case(name, root / name))
    return [
        *done,
        Case("still", CaseStatus.SKIPPED, "a single frame (a still) has no motion"),
        Case("x<y>.avi", CaseStatus.FAILED, "the file is empty; copy it again"),
    ]


def test_a_case_is_read_back_as_it_was_measured(tmp_path: Path) -> None:
    analysis = ventricle(**SMALL)
    save_analysis(analysis, tmp_path / "one")
    case = read_case("one", tmp_path / "one")
    assert [m.as_dict() for m in case.measurements] == [m.as_dict() for m in analysis.measurements]
    assert case.beats == len(analysis.phases.beats)
    assert analysed_hash(tmp_path / "one") == analysis.provenance["input"]["sha256"]
    assert analysed_hash(tmp_path) == ""
    (tmp_path / "one" / "measurements.json").write_text("{}")
    with pytest.raises(OutputError, match="these results cannot be read"):
        read_case("one", tmp_path / "one")


def test_the_table_of_cases_has_a_row_each_and_no_pixels_among_millilitres(cases: list[Case], tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    case_table(cases).to_csv(path, index=False)
    table = pd.read_csv(path).set_index("case")
    assert list(table.index) == [case.name for case in cases]
    assert table["status"].tolist() == ["done"] * 4 + ["skipped", "failed"]
    one = ventricle(**SMALL)["end_diastolic_volume"]
    assert one.unit == "mL"
    assert table.loc["a b/one.dcm", "end_diastolic_volume [mL]"] == pytest.approx(one.value)
    assert pd.isna(table.loc["raw.avi", "end_diastolic_volume [mL]"])
    assert table.loc["raw.avi", "end_diastolic_volume status"].endswith("(px3)")
    assert table.loc["raw.avi", "ejection_fraction [%]"] > 0
    assert table.loc["empty.dcm", "ejection_fraction status"] == "not_measurable"
    assert pd.isna(table.loc["empty.dcm", "ejection_fraction [%]"])
    assert table.loc["plax.dcm", "lv_internal_diameter_diastole [mm]"] > 0
    assert not [column for column in table.columns if "px" in column]


def test_all_measurements_are_told_apart_by_case(cases: list[Case]) -> None:
    table = all_measurements(cases)
    assert list(table.columns)[:3] == ["case", "name", "segment"]
    counts = table["case"].value_counts()
    assert {name: counts[name] for name in counts.index} == {c.name: len(c.measurements) for c in cases[:4]}
    assert all_measurements(cases[4:]).empty
    assert list(all_measurements([]).columns) == list(table.columns)


def test_the_page_links_every_result_and_names_what_has_none(cases: list[Case]) -> None:
    page = batch_page(cases, title="heart & soul", total=9)
    assert 'href="a%20b/one.dcm/report.html"' in page
    assert 'src="a%20b/one.dcm/key_frames.png"' in page
    assert "3 recordings have not been looked at yet" in page
    assert "heart &amp; soul" in page
    assert "x&lt;y&gt;.avi" in page
    assert "x<y>" not in page
    # What failed stands before what is no cine.
    assert page.index("the file is empty") < page.index("a single frame (a still)")
    # Nothing in it acts, or comes from elsewhere.
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "Look at these first" in page
    assert "have not been looked at" not in batch_page(cases, title="x", total=6)
