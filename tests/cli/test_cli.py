"""The command line: exit codes, one line per failure, the other files still done, nothing half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.datasets.simulated import read_simulated
from echomotion.io.write import read_tracks

DEMO = get_testdata_file("examples_ybr_color.dcm", download=False)


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.npz"
    frames = np.random.default_rng(0).integers(0, 40, (8, 64, 80)).astype(np.uint8)
    np.savez(path, frames=frames, fps=30.0)
    return path


def test_info_says_what_a_file_holds():
    done = run("info", DEMO, "--json")
    assert done.exit_code == 0
    facts = json.loads(done.stdout)
    assert (facts["frames"], facts["size_px"], facts["frame_rate_hz"]) == (30, "320 x 240", 30.0)
    assert facts["pixel_mm"].startswith("1.021 x 1.021")
    assert facts["pixel_size_from"] == "inferred from the fan"
    assert run("info", DEMO).exit_code == 0


def test_one_bad_file_does_not_stop_the_others(noise, tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_text("not a picture")
    out = tmp_path / "out"
    done = run("analyze", bad, noise, "-o", out)
    assert done.exit_code == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("echomotion: ")]
    assert len(lines) == 1
    assert "bad.dcm" in lines[0]
    assert "Traceback" not in done.output
    assert not (out / "bad").exists()
    assert (out / "noise" / "report.html").is_file()
    assert [p.name for p in out.iterdir()] == ["noise"]


def test_earlier_results_are_kept_unless_told_otherwise(noise, tmp_path):
    out = tmp_path / "out"
    assert run("analyze", noise, "-o", out).exit_code == 0
    again = run("analyze", noise, "-o", out)
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr
    assert run("analyze", noise, "-o", out, "--overwrite", "--json").exit_code == 0


def test_tracks_and_masks_are_written_as_asked(noise, tmp_path):
    target = tmp_path / "tracks.npz"
    assert run("track", noise, "--grid", 4, "-o", target, "--json").exit_code == 0
    tracks = read_tracks(target)
    assert tracks.n_frames == 8
    assert run("track", noise, "--grid", 4, "-o", target).exit_code == 1
    assert run("track", noise, "--grid", 4, "-o", tmp_path / "tracks.txt").exit_code == 1
    assert run("segment", noise, "-o", tmp_path / "masks.nii.gz").exit_code == 0
    assert (tmp_path / "masks.nii.gz").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze",),
        ("track", "x.npz", "-o", "t.npz"),
        ("track", "x.npz", "-o", "t.npz", "--grid", "4", "--wall", "mid_wall"),
        ("analyze", "x.npz", "-o", "o", "--ed", "0.1"),
        ("info", "x.npz", "--spacing", "wide"),
        ("evaluate", "segmentation", "--data", "d", "--dataset", "other"),
        ("dance",),
    ],
)
def test_wrong_usage_is_exit_code_two(arguments, noise, monkeypatch):
    monkeypatch.chdir(noise.parent)
    noise.rename("x.npz")
    assert run(*arguments).exit_code == 2


def test_models_are_listed_with_their_licence():
    done = run("models", "--json")
    assert done.exit_code == 0
    found = {(m["kind"], m["name"]): m for m in map(json.loads, done.stdout.splitlines())}
    assert found["segmenter", "unet"]["licence"] == "CC BY-NC-SA 4.0"
    assert ("tracker", "lucas_kanade") in found
    assert run("models", "--kind", "magic").exit_code == 1


def test_evaluation_writes_every_case(echo_data, tmp_path):
    target = tmp_path / "cases.json"
    done = run(
        "evaluate", "tracking", "--data", echo_data / "pymust_validation", "--model", "lucas_kanade", "-o", target
    )
    assert done.exit_code == 0
    assert len(json.loads(target.read_text())["clips"]) == 6
    absent = run("evaluate", "tracking", "--data", tmp_path / "absent")
    assert absent.exit_code == 1
    assert "absent" in absent.stderr


def test_the_version():
    assert run("--version").stdout.startswith("echomotion 0.")


def test_simulate_writes_sequences_with_previews_and_goes_on_where_it_ended(tmp_path):
    out = tmp_path / "sim"
    small = ("--frames", 6, "--points", 24, "--size", 96)
    done = run("simulate", "--view", "psax", "--count", 1, "--seed", 3, *small, "--preview", 1, "-o", out, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["shards"] == 1
    names = ["manifest.json", "preview-00000.mp4", "preview-00000.png", "shard-00000.npz"]
    assert sorted(p.name for p in out.iterdir()) == names
    (sequence,) = read_simulated(out)
    assert sequence.clip.frames.shape == (6, 96, 96)
    assert sequence.tracks.xy.shape == (24, 6, 2)
    before = (out / "shard-00000.npz").stat().st_mtime_ns
    assert run("simulate", "--view", "psax", "--count", 1, "--seed", 3, *small, "-o", out).exit_code == 0
    assert (out / "shard-00000.npz").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (("--view", "a5c"), "view"),
        (("--count", 0), "count"),
        (("--kind", "broken"), "kind"),
        (("--difficulty", 2), "difficulty"),
        (("--frames", 0), "frames"),
        (("--view", "psax", "--templates", "nowhere"), "a4c"),
        (("--templates", "nowhere"), "nowhere"),
    ],
)
def test_simulate_names_the_parameter_that_is_impossible(tmp_path, wrong, named):
    done = run("simulate", "-o", tmp_path / "sim", "--frames", 4, "--points", 8, "--size", 64, *wrong)
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith("echomotion: ")
    assert named in line.lower()
    assert not (tmp_path / "sim").exists()
