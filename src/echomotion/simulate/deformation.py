"""How the wall deforms: stretches of its middle line, thickening from incompressibility.

The middle line is stretched along the long axis by ``eta`` and across it by ``mu`` (both vary along the wall and in
time): ``x' = mu x`` and ``dz' = eta dz``. Material on a normal of the line stays on the normal of the deformed line.
Rotation about the long axis makes the wall a shell of revolution; the volume between the middle line and the
distance d along the normal, for each unit of the line's surface, is (Steiner)

    F(d) = d + (k1 + k2) d^2 / 2 + k1 k2 d^3 / 3

with the principal curvatures k1 (in the plane) and k2 = n_x / x (round the axis). An incompressible wall has
``J F'(d') = F(d)``, J the ratio of the line's surface after to before: longitudinal stretch times ``mu``. The new
distance d' is the root of that cubic, so that longitudinal times circumferential times radial stretch is 1 to the
accuracy of the arithmetic. In the short axis k2 is 0 and J is the stretch along the ring times that through the
plane.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import DataError
from echomotion.simulate.heart import (
    CONTRACTION_RANGES,
    SHAPE_RANGES,
    Contraction,
    HeartParameters,
    wall_segments,
)
from echomotion.simulate.reference import MiddleLine, along_line, middle_line
from echomotion.simulate.rhythm import Rhythm, smooth_step

FloatArray = NDArray[np.float64]

# Half the width of the border between a lesion and healthy wall, as a part of the wall's length.
_BORDER = 0.06
# Circumferential shortening at the very apex as a part of that of the wall.
_APEX_SHARE = 0.45
# A line of the wall this much shorter than the middle line beside it is about to fold, or the cavity to close.
_LEAST_FACTOR = 0.15
# Parameters that prevent a fold when they are small, in the order in which they are named.
_PREVENT = (
    "circumferential",
    "longitudinal",
    "thickness_apex_mm",
    "thickness_first_mm",
    "thickness_second_mm",
    "cavity_length_mm",
)
_RANGES = CONTRACTION_RANGES | SHAPE_RANGES


def mesh_depths(count: int = 5) -> FloatArray:
    """Chebyshev-Lobatto nodes across the wall, 0 endocardial to 1 epicardial."""
    return 0.5 * (1 - np.cos(np.pi * np.arange(count) / (count - 1)))


@dataclass(frozen=True)
class WallDeformation:
    """The wall's mesh in local coordinates at every time.

    Attributes
    ----------
    reference : (S, W, 2)
        Nodes at end-diastole; w in the order of :func:`mesh_depths`.
    positions : (T, S, W, 2)
    through, along, radial : (T, S, W)
        Stretches relative to end-diastole: out of the plane (round the axis in the views with a long axis, along it
        in the short axis), along the wall in the plane, and across the wall.
    """

    reference: FloatArray
    positions: FloatArray
    through: FloatArray
    along: FloatArray
    radial: FloatArray


def lesion_fields(
    contraction: Contraction, line: MiddleLine, segments: tuple[str, ...]
) -> tuple[FloatArray, FloatArray]:
    """Relative contraction and delay in seconds along the wall, each (S,)."""
    middles = segment_edges(line, len(segments))
    middles = (middles[1:] + middles[:-1]) / 2
    weights, scales, delays = [], [], []
    for lesion in contraction.lesions:
        k = segments.index(lesion.segment)
        distance = line.s - middles[k]
        if line.closed:
            distance = (distance + 0.5) % 1.0 - 0.5
        half = lesion.extent / len(segments) / 2
        # A ring that is ill all round has no border.
        rise = np.tanh((distance + half) / _BORDER) - np.tanh((distance - half) / _BORDER)
        if line.closed:
            for turn in (-1, 1):
                rise = rise + np.tanh((distance + turn + half) / _BORDER) - np.tanh((distance + turn - half) / _BORDER)
        weights.append(rise / 2)
        scales.append(lesion.scale - 1)
        delays.append(lesion.delay_s)
    if not weights:
        return np.ones_like(line.s), np.zeros_like(line.s)
    stack = np.asarray(weights)
    # Where lesions overlap they share the wall, smoothly.
    share = (1 + stack.sum(axis=0) ** 8) ** -0.125 * 2**0.125
    share = np.minimum(share, 1.0)
    return 1 + share * (np.asarray(scales) @ stack), share * (np.asarray(delays) @ stack)


def segment_edges(line: MiddleLine, count: int = 6) -> FloatArray:
    """Borders of the segments in s: equal thirds of each wall, or equal parts of the ring, (count + 1,)."""
    if line.closed:
        return np.linspace(0.0, 1.0, count + 1)
    half = count // 2
    first = np.linspace(0.0, line.apex_s, half + 1)
    return np.concatenate([first, np.linspace(line.apex_s, 1.0, half + 1)[1:]])


def stretch_fields(heart: HeartParameters, line: MiddleLine, times_s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the stretches along and across the long axis, (T, S) each, 0 at time 0."""
    contraction, rhythm = heart.contraction, heart.rhythm
    scale, delay = lesion_fields(contraction, line, wall_segments(heart.view))
    along = contraction.longitudinal * (1 + contraction.gradient * (0.5 - line.to_base)) * scale
    round_axis = contraction.circumferential * scale
    if not line.closed:
        round_axis = round_axis * (
            contraction.annulus + (1 - contraction.annulus) * smooth_step((1 - line.to_base) / 0.4)
        )
        # At the tip shortening round the axis is shortening in every direction, which a real apex does little of.
        round_axis = round_axis * (_APEX_SHARE + (1 - _APEX_SHARE) * smooth_step(line.to_base / 0.45))
    active = _delayed_activation(rhythm, times_s, delay)
    start = _delayed_activation(rhythm, np.zeros(1), delay)
    reshape = contraction.isovolumic * rhythm.reshaping(times_s)[:, None]
    log_eta = np.log1p(-along * active) - np.log1p(-along * start) - reshape
    log_mu = np.log1p(-round_axis * active) - np.log1p(-round_axis * start) + reshape / 2
    return log_eta, log_mu


def _delayed_activation(rhythm: Rhythm, times_s: FloatArray, delay_s: FloatArray) -> FloatArray:
    if not np.any(delay_s):
        return np.broadcast_to(rhythm.activation(times_s)[:, None], (len(times_s), len(delay_s)))
    return rhythm.activation(times_s[:, None] - delay_s[None, :])


def deform(heart: HeartParameters, line: MiddleLine, times_s: FloatArray, depths: FloatArray) -> WallDeformation:
    """The wall at given times (T,) relative to the end-diastole at time 0, at depths (W,) from 0 to 1.

    Raises
    ------
    DataError
        When the wall would close the cavity or fold; it names a parameter and the range that this heart leaves it.
    """
    wall = _deformed(heart, line, times_s, depths)
    if wall is None:
        raise DataError(_what_folds(heart, times_s, depths))
    return wall


def _deformed(
    heart: HeartParameters, line: MiddleLine, times_s: FloatArray, depths: FloatArray
) -> WallDeformation | None:
    """The deformed wall, or None where it would fold."""
    log_eta, log_mu = stretch_fields(heart, line, times_s)
    eta, mu = np.exp(log_eta), np.exp(log_mu)
    offset = (depths[None, :] - 0.5) * line.thickness[:, None]
    normal, curvature, round_curvature = _frame(line.xz[None], line.tangent[None], closed=line.closed)
    if _least_factor(offset[None], curvature[..., None], round_curvature[..., None]) < _LEAST_FACTOR:
        return None
    before = _steiner(offset[None], curvature[..., None], round_curvature[..., None])
    moved, tangent = (_move_ring if line.closed else _move_open)(heart, line, eta, mu, times_s)
    stretch = np.hypot(*np.moveaxis(tangent, -1, 0)) / np.hypot(*line.tangent.T)
    new_normal, new_curvature, new_round = _frame(moved, tangent, closed=line.closed)
    surface = stretch * (eta if line.closed else mu)
    k1, k2 = new_curvature[..., None], new_round[..., None]
    new_offset = _root(before / surface[..., None], k1, k2, np.broadcast_to(offset, (len(times_s), *offset.shape)))
    if new_offset is None:
        return None
    positions = moved[:, :, None] + new_offset[..., None] * new_normal[:, :, None]
    reference = line.xz[:, None] + offset[..., None] * normal[0][:, None]
    if not line.closed:
        positions = positions + _hold_apex(heart, line, times_s, positions, reference)[:, None, None]
    along = stretch[..., None] * (1 + k1 * new_offset) / (1 + curvature[..., None] * offset)
    if line.closed:
        through = np.broadcast_to(eta[..., None], along.shape)
    else:
        through = mu[..., None] * (1 + k2 * new_offset) / (1 + round_curvature[..., None] * offset)
    return WallDeformation(reference, positions, through, along, 1 / (along * through))


def _what_folds(heart: HeartParameters, times_s: FloatArray, depths: FloatArray) -> str:
    """The message about a wall that folds: the first parameter that can prevent it, and how far it may go."""
    shape, contraction = heart.shape, heart.contraction

    def changed(names: tuple[str, ...], value: float) -> HeartParameters:
        """The heart with the last of these parameters at a value and those before it at their lowest."""
        values: dict[str, Any] = {name: _RANGES[name][0] for name in names[:-1]} | {names[-1]: value}
        return heart.with_(
            shape=replace(shape, **{k: v for k, v in values.items() if k in SHAPE_RANGES}),
            contraction=replace(contraction, **{k: v for k, v in values.items() if k in CONTRACTION_RANGES}),
        )

    def whole(names: tuple[str, ...], value: float) -> bool:
        try:
            other = changed(names, value)
        except DataError:
            return False
        return _deformed(other, middle_line(other), times_s, depths) is not None

    for count in range(1, len(_PREVENT) + 1):
        names = _PREVENT[:count]
        name = names[-1]
        given = getattr(contraction if name in CONTRACTION_RANGES else shape, name)
        low, high = _RANGES[name][0], given
        if not whole(names, low):
            continue
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if whole(names, middle) else (low, middle)
        return (
            f"{name} is {given:g}: the wall would fold or close its cavity; with this heart's other parameters it "
            f"must lie between {_RANGES[name][0]:g} and {np.floor(1000 * low) / 1000:g}"
        )
    return "the lesions would fold the wall; fewer of them, a scale nearer to 1 or a smaller delay_s are needed"


def _move_open(
    heart: HeartParameters, line: MiddleLine, eta: FloatArray, mu: FloatArray, times_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The middle line and its tangent after stretching along and across the long axis, (T, S, 2) each."""
    x, z = line.xz.T
    step = (eta[:, 1:] + eta[:, :-1]) / 2 * np.diff(z)
    height = np.concatenate([np.zeros((len(eta), 1)), np.cumsum(step, axis=1)], axis=1)
    # The tangent is the derivative of what was just summed up, so that normals are at right angles to the line.
    moved = np.stack([mu * x, height], axis=-1)
    slope_mu = along_line(mu.T, closed=False).T
    tangent = np.stack([mu * line.tangent[:, 0] + slope_mu * x, eta * line.tangent[:, 1]], axis=-1)
    return moved, tangent


def _move_ring(
    heart: HeartParameters, line: MiddleLine, eta: FloatArray, mu: FloatArray, times_s: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The ring and its tangent after narrowing and twisting, (T, S, 2) each."""
    angle = np.deg2rad(heart.contraction.twist_deg) * heart.rhythm.activation(times_s)[:, None]
    x, z = line.xz.T
    turned = np.stack([np.cos(angle) * x - np.sin(angle) * z, np.sin(angle) * x + np.cos(angle) * z], axis=-1)
    moved = mu[..., None] * turned
    tangent = np.moveaxis(along_line(np.moveaxis(moved, 1, 0), closed=True), 0, 1)
    return moved, tangent


def _frame(line: FloatArray, tangent: FloatArray, *, closed: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Outward normals (T, S, 2) and the two principal curvatures (T, S), positive where the wall bulges outwards."""
    speed = np.hypot(tangent[..., 0], tangent[..., 1])
    # Open lines run over the apex (z smallest) from x < 0 to x > 0, the ring clockwise: outside is on the left hand.
    normal = np.stack([tangent[..., 1], -tangent[..., 0]], axis=-1) / speed[..., None]
    turn = np.moveaxis(along_line(np.moveaxis(normal, 1, 0), closed=closed), 0, 1)
    curvature = np.sum(turn * tangent, axis=-1) / speed**2
    if closed:
        return normal, curvature, np.zeros_like(curvature)
    x = line[..., 0]
    near = np.abs(x) < 1e-3
    round_curvature = np.where(near, curvature, normal[..., 0] / np.where(near, 1.0, x))
    return normal, curvature, round_curvature


def _steiner(d: FloatArray, k1: FloatArray, k2: FloatArray) -> FloatArray:
    """Volume between the line and the distance d, for each unit of the line's surface."""
    return d * (1 + d * ((k1 + k2) / 2 + d * k1 * k2 / 3))


def _least_factor(d: FloatArray, k1: FloatArray, k2: FloatArray) -> float:
    """The smaller change of length, in the plane or round the axis, from the line to the distance d."""
    return min(float(np.min(1 + k1 * d)), float(np.min(1 + k2 * d)))


def _root(volume: FloatArray, k1: FloatArray, k2: FloatArray, start: FloatArray) -> FloatArray | None:
    """The distance at which :func:`_steiner` takes a value (Newton); None where the wall would fold."""
    d = start.copy()
    for _ in range(30):
        slope = (1 + k1 * d) * (1 + k2 * d)
        # A step that passed the centre of curvature would land on another root.
        change = np.clip((_steiner(d, k1, k2) - volume) / np.maximum(slope, 0.05), -2.0, 2.0)
        d = d - change
        if np.max(np.abs(change)) < 1e-10:
            break
    if np.max(np.abs(change)) > 1e-6 or _least_factor(d, k1, k2) < _LEAST_FACTOR:
        return None
    return d


def _hold_apex(
    heart: HeartParameters, line: MiddleLine, times_s: FloatArray, positions: FloatArray, reference: FloatArray
) -> FloatArray:
    """The shift (T, 2) along the long axis that leaves the outside of the apex at the height that is asked for."""
    k = int(np.argmin(np.abs(line.s - line.apex_s)))
    wanted = heart.contraction.apex_motion_mm * heart.rhythm.activation(times_s)
    height = reference[k, -1, 1] + wanted - positions[:, k, -1, 1]
    return np.stack([np.zeros_like(height), height], axis=-1)
