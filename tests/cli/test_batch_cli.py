"""`echomotion analyze FOLDER`: every recording in it, and tables that `agreement` reads."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from echomotion.cli import app

DEMO = get_testdata_file("examples_ybr_color.dcm", download=False)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A folder with a real recording without an ending, noise and a text; its results; what was said."""
    root = tmp_path_factory.mktemp("batch")
    (root / "in" / "visit").mkdir(parents=True)
    shutil.copy(DEMO, root / "in" / "visit" / "IM_0001")
    frames = np.random.default_rng(0).integers(0, 40, (4, 48, 64)).astype(np.uint8)
    np.savez(root / "in" / "noise.npz", frames=frames, fps=30.0)
    (root / "in" / "notes.txt").write_text("nothing")
    done = run("analyze", root / "in", "-o", root / "out")
    return root, done


def test_each_recording_is_told_in_a_line(analysed):
    root, done = analysed
    assert done.exit_code == 0, done.output
    assert "done  visit/IM_0001  EF " in done.stdout
    assert (root / "out" / "visit" / "IM_0001" / "report.html").is_file()
    again = run("analyze", root / "in", "-o", root / "out", "--json")
    assert again.exit_code == 0
    rows = {row["input"]: row for row in map(json.loads, again.stdout.splitlines())}
    assert {name: row["status"] for name, row in rows.items()} == {"noise.npz": "done", "visit/IM_0001": "done"}
    assert any(row["name"] == "ejection_fraction" for row in rows["visit/IM_0001"]["measurements"])


def test_a_failure_is_one_line_and_exit_code_one(analysed, tmp_path):
    root, _ = analysed
    shutil.copytree(root / "in", tmp_path / "in")
    shutil.copytree(root / "out", tmp_path / "out")
    (tmp_path / "in" / "broken.avi").write_bytes(b"junk")
    done = run("analyze", tmp_path / "in", "-o", tmp_path / "out")
    assert done.exit_code == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("echomotion: ")]
    assert len(lines) == 1
    assert lines[0].startswith("echomotion: broken.avi: the video cannot be decoded")
    as_json = run("analyze", tmp_path / "in", "-o", tmp_path / "out", "--json")
    rows = {row["input"]: row for row in map(json.loads, as_json.stdout.splitlines())}
    assert rows["broken.avi"]["error"]


def test_the_table_of_cases_is_compared_with_an_experts(analysed, tmp_path):
    root, _ = analysed
    expert = tmp_path / "expert.csv"
    expert.write_text("case,end_diastolic_volume [mL]\nvisit/IM_0001,100\nnoise.npz,100\n")
    done = run("agreement", root / "out" / "cases.csv", expert, "-o", tmp_path / "agreement", "--json")
    assert done.exit_code == 0, done.output
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["measurement"], first["unit"]) == ("end_diastolic_volume", "mL")


def test_phases_by_hand_and_folders_without_recordings_are_refused(analysed, tmp_path):
    root, _ = analysed
    assert run("analyze", root / "in", "-o", tmp_path / "out", "--ed", 0.1, "--es", 0.4).exit_code == 2
    (tmp_path / "empty").mkdir()
    none = run("analyze", tmp_path / "empty", "-o", tmp_path / "out")
    assert none.exit_code == 1
    assert "no recording was found in it" in none.stderr
    assert not (tmp_path / "out").exists()
