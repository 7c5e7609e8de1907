"""From probabilities on a model's grid to masks in native pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from echomotion.core import Geometry, Masks, Tracks

# Grey level, of 255, up to which a frame is black to the eye.
_DARK = 8


def masks_of(
    probability: NDArray[np.float32],
    geometry: Geometry,
    classes: Mapping[int, str],
    model: str,
    tracks: Tracks | None = None,
) -> Masks:
    """Masks from probabilities (T, K + 1, h, w), background first: the most probable class, one piece of each."""
    # OpenCV lets go of Python's lock, so threads share this work.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        labels = np.stack(list(pool.map(lambda p: without_islands(labels_from_probability(p, geometry)), probability)))
    # Most probabilities are next to nothing, and of such numbers NumPy makes halves thirty times slower.
    halves = torch.from_numpy(probability).half().numpy()
    return Masks(labels, classes, halves, geometry, model, tracks)


def empty_where_dark(masks: Masks, frames: NDArray[np.uint8]) -> Masks:
    """Masks with nothing but background on frames (T, H, W) in which no eye sees anything.

    Networks that have seen hearts alone find one in darkness too.
    """
    dark = frames.max(axis=(1, 2)) <= _DARK
    if not dark.any():
        return masks
    labels = np.where(dark[:, None, None], 0, masks.labels).astype(np.uint8)
    if masks.probability is None:
        return replace(masks, labels=labels)
    probability = masks.probability.copy()
    probability[dark] = 0
    probability[dark, 0] = 1
    return replace(masks, labels=labels, probability=probability)


def labels_from_probability(probability: NDArray[np.floating], geometry: Geometry) -> NDArray[np.uint8]:
    """Most probable class of each native pixel (H, W) from probabilities (K, h, w) on the grid.

    The probabilities are enlarged, not the labels, so that contours are smooth at native resolution.
    Pixels off the grid are background.
    """
    labels = np.zeros(geometry.native_shape, dtype=np.uint8)
    window = _occupied(probability, geometry)
    if window is None:
        return labels
    x0, y0, columns, rows = window
    part = geometry.inverse().then(Geometry.crop(geometry.native_shape, x0, y0, columns, rows))
    found = labels[y0 : y0 + rows, x0 : x0 + columns]
    best = part.warp(probability[0].astype(np.float32, copy=False))
    for label, values in enumerate(probability[1:], start=1):
        # Off the grid all classes read 0, and none exceeds the background.
        enlarged = part.warp(values.astype(np.float32, copy=False))
        found[enlarged > best] = label
        np.maximum(best, enlarged, out=best)
    return labels


def _occupied(probability: NDArray[np.floating], geometry: Geometry) -> tuple[int, int, int, int] | None:
    """The part of the native frame that may hold a structure as (x0, y0, columns, rows); None where none is.

    Between grid pixels that are background there can be nothing else, and enlarging takes time for every pixel.
    """
    x, y, columns, rows = cv2.boundingRect((probability[1:].max(axis=0) > probability[0]).astype(np.uint8))
    if columns == 0:
        return None
    # As far as bilinear reading and, where the frame is coarser than the grid, its low-pass reach.
    reach = 2 + 2 * np.maximum(np.abs(geometry.scale), 1)
    corners = geometry.to_native([np.array([x, y]) - reach, np.array([x + columns - 1, y + rows - 1]) + reach])
    x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, None).tolist()
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int), np.array(geometry.native_shape[::-1]) - 1).tolist()
    return (x0, y0, x1 - x0 + 1, y1 - y0 + 1) if x1 >= x0 and y1 >= y0 else None


def without_islands(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (H, W) in which each class keeps its largest connected part; the rest becomes background.

    Every class of the apical views is one piece of anatomy, so a second piece is a mistake. So is a hole: background
    that other classes enclose gets the class that most of its rim has.
    """
    out = np.zeros_like(labels)
    x, y, columns, rows = cv2.boundingRect(labels)
    seen, kept = (image[y : y + rows, x : x + columns] for image in (labels, out))
    for label in range(1, int(labels.max()) + 1):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((seen == label).astype(np.uint8))
        if count > 1:
            kept[parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = label
    if kept.size:
        _fill_holes(kept)
    return out


def _fill_holes(labels: NDArray[np.uint8]) -> None:
    """Give background that does not reach the border of labels (h, w) the class around it, in place."""
    empty = cv2.copyMakeBorder((labels == 0).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    count, parts = cv2.connectedComponents(empty, connectivity=4)
    parts = parts[1:-1, 1:-1]
    # Part 0 is what has a class; the first one found, in the corner, is the outside.
    for number in range(2, count):
        hole = (parts == number).astype(np.uint8)
        rim = (cv2.dilate(hole, np.ones((3, 3), np.uint8)) > hole) & (labels > 0)
        labels[hole > 0] = np.bincount(labels[rim]).argmax()
