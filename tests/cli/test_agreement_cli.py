"""The command that compares two cohort tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from echomotion.cli import app


def run(*arguments):
    return CliRunner().invoke(app, ["agreement", *map(str, arguments)])


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(1)
    ef = rng.normal(55, 10, 20)
    for name, error in (("auto", rng.normal(1, 3, 20)), ("expert", np.zeros(20))):
        cases = [f"p{k:02d}" for k in range(20)]
        table = pd.DataFrame({"case": cases, "EF/biplane": ef + error, "same": ef})
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path / "auto.csv", tmp_path / "expert.csv"


def test_plots_table_and_json_are_written(tables, tmp_path):
    out = tmp_path / "out"
    done = run(*tables, "-o", out, "--resamples", 100, "--measurement", "EF/biplane")
    assert done.exit_code == 0, done.output
    assert {p.name for p in out.iterdir()} == {
        *("agreement.json", "agreement.csv", "pairs.csv"),
        *("ef_biplane.png", "ef_biplane.svg"),
    }
    found = json.loads((out / "agreement.json").read_text())
    assert (found["first"], found["second"], found["files"]) == ("auto", "expert", ["auto.csv", "expert.csv"])
    ef = found["measurements"][0]
    a, b = (pd.read_csv(path)["EF/biplane"] for path in tables)
    assert ef["bland_altman"]["bias"]["value"] == pytest.approx(float(np.mean(a - b)))
    assert ef["mae"]["low"] < ef["mae"]["value"] < ef["mae"]["high"]
    pairs = pd.read_csv(out / "pairs.csv")
    assert list(pairs.columns) == ["case", "name", "unit", "auto", "expert"]
    assert len(pairs) == 20
    again = run(*tables, "-o", out, "--resamples", 100)
    assert again.exit_code == 1
    assert "earlier results" in again.stderr


def test_json_lines_labels_and_wrong_use(tables, tmp_path):
    done = run(*tables, "-o", tmp_path / "o", "--measurement", "same", "--labels", "A,B", "--json", "--resamples", 200)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["measurement"] == "same"
    assert lines[0]["icc_agreement"]["value"] == 1
    assert lines[-1]["status"] == "done"
    assert run(*tables, "-o", tmp_path / "p", "--labels", "A").exit_code == 2
    failed = run(tables[0], tmp_path / "absent.csv", "-o", tmp_path / "q")
    assert failed.exit_code == 1
    assert "absent.csv: not a csv table" in failed.stderr
    assert not (tmp_path / "q").exists()
