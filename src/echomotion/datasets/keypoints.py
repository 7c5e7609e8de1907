"""Parasternal videos with key-points: what an evaluation takes, and a folder of videos annotated on every frame.

The folder holds one video and one table a recording, ``NAME.mp4`` (or whatever :func:`echomotion.read_clip` reads) and
``NAME.csv``. The table has the columns ``frame, point, x, y``: a frame from 0 on, a name of
:data:`~echomotion.core.masks.PARASTERNAL_POINTS`, and its place in native pixels. A frame that is not annotated has no
rows. ``clips.csv``, where there is one, has the columns ``name, spacing_mm`` and tells the pixel size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from echomotion.core import Clip, ClipError, DatasetError, Keypoints, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.core.measurement import Phases
from echomotion.io import read_clip

COLUMNS = ("frame", "point", "x", "y")
SPACINGS = "clips.csv"


@dataclass(frozen=True)
class KeypointCase:
    """A clip with true key-points.

    Attributes
    ----------
    name : str
    clip : Clip
    keypoints : Keypoints
        The truth, NaN on frames that are not annotated.
    tissue : float32 (4, T, 2) or None
        Where the tissue goes that lies under the key-points at end-diastole, where that is known.
    phases : Phases or None
        Where they are known.
    """

    name: str
    clip: Clip
    keypoints: Keypoints
    tissue: NDArray[np.float32] | None = None
    phases: Phases | None = None


def read_annotated(folder: str | Path) -> Iterator[KeypointCase]:
    """The recordings of a folder of annotated videos, see the module for its layout, in the order of their names.

    Raises
    ------
    DatasetError
        Naming the file and the cause, when there is none, a table is damaged or names a point or frame that there is
        not, or a video is missing.
    """
    root = Path(folder)
    tables = sorted(path for path in root.glob("*.csv") if path.name != SPACINGS)
    if not tables:
        raise DatasetError(f"{folder}: there are no tables NAME.csv beside videos; see the layout in the documentation")
    spacing = _spacings(root / SPACINGS)
    for table in tables:
        videos = [path for path in sorted(root.glob(f"{table.stem}.*")) if path != table]
        if not videos:
            raise DatasetError(f"{table}: there is no video of that name beside it")
        try:
            clip = read_clip(videos[0], spacing_mm=spacing.get(table.stem), view=View.PLAX)
        except ClipError as error:
            raise DatasetError(str(error)) from None
        yield KeypointCase(table.stem, clip, _keypoints(table, clip))


def check_annotated(folder: str | Path) -> dict[str, int]:
    """Read every recording of such a folder; how many recordings, frames and annotated frames there are.

    Raises
    ------
    DatasetError
        As :func:`read_annotated`.
    """
    counts = {"recordings": 0, "frames": 0, "annotated_frames": 0}
    for case in read_annotated(folder):
        counts["recordings"] += 1
        counts["frames"] += case.clip.n_frames
        counts["annotated_frames"] += int(np.isfinite(case.keypoints.xy).all(axis=(0, 2)).sum())
    return counts


def _keypoints(path: Path, clip: Clip) -> Keypoints:
    table = _table(path, COLUMNS)
    xy = np.full((len(PARASTERNAL_POINTS), clip.n_frames, 2), np.nan, dtype=np.float32)
    rows, columns = clip.shape
    for line, (frame, point, x, y) in enumerate(table[list(COLUMNS)].itertuples(index=False), start=2):
        where = f"{path}, line {line}"
        if point not in PARASTERNAL_POINTS:
            raise DatasetError(f"{where}: there is no key-point {point!r}; there are {', '.join(PARASTERNAL_POINTS)}")
        numbers = pd.to_numeric(pd.Series([frame, x, y]), errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DatasetError(f"{where}: frame, x and y must be numbers; one is missing")
        if numbers[0] != np.round(numbers[0]) or not 0 <= numbers[0] < clip.n_frames:
            raise DatasetError(f"{where}: frame {numbers[0]:g}; the video has frames 0 to {clip.n_frames - 1}")
        if not (-0.5 <= numbers[1] <= columns - 0.5 and -0.5 <= numbers[2] <= rows - 0.5):
            raise DatasetError(f"{where}: the point lies outside the video of {columns} x {rows} px")
        k, t = PARASTERNAL_POINTS.index(point), int(numbers[0])
        if np.isfinite(xy[k, t]).any():
            raise DatasetError(f"{where}: {point} was given before on frame {t}")
        xy[k, t] = numbers[1:]
    missing = np.isfinite(xy[..., 0])
    if not missing.any():
        raise DatasetError(f"{path}: there are no key-points in it")
    incomplete = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
    if len(incomplete):
        lost = [name for name, there in zip(PARASTERNAL_POINTS, missing[:, incomplete[0]], strict=True) if not there]
        raise DatasetError(f"{path}: frame {incomplete[0]} lacks {', '.join(lost)}; a frame has all four or none")
    return Keypoints(xy, missing.astype(np.float32), PARASTERNAL_POINTS)


def _spacings(path: Path) -> dict[str, tuple[float, float]]:
    if not path.exists():
        return {}
    table = _table(path, ("name", "spacing_mm"))
    numbers = pd.to_numeric(table["spacing_mm"], errors="coerce")
    if not (numbers > 0).all():
        raise DatasetError(f"{path}: spacing_mm must be a number above 0 in every row")
    return {str(name): (float(mm), float(mm)) for name, mm in zip(table["name"], numbers, strict=True)}


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DatasetError(f"{path}: not a readable table ({error})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DatasetError(f"{path}: the table lacks {', '.join(missing)}; it needs {', '.join(columns)}")
    return table
