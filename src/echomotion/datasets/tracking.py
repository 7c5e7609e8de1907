"""Clips with true tracks: ``.npz`` files of simulated walls, and the recording of a rotating disk.

A ``.npz`` clip holds ``frames`` uint8 (T, H, W), ``tracks_xy`` (N, T, 2) in px, and optionally ``visible`` (N, T),
``wall_s`` and ``wall_w`` (N,) (position along and across the wall), ``spacing_mm``, ``t_es``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from echomotion.core import Clip, DataError, DatasetError, Source

# The clips show one beat and state no clock; the evaluation is in pixels and does not use it.
_NOMINAL_FPS = 36.0


@dataclass(frozen=True)
class TrackingCase:
    """A clip with true tracks.

    Attributes
    ----------
    name : str
    clip : Clip
    xy : float64 (N, T, 2)
        True positions in native pixels.
    visible : bool (N, T)
        Whether a point can truly be seen.
    mid_wall : int (M,)
        Points on the mid-wall line, in order along the wall; empty when the file names none.
    """

    name: str
    clip: Clip
    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]
    mid_wall: NDArray[np.int64]


def read_tracking(folder: str | Path) -> Iterator[TrackingCase]:
    """Clips with true tracks, in the order of their names.

    Raises
    ------
    DatasetError
        When the folder holds none, or a file lacks a field.
    """
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise DatasetError(f"{folder}: there is no .npz clip with true tracks in it")
    for path in paths:
        yield _read_case(path)


def _read_case(path: Path) -> TrackingCase:
    try:
        with np.load(path, allow_pickle=False) as fields:
            frames, xy = fields["frames"], fields["tracks_xy"].astype(np.float64)
            visible = fields["visible"] if "visible" in fields else np.ones(xy.shape[:2], bool)
            mid_wall = np.zeros(0, np.int64)
            if "wall_s" in fields and "wall_w" in fields:
                on_line = np.flatnonzero(np.isclose(fields["wall_w"], 0.5))
                mid_wall = on_line[np.argsort(fields["wall_s"][on_line])]
            spacing = np.atleast_1d(fields["spacing_mm"]).ravel() if "spacing_mm" in fields else None
            clip = Clip(
                frames,
                np.arange(len(frames)) / _NOMINAL_FPS,
                None if spacing is None else (float(spacing[0]), float(spacing[-1])),
                source=Source(path.name, "npz"),
            )
    except (KeyError, ValueError, OSError, DataError) as error:
        raise DatasetError(f"{path.name}: not a clip with true tracks ({error}); fields frames, tracks_xy") from None
    if xy.ndim != 3 or xy.shape[1:] != (clip.n_frames, 2) or visible.shape != xy.shape[:2]:
        raise DatasetError(f"{path.name}: tracks {xy.shape} and visibility {visible.shape} do not fit {clip.n_frames} "
                           "frames")
    return TrackingCase(path.stem, clip, xy, visible.astype(bool), mid_wall)


def read_rotating_disk(path: str | Path) -> Clip:
    """The recording of a disk in rigid rotation (variable ``I`` of the .mat file, H x W x T) as a clip.

    Raises
    ------
    DatasetError
        When the file cannot be read.
    """
    try:
        images = loadmat(path)["I"]
    except (OSError, KeyError, ValueError, NotImplementedError) as error:
        raise DatasetError(f"{path}: not the recording of the rotating disk ({error})") from None
    frames = np.ascontiguousarray(images.transpose(2, 0, 1))
    if frames.dtype != np.uint8:
        low, high = float(frames.min()), float(frames.max())
        frames = np.round(255 * (frames.astype(np.float64) - low) / (high - low)).astype(np.uint8)
    return Clip(frames, np.arange(len(frames)) / _NOMINAL_FPS, source=Source(Path(path).name, "mat"))
