"""Clips with true point tracks: a folder of ``.npz`` files, and a recording of a rigidly rotating disk.

Fields of each ``.npz``: ``frames`` uint8 (T, H, W); ``tracks_xy`` float (N, T, 2), true positions ``(x, y)`` in
native pixels; optional ``visibility`` bool (N, T), ``wall_s`` and ``wall_w`` float (N,), ``spacing_mm`` (a number,
or row and column), ``times_s`` float (T,), ``t_es`` (end-systole as a fraction of the beat), ``r_wave_times_s`` float
(B,) on the clock of ``times_s``, ``view``, ``ed_frame`` (the end-diastole to which strain refers).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from echomotion.core import Clip, DataError, DatasetError, Source, View
from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.datasets.reading import each_read

REQUIRED = ("frames", "tracks_xy")
DISK_FILE = "bmode_PWI_disk.mat"


@dataclass(frozen=True)
class TrackingCase:
    """One clip with the true motion of N points over its T frames.

    Attributes
    ----------
    name : str
        File name without its ending.
    clip : Clip
    xy : float64 (N, T, 2)
        True positions in native pixels; finite wherever `visible`.
    visible : bool (N, T)
        Where a point can truly be seen; every point can somewhere.
    wall_s, wall_w : float64 (N,) or None
        Position along the wall (0 one base, 0.5 apex, 1 the other base) and across it (0 endocardium,
        1 epicardium).
    es_fraction : float or None
        End-systole as a fraction of the beat.
    ed_frame : int or None
        The frame to which strain refers; without it that on which the line is asked for.
    """

    name: str
    clip: Clip
    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]
    wall_s: NDArray[np.float64] | None = None
    wall_w: NDArray[np.float64] | None = None
    es_fraction: float | None = None
    ed_frame: int | None = None

    def __post_init__(self) -> None:
        xy = frozen_array(self.xy, "tracks_xy", shape=(None, self.clip.n_frames, 2), dtype=np.float64, finite=False)
        set_field(self, "xy", xy)
        visible = frozen_array(self.visible, "visibility", shape=xy.shape[:2], dtype=np.bool_)
        set_field(self, "visible", visible)
        if not len(xy) or not visible.any(axis=1).all():
            raise DataError("every point must be visible on some frame, and there must be at least one")
        if not np.isfinite(xy[visible]).all():
            raise DataError("tracks_xy has NaN or infinite positions where the point is marked visible")
        for field in ("wall_s", "wall_w"):
            value = getattr(self, field)
            if value is not None:
                set_field(self, field, frozen_array(value, field, shape=(len(xy),), dtype=np.float64))
        if self.ed_frame is not None and not 0 <= self.ed_frame < self.clip.n_frames:
            raise DataError(f"ed_frame is {self.ed_frame}; the clip has frames 0 to {self.clip.n_frames - 1}")

    @property
    def queries(self) -> NDArray[np.float64]:
        """One query ``(t, x, y)`` per point, (N, 3): the first frame on which it can be seen."""
        first = self.visible.argmax(axis=1)
        return np.column_stack([first, self.xy[np.arange(len(first)), first]])

    @property
    def phase(self) -> NDArray[np.float64]:
        """Phase of the beat on every frame, (T,), 0 at end-diastole and under 1.

        From R waves where the clip has at least two, beyond them with the length of the nearest beat; with one R wave
        or none the clip is taken for one beat, which starts at that wave or with the clip.
        """
        times, waves = self.clip.times_s, self.clip.r_wave_times_s
        if waves is None or len(waves) < 2:
            start = times[0] if waves is None or not len(waves) else waves[0]
            whole = times[-1] - times[0] + (self.clip.frame_interval_s if len(times) > 1 else 1.0)
            return np.mod((times - start) / whole, 1.0)
        beat = np.clip(np.searchsorted(waves, times, side="right") - 1, 0, len(waves) - 2)
        return np.mod((times - waves[beat]) / np.diff(waves)[beat], 1.0)

    def line(self, depth: float = 0.5) -> NDArray[np.int64]:
        """Indices of the points at one depth of the wall, in order along it; empty where the wall is not known."""
        if self.wall_s is None or self.wall_w is None:
            return np.zeros(0, dtype=np.int64)
        at_depth = np.flatnonzero(np.isclose(self.wall_w, depth, atol=1e-3))
        return at_depth[np.argsort(self.wall_s[at_depth], kind="stable")]


def read_tracking(path: str | Path, problems: list[str] | None = None) -> Iterator[TrackingCase]:
    """Read a folder of ``.npz`` clips with true tracks, or one such file, in the order of their names.

    Points that are visible nowhere are left out.

    Parameters
    ----------
    path : path
    problems : list of str, optional
        Receives what is wrong with a recording, which is then left out, in place of an error.

    Raises
    ------
    DatasetError
        When there is no such file, or one is damaged or lacks a field.
    """
    root = Path(path)
    files = [root] if root.is_file() else sorted(root.glob("*.npz"))
    if not files:
        what = "holds no .npz clips" if root.is_dir() else "does not exist"
        raise DatasetError(f"{root} {what}; a tracking dataset is a folder of .npz files with {', '.join(REQUIRED)}")
    yield from each_read(files, read_tracking_case, problems)


def read_tracking_case(path: str | Path) -> TrackingCase:
    """Read one ``.npz`` clip with true tracks; raises :class:`DatasetError` as :func:`read_tracking`."""
    file = Path(path)
    try:
        with np.load(file, allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile):
        raise DatasetError(f"{file} is not a readable .npz archive; copy it again") from None
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise DatasetError(f"{file} lacks {', '.join(missing)}; it has {', '.join(fields) or 'nothing'}")
    try:
        return _case(file, fields)
    except (DataError, TypeError, ValueError, IndexError) as error:
        raise DatasetError(f"{file}: {error}") from error


def _case(file: Path, fields: dict[str, Any]) -> TrackingCase:
    frames = fields["frames"]
    times, origin = (fields["times_s"], "file") if "times_s" in fields else _nominal_times(len(frames))
    spacing = fields.get("spacing_mm")
    waves, view, ed = fields.get("r_wave_times_s"), fields.get("view"), fields.get("ed_frame")
    clip = Clip(
        frames,
        times,
        None if spacing is None else tuple(np.broadcast_to(spacing, 2).astype(float)),
        View.UNKNOWN if view is None else View(str(view)),
        waves if waves is not None and len(waves) else None,
        source=Source(file.name, "npz", spacing_origin="none" if spacing is None else "file", times_origin=origin),
    )
    xy = np.asarray(fields["tracks_xy"])
    visible = np.asarray(fields["visibility"] if "visibility" in fields else np.ones(xy.shape[:2]), dtype=bool)
    seen = visible.any(axis=1) if visible.ndim == 2 and len(visible) == len(xy) else slice(None)

    def per_point(name: str) -> Any:
        return None if name not in fields else np.asarray(fields[name])[seen]

    es = fields.get("t_es")
    return TrackingCase(
        file.stem,
        clip,
        xy[seen],
        visible[seen],
        per_point("wall_s"),
        per_point("wall_w"),
        None if es is None else float(es),
        None if ed is None else int(ed),
    )


def read_rotating_disk(path: str | Path) -> Clip:
    """B-mode recording of a disk in rigid rotation, from the examples of PyMUST: every strain in it is zero.

    Parameters
    ----------
    path : path
        ``bmode_PWI_disk.mat``, or the folder that holds it.

    Raises
    ------
    DatasetError
        When the file is missing or damaged, or has no variable ``I`` (H, W, T).
    """
    file = Path(path) / DISK_FILE if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise DatasetError(f"{file} does not exist; it comes with the examples of PyMUST")
    try:
        images = scipy.io.loadmat(file, variable_names=["I"]).get("I")
    except (OSError, ValueError, TypeError, NotImplementedError, scipy.io.matlab.MatReadError):
        raise DatasetError(f"{file} is not a readable MATLAB file; copy it again") from None
    if images is None or images.ndim != 3 or images.dtype != np.uint8:
        raise DatasetError(f"{file} has no variable I with uint8 images (rows, columns, frames)")
    frames = np.ascontiguousarray(np.moveaxis(images, -1, 0))
    times, origin = _nominal_times(len(frames))
    return Clip(frames, times, source=Source(file.name, "matlab", times_origin=origin))


def _nominal_times(count: int) -> tuple[NDArray[np.float64], str]:
    """Times for a file that states none: its frames spread over one second."""
    return np.arange(count) / max(count, 1), "nominal (the file states none)"
