"""Pyramidal Lucas-Kanade (Bouguet 2001) frame to frame, through OpenCV: the conventional optical-flow row."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, DataError, Tracks
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.stepwise import ConfidenceModel, Points, track_stepwise

# Fitted by benchmarks/fit_tracker_confidence.py.
_CONFIDENCE = ConfidenceModel(bias=7.92, drift=-1.84, match=-9.72, steps=-0.09)
# Mean grey-level difference of the windows, as OpenCV reports it, at which a match is worth 1/e.
_DIFFERENCE = 20.0
# Smallest eigenvalue of the window's gradients, per pixel, under which there is nothing to follow.
_MIN_EIGENVALUE = 1e-4


@dataclass(frozen=True)
class LucasKanadeConfig:
    """Options of the tracker.

    Attributes
    ----------
    window : int
        Side of the window in pixels of the working grid, odd.
    levels : int
        Levels of the pyramid, the frame itself included.
    """

    window: int = 21
    levels: int = 3

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise DataError(f"window is {self.window}; an odd number of pixels from 3 on is needed")
        if not 1 <= self.levels <= 8:
            raise DataError(f"levels is {self.levels}; 1 to 8 are possible")


class LucasKanade:
    """See :func:`lucas_kanade`."""

    name = "lucas_kanade"

    def __init__(self, config: LucasKanadeConfig) -> None:
        self.config = config

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points; see :class:`echomotion.models.base.Tracker`."""
        return track_stepwise(self.name, clip, queries, self._step, _CONFIDENCE, progress)

    def _step(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], points: Points
    ) -> tuple[Points, NDArray[np.float32]]:
        moved, found, difference = cv2.calcOpticalFlowPyrLK(
            before,
            after,
            np.ascontiguousarray(points, dtype=np.float32)[:, None],
            None,
            winSize=(self.config.window, self.config.window),
            maxLevel=self.config.levels - 1,
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01),
            minEigThreshold=_MIN_EIGENVALUE,
        )
        known = found[:, 0].astype(bool)
        # Where there is no structure the point stays; its quality says so.
        where = np.where(known[:, None], moved[:, 0], points).astype(np.float32)
        quality = np.where(known, np.exp(-difference[:, 0] / _DIFFERENCE), 0).astype(np.float32)
        return where, quality


@register("tracker")
def lucas_kanade(config: LucasKanadeConfig) -> Tracker:
    """Pyramidal Lucas-Kanade optical flow, frame to frame (OpenCV)."""
    return LucasKanade(config)
