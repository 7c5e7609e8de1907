"""From a point of the wall at end-diastole to its material coordinates and on to its place at any time.

The wall at end-diastole is ruled: ``X(s, w) = E(s) + w H(s)``, s along it, w from 0 (endocardial) to 1 (epicardial).
Its displacement is kept on a mesh of nodes in (s, w) and read between them by cubic interpolation along the wall and
a polynomial through all nodes across it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Located:
    """Points in the coordinates of the wall, each moved to the nearest place of the wall.

    `s` and `w` (N,) lie on the wall; `distance` (N,) in mm is how far each point is from there, 0 inside.
    """

    s: FloatArray
    w: FloatArray
    distance: FloatArray


class WallMap:
    """The wall's mesh at end-diastole and its displacement at every time.

    Parameters
    ----------
    endo, epi : (S, 2)
        Points opposite each other at end-diastole, equally spaced in s, in mm.
    displacement : (S, W, T, 2)
        Of the mesh's nodes, relative to end-diastole.
    depths : (W,)
        Where across the wall its nodes lie.
    closed : bool
        Whether the wall is a ring; its last nodes then repeat the first.
    """

    def __init__(
        self, endo: FloatArray, epi: FloatArray, displacement: FloatArray, depths: FloatArray, *, closed: bool
    ) -> None:
        self.closed = closed
        self.depths = np.asarray(depths, dtype=np.float64)
        self.nodes = np.linspace(0.0, 1.0, len(endo))
        self.displacement = displacement
        inner: FloatArray = np.array(endo, dtype=np.float64)
        across: FloatArray = np.array(epi, dtype=np.float64) - inner
        kind: Literal["periodic", "not-a-knot"] = "periodic" if closed else "not-a-knot"
        if closed:
            inner[-1], across[-1] = inner[0], across[0]
        self._endo = CubicSpline(self.nodes, inner, bc_type=kind)
        self._across = CubicSpline(self.nodes, across, bc_type=kind)
        self._endo_slope, self._across_slope = self._endo.derivative(), self._across.derivative()
        self._seeds_s = np.repeat(np.linspace(0.0, 1.0, 2 * len(endo) - 1), 5)
        self._seeds_w = np.tile(np.linspace(0.0, 1.0, 5), 2 * len(endo) - 1)
        self._tree = cKDTree(self.reference(self._seeds_s, self._seeds_w))

    def reference(self, s: FloatArray, w: FloatArray) -> FloatArray:
        """Place (N, 2) of material coordinates at end-diastole, in mm."""
        return self._endo(s) + np.asarray(w)[..., None] * self._across(s)

    def area_weights(self) -> FloatArray:
        """Weights (S, W) in mm2 with which a sum over the nodes is an integral over the wall at end-diastole."""
        # Exact for polynomials through the nodes across the wall, the trapezoidal rule along it.
        powers = np.arange(len(self.depths))
        across_weights = np.linalg.solve(np.vander(self.depths, increasing=True).T, 1.0 / (powers + 1))
        along_weights = np.full(len(self.nodes), 1.0 / (len(self.nodes) - 1))
        along_weights[[0, -1]] /= 2
        across, slope = self._across(self.nodes), self._across_slope(self.nodes)
        along = self._endo_slope(self.nodes)[:, None] + self.depths[None, :, None] * slope[:, None]
        area = np.abs(along[..., 0] * across[:, None, 1] - along[..., 1] * across[:, None, 0])
        return area * along_weights[:, None] * across_weights[None, :]

    def locate(self, points: FloatArray, reach: float = 8.0) -> Located:
        """The nearest place of the wall for each point (N, 2); beyond `reach` mm only roughly."""
        far, seed = self._tree.query(points)
        s, w = self._seeds_s[seed].copy(), self._seeds_w[seed].copy()
        near = np.flatnonzero(far < reach)
        s[near], w[near] = self._refine(points[near], s[near], w[near])
        distance: FloatArray = np.array(far, dtype=np.float64)
        distance[near] = np.hypot(*(points[near] - self.reference(s[near], w[near])).T)
        distance[distance < 1e-6] = 0.0
        return Located(s, w, distance)

    def _refine(self, points: FloatArray, s: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Newton's method for ``X(s, w) = point``, then the nearest place on the wall."""
        step_limit = 2.0 / len(self.nodes)
        for _ in range(8):
            across, slope_across = self._across(s), self._across_slope(s)
            miss = points - self._endo(s) - w[:, None] * across
            along = self._endo_slope(s) + w[:, None] * slope_across
            determinant = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
            determinant = np.where(np.abs(determinant) < 1e-9, 1e-9, determinant)
            ds = (miss[:, 0] * across[:, 1] - miss[:, 1] * across[:, 0]) / determinant
            dw = (along[:, 0] * miss[:, 1] - along[:, 1] * miss[:, 0]) / determinant
            ds = np.clip(ds, -step_limit, step_limit)
            s, w = s + ds, np.clip(w + dw, -1.5, 2.5)
            s = s % 1.0 if self.closed else np.clip(s, 0.0, 1.0)
            if len(s) == 0 or np.max(np.abs(ds)) < 1e-12:
                break
        # At the end of an open wall the best depth is where its end is nearest.
        across = self._across(s)
        w = np.sum((points - self._endo(s)) * across, axis=1) / np.sum(across**2, axis=1)
        return s, np.clip(w, 0.0, 1.0)

    def weights(self, s: FloatArray, w: FloatArray) -> sparse.csr_matrix:
        """Matrix (N, S * W) that reads values on the nodes at material coordinates (N,)."""
        count = len(self.nodes)
        position = np.clip(np.asarray(s, dtype=np.float64), 0.0, 1.0) * (count - 1)
        cell = np.minimum(position.astype(np.int64), count - 2)
        first = cell - 1 if self.closed else np.clip(cell - 1, 0, count - 4)
        x = position - first
        # Lagrange's polynomials through four nodes.
        cubic = np.stack(
            [
                -(x - 1) * (x - 2) * (x - 3) / 6,
                x * (x - 2) * (x - 3) / 2,
                -x * (x - 1) * (x - 3) / 2,
                x * (x - 1) * (x - 2) / 6,
            ],
            axis=1,
        )
        along = first[:, None] + np.arange(4)
        if self.closed:
            along = along % (count - 1)
        depth = np.clip(np.asarray(w, dtype=np.float64), 0.0, 1.0)
        width = len(self.depths)
        across = np.ones((len(depth), width))
        for j in range(width):
            for k in range(width):
                if k != j:
                    across[:, j] *= (depth - self.depths[k]) / (self.depths[j] - self.depths[k])
        columns = (along[:, :, None] * width + np.arange(width)).reshape(len(position), 4 * width)
        values = (cubic[:, :, None] * across[:, None, :]).reshape(len(position), 4 * width)
        rows = np.arange(len(position) + 1) * (4 * width)
        return sparse.csr_matrix((values.ravel(), columns.ravel(), rows), shape=(len(position), count * width))

    def displacements(self, s: FloatArray, w: FloatArray) -> FloatArray:
        """Displacement (N, T, 2) of material coordinates (N,), in mm."""
        nodes = self.displacement.reshape(len(self.nodes) * len(self.depths), -1)
        return np.asarray(self.weights(s, w) @ nodes).reshape(len(s), *self.displacement.shape[2:])
