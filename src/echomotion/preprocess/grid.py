"""From native frames to a model's grid and back, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Geometry
from echomotion.preprocess.sector import Sector, find_sector, mask_outside


def model_geometry(clip: Clip, grid_shape: tuple[int, int], sector: Sector | None) -> Geometry:
    """The map that fits the fan (or, without one, the whole frame) into a model's grid, proportions kept.

    Anisotropic pixels become square; the fan's box is clipped to the frame first.
    """
    rows, columns = clip.shape
    box = (-0.5, -0.5, columns - 0.5, rows - 0.5)
    if sector is not None:
        x0, y0, x1, y1 = sector.box
        box = (max(x0, box[0]), max(y0, box[1]), min(x1, box[2]), min(y1, box[3]))
    return Geometry.letterbox(clip.shape, box, grid_shape, clip.pixel_aspect)


def to_model_grid(clip: Clip, grid_shape: tuple[int, int]) -> tuple[NDArray[np.uint8], Geometry]:
    """Frames on the model's grid, uint8 (T, h, w), with what lies outside the fan blackened, and the map there."""
    sector = find_sector(clip.frames, pixel_aspect=clip.pixel_aspect)
    frames = clip.frames if sector is None else mask_outside(clip.frames, sector)
    geometry = model_geometry(clip, grid_shape, sector)
    return np.stack([geometry.warp(frame) for frame in frames]), geometry
