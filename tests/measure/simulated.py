"""Simulated hearts as exact tracks along their walls, and what is true of them from the simulator's own geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from echomotion.core import Beat, Layer, Phases, Tracks, View, WallPoints
from echomotion.simulate.deformation import lesion_fields
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import HeartParameters, wall_segments
from echomotion.simulate.motion import Motion, heart_motion
from echomotion.simulate.reference import middle_line
from echomotion.simulate.truth import LAYER_DEPTH, end_systoles

MM_PER_PX = 0.5


@dataclass(frozen=True)
class SimulatedBeat:
    """A heart on the frames of a clip that starts at an end-diastole and holds one whole beat and a little more."""

    heart: HeartParameters
    motion: Motion
    times_s: np.ndarray
    phases: Phases

    @classmethod
    def draw(cls, view: View, kind: str, seed: int, rate_hz: float | None = None, start_s: float = 0.0):
        """Draw a heart; the clip starts `start_s` after its end-diastole."""
        rng = np.random.default_rng([seed, 11])
        heart = draw_heart(view, rng, kind)
        rate = rate_hz or float(rng.uniform(20, 120))
        es = end_systoles(heart, 0.0, 0.01)[0]
        end = float(heart.rhythm.r_waves(0.01, 3.0)[0])
        times = np.arange(start_s, end + 2 / rate, 1 / rate)
        return cls(heart, heart_motion(heart, times), times, Phases((Beat(0.0, es, end),), "user", 1.0))

    @property
    def spacing_mm(self) -> tuple[float, float]:
        return MM_PER_PX, MM_PER_PX

    def tracks(self, layer: Layer | str = Layer.MID_WALL, count: int = 61) -> Tracks:
        """Exact tracks of points equally spaced by arc length on the first frame."""
        depth = LAYER_DEPTH[Layer(layer)]
        fine = np.linspace(0, 1, 1001)
        line = self.motion.wall_positions(fine, depth)[:, 0]
        length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        s = np.interp(np.linspace(0, length[-1], count), length, fine)
        names = wall_segments(self.heart.view)
        owner = np.clip(np.searchsorted(self.motion.segment_edges, s, side="right") - 1, 0, 5)
        xy = (self.motion.wall_positions(s, depth) / MM_PER_PX + 300).astype(np.float32)
        queries = np.column_stack([np.zeros(count), xy[:, 0]])
        wall = WallPoints(queries, layer, tuple(names[k] for k in owner), np.linspace(0, 1, count), self.heart.view)
        grid = xy.shape[:2]
        return Tracks(xy, np.ones(grid, bool), np.ones(grid), queries, wall, "truth")

    @cached_property
    def phases_motion(self) -> Motion:
        """The motion at the exact times of end-diastole and end-systole."""
        return heart_motion(self.heart, np.array([0.0, self.phases.beats[0].es_s]))

    def true_strain(self, depth: float = 0.5, start: float = 0.0, stop: float = 1.0) -> float:
        """End-systolic strain of a stretch of the wall's line, from the simulator's arc length."""
        line = self.phases_motion.wall_positions(np.linspace(start, stop, 2001), depth)
        length = np.hypot(*np.moveaxis(np.diff(line, axis=0), -1, 0)).sum(axis=0)
        return float(100 * (length[1] / length[0] - 1))

    def true_radial(self, start: float = 0.0, stop: float = 1.0) -> float:
        """End-systolic change of the mean distance between the wall's two edges."""
        s = start + (stop - start) * (np.arange(400) + 0.5) / 400
        moved = self.phases_motion
        across = moved.wall_positions(s, 1.0) - moved.wall_positions(s, 0.0)
        size = np.hypot(across[..., 0], across[..., 1]).mean(axis=0)
        return float(100 * (size[1] / size[0] - 1))

    def segments(self) -> dict[str, tuple[float, float]]:
        edges = self.motion.segment_edges
        return dict(zip(wall_segments(self.heart.view), pairwise(edges), strict=True))

    def contraction(self) -> dict[str, float]:
        """The contraction that was asked for in each segment, as a share of the healthy wall's."""
        line = middle_line(self.heart)
        scale, _ = lesion_fields(self.heart.contraction, line, wall_segments(self.heart.view))
        return {n: float(scale[(line.s >= a) & (line.s <= b)].mean()) for n, (a, b) in self.segments().items()}
