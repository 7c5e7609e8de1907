"""What counts as a recording in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from echomotion.batch.recordings import find_recordings
from echomotion.core import DataError
from echomotion.report.save import save_analysis
from tests.report.samples import ventricle

DEMO = get_testdata_file("examples_ybr_color.dcm", download=False)


def cine(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, frames=np.zeros((3, 16, 16), np.uint8), fps=30.0)
    return path


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        cv2.imwrite(str(folder / f"{k}.png"), np.zeros((16, 16), np.uint8))


def test_recordings_are_known_by_content_and_frames_by_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "in"
    cine(root / "b.npz")
    (root / "visit").mkdir()
    shutil.copy(DEMO, root / "visit" / "IM_0001")
    (root / "visit" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (root / "damaged.AVI").write_bytes(b"")
    (root / "list.xlsx").write_bytes(b"PK\x03\x04" + b"x" * 400)
    (root / "notes.txt").write_text("nothing")
    (root / ".hidden.avi").write_bytes(b"RIFFxxxxAVI ")
    pictures(root / "frames", 3)
    (root / "frames" / "readme.txt").write_text("nothing")
    pictures(root / "one picture", 1)
    found, others = find_recordings(root)
    assert [recording.name for recording in found] == ["b.npz", "damaged.AVI", "frames", "visit/IM_0001"]
    assert found[3].path == root / "visit" / "IM_0001"
    # The DICOMDIR, the office file, two texts and the single picture.
    assert others == 5


def test_results_are_not_taken_for_recordings(tmp_path: Path) -> None:
    root = tmp_path / "in"
    cine(root / "a.npz")
    save_analysis(ventricle(fps=10, shape=(64, 64), spacing_mm=(2.0, 2.0)), root / "earlier")
    cine(root / "out" / "unfinished.npz")
    found, _ = find_recordings(root, without=root / "out")
    assert [recording.name for recording in found] == ["a.npz"]


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"no recording was found in it \(1 other files\)"):
        find_recordings(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        find_recordings(tmp_path / "absent")
