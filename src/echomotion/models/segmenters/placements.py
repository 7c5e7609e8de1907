"""Test-time augmentation: a clip seen as it is, mirrored and at other scales, and the mean of what a network says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import ModelError

# Clips that have few frames to be steadied by are seen at these scales too; chosen on the patients who choose
# checkpoints.
SHORT, SCALES = 6, (0.85, 0.7)

Matrix = NDArray[np.float64]
# Frames (T, h, w) placed by a matrix, and that matrix, to probabilities (T, K, h, w).
Predict = Callable[[NDArray[np.uint8], Matrix], NDArray[np.float32]]


def check_scales(scales: Iterable[float] | None) -> None:
    """Raise :class:`~echomotion.core.ModelError` when a scale is of no use."""
    if any(not 0.5 <= scale <= 2 for scale in scales or ()):
        raise ModelError(f"scales is {scales}; each lies from 0.5 to 2")


def scales_for(n_frames: int, scales: tuple[float, ...] | None) -> tuple[float, ...]:
    """Scales at which a clip is seen as well: those asked for, or the usual ones where it is short."""
    return (SCALES if n_frames <= SHORT else ()) if scales is None else tuple(scales)


def placement_matrices(shape: tuple[int, int], *, mirror: bool, scales: Iterable[float] = ()) -> list[Matrix]:
    """Matrices (2, 3) from px of a grid (rows, columns) to px of the same grid: itself, scaled, and all mirrored."""
    middle = (np.array(shape[::-1]) - 1) / 2
    sides = (1.0, -1.0) if mirror else (1.0,)
    linear = [np.diag([side * scale, scale]) for scale in (1.0, *scales) for side in sides]
    return [np.column_stack([one, middle - one @ middle]) for one in linear]


def averaged(frames: NDArray[np.uint8], matrices: Iterable[Matrix], predict: Predict) -> NDArray[np.float32]:
    """Mean probabilities (T, K, h, w) over placements of frames (T, h, w); where one does not see a place, of the rest.

    One of the placements is the identity, so that each place is seen.
    """
    inside = np.ones(frames.shape[1:], np.float32)
    weight = np.zeros_like(inside)
    total: NDArray[np.float32] | None = None
    for matrix in matrices:
        found = predict(np.stack([_warp(frame, matrix) for frame in frames]), matrix)
        back = cv2.invertAffineTransform(matrix)
        # Long clips fill memory: all in place.
        for channels in found:
            for channel in channels:
                channel[:] = _warp(channel, back)
        weight += _warp(inside, back)
        total = found if total is None else np.add(total, found, out=total)
    if total is None:
        raise ValueError("no placement is given")
    return np.divide(total, weight, out=total)


def _warp(image: NDArray[Any], matrix: Matrix) -> NDArray[Any]:
    """An image (h, w) through a matrix; mirrored pixel by pixel, so that nothing is interpolated."""
    if np.array_equal(matrix, np.eye(2, 3)):
        return image
    rows, columns = image.shape
    if np.array_equal(matrix, [[-1, 0, columns - 1], [0, 1, 0]]):
        return np.ascontiguousarray(image[:, ::-1])
    return cv2.warpAffine(image, matrix, (columns, rows), flags=cv2.INTER_LINEAR)
