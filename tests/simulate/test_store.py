"""Shards: what is read is what was made; a run that is stopped leaves whole shards and can be taken up."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import numpy as np
import pytest

from echomotion.core import DataError, DatasetError, OutputError
from echomotion.datasets.simulated import read_manifest, read_shard, read_simulated, simulated_shards
from echomotion.simulate import store
from echomotion.simulate.preview import contact_sheet, write_preview
from echomotion.simulate.sequence import simulate
from echomotion.simulate.store import simulate_to_folder, stored_displacement, write_shard

SMALL = {"shape": (64, 64), "n_frames": 5, "n_tracks": 16}


@pytest.mark.parametrize("view", ["A4C", "PLAX", "PSAX"])
def test_a_shard_gives_back_what_was_written(tmp_path, view):
    made = [simulate(view, seed, **SMALL) for seed in (1, 2)]
    write_shard(tmp_path / "shard-00000.npz", made)
    for before, after in zip(made, read_shard(tmp_path / "shard-00000.npz"), strict=True):
        assert np.array_equal(before.clip.frames, after.clip.frames)
        assert np.array_equal(before.clip.times_s, after.clip.times_s)
        assert before.clip.spacing_mm == after.clip.spacing_mm
        assert before.clip.view is after.clip.view
        assert np.array_equal(before.tracks.xy, after.tracks.xy)
        assert np.array_equal(before.tracks.visible, after.tracks.visible)
        assert np.array_equal(before.tracks.queries, after.tracks.queries)
        assert before.point_tissue == after.point_tissue
        assert np.array_equal(before.masks.labels, after.masks.labels)
        assert dict(before.masks.classes) == dict(after.masks.classes)
        assert np.array_equal(before.keypoints.xy, after.keypoints.xy)
        assert before.keypoints.names == after.keypoints.names
        assert before.phases == after.phases
        assert after.truth["ejection_fraction"] == before.truth.ejection_fraction
        assert np.allclose(after.truth["strain"]["mid_wall"], before.truth.strain["mid_wall"])
        assert json.dumps(dict(after.parameters)) == json.dumps(before.parameters())
        # Any point's motion is known from the stored parameters.
        points = np.random.default_rng(0).uniform(5, 60, (40, 2))
        again = stored_displacement(after.parameters, points)
        assert np.abs(again - before.displacement(points)).max() < 1e-9


@pytest.mark.slow
def test_a_run_is_the_same_however_it_is_cut_into_shards(tmp_path):
    calls = []
    shards = simulate_to_folder(
        "a4c", 3, 9, tmp_path / "a", shard_size=2, progress=lambda k, n: calls.append((k, n)), **SMALL
    )
    assert [path.name for path in shards] == ["shard-00000.npz", "shard-00001.npz"]
    assert calls == [(1, 3), (2, 3), (3, 3)]
    simulate_to_folder("a4c", 3, 9, tmp_path / "b", shard_size=3, **SMALL)
    first, second = list(read_simulated(tmp_path / "a")), list(read_simulated(tmp_path / "b"))
    assert len(first) == len(second) == 3
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one.clip.frames, two.clip.frames)
    manifest = read_manifest(tmp_path / "a")
    assert manifest["finished"] == 3
    assert manifest["asked"]["seed"] == 9
    assert manifest["version"]


def test_a_stopped_run_leaves_whole_shards_and_goes_on(tmp_path):
    class StoppedError(Exception):
        pass

    def stop(done, _):
        if done == 4:
            raise StoppedError

    folder = tmp_path / "run"
    with pytest.raises(StoppedError):
        simulate_to_folder("PSAX", 5, 1, folder, shard_size=2, progress=stop, **SMALL)
    assert [path.name for path in simulated_shards(folder)] == ["shard-00000.npz"]
    assert len(list(read_simulated(folder))) == 2
    assert read_manifest(folder)["finished"] == 2
    time = (folder / "shard-00000.npz").stat().st_mtime_ns
    simulate_to_folder("PSAX", 5, 1, folder, shard_size=2, **SMALL)
    assert (folder / "shard-00000.npz").stat().st_mtime_ns == time
    assert len(list(read_simulated(folder))) == 5
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_a_full_disk_leaves_no_half_shard(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    whole = np.savez_compressed
    written = []

    def full(stream, **fields):
        if written:
            stream.write(b"half a shard")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(True)
        whole(stream, **fields)

    monkeypatch.setattr(store.np, "savez_compressed", full)
    with pytest.raises(OutputError, match=r"shard-00001.npz.*No space left on device"):
        simulate_to_folder("A2C", 2, 1, folder, shard_size=1, **SMALL)
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "shard-00000.npz"]
    assert len(list(read_simulated(folder))) == 1


def test_a_killed_run_leaves_whole_shards_and_goes_on(tmp_path):
    folder = tmp_path / "run"
    script = (
        "import os, sys, numpy as np\n"
        "from echomotion.simulate import store\n"
        "whole = np.savez_compressed\n"
        "def killed(stream, **fields):\n"
        "    if (folder / 'shard-00000.npz').exists():\n"
        "        stream.write(b'half a shard'); stream.flush(); os.kill(os.getpid(), 9)\n"
        "    whole(stream, **fields)\n"
        "from pathlib import Path\n"
        "folder = Path(sys.argv[1])\n"
        "np.savez_compressed = killed\n"
        "store.simulate_to_folder('A2C', 2, 1, folder, shard_size=1, shape=(64, 64), n_frames=5, n_tracks=16)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    assert [path.name for path in simulated_shards(folder)] == ["shard-00000.npz"]
    assert len(list(read_simulated(folder))) == 1
    simulate_to_folder("A2C", 2, 1, folder, shard_size=1, **SMALL)
    assert len(list(read_simulated(folder))) == 2
    # What the killed run had begun is cleared away.
    assert not list(folder.glob(".*"))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "shard-00000.npz", "shard-00001.npz"]


def test_a_whole_run_is_only_read(tmp_path):
    simulate_to_folder("A4C", 1, 3, tmp_path, **SMALL)
    # Another run that reads the same folder is about to write, or so it looks.
    (tmp_path / ".manifest.json.other").write_text("")
    before = (tmp_path / "manifest.json").stat().st_mtime_ns
    assert len(simulate_to_folder("A4C", 1, 3, tmp_path, **SMALL)) == 1
    assert (tmp_path / "manifest.json").stat().st_mtime_ns == before
    assert (tmp_path / ".manifest.json.other").exists()


def test_a_run_of_another_edition_is_not_filled_up(tmp_path):
    simulate_to_folder("A4C", 1, 3, tmp_path, **SMALL)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"edition": 2', '"edition": 1'))
    with pytest.raises(OutputError, match="another run"):
        simulate_to_folder("A4C", 1, 3, tmp_path, **SMALL)


def test_another_run_or_other_files_are_not_overwritten(tmp_path):
    simulate_to_folder("A2C", 1, 1, tmp_path / "run", **SMALL)
    with pytest.raises(OutputError, match="another run"):
        simulate_to_folder("A2C", 1, 2, tmp_path / "run", **SMALL)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / ".manifest.json.abc.json").write_text("{")
    simulate_to_folder("A2C", 1, 1, tmp_path / "begun", **SMALL)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not an empty folder"):
        simulate_to_folder("A2C", 1, 1, tmp_path / "other", **SMALL)


def test_bad_arguments_leave_no_folder(tmp_path):
    for options, named in (
        ({"view": "up"}, "view"),
        ({"count": 0}, "count"),
        ({"seed": -3}, "seed"),
        ({"kind": "odd"}, "kind"),
        ({"view": "PLAX", "templates": tmp_path}, "A4C is needed"),
    ):
        arguments = {"view": "A4C", "count": 1, "seed": 0, "folder": tmp_path / "none"} | options
        with pytest.raises(DataError, match=named):
            simulate_to_folder(**arguments)
    assert not (tmp_path / "none").exists()


def test_damaged_folders_and_shards_say_so(tmp_path):
    with pytest.raises(DatasetError, match="no shards"):
        list(read_simulated(tmp_path))
    with pytest.raises(DatasetError, match="manifest"):
        read_manifest(tmp_path)
    shard = tmp_path / "shard-00000.npz"
    write_shard(shard, [simulate("A4C", 0, **SMALL)])
    shard.write_bytes(shard.read_bytes()[:-200])
    with pytest.raises(DatasetError, match=r"shard-00000.npz.*not a readable shard"):
        list(read_simulated(tmp_path))


def test_the_preview_shows_plain_and_known_frames(tmp_path):
    sequence = simulate("A4C", 0, **SMALL)
    sheet = contact_sheet(sequence, columns=4)
    assert sheet.shape == (2 * 128, 4 * 128, 3)
    # Only the lower row has colours.
    grey = np.ptp(sheet.astype(int), axis=2)
    assert grey[:128].max() == 0
    assert grey[128:].max() > 60
    paths = write_preview(tmp_path, "one", sequence)
    assert [path.name for path in paths] == ["one.png", "one.mp4"]
    assert all(path.stat().st_size > 1000 for path in paths)
