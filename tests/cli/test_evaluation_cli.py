"""The commands that judge trackers: tables, JSON, exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.datasets.tracking import read_tracking
from echomotion.evaluation import benchmark, held_out


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def clips(tmp_path):
    """Two clips of a texture that is carried 4 px down and back."""
    folder = tmp_path / "clips"
    folder.mkdir()
    texture = np.random.default_rng(0).integers(0, 255, (96, 96)).astype(np.uint8)
    shifts = np.array([0, 1, 2, 3, 4, 3, 2, 1])
    frames = np.stack([np.roll(texture, shift, axis=0) for shift in shifts])
    xy = np.full((4, 8, 2), 40.0) + 5 * np.arange(4)[:, None, None]
    xy[..., 1] += shifts
    for name in ("a", "b"):
        np.savez(folder / f"{name}.npz", frames=frames, tracks_xy=xy)
    return folder


def test_impartiality_of_a_fair_tracker(clips, tmp_path):
    target = tmp_path / "bias.json"
    done = run("evaluate", "impartiality", "--data", clips, "--tracker", "block_matching", "-o", target, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result == json.loads(target.read_text())
    assert result["model"] == "block_matching"
    assert result["summary"]["median_error_px"] < 0.5
    assert {row["change"] for row in result["changes"]} >= {"flip_left_right", "reverse_time"}
    shown = run("evaluate", "impartiality", "--data", clips, "--tracker", "lucas_kanade")
    assert shown.exit_code == 0
    assert "rotate_90" in shown.stdout
    assert run("evaluate", "impartiality", "--data", tmp_path / "absent").exit_code == 1


def test_the_benchmark_of_a_folder_of_clips(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "yardstick_seconds", lambda: 0.5)
    target = tmp_path / "bench.json"
    trackers = ("--tracker", "lucas_kanade", "--tracker", "block_matching")
    done = run("benchmark", "tracking", "--data", clips, *trackers, "--no-speed", "-o", target)
    assert done.exit_code == 0, done.output
    result = json.loads(target.read_text())
    assert [row["tracker"] for row in result["parts"]["clips"]["trackers"]] == ["lucas_kanade", "block_matching"]
    assert result["speed"] == []
    assert "fingerprint" in done.stdout
    for wrong in (("--onnx", "x"), ("--onnx", "x=absent.onnx"), ("--tracker", "nobody")):
        assert run("benchmark", "tracking", "--data", clips, *wrong, "--no-speed").exit_code == 1


def test_test_retest_of_one_heart():
    done = run("evaluate", "test-retest", "--tracker", "lucas_kanade", "--count", 1, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert len(result["hearts"]) == 1
    assert result["summary"]["pairs"] == 1
    assert result["summary"]["upper_limit"] is None


def test_the_held_out_set_is_written_and_found_again(tmp_path, monkeypatch):
    one = [held_out.held_out_specs()[64]]
    monkeypatch.setattr(held_out, "held_out_specs", lambda: one)
    target = tmp_path / "set"
    done = run("evaluate", "held-out", "-o", target, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["out_of_distribution"] == 1
    (case,) = read_tracking(target / "out_of_distribution")
    assert case.clip.view == "RV_FOCUSED"
    monkeypatch.setattr(benchmark, "yardstick_seconds", lambda: 0.5)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = run("benchmark", "tracking", "--tracker", "lucas_kanade", "--no-speed", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["dataset"] == "held-out-2-parametric"
    assert list(result["parts"]) == ["out_of_distribution"]


def test_dense_motion_beside_a_tracker(tmp_path):
    cines, target = tmp_path / "cines", tmp_path / "flow.json"
    size = ("--count", 1, "--frames", 5, "--points", 16, "--size", 96)
    assert run("simulate", "--view", "plax", *size, "-o", cines).exit_code == 0
    done = run("evaluate", "flow", "--data", cines, "--tracker", "lucas_kanade", "-o", target, "--json")
    assert done.exit_code == 0, done.output
    reports = json.loads(target.read_text())["reports"]
    assert [report["method"] for report in reports] == ["no motion", "pwcnet", "lucas_kanade"]
    assert all(0 <= report["summary"]["share_within"] <= 1 for report in reports)
    assert run("evaluate", "flow", "--data", tmp_path / "absent").exit_code == 1
