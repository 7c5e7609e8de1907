"""A patient's end-diastolic and end-systolic picture joined by the motion of that patient's anatomy.

Only two frames of a beat carry expert masks. Between them the patient's contours move as those of a template do
(:mod:`.templates`), and both pictures are carried along: what comes out has the grey levels and the speckle of the
recording, a mask on every frame, and tracks. At either end it is the recording itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Geometry
from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.datasets.camus import CamusFrame
from echomotion.simulate.templates import contracted, make_outlines

FloatArray = NDArray[np.float64]

# Of the grid on which the motion is kept, px, and how often its inverse is refined.
_STEP = 8
_ITERATIONS = 15
# Speckle is what a Gaussian of so many px takes away.
_SPECKLE_PX = 3.0


@dataclass(frozen=True)
class JoinedBeat:
    """Two pictures of a patient and the motion between them.

    Attributes
    ----------
    patient : str
    frames, labels : uint8 (2, H, W)
        At end-diastole and end-systole.
    shift : float32 (h, w, 2)
        Displacement in px from end-diastole to end-systole of the points 0, 8, 16, … px right and down.
    """

    patient: str
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    shift: NDArray[np.float32]

    def __post_init__(self) -> None:
        set_field(self, "frames", frozen_array(self.frames, "frames", shape=(2, None, None), dtype=np.uint8))
        set_field(self, "labels", frozen_array(self.labels, "labels", shape=self.frames.shape, dtype=np.uint8))
        set_field(self, "shift", frozen_array(self.shift, "shift", shape=(None, None, 2), dtype=np.float32))

    def track(self, points: ArrayLike, parts: ArrayLike) -> NDArray[np.float32]:
        """Places (N, P, 2) of points (N, 2) of end-diastole when so much (P,) of the contraction is done, 0 to 1."""
        start = np.asarray(points, dtype=np.float32).reshape(-1, 2)
        moved = _read(self.shift, start / _STEP)
        return start[:, None] + np.asarray(parts, dtype=np.float32)[None, :, None] * moved[:, None]

    def render(self, part: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Picture and labels (H, W) when a part of the contraction is done, 0 to 1."""
        if part in (0, 1):
            return self.frames[int(part)], self.labels[int(part)]
        before, after = self._sources(part)
        pictures, weights = [], []
        for frame, place, weight in zip(self.frames, (before, after), (1 - part, part), strict=True):
            pictures.append(cv2.remap(frame.astype(np.float32), place, None, cv2.INTER_CUBIC))
            # Beyond its fan a picture has nothing to say, and black would darken what the other one shows.
            seen = cv2.remap(_fan(frame), place, None, cv2.INTER_LINEAR)
            weights.append(weight * np.minimum(seen, _fan(frame)))
        total = weights[0] + weights[1]
        mean = (weights[0] * pictures[0] + weights[1] * pictures[1]) / np.maximum(total, 1e-3)
        smooth = cv2.GaussianBlur(mean, (0, 0), _SPECKLE_PX)
        # The mean of two speckle patterns has less contrast than either.
        sharp = np.hypot(*weights) / np.maximum(total, 1e-3)
        picture = np.where(total > 0, smooth + (mean - smooth) / np.maximum(sharp, 0.5), 0)
        parts = [
            cv2.remap(labels, place, None, cv2.INTER_NEAREST)
            for labels, place in zip(self.labels, (before, after), strict=True)
        ]
        depth = (1 - part) * depths(parts[0]) + part * depths(parts[1])
        return np.clip(np.round(picture), 0, 255).astype(np.uint8), depth.argmax(axis=0).astype(np.uint8)

    def _sources(self, part: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where each pixel's tissue was at end-diastole and will be at end-systole, (H, W, 2) each."""
        height, width = self.frames.shape[1:]
        rows, columns = self.shift.shape[:2]
        here = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
        shift = self.shift / np.float32(_STEP)
        start = here.copy()
        for _ in range(_ITERATIONS):
            start = (0.5 * start + 0.5 * (here - part * _read(shift, start))).astype(np.float32)
        moved = _read(shift, start)
        y, x = np.mgrid[:height, :width].astype(np.float32) / _STEP
        fine = [
            cv2.remap(field * _STEP, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for field in (start - here, start - here + moved)
        ]
        place = np.stack([x, y], axis=-1) * _STEP
        return place + fine[0], place + fine[1]


def joined_beat(ed: CamusFrame, es: CamusFrame, side: int) -> JoinedBeat:
    """A patient's two frames on a square grid of `side` px, with the motion between them.

    Raises
    ------
    DataError
        When the patient's contours give no motion; see :func:`echomotion.simulate.templates.make_outlines`.
    """
    # Any origin will do for motion that leaves the picture as a whole in place.
    template = make_outlines(ed, es, np.zeros(2))
    geometry = square_geometry(ed, side)
    steps = np.arange(0, side + _STEP, _STEP, dtype=np.float64)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    spacing = np.array(template.spacing_mm[::-1])
    places = (geometry.to_native(grid.reshape(-1, 2)) - template.tip_px) * spacing
    moved = (contracted(template, places) - places) / spacing * geometry.scale
    pictures, labels = square_frames([ed, es], side)
    return JoinedBeat(ed.patient, pictures, labels, moved.reshape(grid.shape).astype(np.float32))


def square_geometry(frame: CamusFrame, side: int) -> Geometry:
    """The map of a whole frame into the middle of a square grid, proportions kept."""
    rows, columns = frame.labels.shape
    box = (-0.5, -0.5, columns - 0.5, rows - 0.5)
    return Geometry.letterbox((rows, columns), box, (side, side), frame.clip.pixel_aspect)


def square_frames(frames: Sequence[CamusFrame], side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures and labels (F, side, side) of frames on such grids."""
    maps = [square_geometry(frame, side) for frame in frames]
    pictures = [m.warp(frame.clip.frames[0]) for m, frame in zip(maps, frames, strict=True)]
    labels = [m.warp(frame.labels, nearest=True) for m, frame in zip(maps, frames, strict=True)]
    return np.stack(pictures), np.stack(labels)


def depths(labels: NDArray[np.uint8], classes: int = 4) -> NDArray[np.float32]:
    """How far inside each class (negative: outside) every pixel lies, (classes, H, W), in px."""
    out = np.full((classes, *labels.shape), -1e3, dtype=np.float32)
    for label in range(classes):
        inside = (labels == label).astype(np.uint8)
        if inside.any():
            out[label] = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(
                1 - inside, cv2.DIST_L2, 3
            )
    return out


def _fan(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """1 where a frame shows tissue or blood, 0 outside its fan."""
    return cv2.morphologyEx((frame > 0).astype(np.float32), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))


def _read(field: NDArray[np.float32], place: NDArray[Any]) -> NDArray[np.float32]:
    """A field (h, w, 2) at places (..., 2) in its px, between px by bilinear interpolation."""
    where = np.asarray(place, dtype=np.float32)
    flat = where.reshape(1, -1, 2)
    # OpenCV takes no more than 32767 columns.
    parts = [
        cv2.remap(field, flat[:, k : k + 32000], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for k in range(0, flat.shape[1], 32000)
    ]
    return np.concatenate(parts, axis=1).reshape(where.shape) if parts else where
