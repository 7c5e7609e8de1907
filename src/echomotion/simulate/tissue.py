"""Scatterers of a sequence: where they lie at end-diastole, what they belong to, how strongly they scatter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from echomotion.core import View
from echomotion.simulate.extension import inside_polygon
from echomotion.simulate.motion import Motion
from echomotion.simulate.valves import leaflet_positions
from echomotion.simulate.wall_map import Located

FloatArray = NDArray[np.float64]

SURROUNDINGS, WALL, BLOOD, LINE, MUSCLE, LEAFLET = range(6)
_GROOVE_MM = 11.0
# Thickness of a leaflet.
_LEAFLET_MM = 1.4
# How far brightness is evened out before it may change with contraction, and on which grid.
_EVEN_MM, _CELL_MM = 8.0, 2.0
TISSUES = ("surroundings", "wall", "blood", "line", "muscle", "leaflet")


@dataclass(frozen=True)
class Echogenicity:
    """How strongly tissues scatter, in dB relative to the wall at right angles to the beam.

    `anisotropy_db` is how much weaker the wall is where its fibres run along the beam, and half of how much weaker a
    line is; `patchiness_db` the standard deviation of slow random changes within the wall, and about half of those in
    the surroundings; `fat_db` is how much brighter the surroundings are in the groove at the annulus.
    """

    blood_db: float = -32.0
    surroundings_db: float = -14.0
    line_db: float = 4.0
    leaflet_db: float = 2.0
    anisotropy_db: float = 6.0
    patchiness_db: float = 3.0
    fat_db: float = 6.0


def draw_echogenicity(rng: np.random.Generator) -> Echogenicity:
    """Contrasts at random, from a clear window to a poor one."""
    return Echogenicity(
        blood_db=rng.uniform(-32, -18),
        surroundings_db=rng.uniform(-14, -2),
        line_db=rng.uniform(4, 11),
        leaflet_db=rng.uniform(-3, 4),
        anisotropy_db=rng.uniform(4, 10),
        patchiness_db=rng.uniform(2, 4.5),
        fat_db=rng.uniform(2, 12),
    )


@dataclass(frozen=True)
class Scatterers:
    """Scatterers that move with the tissue, and those of the leaflets, whose places are given.

    Attributes
    ----------
    reference_mm : (N, 2)
        At end-diastole.
    tissue : (N,)
        Index into :data:`TISSUES`.
    level_db : (N,)
        Strength relative to the wall, at end-diastole.
    systolic_db : (N,)
        How much stronger each is when the ventricle has contracted: a patient's wall is brighter or darker then.
    located : Located
        In the coordinates of the wall.
    leaflets_mm : (T, M, 2)
        Places of the leaflets' scatterers.
    leaflet_level_db : (M,)
    leaflet_area_mm2 : (M,)
        Area that each of them stands for.
    """

    reference_mm: FloatArray
    tissue: NDArray[np.int64]
    level_db: FloatArray
    systolic_db: FloatArray
    located: Located
    leaflets_mm: FloatArray
    leaflet_level_db: FloatArray
    leaflet_area_mm2: FloatArray

    @property
    def all_tissue(self) -> NDArray[np.int64]:
        """Tissue of the moving scatterers and then of the leaflets', (N + M,)."""
        return np.concatenate([self.tissue, np.full(len(self.leaflet_level_db), LEAFLET)])

    @property
    def all_level_db(self) -> FloatArray:
        """Strength of the moving scatterers and then of the leaflets', (N + M,)."""
        return np.concatenate([self.level_db, self.leaflet_level_db])


def beam_space_points(
    count: int, half_angle: float, tilt: float, depth_mm: float, rng: np.random.Generator
) -> FloatArray:
    """Points (N, 2) spread evenly over angle and depth, so that every resolution cell gets as many.

    Twelve degrees and 15 mm more than the sector, from where tissue may move in.
    """
    spare = np.deg2rad(12.0)
    angle = tilt + rng.uniform(-half_angle - spare, half_angle + spare, count)
    depth = rng.uniform(1.0, depth_mm + 15.0, count)
    return np.stack([depth * np.sin(angle), depth * np.cos(angle)], axis=-1)


def smooth_field(points: FloatArray, length_mm: float, rng: np.random.Generator, waves: int = 16) -> FloatArray:
    """A random field of mean 0 and variance 1 (about) at points (N, 2): a sum of waves, Gaussian correlation."""
    vectors = rng.normal(0.0, 1.0 / length_mm, (waves, 2))
    phases = rng.uniform(0.0, 2 * np.pi, waves)
    angle = (points @ vectors.T + phases).astype(np.float32)
    return np.sqrt(2.0 / waves) * np.cos(angle).sum(axis=1, dtype=np.float64)


def near_line(points: FloatArray, line: FloatArray, reach: float) -> tuple[NDArray[np.int64], FloatArray]:
    """Which points (N, 2) lie within `reach` of a polyline (K, 2), and (M, 2) how its nearest segment runs."""
    low, high = line.min(axis=0) - reach, line.max(axis=0) + reach
    near = np.flatnonzero(np.all((points >= low) & (points <= high), axis=1))
    start, step = line[:-1], np.diff(line, axis=0)
    squared = np.maximum(np.sum(step**2, axis=1), 1e-12)
    ray = points[near][:, None] - start[None]
    part = np.clip(np.sum(ray * step, axis=-1) / squared, 0.0, 1.0)
    off = np.sum((ray - part[..., None] * step) ** 2, axis=-1)
    nearest = off.argmin(axis=1)
    hit = off[np.arange(len(near)), nearest] < reach**2
    return near[hit], step[nearest[hit]]


def place_scatterers(
    motion: Motion,
    points: FloatArray,
    look: Echogenicity,
    rng: np.random.Generator,
    levels: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None = None,
    blood_share: float = 0.5,
) -> Scatterers:
    """Give every point its tissue and strength, thin out the blood, and add the leaflets.

    Parameters
    ----------
    points : (N, 2)
        In mm, at end-diastole.
    levels : callable, optional
        Strength in dB of points (N, 2) at end-diastole and, wherever they are then, at end-systole, read off a
        patient's images; without it tissues are as in `look`, and stay so.
    blood_share : float
        Part of the points in blood that is kept; they scatter as strongly together as all would.
    """
    located = motion.locate(points)
    tissue, runs = _tissues(motion, points, located)
    if levels is None:
        level, change = _look_levels(motion, points, tissue, runs, located, look, rng), np.zeros(len(points))
    else:
        level, late = levels(points)
        # What is finer is tissue, which takes its echo along: two pictures do not say where each spot of it went.
        change = _evened(points, tissue, late - level)
    keep = (tissue != BLOOD) | (rng.random(len(points)) < blood_share)
    level[tissue == BLOOD] -= 10 * np.log10(blood_share)
    leaflets, area = _leaflets(motion, rng)
    return Scatterers(
        points[keep],
        tissue[keep],
        level[keep],
        change[keep],
        Located(located.s[keep], located.w[keep], located.distance[keep]),
        leaflets,
        np.full(len(area), look.leaflet_db),
        area,
    )


def _evened(points: FloatArray, tissue: NDArray[np.int64], values: FloatArray) -> FloatArray:
    """Values of points (N, 2), smoothed among those of the same tissue."""
    cell = np.floor((points - points.min(axis=0)) / _CELL_MM).astype(np.int64)
    shape = tuple(cell.max(axis=0) + 1)
    out = np.empty_like(values)
    for kind in np.unique(tissue):
        own = tissue == kind
        where = np.ravel_multi_index(tuple(cell[own].T), shape)
        weight, total = (
            gaussian_filter(np.bincount(where, each, minlength=int(np.prod(shape))).reshape(shape), _EVEN_MM / _CELL_MM)
            for each in (np.ones(len(where)), values[own])
        )
        out[own] = total.ravel()[where] / weight.ravel()[where]
    return out


def _tissues(motion: Motion, points: FloatArray, located: Located) -> tuple[NDArray[np.int64], FloatArray]:
    """Tissue of every point, and (N, 2) how the line runs that it belongs to."""
    anatomy = motion.anatomy
    runs = np.zeros(points.shape)
    tissue = np.full(len(points), SURROUNDINGS)
    for polygon in anatomy.blood.values():
        tissue[inside_polygon(points, polygon)] = BLOOD
    for name, line in anatomy.edges.items():
        near, direction = near_line(points, line, anatomy.edge_widths[name] / 2)
        tissue[near] = LINE
        runs[near] = direction
    tissue[inside_polygon(points, motion.endo)] = BLOOD
    for muscle in anatomy.muscles:
        tissue[inside_polygon(points, muscle)] = MUSCLE
    tissue[located.distance == 0] = WALL
    return tissue, runs


def _look_levels(
    motion: Motion,
    points: FloatArray,
    tissue: NDArray[np.int64],
    runs: FloatArray,
    located: Located,
    look: Echogenicity,
    rng: np.random.Generator,
) -> FloatArray:
    level = np.zeros(len(points))
    level[tissue == BLOOD] = look.blood_db
    level[tissue == SURROUNDINGS] = look.surroundings_db
    line = tissue == LINE
    level[line] = look.line_db - 2.0 * look.anisotropy_db * (1.0 - _across_beam(runs[line], points[line]))
    level[tissue == MUSCLE] = -0.5 * look.anisotropy_db
    around = 1.8 * smooth_field(points, 25.0, rng) + 1.2 * smooth_field(points, 8.0, rng)
    around += look.fat_db / look.patchiness_db * _groove(motion, points)
    level += look.patchiness_db * np.where(tissue == SURROUNDINGS, around, smooth_field(points, 9.0, rng))
    wall = np.flatnonzero(tissue == WALL)
    level[wall] += _wall_level(motion, points[wall], located.s[wall], located.w[wall], look)
    return level


def _wall_level(motion: Motion, points: FloatArray, s: FloatArray, w: FloatArray, look: Echogenicity) -> FloatArray:
    """Weaker where the wall runs along the beam, brighter at its two borders where it runs across."""
    step = 0.01
    ahead = motion.wall.reference(np.minimum(s + step, 1.0), w) - motion.wall.reference(np.maximum(s - step, 0.0), w)
    across = _across_beam(ahead, points)
    border = np.minimum(w, 1 - w) < 0.08
    return -look.anisotropy_db * (1 - across) + 4.0 * border * across


def _across_beam(direction: FloatArray, points: FloatArray) -> FloatArray:
    """How far something that runs in a direction (N, 2) lies across the beam: sine of the angle, 0 to 1."""
    sine = np.abs(direction[:, 0] * points[:, 1] - direction[:, 1] * points[:, 0])
    return sine / np.maximum(np.hypot(*direction.T) * np.hypot(*points.T), 1e-9)


def _groove(motion: Motion, points: FloatArray) -> FloatArray:
    """1 in the fat beside the hinges of the inflow valves, falling to 0 within some centimetres."""
    near = np.zeros(len(points))
    for valve in motion.anatomy.valves:
        if valve.kind == "mitral":
            for hinge in valve.hinges:
                near = np.maximum(near, np.exp(-0.5 * np.sum(((points - hinge) / _GROOVE_MM) ** 2, axis=1)))
    return near


def _leaflets(motion: Motion, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Places (T, M, 2) of the leaflets' scatterers, and the area in mm2 that each stands for."""
    parts, areas = [np.zeros((motion.n_times, 0, 2))], [np.zeros(0)]
    for valve in motion.anatomy.valves:
        for which in (0, 1):
            length = valve.lengths[which]
            count = max(24, int(12 * length))
            u, v = rng.uniform(0.0, 1.0, count), rng.uniform(-_LEAFLET_MM / 2, _LEAFLET_MM / 2, count)
            parts.append(leaflet_positions(motion, valve, which, u, v))
            areas.append(np.full(count, length * _LEAFLET_MM / count))
    return np.concatenate(parts, axis=1), np.concatenate(areas)


def chamber_polygons(motion: Motion, classes: tuple[str, ...]) -> list[tuple[FloatArray, int]]:
    """Polygons of the labelled parts on every frame, (T, K, 2) in mm with their label, in the order of painting."""
    parts: list[tuple[FloatArray, int]] = []
    for name, polygon in motion.anatomy.blood.items():
        if name in classes:
            parts.append((motion.positions(polygon).astype(np.float64), classes.index(name)))
    s = motion.wall.nodes
    inner = motion.wall_positions(s, 0.0).transpose(1, 0, 2)
    outer = motion.wall_positions(s, 1.0).transpose(1, 0, 2)
    if motion.wall.closed:
        parts += [(outer, 2), (inner, 1)]
        return parts
    view = motion.heart.view
    if view is View.PLAX:
        # Each wall is a class of its own; they meet at the apex.
        apex = int(np.argmin(np.abs(s - motion.apex_s)))
        for label, part in ((2, slice(0, apex + 1)), (3, slice(apex, None))):
            parts.append((np.concatenate([inner[:, part], outer[:, part][:, ::-1]], axis=1), label))
    else:
        parts.append((np.concatenate([inner, outer[:, ::-1]], axis=1), 2))
    parts.append((inner, 1))
    return parts
