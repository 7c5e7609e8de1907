"""The commands about key-points: files, units, statuses, exit codes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.cli_keypoints import method_of
from echomotion.core import Clip, DataError, Keypoints
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.measure.keypoint_measurements import keypoint_measurements
from echomotion.models.registry import create_keypoint_detector
from tests.models.keypoints.networks import write_all


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def beating(count=40):
    """Key-points of a cavity of 50 mm that shrinks to 30 mm and back once a second, 0.5 mm a px; one frame has none."""
    times = np.arange(count) / 25
    cavity = 40 + 10 * np.cos(2 * np.pi * times)
    walls = 12 - 2 * np.cos(2 * np.pi * times)
    depth = np.cumsum([20 + 0 * times, walls, cavity, walls], axis=0) / 0.5
    xy = np.stack([np.full_like(depth, 80.0), depth], axis=-1)
    xy[1, 5] = np.nan
    clip = Clip(np.full((count, 220, 160), 60, np.uint8), times, (0.5, 0.5), "PLAX")
    return clip, Keypoints(xy, np.ones(xy.shape[:2], np.float32), PARASTERNAL_POINTS)


def test_a_beat_is_measured_from_its_key_points():
    clip, keypoints = beating()
    found = keypoint_measurements(keypoints, clip.times_s, clip.spacing_mm, view=clip.view)
    by_name = {row.name: row for row in found.measurements if row.beat in (0, None)}
    assert by_name["lv_internal_diameter_diastole"].value == pytest.approx(50, abs=1)
    assert by_name["lv_internal_diameter_systole"].value == pytest.approx(30, abs=1)
    assert by_name["septal_thickness_diastole"].value == pytest.approx(10, abs=0.5)
    assert by_name["fractional_shortening"].value == pytest.approx(40, abs=2)
    assert found.curves.reasons[5] == "no septal_endocardial"


def test_the_command_writes_a_folder_and_refuses_to_write_again(tmp_path):
    weights = write_all(tmp_path / "weights")["sknet"]
    np.save(tmp_path / "clip.npy", np.random.default_rng(0).integers(0, 255, (6, 60, 70), dtype=np.uint8))
    target = tmp_path / "out"
    asked = ("keypoints", tmp_path / "clip.npy", "-o", target, "--model", "sknet", "--weights", weights, "--fps", 25)
    done = run(*asked, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    # Without a pixel size lengths are px, never a guessed mm.
    assert {row["unit"] for row in result["measurements"] if "thickness_d" in row["name"]} == {"px"}
    written = {path.name for path in target.iterdir()}
    assert {"report.html", "keypoints.csv", "features.csv", "curves.csv", "dimensions.svg", "overlay.mp4"} <= written
    assert "masks.nii.gz" not in written
    again = run(*asked)
    assert again.exit_code == 1
    assert "earlier results" in again.output


def test_an_apical_view_is_not_measured(tmp_path):
    clip, keypoints = beating()
    found = keypoint_measurements(keypoints, clip.times_s, clip.spacing_mm, view="A4C")
    assert all(row.status == "not_measurable" for row in found.measurements)
    assert "dimensions need a PLAX view" in found.measurements[0].reason


def test_methods_are_named_with_their_options(tmp_path):
    weights = write_all(tmp_path)
    entry = f"trnet:weights={weights['trnet']},sknet={weights['sknet']},anchor=false,iterations=1"
    method, options = method_of(entry)
    detector = create_keypoint_detector(method, **options)
    assert detector.options.anchor is False
    assert detector.network.config.iterations == 1
    assert method_of("tracked:anchor_s=0.05,reference=first,references=3")[1] == {
        "anchor_s": 0.05,
        "reference": "first",
        "references": 3,
    }
    with pytest.raises(DataError, match="OPTION=VALUE"):
        method_of("trnet:anchor")


def test_methods_are_judged_one_row_each(tmp_path):
    weights = write_all(tmp_path / "weights")
    folder = tmp_path / "videos"
    folder.mkdir()
    np.save(folder / "one.npy", np.random.default_rng(0).integers(0, 255, (4, 40, 50), dtype=np.uint8))
    rows = [(t, name, 10 + k, 5 + 6 * k) for t in range(4) for k, name in enumerate(PARASTERNAL_POINTS)]
    pd.DataFrame(rows, columns=["frame", "point", "x", "y"]).to_csv(folder / "one.csv", index=False)
    (folder / "clips.csv").write_text("name,spacing_mm,fps\none,0.5,25\n")
    static = f"sknet:weights={weights['sknet']}"
    tracked = f"tracked:tracker=lucas_kanade,sknet={weights['sknet']}"
    target = tmp_path / "result.json"
    asked = ("evaluate", "keypoints", "--data", folder, "--dataset", "annotated", "--model", static, "--model", tracked)
    done = run(*asked, "-o", target, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(target.read_text())
    assert [report["method"] for report in result["reports"]] == [static, tracked]
    assert result["reports"][0]["clips"][0]["clip"] == "one"
    assert {row["against"] for row in result["comparison"]} == {static}
    assert run("evaluate", "keypoints", "--data", folder, "--dataset", "own").exit_code == 2
    # Said before the work is done, not after.
    refused = run(*asked, "--against", "trnet")
    assert refused.exit_code == 2
    assert "none of the methods" in refused.output
