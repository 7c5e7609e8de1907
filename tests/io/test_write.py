"""Writers: what is written comes back, and a file appears whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import av
import nibabel
import numpy as np
import pandas as pd
import pytest

from echomotion.core import APICAL_CLASSES, DataError, Layer, Masks, OutputError, Tracks, View, WallPoints
from echomotion.io.volumes import read_volume
from echomotion.io.write import (
    atomic_path,
    check_target,
    read_masks,
    read_tracks,
    write_json,
    write_masks,
    write_table,
    write_tracks,
    write_video,
)


@pytest.fixture
def tracks(rng: np.random.Generator) -> Tracks:
    queries = np.column_stack([np.full(4, 2), rng.uniform(0, 50, (4, 2))])
    xy = rng.uniform(0, 50, (4, 6, 2)).astype(np.float32)
    xy[:, 2] = queries[:, 1:]
    xy[1, 5] = np.nan
    wall = WallPoints(queries, Layer.MID_WALL, ("basal", "basal", "mid", "mid"), np.linspace(0, 1, 4), View.A4C)
    return Tracks(xy, rng.random((4, 6)) > 0.2, rng.random((4, 6)), queries, wall, "lucas_kanade")


@pytest.fixture
def masks(rng: np.random.Generator) -> Masks:
    return Masks(rng.integers(0, 4, (5, 30, 44), dtype=np.uint8), model="unet")


# ------------------------------------------------------------------ what is written comes back
def test_tracks_round_trip(tmp_path: Path, tracks: Tracks) -> None:
    write_tracks(tmp_path / "tracks.npz", tracks)
    back = read_tracks(tmp_path / "tracks.npz")
    for name in ("xy", "visible", "confidence", "queries"):
        np.testing.assert_array_equal(getattr(back, name), getattr(tracks, name))
    assert back.model == "lucas_kanade"
    assert back.wall is not None
    assert tracks.wall is not None
    assert back.wall.segment == tracks.wall.segment
    assert (back.wall.layer, back.wall.view) == (Layer.MID_WALL, View.A4C)
    np.testing.assert_array_equal(back.wall.s, tracks.wall.s)


def test_tracks_without_a_wall_and_as_csv(tmp_path: Path, tracks: Tracks) -> None:
    plain = Tracks(tracks.xy, tracks.visible, tracks.confidence, tracks.queries)
    write_tracks(tmp_path / "tracks.npz", plain)
    assert read_tracks(tmp_path / "tracks.npz").wall is None
    write_tracks(tmp_path / "tracks.csv", tracks)
    table = pd.read_csv(tmp_path / "tracks.csv")
    assert list(table) == ["point", "frame", "x", "y", "visible", "confidence", "segment", "s"]
    assert len(table) == 24
    row = table[(table.point == 3) & (table.frame == 4)].iloc[0]
    assert (row.x, row.y) == pytest.approx(tuple(tracks.xy[3, 4].tolist()), rel=1e-5)
    assert table[(table.point == 1) & (table.frame == 5)].x.isna().all()


@pytest.mark.parametrize("damage", [b"", b"text", None])
def test_unreadable_tracks_and_masks_say_so(tmp_path: Path, damage: bytes | None) -> None:
    for name, read in (("t.npz", read_tracks), ("m.nii.gz", read_masks)):
        if damage is not None:
            (tmp_path / name).write_bytes(damage)
        with pytest.raises(DataError, match="not a readable"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["masks.nii.gz", "masks.nii"])
def test_masks_round_trip(tmp_path: Path, masks: Masks, name: str) -> None:
    times = np.arange(5) * 0.03
    write_masks(tmp_path / name, masks, (0.154, 0.308), times)
    volume, spacing = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume, masks.labels)
    assert volume.dtype == np.uint8
    assert spacing == pytest.approx((0.154, 0.308))
    back, back_times = read_masks(tmp_path / name)
    np.testing.assert_array_equal(back.labels, masks.labels)
    assert dict(back.classes) == dict(APICAL_CLASSES)
    assert back.model == "unet"
    np.testing.assert_allclose(back_times, times)
    image = nibabel.load(tmp_path / name)
    assert image.shape == (44, 30, 1, 5)
    assert image.header.get_zooms() == pytest.approx((0.308, 0.154, 1, 0.03))
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert b"1=lv_cavity" in image.header["descrip"].item()


def test_masks_without_spacing_do_not_claim_one(tmp_path: Path, masks: Masks) -> None:
    write_masks(tmp_path / "m.nii.gz", masks, None, np.arange(5) * 0.03)
    assert nibabel.load(tmp_path / "m.nii.gz").header.get_xyzt_units() == ("unknown", "sec")


def test_video_with_odd_sides(tmp_path: Path) -> None:
    frames = np.zeros((7, 51, 65, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(7)[:, None, None] * 30
    write_video(tmp_path / "v.mp4", iter(frames), 12.5)
    with av.open(str(tmp_path / "v.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (64, 50)
        assert float(stream.average_rate) == pytest.approx(12.5)
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(back) == 7
    assert [round(float(f[..., 0].mean())) for f in back] == pytest.approx(list(range(0, 210, 30)), abs=8)


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frames"):
        write_video(tmp_path / "v.mp4", [], 20)
    assert list(tmp_path.iterdir()) == []


def test_json_and_table(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": np.float64(1.5), "y": np.arange(3), "z": View.A4C, "path": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text())["y"] == [0, 1, 2]
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    write_table(tmp_path / "a.csv", pd.DataFrame({"a": [1.0, np.nan]}))
    assert (tmp_path / "a.csv").read_text() == 'a\n1.0\n""\n'
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.json"]


# ------------------------------------------------------------------ whole or not at all
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    final = tmp_path / "a.txt"
    final.write_text("old")

    def half() -> None:
        with atomic_path(final) as partial:
            partial.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        half()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]


def test_a_failing_frame_leaves_no_video(tmp_path: Path) -> None:
    def frames():
        yield np.zeros((64, 64, 3), np.uint8)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_video(tmp_path / "v.mp4", frames(), 20)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_run_leaves_no_half_file_under_the_final_name(tmp_path: Path) -> None:
    final = tmp_path / "v.mp4"
    script = f"""
        import time
        import numpy as np
        from echomotion.io.write import write_video

        def frames():
            for number in range(100):
                yield np.full((64, 64, 3), number, np.uint8)
            print("half", flush=True)
            time.sleep(60)

        write_video({str(final)!r}, frames(), 20)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert not final.exists()


def test_the_result_has_usual_permissions_and_its_folder_is_made(tmp_path: Path) -> None:
    final = tmp_path / "new" / "folder" / "a.json"
    write_json(final, {})
    assert final.stat().st_mode & 0o777 == 0o666 & ~_umask()
    started = time.time()
    write_json(final, {"again": 1})
    assert final.stat().st_mtime >= started - 2
    assert json.loads(final.read_text()) == {"again": 1}


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="choose another output folder"):
        write_json(tmp_path / "file" / "a.json", {})


def test_check_target(tmp_path: Path) -> None:
    check_target(tmp_path / "a.npz", (".npz", ".csv"), overwrite=False)
    with pytest.raises(OutputError, match=r"must end in \.npz or \.csv"):
        check_target(tmp_path / "a.txt", (".npz", ".csv"), overwrite=False)
    (tmp_path / "a.npz").write_bytes(b"")
    with pytest.raises(OutputError, match="--overwrite"):
        check_target(tmp_path / "a.npz", (".npz", ".csv"), overwrite=False)
    check_target(tmp_path / "a.npz", (".npz", ".csv"), overwrite=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
