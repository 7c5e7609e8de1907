"""From native frames to a model's grid and back, exactly."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Geometry
from echomotion.preprocess.sector import Sector, find_sector, mask_outside

# Phased arrays, which hearts are scanned with, have fans that begin at the probe (a near arc at 0.01 of the depth on
# CAMUS, at 0.1 on a cine with a margin) and are as wide to the left as to the right (within 0.004 radians on all clips
# at hand). What is found to differ by more than this is a near field or a flank too dark to see.
_DEEP_NEAR_ARC, _LOPSIDED = 0.15, 0.03


def whole_fan(sector: Sector) -> Sector:
    """The fan with a near field and a flank that are too dark to have been found.

    A network that is shown what was found alone sees a heart without its apex, or larger and off the middle. A fan
    that really is a curved array's, or is steered to one side, only gains black pixels.
    """
    left, right = sector.angles
    if abs(left + right) > _LOPSIDED:
        half = max(-left, right)
        left, right = -half, half
    near = 0.0 if sector.r_min > _DEEP_NEAR_ARC * sector.r_max else sector.r_min
    return replace(sector, angles=(left, right), r_min=near)


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


class Fan(NamedTuple):
    """The whole fan of a clip, None where there is none, and whether it is that of the clip turned upside down."""

    sector: Sector | None
    upside_down: bool


# By the identity of the clip, as long as it lives: models ask for the fan of one clip one after the other.
_fans: dict[int, Fan] = {}


def fan_of(clip: Clip) -> Fan:
    """The fan that models are shown of a clip; found once, since a clip never changes."""
    key = id(clip)
    if key not in _fans:
        _fans[key] = _found(clip)
        weakref.finalize(clip, _fans.pop, key, None)
    return _fans[key]


def _found(clip: Clip) -> Fan:
    sector = find_sector(clip.frames, pixel_aspect=clip.pixel_aspect)
    if sector is not None:
        return Fan(whole_fan(sector), False)
    turned = find_sector(np.ascontiguousarray(clip.frames[:, ::-1]), pixel_aspect=clip.pixel_aspect)
    return Fan(None if turned is None else whole_fan(turned), turned is not None)


def to_model_grid(
    clip: Clip, grid_shape: tuple[int, int], fan: Fan | None = None
) -> tuple[NDArray[np.uint8], Geometry]:
    """Frames on the model's grid, uint8 (T, h, w), with what lies outside the fan blackened, and the map there.

    A fan that hangs upside down, its tip below, is turned over: networks have seen hearts under the probe alone. `fan`
    is that of the clip unless that of a longer one is given.
    """
    sector, upside_down = fan or fan_of(clip)
    frames, placed = clip.frames, Geometry.identity(clip.shape)
    if upside_down:
        frames, placed = np.ascontiguousarray(frames[:, ::-1]), Geometry.upside_down(clip.shape)
    frames = frames if sector is None else mask_outside(frames, sector)
    geometry = model_geometry(clip, grid_shape, sector)
    return np.stack([geometry.warp(frame) for frame in frames]), placed.then(geometry)
