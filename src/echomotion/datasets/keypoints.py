"""Parasternal videos with key-points: what an evaluation takes, and a folder of videos annotated on every frame.

The folder holds one video and one table a recording, ``NAME.mp4`` (or whatever :func:`echomotion.read_clip` reads) and
``NAME.csv``. The table has the columns ``frame, point, x, y``: a frame from 0 on, a name of
:data:`~echomotion.core.masks.PARASTERNAL_POINTS`, and its place in native pixels. A frame that is not annotated has no
rows. ``clips.csv``, where there is one, has the column ``name`` and any of ``spacing_mm`` (of square pixels) and
``fps``, for recordings whose file does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from echomotion.core import Clip, ClipError, DatasetError, Keypoints, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.core.measurement import Phases
from echomotion.datasets.reading import each_read
from echomotion.io import read_clip

COLUMNS = ("frame", "point", "x", "y")
FACTS = "clips.csv"


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


def read_annotated(folder: str | Path, problems: list[str] | None = None) -> Iterator[KeypointCase]:
    """The recordings of a folder of annotated videos, see the module for its layout, in the order of their names.

    Parameters
    ----------
    folder : path
    problems : list of str, optional
        Receives what is wrong with a recording, which is then left out, in place of an error.

    Raises
    ------
    DatasetError
        Naming the file and the cause, when there is none, a table is damaged or names a point or frame that there is
        not, or a video is missing.
    """
    root = Path(folder)
    tables = sorted(path for path in root.glob("*.csv") if path.name != FACTS)
    if not tables:
        raise DatasetError(f"{folder}: there are no tables NAME.csv beside videos; see the layout in the documentation")
    facts = _facts(root / FACTS)
    yield from each_read(tables, lambda table: _case(table, facts), problems)


def _case(table: Path, facts: dict[str, dict[str, Any]]) -> KeypointCase:
    videos = [path for path in sorted(table.parent.glob(f"{table.stem}.*")) if path != table]
    if not videos:
        raise DatasetError(f"{table}: there is no video of that name beside it")
    try:
        clip = read_clip(videos[0], view=View.PLAX, **facts.get(table.stem, {}))
    except ClipError as error:
        raise DatasetError(str(error)) from None
    return KeypointCase(table.stem, clip, _keypoints(table, clip))


def _keypoints(path: Path, clip: Clip) -> Keypoints:
    table = read_table(path, COLUMNS)
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


def _facts(path: Path) -> dict[str, dict[str, Any]]:
    """What ``clips.csv`` says about each recording, as arguments of the reader."""
    if not path.exists():
        return {}
    table = read_table(path, ("name",))
    found: dict[str, dict[str, Any]] = {str(name): {} for name in table["name"]}
    for column in ("spacing_mm", "fps"):
        if column not in table.columns:
            continue
        numbers = pd.to_numeric(table[column], errors="coerce")
        if not (numbers > 0).all():
            raise DatasetError(f"{path}: {column} must be a number above 0 in every row")
        for name, value in zip(table["name"], numbers, strict=True):
            found[str(name)][column] = (float(value), float(value)) if column == "spacing_mm" else float(value)
    return found


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A csv with these columns, or :class:`DatasetError` that names the file and the cause."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DatasetError(f"{path}: not a readable table ({error})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DatasetError(f"{path}: the table lacks {', '.join(missing)}; it needs {', '.join(columns)}")
    return table
