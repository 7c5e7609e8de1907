"""The command line: exit codes, one line per failure, the other files still done, nothing half-written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.datasets.simulated import read_simulated
from echomotion.io import read_clip
from echomotion.io.write import read_tracks
from echomotion.models.registry import list_models

TRACKERS = [info.name for info in list_models("tracker") if info.weights != "missing"]
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
        ("track", "x.npz", "-o", "t.npz", "--grid", "4", "--mask", "lv_cavity"),
        ("track", "x.npz", "-o", "t.npz", "--queries", "p.csv", "--points", "q.csv", "--grid", "4"),
        ("track", "x.npz", "-o", "t.npz", "--queries", "p.csv", "--frame", "4"),
        ("track", "x.npz", "-o", "t.npz", "--grid", "wide"),
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


def points_in(path):
    return read_tracks(path).queries


def test_points_come_from_a_file_or_a_grid(noise, tmp_path):
    target, csv = tmp_path / "tracks.npz", tmp_path / "points.csv"
    csv.write_text("t,x,y\n2,10.5,11\n0,30,40\n")
    for option in ("--queries", "--points"):
        done = run("track", noise, option, csv, "--model", "lucas_kanade", "-o", target, "--overwrite")
        assert done.exit_code == 0, done.output
        assert points_in(target).tolist() == [[2, 10.5, 11], [0, 30, 40]]
    done = run("track", noise, "--grid", 20, "--frame", 3, "--model", "lucas_kanade", "-o", target, "--overwrite")
    assert done.exit_code == 0, done.output
    x, y = points_in(target)[:, 1:].T
    assert set(points_in(target)[:, 0]) == {3}
    assert np.unique(x).tolist() == [9.5, 29.5, 49.5, 69.5]
    assert np.unique(y).tolist() == [11.5, 31.5, 51.5]


def test_points_come_from_the_wall_or_a_class(tmp_path):
    target, short = tmp_path / "tracks.npz", tmp_path / "short.npz"
    np.savez(short, frames=read_clip(DEMO).frames[::3], fps=20.0)
    fast = ("--model", "lucas_kanade", "-o", target, "--overwrite", "--view", "A4C")
    assert run("track", short, "--wall", "all", "--frame", 2, *fast).exit_code == 0
    walls = points_in(target)
    assert set(walls[:, 0]) == {2}
    assert len(walls) == 3 * 61
    assert run("track", short, "--wall", "epicardial", *fast).exit_code == 0
    assert read_tracks(target).wall.layer == "epicardial"
    done = run("track", short, "--mask", "lv_cavity", "--mask-step", 10, *fast, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["points"] == len(points_in(target)) > 10
    assert facts["warnings"] == []
    for wrong, named in [
        (("--wall", "pericardial"), "pericardial"),
        (("--mask", "left_ear"), "left_ear"),
        (("--mask", "lv_cavity", "--frame", 99), "99"),
        (("--wall", "all", "--frame", 99), "99"),
        (("--grid", 0), "spacing_px"),
    ]:
        done = run("track", short, *wrong, *fast)
        assert done.exit_code == 1
        assert named in done.stderr


def test_a_strange_clip_is_tracked_with_a_warning(noise, tmp_path):
    done = run("track", noise, "--grid", 20, "--model", "lucas_kanade", "-o", tmp_path / "a.npz")
    assert done.exit_code == 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "unlike" in line
    assert "likeness" in line
    done = run("track", noise, "--grid", 20, "--model", "lucas_kanade", "-o", tmp_path / "b.npz", "--json")
    (line,) = json.loads(done.stdout)["warnings"]
    assert "unlike" in line


@pytest.mark.parametrize("model", TRACKERS)
def test_bad_points_are_one_clear_line(model, noise, tmp_path):
    csv, target = tmp_path / "points.csv", tmp_path / "tracks.npz"
    for text, named in [
        ("t,x,y\n0,500,5\n", "outside"),
        ("t,x,y\n8,5,5\n", "from 0 to 7"),
        ("t,x,y\n0,5,nan\n", "points.csv, line 2: y is nan"),
        ("t,x\n0,5\n", "lacks y"),
        ("t,x,y\n", "no points"),
    ]:
        csv.write_text(text)
        done = run("track", noise, "--queries", csv, "--model", model, "-o", target)
        assert done.exit_code == 1
        (line,) = [line for line in done.stderr.splitlines() if line]
        assert line.startswith("echomotion: ")
        assert named in line
        assert not target.exists()
    csv.write_text("x,y\n5,5\n")
    done = run("track", noise, "--queries", csv, "--model", model, "--weights", tmp_path, "-o", target)
    assert done.exit_code == 1
    assert "weights" in done.stderr


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


def test_a_video_gets_a_dicom_report_and_hears_why_no_masks(noise, tmp_path):
    done = run("analyze", noise, "-o", tmp_path / "out", "--dicom", "--json")
    assert done.exit_code == 0
    assert any("noise.npz is not a DICOM file" in warning for warning in json.loads(done.stdout)["warnings"])
    assert (tmp_path / "out" / "measurements.dcm").is_file()
    assert not (tmp_path / "out" / "masks.dcm").exists()
