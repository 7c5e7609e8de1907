"""`echomotion analyze --study`, and options of `analyze` that choose how numbers are made."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.report.study import RESULTS


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def noise(path):
    frames = np.random.default_rng(0).integers(0, 40, (5, 48, 64)).astype(np.uint8)
    np.savez(path, frames=frames, fps=30.0)
    return path


def test_a_folder_of_views_becomes_one_study_that_names_the_missing_view(tmp_path):
    views = tmp_path / "views"
    views.mkdir()
    for view in ("A4C", "A2C"):
        noise(views / f"{view}.npz")
    out = tmp_path / "out"
    done = run("analyze", views, "-o", out, "--study", "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["status"] == "done"
    assert "the view A3C is missing" in said["warnings"]
    rows = {row["name"]: row for row in said["measurements"]}
    for name in ("ejection_fraction", "global_longitudinal_strain"):
        assert rows[name]["status"] == "not_measurable"
        assert rows[name]["value"] is None
        assert rows[name]["reason"]
    assert {path.name for path in out.iterdir()} == {*RESULTS, "A4C", "A2C"}
    again = run("analyze", views, "-o", out, "--study")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


def test_a_study_whose_views_are_not_known_is_refused_before_the_work(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    wrong = {
        "view is not stated": [noise(tmp_path / "clip.npz")],
        "A4C view too": [noise(tmp_path / "one_A4C.npz"), noise(tmp_path / "two_A4C.npz")],
        "holds no files": [empty],
    }
    for reason, clips in wrong.items():
        done = run("analyze", *clips, "-o", tmp_path / "out", "--study")
        assert done.exit_code == 1
        (line,) = [line for line in done.stderr.splitlines() if line]
        assert line.startswith("echomotion: ")
        assert reason in line
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--study", "--view", "a4c"), "--study"),
        (("--study", "--dicom"), "--study"),
        (("--ed", 0.1), "--es"),
        (("--technique", "area_length", "--convention", "camus"), "needs the technique disks"),
        (("--technique", "cubes"), "area_length"),
        (("--segments", 15), "17"),
        (("--strain", "engineering"), "natural"),
        (("--avc", 2), "aortic valve closure"),
        (("--sex", "X"), "sex"),
        (("--height", -1), "height"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(tmp_path, wrong, named):
    done = run("analyze", tmp_path / "none.npz", "-o", tmp_path / "out", *wrong)
    assert done.exit_code == 2
    assert named in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_what_was_chosen_is_recorded(tmp_path):
    out = tmp_path / "out"
    chosen = ("--strain", "natural", "--no-drift-compensation", "--segments", 18, "--avc", 0.3, "--technique")
    done = run(
        "analyze", noise(tmp_path / "clip.npz"), "-o", out, *chosen, "area_length", "--sex", "F", "--anchor", 0.7
    )
    assert done.exit_code == 0, done.output
    options = json.loads((out / "provenance.json").read_text())["options"]
    assert options["anchor"] == 0.7
    measure = options["measure"]
    assert measure["strain"]["kind"] == "natural"
    assert measure["strain"]["drift_compensation"] is False
    assert measure["strain"]["avc_after_ed_s"] == 0.3
    assert (measure["segment_model"], measure["technique"], measure["subject"]["sex"]) == ("18", "area_length", "F")
