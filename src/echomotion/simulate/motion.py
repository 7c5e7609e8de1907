"""Where every material point is at every time: the wall exactly, the rest by continuation.

The reference is an end-diastole, time 0. Blood of the cavity follows its border by mean value coordinates;
tissue outside follows the wall's outer edge and fades with distance. Both are continuous with the wall. Movement of
the whole picture (translation, rocking, drift of the probe) comes on top.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import DataError, View
from echomotion.core.arrays import frozen_array
from echomotion.simulate.anatomy import Anatomy, surroundings_of
from echomotion.simulate.deformation import deform, mesh_depths, segment_edges
from echomotion.simulate.extension import fading_weights, inside_polygon, mean_value_weights
from echomotion.simulate.heart import HeartParameters
from echomotion.simulate.reference import middle_line, to_scan
from echomotion.simulate.rhythm import smooth_step
from echomotion.simulate.wall_map import Located, WallMap

FloatArray = NDArray[np.float64]

# Within this distance of the wall what lies outside goes with its nearest point.
_CLOSE_MM = 6.0
_REACH_MM = 45.0


class Motion:
    """Displacement of any point over given times.

    Parameters
    ----------
    heart : HeartParameters
        For its view, rhythm, surroundings and movement as a whole.
    wall : WallMap
        The wall in scan space, its displacement at `times_s`.
    times_s : (T,)
        Relative to the end-diastole that is the reference.
    segment_edges : (K + 1,)
        Borders of the wall's segments in s.
    apex_s : float
        Place of the apex; NaN in the short axis.
    anatomy : Anatomy, optional
        The parts round the wall; made for the view where it is not given.
    through : (S, W, T), optional
        Stretch out of the plane on the nodes of the wall's mesh, where the deformation has one.
    """

    def __init__(
        self,
        heart: HeartParameters,
        wall: WallMap,
        times_s: FloatArray,
        segment_edges: FloatArray,
        apex_s: float,
        anatomy: Anatomy | None = None,
        through: FloatArray | None = None,
    ) -> None:
        self.heart, self.wall, self.through = heart, wall, through
        self.times_s = frozen_array(times_s, "times_s", shape=(None,), dtype=np.float64)
        self.segment_edges, self.apex_s = segment_edges, apex_s
        grid = wall.nodes
        self.endo = wall.reference(grid, np.zeros_like(grid))
        self.epi = wall.reference(grid, np.ones_like(grid))
        self.anatomy = surroundings_of(heart, self.endo, self.epi) if anatomy is None else anatomy
        self._moves = whole_motion(heart, self.times_s, self.endo.mean(axis=0))

    @property
    def n_times(self) -> int:
        """Number of times T."""
        return len(self.times_s)

    def mean_through(self) -> FloatArray | None:
        """Harmonic mean (T,) of the stretch out of the plane over the wall's area; None where it is not known."""
        if self.through is None:
            return None
        area = self.wall.area_weights()
        return area.sum() / np.einsum("sw,swt->t", area, 1 / self.through)

    @cached_property
    def _cavity(self) -> tuple[FloatArray, FloatArray]:
        """Border of the cavity (K, 2), closed across the annulus, and its displacement (K, 2 T)."""
        s = self.wall.nodes[::2]
        s = s[:-1] if self.wall.closed else s
        border = self.wall.reference(s, np.zeros_like(s))
        moved = self.wall.displacements(s, np.zeros_like(s)).reshape(len(s), -1)
        if not self.wall.closed:
            part = np.linspace(0.0, 1.0, 14)[1:-1, None]
            border = np.concatenate([border, (1 - part) * border[-1] + part * border[0]])
            moved = np.concatenate([moved, (1 - part) * moved[-1] + part * moved[0]])
        return border, moved

    @cached_property
    def _sources(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What carries tissue outside the wall along: places (K, 2), lengths (K,), displacement (K, 2 T)."""
        outer = self.wall.nodes[::4]
        if self.wall.closed:
            outer = outer[:-1]
        s, w = outer, np.ones_like(outer)
        if not self.wall.closed:
            depth = np.linspace(0.0, 1.0, 6)[:-1]
            s = np.concatenate([s, np.zeros(5), np.ones(5)])
            w = np.concatenate([w, depth, depth])
        places = [self.wall.reference(s, w)]
        moved = [self.wall.displacements(s, w).reshape(len(s), -1)]
        if not self.wall.closed:
            border, shift = self._cavity
            annulus = slice(len(self.wall.nodes[::2]), None)
            places.append(border[annulus])
            moved.append(shift[annulus])
        free = self.anatomy.free_wall
        if len(free):
            places.append(free)
            moved.append(self._free_wall(free).reshape(len(free), -1))
        if len(self.anatomy.anchors):
            places.append(self.anatomy.anchors)
            moved.append(np.zeros((len(self.anatomy.anchors), 2 * self.n_times)))
        mass = np.concatenate([_spacing(part) for part in places])
        return np.concatenate(places), mass, np.concatenate(moved)

    def _free_wall(self, line: FloatArray) -> FloatArray:
        """Displacement (K, T, 2) of the other ventricle's free wall, from its hinge or insertion to its other end."""
        active = self.heart.rhythm.activation(self.times_s)
        part = np.linspace(0.0, 1.0, len(line))
        if self.heart.view is View.PSAX:
            inward = self.endo[:-1].mean(axis=0) - line
            share = 0.08 * np.sin(np.pi * part)
            first, last = self._edge_displacement(line[[0, -1]])
            ends = (1 - part)[:, None, None] * first + part[:, None, None] * last
            return ends + share[:, None, None] * active[None, :, None] * inward[:, None]
        # The hinge descends as the ring does that it shares with the wall; the other end goes with the wall.
        near = self.endo[0] if self.heart.view is not View.RV_FOCUSED else self.endo[-1]
        base, tip = self._edge_displacement(np.stack([near, line[-1]]))
        fade = ((1 - part) ** 1.2)[:, None, None]
        beside = len(self.epi) // 4 if self.heart.view is not View.RV_FOCUSED else 3 * len(self.epi) // 4
        inward = (self.epi[beside] - line[len(line) // 2]) * 0.18
        squeeze = np.sin(np.pi * part) ** 1.5
        return fade * base + (1 - fade) * tip + squeeze[:, None, None] * active[None, :, None] * inward

    def _edge_displacement(self, points: FloatArray) -> FloatArray:
        at = self.wall.locate(points, reach=np.inf)
        return self.wall.displacements(at.s, at.w)

    def locate(self, points_mm: ArrayLike) -> Located:
        """Material coordinates in the wall of points (N, 2) of the reference; `distance` is 0 inside it."""
        return self.wall.locate(np.asarray(points_mm, dtype=np.float64))

    def displacement(self, points_mm: ArrayLike, *, located: Located | None = None) -> FloatArray:
        """Displacement (N, T, 2) in mm of the material points that lie at (N, 2) in the reference.

        Any point of scan space may be asked for: wall, blood, atrium, surroundings.
        """
        points = frozen_array(points_mm, "points", shape=(None, 2), dtype=np.float64)
        return self._place(self._deformation(points, located)) - points[:, None]

    def positions(self, reference_mm: ArrayLike, *, located: Located | None = None) -> NDArray[np.float32]:
        """Places (T, N, 2) in mm of the material points that lie at (N, 2) in the reference."""
        points = frozen_array(reference_mm, "points", shape=(None, 2), dtype=np.float64)
        placed = self._place(self._deformation(points, located))
        return np.ascontiguousarray(placed.transpose(1, 0, 2), dtype=np.float32)

    def wall_positions(self, s: ArrayLike, w: ArrayLike) -> FloatArray:
        """Places (N, T, 2) in mm of points of the wall given by their material coordinates."""
        along, depth = np.broadcast_arrays(np.asarray(s, dtype=np.float64), np.asarray(w, dtype=np.float64))
        reference = self.wall.reference(along, depth)
        return self._place(reference[:, None] + self.wall.displacements(along, depth))

    def _deformation(self, points: FloatArray, located: Located | None) -> FloatArray:
        """Places (N, T, 2) before the movement of the whole picture."""
        at = self.wall.locate(points) if located is None else located
        moved = np.zeros((len(points), 2 * self.n_times))
        in_wall = at.distance == 0
        border, shift = self._cavity
        rest = np.flatnonzero(~in_wall)
        in_cavity = np.zeros(len(points), dtype=bool)
        in_cavity[rest] = inside_polygon(points[rest], border)
        outside = ~in_wall & ~in_cavity
        close = outside & (at.distance < _CLOSE_MM)
        touching = in_wall | close
        moved[touching] = self.wall.displacements(at.s[touching], at.w[touching]).reshape(
            np.count_nonzero(touching), 2 * self.n_times
        )
        if in_cavity.any():
            moved[in_cavity] = mean_value_weights(points[in_cavity], border) @ shift
        if outside.any():
            places, mass, source = self._sources
            far = fading_weights(points[outside], places, mass, _REACH_MM) @ source
            blend = smooth_step(at.distance[outside] / _CLOSE_MM)[:, None]
            moved[outside] = (1 - blend) * moved[outside] + blend * far
        return points[:, None] + moved.reshape(len(points), self.n_times, 2)

    def _place(self, points: FloatArray) -> FloatArray:
        """Apply the movement of the whole picture to places (N, T, 2)."""
        turn, shift = self._moves
        x, y = points[..., 0], points[..., 1]
        placed = np.empty_like(points)
        for k in range(2):
            placed[..., k] = turn[:, k, 0] * x + turn[:, k, 1] * y + shift[:, k]
        return placed


def _spacing(line: FloatArray) -> FloatArray:
    """Length of line that each point stands for."""
    if len(line) < 2:
        return np.ones(len(line))
    step = np.minimum(np.hypot(*np.diff(line, axis=0).T), 6.0)
    return (np.concatenate([step[:1], step]) + np.concatenate([step, step[-1:]])) / 2


def whole_motion(heart: HeartParameters, times_s: FloatArray, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotation (T, 2, 2) and shift (T, 2) of the whole picture relative to time 0."""
    motion = heart.motion

    def at(times: FloatArray) -> tuple[FloatArray, FloatArray]:
        active = heart.rhythm.activation(times)
        sway = np.sin(2 * np.pi * (times / motion.drift_period_s + motion.drift_phase))
        rock, drift = _turn(np.deg2rad(motion.rocking_deg) * active), _turn(np.deg2rad(motion.drift_deg) * sway)
        shift = centre - rock @ centre + active[:, None] * np.asarray(motion.translation_mm)
        # Rocking about the ventricle first, then the probe's own movement about its tip.
        return drift @ rock, np.einsum("tij,tj->ti", drift, shift) + sway[:, None] * np.asarray(motion.drift_mm)

    turn, shift = at(times_s)
    start_turn, start_shift = at(np.zeros(1))
    back = start_turn[0].T
    relative = turn @ back
    return relative, shift - relative @ start_shift[0]


def _turn(angle: FloatArray) -> FloatArray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def heart_motion(heart: HeartParameters, times_s: ArrayLike) -> Motion:
    """The motion of a parametric heart at times relative to an end-diastole, that of its rhythm's first beat.

    Raises
    ------
    DataError
        When the times are empty, or the wall would fold.
    """
    times = frozen_array(times_s, "times_s", shape=(None,), dtype=np.float64)
    if len(times) == 0:
        raise DataError("times_s is empty; at least one time is needed")
    line, depths = middle_line(heart), mesh_depths()
    wall = deform(heart, line, times, depths)
    reference = to_scan(wall.reference, heart.view, heart.pose)[::2]
    # Lengths and angles are kept by the pose, so displacements may be taken after it.
    moved = to_scan(wall.positions, heart.view, heart.pose)[:, ::2] - reference
    mesh = WallMap(
        reference[:, 0], reference[:, -1], np.ascontiguousarray(moved.transpose(1, 2, 0, 3)), depths, closed=line.closed
    )
    through = wall.through[:, ::2].transpose(1, 2, 0)
    return Motion(heart, mesh, times, segment_edges(line), line.apex_s, through=through)
