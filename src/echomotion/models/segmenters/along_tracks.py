"""Probabilities of a cine averaged over neighbouring frames along the motion of tracked points.

A filter over time at a fixed pixel takes some of the motion away with the flicker. Here the neighbours are carried to
where the tissue of a frame was or will be, so that what moves keeps moving.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.models.segmenters.point_cues import Cues

# The motion between two frames is kept on every eighth pixel of the grid.
_STEP = 8
# Neighbours further away than this many widths count for nothing.
_REACH = 2.5
# Of what is known of the motion in all, added everywhere: where no point is near, motion is that of the others.
_FAR = 1e-3


def averaged_along_tracks(
    probability: NDArray[np.float32], cues: Cues, interval_s: float, *, width_s: float, spacing_px: float
) -> NDArray[np.float32]:
    """Average with Gaussian weights over time.

    Parameters
    ----------
    probability : float32 (T, K, h, w)
    cues : Cues
        Points of the same frames, px of the same grid.
    interval_s : float
        Between frames.
    width_s : float
        Standard deviation of the weights over time.
    spacing_px : float
        Distance of neighbouring points: the scale over which their motion is averaged.

    Returns
    -------
    float32 (T, K, h, w)
    """
    count = len(probability)
    width = width_s / interval_s
    reach = min(int(_REACH * width), count - 1)
    if reach < 1:
        return probability
    rows, columns = probability.shape[-2:]
    images = np.ascontiguousarray(probability.transpose(0, 2, 3, 1))
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    out = np.empty_like(images)

    def average(t: int) -> None:
        total, weights = images[t].copy(), np.ones((rows, columns), np.float32)
        for u in range(max(0, t - reach), min(count, t + reach + 1)):
            if u == t:
                continue
            shift, sure = _motion(cues, t, u, (rows, columns), spacing_px)
            weight = np.float32(np.exp(-0.5 * ((u - t) / width) ** 2)) * sure
            there = cv2.remap(
                images[u], x + shift[..., 0], y + shift[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            total += weight[..., None] * there
            weights += weight
        out[t] = total / weights[..., None]

    # OpenCV and NumPy let go of Python's lock, so threads share this work.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(average, range(count)))
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def _motion(
    cues: Cues, start: int, end: int, shape: tuple[int, int], spacing_px: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Displacement (h, w, 2) from one frame to another, and how sure the points around are of it (h, w), 0..1."""
    here, there = cues.xy[:, start], cues.xy[:, end]
    sure = np.minimum(cues.confidence[:, start], cues.confidence[:, end])
    sure = np.clip(sure, 0.02, 1) * np.where(cues.visible[:, start] & cues.visible[:, end], 1, 0.05)
    size = (shape[0] // _STEP + 2, shape[1] // _STEP + 2)
    # Sums of weight x (shift, confidence) and of weight, spread over the coarse grid.
    sums = np.zeros((*size, 4), np.float32)
    place = np.clip(here / _STEP, 0, [size[1] - 1.001, size[0] - 1.001])
    low = place.astype(np.int64)
    part = place - low
    values = np.column_stack([(there - here) * sure[:, None], sure * sure, sure]).astype(np.float32)
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
            np.add.at(sums, (low[:, 1] + dy, low[:, 0] + dx), values * share[:, None].astype(np.float32))
    spread = cv2.GaussianBlur(sums, (0, 0), 0.75 * spacing_px / _STEP, borderType=cv2.BORDER_CONSTANT)
    spread += _FAR * values.mean(axis=0)
    field = spread[..., :3] / np.maximum(spread[..., 3:], 1e-12)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) / _STEP
    fine = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return fine[..., :2], np.clip(fine[..., 2], 0, 1)
