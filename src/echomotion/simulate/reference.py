"""The wall at end-diastole: the middle line of the band, its normals and its thickness.

Local coordinates of the views with a long axis: x across it (the first wall has x < 0), z along it from the apex of
the middle line towards the base. The short axis has x to the right and z downwards in the picture, centre (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echomotion.core import View
from echomotion.simulate.heart import HeartParameters, Pose, Shape
from echomotion.simulate.rhythm import smooth_step

FloatArray = NDArray[np.float64]

# Points along the middle line: every second one becomes a node of the wall's mesh.
LINE_POINTS = 385
# The short axis begins at seven o'clock.
_RING_START = np.deg2rad(210.0)


@dataclass(frozen=True)
class MiddleLine:
    """The middle line of the wall at end-diastole, equally spaced by arc length.

    Attributes
    ----------
    s : (S,)
        Part of the line's length from its first point.
    xz, tangent : (S, 2)
        Local coordinates in mm, and their derivative with respect to `s`.
    thickness : (S,)
        Of the wall along the normal, in mm.
    to_base : (S,)
        0 at the apex to 1 at either annulus; 0.5 everywhere in the short axis.
    apex_s : float
        Where the apex lies; NaN in the short axis.
    closed : bool
        Whether the line is a ring; its last point then repeats the first.
    """

    s: FloatArray
    xz: FloatArray
    tangent: FloatArray
    thickness: FloatArray
    to_base: FloatArray
    apex_s: float
    closed: bool


def middle_line(heart: HeartParameters) -> MiddleLine:
    """The middle line of a heart's wall at end-diastole."""
    return _ring(heart.shape) if heart.view is View.PSAX else _open_line(heart.shape)


def _open_line(shape: Shape) -> MiddleLine:
    """A cut, blunted, skewed ellipse: ``x = a sin(q) (1 + b cos(q)) + c a sin(q)^2``, ``z = l (1 - cos(q))``."""
    base = np.deg2rad(shape.base_angle_deg)
    wide = shape.cavity_radius_mm + (shape.thickness_first_mm + shape.thickness_second_mm) / 4
    along = (shape.cavity_length_mm + shape.thickness_apex_mm / 2) / (1 - np.cos(base))

    def curve(q: FloatArray) -> tuple[FloatArray, FloatArray]:
        sine, cosine = np.sin(q), np.cos(q)
        x = wide * (sine * (1 + shape.roundness * cosine) + shape.skew * sine**2)
        dx = wide * (cosine + shape.roundness * np.cos(2 * q) + 2 * shape.skew * sine * cosine)
        return np.stack([x, along * (1 - cosine)], axis=-1), np.stack([dx, along * sine], axis=-1)

    fine = np.linspace(-base, base, 6001)
    _, slope = curve(fine)
    speed = np.hypot(*slope.T)
    length = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(fine))])
    s = np.linspace(0.0, 1.0, LINE_POINTS)
    angle = np.interp(s * length[-1], length, fine)
    xz, slope = curve(angle)
    tangent = slope / np.hypot(*slope.T)[:, None] * length[-1]
    apex_s = float(np.interp(0.0, fine, length) / length[-1])
    to_base = np.where(s < apex_s, (apex_s - s) / apex_s, (s - apex_s) / (1 - apex_s))
    side = np.where(s < apex_s, shape.thickness_first_mm, shape.thickness_second_mm)
    thickness = shape.thickness_apex_mm + (side - shape.thickness_apex_mm) * smooth_step(to_base / 0.7)
    return MiddleLine(s, xz, tangent, thickness, to_base, apex_s, closed=False)


def _ring(shape: Shape) -> MiddleLine:
    """A ring, slightly oval by `skew`, its thickness from septum (left) to lateral wall (right)."""

    def curve(angle: FloatArray) -> tuple[FloatArray, FloatArray]:
        across = (1 + np.sin(angle)) / 2
        thickness = shape.thickness_first_mm + (shape.thickness_second_mm - shape.thickness_first_mm) * across
        radius = (shape.cavity_radius_mm + thickness / 2) * (1 + 0.5 * shape.skew * np.cos(2 * angle))
        return radius[:, None] * np.stack([np.sin(angle), -np.cos(angle)], axis=-1), thickness

    fine = _RING_START + np.linspace(0.0, 2 * np.pi, 6001)
    line, _ = curve(fine)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    s = np.linspace(0.0, 1.0, LINE_POINTS)
    xz, thickness = curve(np.interp(s * length[-1], length, fine))
    tangent = along_line(xz, closed=True)
    return MiddleLine(s, xz, tangent, thickness, np.full(LINE_POINTS, 0.5), float("nan"), closed=True)


def along_line(values: FloatArray, *, closed: bool) -> FloatArray:
    """Derivative with respect to s of values (S, ...) at equally spaced points from s = 0 to 1."""
    step = 1.0 / (len(values) - 1)
    if not closed:
        inner = np.gradient(values, step, axis=0, edge_order=2)
        inner[2:-2] = (8 * (values[3:-1] - values[1:-3]) - (values[4:] - values[:-4])) / (12 * step)
        return inner
    ring = values[:-1]
    slope = (8 * (np.roll(ring, -1, 0) - np.roll(ring, 1, 0)) - (np.roll(ring, -2, 0) - np.roll(ring, 2, 0))) / (
        12 * step
    )
    return np.concatenate([slope, slope[:1]])


def to_scan(local: FloatArray, view: View, pose: Pose) -> FloatArray:
    """Local coordinates (..., 2) to scan space in mm: x to the right, y down, the probe's tip at (0, 0)."""
    x, z = np.moveaxis(np.asarray(local, dtype=np.float64), -1, 0)
    if view is View.PLAX:
        # The long axis lies across the picture, its base on the right, the first wall above.
        x, z = z, x
    angle = np.deg2rad(pose.rotation_deg)
    return np.stack(
        [
            pose.x_mm + np.cos(angle) * x - np.sin(angle) * z,
            pose.y_mm + np.sin(angle) * x + np.cos(angle) * z,
        ],
        axis=-1,
    )
