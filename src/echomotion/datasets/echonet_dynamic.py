"""EchoNet-Dynamic: apical four-chamber videos with the LV cavity traced at end-diastole and end-systole.

Ouyang et al., Nature 580, 2020, doi 10.1038/s41586-020-2145-8. The layout is ``FileList.csv`` (``FileName, EF, ESV,
EDV, FPS, NumberOfFrames, Split``), ``VolumeTracings.csv`` (``FileName, X1, Y1, X2, Y2, Frame``) and
``Videos/NAME.avi``. Of the rows of one frame the first is the long axis, the others are chords across the cavity
from one end of it to the other; the cavity is the polygon round their ends. Only the cavity is known, so that is all
that a frame's labels tell.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError, DatasetError, EchoMotionError, View
from echomotion.datasets.folder import LabelledVideo, labelled_video
from echomotion.datasets.reading import each_read
from echomotion.io import read_clip

FILES, TRACINGS, VIDEOS = "FileList.csv", "VolumeTracings.csv", "Videos"
SPLITS = ("train", "val", "test")
CLASSES = {0: "background", 1: "lv_cavity"}
# Parts of a pixel in which OpenCV draws polygons.
_SHIFT = 4
# A long axis and two chords.
_FEWEST_ROWS = 3


@dataclass(frozen=True)
class EchoNetVideo:
    """One recording.

    Attributes
    ----------
    video : LabelledVideo
        Labels: 1 in the LV cavity.
    split : str
    ejection_fraction, end_systolic_volume_ml, end_diastolic_volume_ml : float
        The reference; NaN where the table has none.
    """

    video: LabelledVideo
    split: str
    ejection_fraction: float
    end_systolic_volume_ml: float
    end_diastolic_volume_ml: float


def read_echonet_dynamic(root: str | Path, split: str, problems: list[str] | None = None) -> Iterator[EchoNetVideo]:
    """Traced recordings of a split, in the order of the file list; those without tracings are left out.

    Parameters
    ----------
    root : path
    split : {"train", "val", "test"}
    problems : list of str, optional
        Receives what is wrong with a recording, which is then left out, in place of an error.

    Raises
    ------
    DatasetError
        When a table or a video is missing or cannot be read, or a tracing is not one.
    """
    if split not in SPLITS:
        raise DatasetError(f"EchoNet-Dynamic has no split {split!r}; it has {', '.join(SPLITS)}")
    base = Path(root)
    rows = [row for row in _table(base / FILES, ("FileName", "Split")) if row["Split"].strip().lower() == split]
    if not rows:
        raise DatasetError(f"{base / FILES}: no recording belongs to the split {split!r}")
    tracings = _tracings(base / TRACINGS)
    named = [(row["FileName"].strip().removesuffix(".avi"), row) for row in rows]
    traced = [(name, row) for name, row in named if name in tracings]
    yield from each_read(traced, lambda item: _recording(base, *item, tracings[item[0]]), problems)


def _recording(
    base: Path, name: str, row: dict[str, str], frames: dict[int, list[tuple[float, float, float, float]]]
) -> EchoNetVideo:
    path = base / VIDEOS / f"{name}.avi"
    try:
        clip = read_clip(path)
        rate = _number(row.get("FPS"))
        # The container's rate is nominal; the table has that of the recording.
        times = clip.times_s if not rate > 0 else np.arange(clip.n_frames) / rate
        clip = Clip(clip.frames, times, view=View.A4C, source=clip.source)
        masks = np.stack([traced_mask(lines, clip.shape) for lines in frames.values()])
        video = labelled_video(name, clip, np.array(list(frames)), masks, CLASSES)
    except EchoMotionError as error:
        raise DatasetError(f"EchoNet-Dynamic {name}: {error}") from error
    return EchoNetVideo(video, row["Split"].strip().lower(), *(_number(row.get(key)) for key in ("EF", "ESV", "EDV")))


def traced_mask(lines: list[tuple[float, float, float, float]], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The cavity (H, W), 1 inside, from rows ``(x1, y1, x2, y2)``: the long axis, then chords across.

    Raises
    ------
    DataError
        When there are fewer than two chords.
    """
    if len(lines) < _FEWEST_ROWS:
        raise DataError(f"a tracing has {len(lines)} rows; a long axis and two chords at least are needed")
    chords = np.array(lines[1:], dtype=np.float64)
    polygon = np.concatenate([chords[:, :2], chords[::-1, 2:]])
    mask = np.zeros(shape, dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(polygon * 2**_SHIFT).astype(np.int32)], 1, shift=_SHIFT)
    return mask


def _tracings(path: Path) -> dict[str, dict[int, list[tuple[float, float, float, float]]]]:
    """Rows of each recording and frame, in the order of the file."""
    out: dict[str, dict[int, list[tuple[float, float, float, float]]]] = {}
    columns = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
    for number, row in enumerate(_table(path, columns), start=2):
        try:
            x1, y1, x2, y2 = (float(row[key]) for key in columns[1:5])
            frame = int(float(row["Frame"]))
        except ValueError:
            raise DatasetError(f"{path}, line {number}: X1, Y1, X2, Y2 and Frame must be numbers") from None
        out.setdefault(row["FileName"].strip().removesuffix(".avi"), {}).setdefault(frame, []).append((x1, y1, x2, y2))
    return out


def _table(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise DatasetError(f"{path} is missing; EchoNet-Dynamic is a folder with {FILES}, {TRACINGS} and {VIDEOS}")
    with path.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in columns if name not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"{path} lacks the columns {', '.join(missing)}")
        yield from reader


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
