"""Pyramidal Lucas-Kanade optical flow from frame to frame: a conventional tracker.

Bouguet 2001, "Pyramidal implementation of the affine Lucas Kanade feature tracker", in the form that OpenCV has.
Speckle that decorrelates and clutter that stands still pull its points off the wall over a beat.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from echomotion.core import ModelError
from echomotion.models.base import Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.stepwise import Calibration, Frame, Points, StepwiseTracker

# Fitted by logistic regression to the three levels of one simulated heart (PyMUST, 72 points, queries on four
# frames, both ways); on another heart the expected calibration error is 0.01 (clean) to 0.05 (hard).
CALIBRATION = Calibration(offset=-3.06, likeness=6.34, drift=-1.38)


@dataclass(frozen=True)
class LucasKanadeConfig:
    """Options of Lucas-Kanade.

    Attributes
    ----------
    window_px : int
        Side of the square that is matched, in px of the working grid.
    levels : int
        Levels of the pyramid, each half as large as the one before.
    max_height : int
        Taller frames are reduced to this height, so that the window covers the same anatomy in all of them. On a
        clip of 768 rows, a window of 21 px closes the loop over a beat to 7.0 px (at 256) in the median on the
        native grid, to 4.4 at 512 rows and to 2.5 at 256 rows, which is what a window of 63 px reaches natively.
    min_visible : float
        Confidence from which on a point counts as visible.
    """

    window_px: int = 21
    levels: int = 3
    max_height: int = 256
    min_visible: float = 0.05

    def __post_init__(self) -> None:
        if self.window_px < 3 or self.levels < 1 or self.max_height < 16 or not 0 <= self.min_visible <= 1:
            raise ModelError(
                "lucas_kanade needs window_px of 3 or more, levels of 1 or more, max_height of 16 or more, "
                "min_visible from 0 to 1"
            )


@register("tracker")
def lucas_kanade(config: LucasKanadeConfig) -> Tracker:
    """Pyramidal Lucas-Kanade optical flow, frame to frame (OpenCV)."""
    window = (config.window_px, config.window_px)

    def step(here: Frame, there: Frame, points: Points) -> Points:
        if not len(points):
            return points
        # Where the status says "not found", the position is that of the coarser levels: still the best estimate.
        found, _, _ = cv2.calcOpticalFlowPyrLK(
            here, there, points.astype(np.float32)[:, None], None, winSize=window, maxLevel=config.levels - 1
        )
        return found[:, 0].astype(np.float64)

    return StepwiseTracker("lucas_kanade", step, CALIBRATION, config.max_height, config.min_visible)
