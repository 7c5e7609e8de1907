"""Points to be tracked: on a grid, inside a segmented class, from a file. Lines of the wall: :mod:`..measure`."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, DataError, Masks
from echomotion.core.arrays import frozen_array
from echomotion.preprocess.sector import Sector

FloatArray = NDArray[np.float64]


def grid_queries(
    clip: Clip | tuple[int, int],
    *,
    spacing_px: float,
    frame: int = 0,
    within: ArrayLike | Sector | None = None,
) -> FloatArray:
    """A regular grid of points over the frame, in its middle, or over a part of it.

    Parameters
    ----------
    clip : Clip or (int, int)
        The cine, or rows and columns of its frames.
    spacing_px : float
        Distance between neighbours in native pixels, across and down.
    frame : int
        The frame on which the points are placed.
    within : bool (H, W) or Sector, optional
        Keep the points whose pixel lies inside; ``echomotion.preprocess.sector.find_sector`` finds the fan of a cine.

    Returns
    -------
    float64 (N, 3)
        ``(t, x, y)``, row by row from the top left.

    Raises
    ------
    DataError
        When the spacing is not above 0, the frame lies off the clip, or no point is left.
    """
    if isinstance(clip, Clip):
        shape = clip.shape
        _check_frame(frame, clip.n_frames)
    else:
        try:
            rows, columns = (int(length) for length in clip)
        except (TypeError, ValueError):
            raise DataError(f"grid_queries needs a Clip or (rows, columns), not {clip!r}") from None
        shape = (rows, columns)
        if min(shape) < 1:
            raise DataError(f"a frame of {rows} rows and {columns} columns has no pixels")
        _check_frame(frame, None)
    points = _grid(shape, spacing_px)
    if within is not None:
        inside = frozen_array(
            within.mask() if isinstance(within, Sector) else within, "within", shape=(None, None), dtype=np.bool_
        )
        if inside.shape != shape:
            raise DataError(f"within has shape {inside.shape}, the frames {shape}")
        points = _inside(points, inside)
    if not len(points):
        raise DataError(f"no point of a grid of {spacing_px:g} px lies inside; take a smaller spacing_px")
    return np.column_stack([np.full(len(points), float(frame)), points])


def mask_queries(masks: Masks, *, frame: int, classes: str | Sequence[str], spacing_px: float) -> FloatArray:
    """A regular grid of points inside segmented classes.

    Parameters
    ----------
    masks : Masks
    frame : int
        The frame whose segmentation counts, and on which the points are placed.
    classes : str or sequence of str
        Names of classes, for instance ``"lv_myocardium"``.
    spacing_px : float
        Distance between neighbours in native pixels, across and down.

    Returns
    -------
    float64 (N, 3)
        ``(t, x, y)``, row by row from the top left.

    Raises
    ------
    DataError
        When a class is unknown, the frame lies off the masks, or no point of the grid lies inside.
    """
    _check_frame(frame, masks.n_frames)
    names = (classes,) if isinstance(classes, str) else tuple(classes)
    labels = [masks.label_of(name) for name in names]
    inside = np.isin(masks.labels[frame], labels)
    wanted = ", ".join(names)
    if not inside.any():
        raise DataError(f"frame {frame} has no pixel of {wanted}; name another frame or class")
    points = _inside(_grid(inside.shape, spacing_px), inside)
    if not len(points):
        raise DataError(
            f"no point of a grid of {spacing_px:g} px lies in {wanted} on frame {frame}; take a smaller one"
        )
    return np.column_stack([np.full(len(points), float(frame)), points])


def read_queries(path: str | Path) -> FloatArray:
    """Points from a csv file with the header ``t,x,y``, or ``x,y`` for points on frame 0; native pixels.

    The columns may stand in any order and beside others; empty lines do not count.

    Returns
    -------
    float64 (N, 3)
        ``(t, x, y)`` in the order of the file.

    Raises
    ------
    DataError
        Naming the file, the line and the cause, when it cannot be read, lacks a column, holds something else than
        numbers, a frame that is not a whole number from 0 on, or no points.
    """
    name = Path(path)
    try:
        with name.open(newline="", encoding="utf-8-sig") as file:
            points = list(_rows(name, file))
    except FileNotFoundError:
        raise DataError(f"{name}: there is no such file; give a csv with columns t, x, y") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name}: not a readable csv ({error}); give one with columns t, x, y") from None
    if not points:
        raise DataError(f"{name}: there are no points after the header; give at least one line of t, x, y")
    return np.array(points, dtype=np.float64)


def _rows(name: Path, lines: Iterable[str]) -> Iterator[tuple[float, float, float]]:
    columns: dict[str, int] | None = None
    reader = csv.reader(lines)
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{name}, line {reader.line_num}"
        if columns is None:
            columns = {cell.strip().lower(): k for k, cell in reversed(list(enumerate(cells)))}
            missing = [column for column in ("x", "y") if column not in columns]
            if missing:
                raise DataError(
                    f"{where}: the header lacks {' and '.join(missing)}; the columns t, x, y (or x, y) are needed"
                )
            continue
        t, x, y = (
            _number(cells, columns[column], column, where) if column in columns else 0.0 for column in ("t", "x", "y")
        )
        if t < 0 or t != round(t):
            raise DataError(f"{where}: t is {t:g}; the frame must be a whole number from 0 on")
        yield t, x, y


def _number(cells: list[str], at: int, column: str, where: str) -> float:
    text = cells[at].strip() if at < len(cells) else ""
    if not text:
        raise DataError(f"{where}: {column} is missing")
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: {column} is {text!r}; a number is needed") from None
    if not math.isfinite(value):
        raise DataError(f"{where}: {column} is {text}; a finite number is needed")
    return value


def _check_frame(frame: int, n_frames: int | None) -> None:
    if not float(frame).is_integer() or frame < 0 or (n_frames is not None and frame >= n_frames):
        last = "" if n_frames is None else f" to {n_frames - 1}"
        raise DataError(f"the query frame is {frame}; a whole number from 0{last or ' on'} is needed")


def _grid(shape: tuple[int, ...], spacing_px: float) -> FloatArray:
    """Places (N, 2) so far apart, as far from one border as from the other."""
    if not (np.isfinite(spacing_px) and spacing_px > 0):
        raise DataError(f"spacing_px is {spacing_px}; a distance above 0 is needed")
    axes = []
    for length in (shape[1], shape[0]):
        count = max(1, int(length // spacing_px))
        axes.append((length - 1) / 2 + (np.arange(count) - (count - 1) / 2) * spacing_px)
    x, y = np.meshgrid(*axes)
    return np.column_stack([x.ravel(), y.ravel()])


def _inside(points: FloatArray, inside: NDArray[np.bool_]) -> FloatArray:
    """The points whose nearest pixel is inside."""
    limit = np.array(inside.shape[::-1]) - 1
    x, y = np.clip(np.round(points), 0, limit).astype(int).T
    return points[inside[y, x]]
