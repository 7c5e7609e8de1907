"""Block matching by normalised cross-correlation from frame to frame: conventional speckle tracking.

A block around the point is compared with every place within the search range on the next frame; the best
correlation, refined between pixels by a parabola along each axis, is the next position (Bohs and Trahey 1991,
doi 10.1109/10.68210; sub-pixel fit as in Lubinski et al. 1999, doi 10.1109/58.741427).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import ModelError
from echomotion.models.base import Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.patches import MIN_CONTRAST
from echomotion.models.trackers.stepwise import Calibration, Frame, Points, StepwiseTracker

# Fitted as that of Lucas-Kanade; expected calibration error on another heart 0.02 (clean) to 0.06 (hard).
CALIBRATION = Calibration(offset=-2.89, likeness=6.56, drift=-1.57)


@dataclass(frozen=True)
class BlockMatchingConfig:
    """Options of block matching.

    Attributes
    ----------
    block_px : int
        Side of the block in px of the working grid; odd.
    search_px : int
        How far a point may move between two frames, in px of the working grid.
    max_height : int
        Taller frames are reduced to this height, so that a block covers the same anatomy in all of them.
    min_visible : float
        Confidence from which on a point counts as visible.
    """

    block_px: int = 17
    search_px: int = 6
    max_height: int = 256
    min_visible: float = 0.05

    def __post_init__(self) -> None:
        if self.block_px < 3 or self.block_px % 2 == 0 or self.search_px < 1:
            raise ModelError("block_matching needs an odd block_px of 3 or more and search_px of 1 or more")
        if self.max_height < 16 or not 0 <= self.min_visible <= 1:
            raise ModelError("block_matching needs max_height of 16 or more and min_visible from 0 to 1")


@register("tracker")
def block_matching(config: BlockMatchingConfig) -> Tracker:
    """Normalised cross-correlation of blocks, frame to frame, with a sub-pixel fit."""
    size, reach = config.block_px, config.search_px

    def step(here: Frame, there: Frame, points: Points) -> Points:
        out = points.copy()
        for i, point in enumerate(points):
            block = _square(here, point, size)
            if block.std() < MIN_CONTRAST:
                continue
            out[i] += _offset(there, point, block, reach)
            # A parabola pulls towards whole pixels; read again around the result, the pull has little left to act on.
            out[i] += np.clip(_offset(there, out[i], block, 1), -0.5, 0.5)
        return out

    return StepwiseTracker("block_matching", step, CALIBRATION, config.max_height, config.min_visible)


def _square(frame: Frame, centre: Points, size: int) -> NDArray[np.float32]:
    return cv2.getRectSubPix(frame, (size, size), (float(centre[0]), float(centre[1])), patchType=cv2.CV_32F)


def _offset(frame: Frame, centre: Points, block: NDArray[np.float32], reach: int) -> Points:
    """Where the block is found, ``(x, y)`` from `centre`, within `reach` px along each axis."""
    area = _square(frame, centre, len(block) + 2 * reach)
    return peak(cv2.matchTemplate(area, block, cv2.TM_CCOEFF_NORMED)) - reach


def peak(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Place ``(x, y)`` of the largest score (h, w), between pixels by a parabola along each axis."""
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return np.array(
        [
            column + vertex(scores[row], int(column)),
            row + vertex(scores[:, column], int(row)),
        ]
    )


def vertex(line: NDArray[np.float32], at: int) -> float:
    """Offset from `at` to the top of the parabola through it and its neighbours; 0 at the ends."""
    if not 0 < at < len(line) - 1:
        return 0.0
    left, middle, right = (float(v) for v in line[at - 1 : at + 2])
    curvature = left - 2 * middle + right
    return 0.5 * (left - right) / curvature if curvature < 0 else 0.0
