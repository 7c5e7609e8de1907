"""The grid on which conventional trackers work, so that a window covers the same anatomy in every recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Geometry


def working_geometry(clip: Clip, max_height: int) -> Geometry:
    """The map to a grid with square pixels of at most `max_height` rows; a frame that fits is left as it is.

    Nothing is enlarged: of anisotropic pixels the finer axis is brought to the coarser one.
    """
    rows, columns = clip.shape
    sx, sy = min(1.0, 1 / clip.pixel_aspect), min(1.0, clip.pixel_aspect)
    shrink = min(1.0, max_height / (rows * sy))
    if sx == sy == shrink == 1:
        return Geometry.identity(clip.shape)
    # Whole grid sizes; the scale along each axis follows from them, so the two differ by a rounding at most.
    grid = (max(1, round(rows * sy * shrink)), max(1, round(columns * sx * shrink)))
    return Geometry.resize(clip.shape, grid)


def working_frames(clip: Clip, max_height: int) -> tuple[NDArray[np.uint8], Geometry]:
    """Frames (T, h, w) on the working grid, and the map there."""
    geometry = working_geometry(clip, max_height)
    if geometry.grid_shape == clip.shape:
        return clip.frames, geometry
    return np.stack([on_grid(frame, geometry) for frame in clip.frames]), geometry


def on_grid(frame: NDArray[np.uint8], geometry: Geometry) -> NDArray[np.uint8]:
    """One native frame on the working grid."""
    return frame if geometry.grid_shape == geometry.native_shape else geometry.warp(frame)


def shrunk(frames: NDArray[np.uint8], factor: int) -> tuple[NDArray[np.uint8], Geometry]:
    """Frames (T, h, w) so many times smaller, and the map there; as they are with a factor of 1."""
    shape = (frames.shape[1], frames.shape[2])
    if factor == 1:
        return frames, Geometry.identity(shape)
    geometry = Geometry.resize(shape, (max(1, round(shape[0] / factor)), max(1, round(shape[1] / factor))))
    return np.stack([geometry.warp(frame) for frame in frames]), geometry
