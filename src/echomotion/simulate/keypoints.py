"""The named points of each view: material points that are followed through the beat, and calipers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from echomotion.core import DataError, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.simulate.motion import Motion

FloatArray = NDArray[np.float64]

# The line on which a parasternal view is measured crosses the cavity at the tips of the mitral leaflets.
_MEASURED_AT = 0.7


def key_points(motion: Motion) -> tuple[tuple[str, ...], FloatArray]:
    """Names and places (K, T, 2) in mm of the key-points of a view."""
    view = motion.heart.view
    if view is View.PSAX:
        names: tuple[str, ...] = (
            "inferior_insertion",
            "anterior_insertion",
            "septal_endocardial",
            "lateral_endocardial",
        )
        s, w = [0.0, 1 / 3, 1 / 6, 2 / 3], [1.0, 1.0, 0.0, 0.0]
    elif view is View.PLAX:
        names = PARASTERNAL_POINTS
        first, second = _crossing(motion)
        s, w = [first, first, second, second], [1.0, 0.0, 0.0, 1.0]
    else:
        names = ("annulus_left", "annulus_right", "apex")
        s, w = [0.0, 1.0, motion.apex_s], [0.0, 0.0, 0.0]
    return names, motion.wall_positions(np.asarray(s), np.asarray(w))


def _crossing(motion: Motion) -> tuple[float, float]:
    """Where a line at right angles to the long axis meets the two walls at end-diastole, in s."""
    s = motion.wall.nodes
    endo = motion.endo
    base = (endo[0] + endo[-1]) / 2
    apex = motion.wall.reference(np.array([motion.apex_s]), np.zeros(1))[0]
    height = (endo - apex) @ (base - apex) / np.sum((base - apex) ** 2)
    low = int(np.argmin(height))
    # Heights fall along the first wall and rise along the second.
    first = float(np.interp(_MEASURED_AT, height[: low + 1][::-1], s[: low + 1][::-1]))
    return first, float(np.interp(_MEASURED_AT, height[low:], s[low:]))


def wall_dimensions(names: tuple[str, ...], places_mm: FloatArray) -> Mapping[str, FloatArray]:
    """Septum, cavity and posterior wall in mm on every frame, (T,), between the key-points of the parasternal view."""
    if names != PARASTERNAL_POINTS:
        return {}
    gaps = np.hypot(*np.moveaxis(np.diff(places_mm, axis=0), -1, 0))
    return dict(zip(("ivs", "lvid", "lvpw"), gaps, strict=True))


def caliper_points(motion: Motion) -> FloatArray:
    """Places (4, T, 2) in mm where the measuring line of a parasternal view meets the borders of the walls.

    On every frame anew, in the order of :data:`~echomotion.core.masks.PARASTERNAL_POINTS`: the line is square to the
    long axis at that moment, from the endocardial apex to the middle of the annulus, at the height at which
    :func:`key_points` begins. Tissue slides along it: these are not material points.

    Raises
    ------
    DataError
        When the heart is not seen in the parasternal view.
    """
    if motion.heart.view is not View.PLAX:
        raise DataError(f"calipers belong to the PLAX view, this heart is seen in {motion.heart.view}")
    nodes = motion.wall.nodes
    endo, epi = (motion.wall_positions(nodes, np.full_like(nodes, depth)) for depth in (0.0, 1.0))
    apex = motion.wall_positions(np.array([motion.apex_s]), np.zeros(1))[0]
    axis = (endo[0] + endo[-1]) / 2 - apex
    foot = apex + _MEASURED_AT * axis
    lines = (epi, endo, endo[::-1], epi[::-1])
    return np.stack([_crossings(line, foot, axis) for line in lines])


def _crossings(line: FloatArray, foot: FloatArray, axis: FloatArray) -> FloatArray:
    """Where lines (S, T, 2) from base to apex first come down to the level of `foot`, (T, 2)."""
    height = np.sum((line - foot) * axis, axis=-1)
    below = np.argmax(height < 0, axis=0)
    frames = np.arange(line.shape[1])
    k = np.maximum(below, 1)
    high, low = height[k - 1, frames], height[k, frames]
    part = np.clip(high / (high - low), 0.0, 1.0)[:, None]
    return (1 - part) * line[k - 1, frames] + part * line[k, frames]
