"""EchoNet-LVH (Duffy et al. 2022, doi 10.1001/jamacardio.2021.6059): parasternal videos with calipers on few frames.

The folder holds ``MeasurementsList.csv``, one row a caliper (``HashedFileName, Calc, CalcValue, Frame, X1, X2, Y1, Y2,
Frames, FPS, Width, Height, split``), and the videos ``HashedFileName.avi``, in it or in folders beneath. ``CalcValue``
is a length in cm, so the size of a pixel follows from it and the distance of the two ends; the rows of a file must
agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from echomotion.core import ClipError, DatasetError, Keypoints, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.keypoints import KeypointCase, read_table
from echomotion.datasets.reading import each_read
from echomotion.io import read_clip

TABLE = "MeasurementsList.csv"
COLUMNS = (
    "HashedFileName", "Calc", "CalcValue", "Frame", "X1", "X2", "Y1", "Y2", "Frames", "FPS", "Width", "Height", "split",
)  # fmt: skip
SPLITS = ("train", "val", "test")
# Which of the four points a caliper ends at, from above to below; end-diastole and end-systole.
CALIPERS = {"IVS": (0, 1), "LVID": (1, 2), "LVPW": (2, 3)}
# The pixel size by one row may differ so much from the median of its file: calipers are placed by hand, in whole px.
_TOLERANCE = 0.1
_LEAST_PX = 4.0


def read_echonet_lvh(
    folder: str | Path, split: str | None = None, *, problems: list[str] | None = None
) -> Iterator[KeypointCase]:
    """The recordings of a folder, with the key-points of their annotated frames.

    Ends that two calipers share (the septum's and the cavity's, the cavity's and the posterior wall's) are averaged.
    A frame that lacks a caliper has NaN for the points that no other gives.

    Parameters
    ----------
    folder : path
    split : {"train", "val", "test"}, optional
    problems : list of str, optional
        Receives what is wrong with a recording, which is then left out, in place of an error.

    Raises
    ------
    DatasetError
        Naming the file and the cause: a table that is damaged or lacks a column, a video that is missing or of another
        size or length, a frame that there is not, or calipers of which one contradicts the pixel size of the others.
    """
    root = Path(folder)
    table = read_table(root / TABLE, COLUMNS)
    if split is not None:
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
        table = table[table["split"].astype(str).str.lower() == split]
    kinds = table["Calc"].astype(str).str.strip().str.extract(f"^({'|'.join(CALIPERS)})[ds]?$", expand=False)
    table = table.assign(kind=kinds)[kinds.notna()]
    if table.empty:
        raise DatasetError(f"{root / TABLE}: there are no calipers of {', '.join(CALIPERS)} in it")
    videos = {path.stem: path for path in sorted(root.rglob("*.avi"))}

    def read(item: tuple[Any, pd.DataFrame]) -> KeypointCase:
        stem = str(item[0]).removesuffix(".avi")
        if stem not in videos:
            raise DatasetError(f"{root / TABLE}: the video {stem}.avi is not in the folder")
        return _case(videos[stem], item[1])

    yield from each_read(table.groupby("HashedFileName", sort=True), read, problems)


def pixel_size_mm(rows: pd.DataFrame, where: str) -> float:
    """Size of a pixel in mm from the calipers of one file.

    Parameters
    ----------
    rows : DataFrame
        ``CalcValue`` in cm, ``X1, Y1, X2, Y2`` in px.
    where : str
        How the file is called in messages.

    Raises
    ------
    DatasetError
        When no caliper is long enough, or one differs from the median by more than a tenth, and by more than its ends
        may be off by rounding.
    """
    x1, x2, y1, y2, cm = (rows[name].to_numpy(dtype=np.float64) for name in ("X1", "X2", "Y1", "Y2", "CalcValue"))
    length, value = np.hypot(x2 - x1, y2 - y1), 10 * cm
    usable = (length >= _LEAST_PX) & (value > 0)
    if not usable.any():
        raise DatasetError(f"{where}: no caliper has a length, so the pixel size is not known")
    sizes = value[usable] / length[usable]
    # Long calipers know it best.
    middle = float(np.average(sizes, weights=length[usable])) if usable.sum() < 3 else float(np.median(sizes))
    allowed = np.maximum(_TOLERANCE, math.sqrt(2) / length[usable])
    off = np.abs(sizes / middle - 1) / allowed
    if off.max() > 1:
        worst = rows.iloc[int(np.flatnonzero(usable)[int(off.argmax())])]
        raise DatasetError(
            f"{where}: the calibration is contradictory: {worst['Calc']} on frame {worst['Frame']} gives "
            f"{sizes[int(off.argmax())]:.3f} mm a px, the file's calipers together {middle:.3f}"
        )
    return middle


def _case(path: Path, rows: pd.DataFrame) -> KeypointCase:
    numbers = rows.copy()
    for column in ("CalcValue", "Frame", "X1", "X2", "Y1", "Y2", "Frames", "FPS", "Width", "Height"):
        numbers[column] = pd.to_numeric(rows[column], errors="coerce")
        if not np.isfinite(numbers[column]).all():
            raise DatasetError(f"{TABLE}: {path.stem} has a row whose {column} is no number")
    size = pixel_size_mm(numbers, path.stem)
    rate = float(numbers["FPS"].iloc[0])
    fps: dict[str, Any] = {"fps": rate} if rate > 0 else {}
    try:
        clip = read_clip(path, spacing_mm=(size, size), view=View.PLAX, **fps)
    except ClipError as error:
        raise DatasetError(str(error)) from None
    stated = tuple(int(numbers[name].iloc[0]) for name in ("Height", "Width"))
    if clip.shape != stated:
        raise DatasetError(
            f"{path.name}: frames of {clip.shape[1]} x {clip.shape[0]} px, the table says {stated[1]} x {stated[0]}"
        )
    total, count = (
        np.zeros((len(PARASTERNAL_POINTS), clip.n_frames, 2)),
        np.zeros((len(PARASTERNAL_POINTS), clip.n_frames)),
    )
    for _, row in numbers.iterrows():
        frame = int(row["Frame"])
        if not 0 <= frame < clip.n_frames:
            raise DatasetError(
                f"{path.name}: a caliper on frame {frame}; the video has frames 0 to {clip.n_frames - 1}"
            )
        ends = sorted([(row["Y1"], row["X1"]), (row["Y2"], row["X2"])])
        for k, (y, x) in zip(CALIPERS[row["kind"]], ends, strict=True):
            total[k, frame] += (x, y)
            count[k, frame] += 1
    with np.errstate(invalid="ignore"):
        xy = (total / count[..., None]).astype(np.float32)
    return KeypointCase(path.stem, clip, Keypoints(xy, (count > 0).astype(np.float32), PARASTERNAL_POINTS))
