"""Exact toy clips and shapes: what comes out of them is known on paper.

Lengths are in mm where a spacing is given; points are ``(x, y)`` in native pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from echomotion.core import Beat, Clip, Masks, Phases, View

Map = Callable[[ArrayLike, int], NDArray[np.float64]]


# ----------------------------------------------------------------- a half-ellipse ventricle
@dataclass(frozen=True)
class HalfEllipse:
    """A ventricle whose cavity is half an ellipse: semi-axis `radius` across, `length` from annulus to apex.

    `angle` turns it about the middle of its annulus: 0 has the apex straight up, pi/2 to the right.
    """

    base: tuple[float, float]
    radius: float
    length: float
    wall: float = 9.0
    angle: float = 0.0
    spacing_mm: tuple[float, float] = (1.0, 1.0)

    @property
    def axes(self) -> NDArray[np.float64]:
        """Unit vectors in mm: across, and from base to apex."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, s], [s, -c]])

    def to_local(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Pixels to mm across and along the axis."""
        step = np.array(self.spacing_mm[::-1])
        return (np.asarray(xy, dtype=float) - self.base) * step @ self.axes.T

    def to_pixels(self, uv: ArrayLike) -> NDArray[np.float64]:
        step = np.array(self.spacing_mm[::-1])
        return np.asarray(uv, dtype=float) @ self.axes / step + self.base

    @property
    def volume_ml(self) -> float:
        return 2 / 3 * np.pi * self.radius**2 * self.length / 1000

    @property
    def area_cm2(self) -> float:
        return np.pi / 2 * self.radius * self.length / 100

    @property
    def apex(self) -> NDArray[np.float64]:
        return self.to_pixels([0.0, self.length])

    @property
    def annulus(self) -> NDArray[np.float64]:
        """The two annulus points, image left first."""
        points = self.to_pixels([[-self.radius, 0.0], [self.radius, 0.0]])
        return points[np.lexsort((points[:, 1], points[:, 0]))]

    def line(self, share: float, count: int = 2001) -> NDArray[np.float64]:
        """The ellipse at a share of the wall's thickness (0 endocardial, 1 epicardial), in px, base to base."""
        t = np.linspace(0, np.pi, count)
        w = share * self.wall
        return self.to_pixels(np.column_stack([-(self.radius + w) * np.cos(t), (self.length + w) * np.sin(t)]))

    def labels(self, shape: tuple[int, int], *, atrium: bool = True) -> NDArray[np.uint8]:
        """Label image: 1 cavity, 2 myocardium open at the base, 3 atrium."""
        y, x = np.mgrid[: shape[0], : shape[1]]
        u, v = np.moveaxis(self.to_local(np.stack([x, y], axis=-1)), -1, 0)
        out = np.zeros(shape, dtype=np.uint8)
        out[(v >= 0) & ((u / (self.radius + self.wall)) ** 2 + (v / (self.length + self.wall)) ** 2 <= 1)] = 2
        out[(v >= 0) & ((u / self.radius) ** 2 + (v / self.length) ** 2 <= 1)] = 1
        if atrium:
            out[(v < 0) & ((u / self.radius) ** 2 + (v / (0.55 * self.length)) ** 2 <= 1)] = 3
        return out


# ----------------------------------------------------------------- heart time
def area_curve(phase: ArrayLike, systole: float = 0.36) -> NDArray[np.float64]:
    """Cavity size over a beat, 1 at end-diastole (phase 0 and 1) and 0 at end-systole.

    Ejection, rapid filling, a slowly rising diastasis and an atrial kick, as a real ventricle has.
    """
    p = np.mod(np.asarray(phase, dtype=float), 1.0)
    knots = np.array([0.0, systole, systole + 0.55 * (1 - systole), 0.86, 1.0])
    values = np.array([1.0, 0.0, 0.80, 0.84, 1.0])
    out = np.zeros_like(p)
    for k in range(4):
        part = (p >= knots[k]) & (p <= knots[k + 1])
        share = (p[part] - knots[k]) / (knots[k + 1] - knots[k])
        out[part] = values[k] + (values[k + 1] - values[k]) * (1 - np.cos(np.pi * share)) / 2
    return out


# ----------------------------------------------------------------- textured motion
def speckle(shape: tuple[int, int], rng: np.random.Generator, grain: float = 1.6) -> NDArray[np.float32]:
    """Speckle-like texture in 0 to 1: log-compressed magnitude of smoothed complex noise."""
    real, imag = (ndimage.gaussian_filter(rng.standard_normal(shape), grain) for _ in range(2))
    magnitude = np.hypot(real, imag)
    level = np.log10(magnitude / np.quantile(magnitude, 0.98) + 0.03)
    level -= np.quantile(level, 0.01)
    return np.clip(level / np.quantile(level, 0.995), 0, 1).astype(np.float32)


def moving_clip(
    matrices: NDArray[np.float64],
    centre: tuple[float, float],
    shape: tuple[int, int],
    fps: float,
    rng: np.random.Generator,
    **clip_fields: object,
) -> tuple[Clip, Map]:
    """Speckle that moves by ``p(t) = centre + A_t (p(0) - centre)``; matrices (T, 2, 2), the first the identity."""
    pad = int(0.3 * max(shape))
    texture = speckle((shape[0] + 2 * pad, shape[1] + 2 * pad), rng)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    grid = np.stack([x, y], axis=-1) - centre
    frames = []
    for matrix in matrices:
        source = grid @ np.linalg.inv(matrix).T + centre + pad
        image = cv2.remap(
            texture, source[..., 0].astype(np.float32), source[..., 1].astype(np.float32), cv2.INTER_CUBIC
        )
        frames.append(np.clip(image * 235 + 10, 0, 255).astype(np.uint8))

    def true_map(xy: ArrayLike, t: int) -> NDArray[np.float64]:
        """Where points that lie at `xy` (..., 2) on frame 0 are on frame `t`."""
        return (np.asarray(xy, dtype=float) - centre) @ matrices[t].T + centre

    clip = Clip(np.stack(frames), np.arange(len(frames)) / fps, **clip_fields)  # type: ignore[arg-type]
    return clip, true_map


def affine_clip(
    shrink: float = 0.10,
    frames: int = 20,
    fps: float = 30,
    shape: tuple[int, int] = (256, 256),
    rng: np.random.Generator | None = None,
    **clip_fields: object,
) -> tuple[Clip, Map]:
    """Speckle that shrinks evenly about the middle of the image, by `shrink` on the last frame.

    Returns the clip and ``true_map(xy, t)``. Every line's strain on the last frame is ``-100 * shrink`` %.
    """
    rng = rng or np.random.default_rng(1)
    scale = 1 - shrink * np.linspace(0, 1, frames)
    matrices = scale[:, None, None] * np.eye(2)
    return moving_clip(matrices, ((shape[1] - 1) / 2, (shape[0] - 1) / 2), shape, fps, rng, **clip_fields)


def rotating_clip(
    degrees: float = 20.0,
    frames: int = 20,
    fps: float = 30,
    shape: tuple[int, int] = (256, 256),
    rng: np.random.Generator | None = None,
    **clip_fields: object,
) -> tuple[Clip, Map]:
    """Speckle that turns about the middle of the image, by `degrees` on the last frame; every strain is 0."""
    rng = rng or np.random.default_rng(2)
    angle = np.deg2rad(degrees) * np.linspace(0, 1, frames)
    c, s = np.cos(angle), np.sin(angle)
    matrices = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    return moving_clip(matrices, ((shape[1] - 1) / 2, (shape[0] - 1) / 2), shape, fps, rng, **clip_fields)


# ----------------------------------------------------------------- a beating ventricle
@dataclass(frozen=True)
class VentricleTruth:
    """What is known of :func:`beating_ventricle`."""

    shapes: tuple[HalfEllipse, ...]
    phases: Phases
    true_map: Map

    @property
    def volumes_ml(self) -> NDArray[np.float64]:
        return np.array([shape.volume_ml for shape in self.shapes])

    @property
    def areas_cm2(self) -> NDArray[np.float64]:
        return np.array([shape.area_cm2 for shape in self.shapes])

    @property
    def ejection_fraction(self) -> float:
        volumes = self.volumes_ml
        return float(100 * (volumes.max() - volumes.min()) / volumes.max())

    def strain(self, share: float = 0.5) -> NDArray[np.float64]:
        """Strain in % over time of the material line that lies at a share of the wall on frame 0."""
        first = self.shapes[0]
        line = first.line(share)
        step = np.array(first.spacing_mm[::-1])
        lengths = [np.hypot(*np.diff(self.true_map(line, t) * step, axis=0).T).sum() for t in range(len(self.shapes))]
        return 100 * (np.array(lengths) / lengths[0] - 1)


def beating_ventricle(
    *,
    beats: float = 1.0,
    fps: float = 40.0,
    bpm: float = 70.0,
    radius: float = 22.0,
    length: float = 80.0,
    shorten_radius: float = 0.25,
    shorten_length: float = 0.16,
    wall: float = 9.0,
    angle: float = 0.0,
    shape: tuple[int, int] = (240, 240),
    spacing_mm: tuple[float, float] = (0.6, 0.6),
    atrium: bool = True,
    view: View = View.A4C,
    rng: np.random.Generator | None = None,
) -> tuple[Clip, Masks, VentricleTruth]:
    """A half-ellipsoid ventricle that beats, as speckle images, masks and truth; frame 0 is end-diastole.

    The image deforms by an affine map about the middle of the annulus: by ``1 - shorten_radius`` across
    and ``1 - shorten_length`` along the axis at end-systole. The last frame of a whole number of beats is
    the next end-diastole.
    """
    rng = rng or np.random.default_rng(3)
    period = 60 / bpm
    count = round(beats * period * fps) + 1
    times = np.arange(count) / fps
    level = area_curve(times / period)
    step = np.array(spacing_mm[::-1])
    direction = np.array([np.sin(angle), -np.cos(angle)])
    centre = (np.array([shape[1], shape[0]]) - 1) / 2 - 0.28 * length * direction / step
    base = (float(centre[0]), float(centre[1]))
    shapes = tuple(
        HalfEllipse(
            base,
            radius * (1 - shorten_radius * (1 - a)),
            length * (1 - shorten_length * (1 - a)),
            wall,
            angle,
            spacing_mm,
        )
        for a in level
    )
    axes = shapes[0].axes
    to_mm, to_px = np.diag(step), np.diag(1 / step)
    matrices = np.stack(
        [
            to_px @ axes.T @ np.diag([s.radius / shapes[0].radius, s.length / shapes[0].length]) @ axes @ to_mm
            for s in shapes
        ]
    )
    clip, true_map = moving_clip(matrices, base, shape, fps, rng, spacing_mm=spacing_mm, view=view)
    labels = np.stack([s.labels(shape, atrium=atrium) for s in shapes])
    gain = np.array([0.25, 0.18, 1.0, 0.18])[np.stack([s.labels(shape) for s in shapes])]
    # Blood is dark and the wall bright, with the soft border that a real beam gives.
    gain = ndimage.gaussian_filter(gain, (0, 1.0, 1.0))
    clip = clip.with_(frames=(clip.frames * gain).astype(np.uint8))
    es = period * 0.36
    whole = int(np.floor(times[-1] / period + 1e-6))
    phases = Phases(
        tuple(Beat(k * period, k * period + es, min((k + 1) * period, times[-1])) for k in range(whole)), "user", 1.0
    )
    return clip, Masks(labels), VentricleTruth(shapes, phases, true_map)


def degraded(labels: NDArray[np.uint8], rng: np.random.Generator, *, jag: int = 4) -> NDArray[np.uint8]:
    """A label image (H, W) as a poor network gives it: jagged, with islands, holes, and a broken wall."""
    h, w = labels.shape
    noise = cv2.resize(rng.normal(0, 0.35 * jag, (h // jag, w // jag, 2)).astype(np.float32), (w, h))
    y, x = np.mgrid[:h, :w].astype(np.float32)
    out = cv2.remap(labels, x + noise[..., 0], y + noise[..., 1], cv2.INTER_NEAREST)
    out = cv2.resize(out[::jag, ::jag], (w, h), interpolation=cv2.INTER_NEAREST)
    rows, columns = np.nonzero(out == 1)
    size = float(np.sqrt(len(rows)))
    for label in (1, 2, 3, 1):  # islands
        centre = rng.integers(0, w), rng.integers(0, h)
        island = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (0.06 * size) ** 2
        out[island & (out == 0)] = label
    for _ in range(3):  # holes in the cavity
        k = rng.integers(len(rows))
        out[((x - columns[k]) ** 2 + (y - rows[k]) ** 2 < (0.03 * size) ** 2) & (out == 1)] = 0
    rows, columns = np.nonzero(out == 2)
    k = rng.integers(len(rows))  # a gap in the myocardium
    out[((x - columns[k]) ** 2 + (y - rows[k]) ** 2 < (0.22 * size) ** 2) & (out == 2)] = 0
    return out
