"""Videos with masks on some frames, in our own layout and in that of EchoNet-Dynamic, on small files made here."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from echomotion.core import DataError, DatasetError, View
from echomotion.datasets.echonet_dynamic import read_echonet_dynamic, traced_mask
from echomotion.datasets.folder import read_labelled_videos

FRAMES, SIDE = 6, 48


def write_avi(path: Path, frames: np.ndarray) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuvj420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, -1), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def cine() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (FRAMES, SIDE, SIDE)).astype(np.uint8)


# ----------------------------------------------------------------- our own layout
@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "one.npz", frames=cine(), times_s=np.arange(FRAMES) / 50)
    masks = np.zeros((2, SIDE, SIDE), np.uint8)
    masks[0, 10:20, 5:15], masks[1, 12:18, 5:15] = 2, 1
    np.savez(tmp_path / "one_masks.npz", frames=np.array([1, 4]), labels=masks)
    return tmp_path


def test_masks_lie_on_their_frames(folder):
    (video,) = read_labelled_videos(folder)
    assert video.name == "one"
    assert video.labelled.tolist() == [False, True, False, False, True, False]
    assert [np.unique(labels).tolist() for labels in video.labels] == [[0], [0, 2], [0], [0], [0, 1], [0]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": np.array([9]), "labels": np.zeros((1, SIDE, SIDE), np.uint8)}, "frame 9"),
        ({"frames": np.array([1]), "labels": np.zeros((1, 3, 3), np.uint8)}, "frames of the clip"),
        ({"frames": np.array([1.5]), "labels": np.zeros((1, SIDE, SIDE), np.uint8)}, "whole number"),
        ({"frames": np.array([1]), "labels": np.full((1, SIDE, SIDE), 7, np.uint8)}, r"\[7\]"),
        ({"frames": np.array([1])}, "frames and labels"),
    ],
)
def test_masks_that_do_not_fit_say_so(folder, fields, message):
    np.savez(folder / "one_masks.npz", **fields)
    with pytest.raises(DatasetError, match=message):
        list(read_labelled_videos(folder))


def test_a_folder_without_masks_or_clips_says_so(folder, tmp_path):
    (folder / "one.npz").unlink()
    with pytest.raises(DatasetError, match="0 clips"):
        list(read_labelled_videos(folder))
    with pytest.raises(DatasetError, match="beside a clip"):
        list(read_labelled_videos(tmp_path / "nothing"))


# ----------------------------------------------------------------- EchoNet-Dynamic
@pytest.fixture
def echonet(tmp_path):
    (tmp_path / "Videos").mkdir()
    write_avi(tmp_path / "Videos" / "0XA.avi", cine())
    (tmp_path / "FileList.csv").write_text(
        "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
        f"0XA,55.5,40.0,90.0,{SIDE},{SIDE},25,{FRAMES},TRAIN\n"
        f"0XB,50,40,80,{SIDE},{SIDE},50,{FRAMES},VAL\n"
    )
    rows = ["FileName,X1,Y1,X2,Y2,Frame"]
    for number, (low, high) in ((1, (10, 30)), (4, (14, 26))):
        rows.append(f"0XA.avi,20,5,20,40,{number}")
        rows += [f"0XA.avi,{low},{y},{high},{y},{number}" for y in (10, 20, 35)]
    (tmp_path / "VolumeTracings.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_tracings_become_masks_of_the_cavity(echonet):
    (item,) = read_echonet_dynamic(echonet, "train")
    assert (item.ejection_fraction, item.end_systolic_volume_ml, item.end_diastolic_volume_ml) == (55.5, 40, 90)
    video = item.video
    assert video.clip.view is View.A4C
    np.testing.assert_allclose(np.diff(video.clip.times_s), 1 / 25)
    assert np.flatnonzero(video.labelled).tolist() == [1, 4]
    # A box of chords from x 10 to 30 and y 10 to 35.
    assert np.array_equal(video.labels[1][10:36, 10:31], np.ones((26, 21)))
    assert video.labels[1].sum() == 26 * 21
    assert video.labels[4].sum() == 26 * 13
    assert video.classes == {0: "background", 1: "lv_cavity"}


def test_recordings_without_tracings_are_left_out(echonet):
    assert list(read_echonet_dynamic(echonet, "val")) == []


def test_what_is_wrong_with_the_folder_is_named(echonet):
    with pytest.raises(DatasetError, match="no split 'all'"):
        list(read_echonet_dynamic(echonet, "all"))
    with pytest.raises(DatasetError, match="belongs to the split 'test'"):
        list(read_echonet_dynamic(echonet, "test"))
    tracings = echonet / "VolumeTracings.csv"
    tracings.write_text(tracings.read_text().replace(",30,10,1", ",wide,10,1"))
    with pytest.raises(DatasetError, match="line 3"):
        list(read_echonet_dynamic(echonet, "train"))
    tracings.write_text("FileName,X1\n")
    with pytest.raises(DatasetError, match="lacks the columns"):
        list(read_echonet_dynamic(echonet, "train"))
    tracings.unlink()
    with pytest.raises(DatasetError, match="missing"):
        list(read_echonet_dynamic(echonet, "train"))


def test_a_tracing_needs_two_chords():
    with pytest.raises(DataError, match="two chords"):
        traced_mask([(1, 2, 3, 4), (1, 2, 3, 4)], (9, 9))
