"""Datasets are recognised, counted, and what is damaged is named without stopping at the first."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.core import DatasetError
from echomotion.datasets.check import check_dataset
from echomotion.simulate.store import simulate_to_folder


@pytest.fixture
def videos(tmp_path):
    """Three clips with masks; those of the second are too small, those of the third belong to a frame off the clip."""
    frames = np.zeros((5, 40, 50), np.uint8)
    for name, side, frame in (("a", 50, 2), ("b", 30, 2), ("c", 50, 9)):
        np.savez(tmp_path / f"{name}.npz", frames=frames, times_s=np.arange(5) / 50)
        labels = np.ones((1, 40, side), np.uint8)
        np.savez(tmp_path / f"{name}_masks.npz", frames=np.array([frame]), labels=labels)
    return tmp_path


def test_every_damaged_recording_is_named(videos):
    found = check_dataset(videos)
    assert found.layout == "sparse_masks"
    assert found.counts == {"recordings": 1, "frames": 5, "annotated_frames": 1}
    assert len(found.problems) == 2
    assert "b_masks.npz" in found.problems[0]
    assert "frame 9" in found.problems[1]


def test_the_command_ends_with_one_where_something_is_wrong(videos):
    done = CliRunner().invoke(app, ["datasets", "check", str(videos), "--json"])
    assert done.exit_code == 1
    result = json.loads(done.stdout.splitlines()[0])
    assert result["status"] == "problems"
    assert len(result["problems"]) == 2
    for name in ("b", "c"):
        (videos / f"{name}_masks.npz").unlink()
    done = CliRunner().invoke(app, ["datasets", "check", str(videos)])
    assert done.exit_code == 0
    assert "sparse_masks" in done.stdout


def test_simulated_sequences_are_counted(tmp_path):
    simulate_to_folder("PLAX", 2, 3, tmp_path / "plax", shape=[48, 48], n_frames=4, n_tracks=4)
    found = check_dataset(tmp_path / "plax")
    assert found.layout == "simulated"
    assert found.counts["recordings"] == 2
    assert found.counts["frames"] == 8
    (tmp_path / "plax" / "shard-00000.npz").write_bytes(b"no archive")
    assert "not a readable shard" in check_dataset(tmp_path / "plax").problems[0]


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="no layout that is known"):
        check_dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        check_dataset(tmp_path / "none")
    with pytest.raises(DatasetError, match="unknown layout"):
        check_dataset(tmp_path, layout="own")
    with pytest.raises(DatasetError, match="there is no NAME_masks"):
        check_dataset(tmp_path, layout="sparse_masks")


def test_camus_is_counted_by_its_splits(echo_data):
    found = check_dataset(echo_data)
    assert found.layout == "camus"
    assert found.counts["training"] == 399
    assert found.counts["validation"] == 50
    assert not found.problems
