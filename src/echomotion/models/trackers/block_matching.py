"""Normalised cross-correlation of blocks, frame to frame, with sub-pixel peaks: conventional speckle tracking."""

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
_CONFIDENCE = ConfidenceModel(bias=4.69, drift=-2.55, match=-5.02, steps=0.17)


@dataclass(frozen=True)
class BlockMatchingConfig:
    """Options of the tracker.

    Attributes
    ----------
    block : int
        Side of the block in pixels of the working grid, odd.
    search : int
        Largest displacement per frame in pixels, each way.
    """

    block: int = 17
    search: int = 6

    def __post_init__(self) -> None:
        if self.block < 3 or self.block % 2 == 0:
            raise DataError(f"block is {self.block}; an odd number of pixels from 3 on is needed")
        if self.search < 1:
            raise DataError(f"search is {self.search}; at least 1 pixel is needed")


class BlockMatching:
    """See :func:`block_matching`."""

    name = "block_matching"

    def __init__(self, config: BlockMatchingConfig) -> None:
        self.config = config

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points; see :class:`echomotion.models.base.Tracker`."""
        return track_stepwise(self.name, clip, queries, self._step, _CONFIDENCE, progress)

    def _step(
        self, before: NDArray[np.uint8], after: NDArray[np.uint8], points: Points
    ) -> tuple[Points, NDArray[np.float32]]:
        block, search = self.config.block, self.config.search
        first, second = before.astype(np.float32), after.astype(np.float32)
        moved = np.empty_like(points)
        quality = np.zeros(len(points), np.float32)
        for i, (x, y) in enumerate(points.tolist()):
            # Both windows are cut about the same sub-pixel place, so rounding adds no drift of its own.
            template = cv2.getRectSubPix(first, (block, block), (x, y))
            window = cv2.getRectSubPix(second, (block + 2 * search, block + 2 * search), (x, y))
            score = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
            if template.std() < 1e-3 or not np.isfinite(score).all():
                moved[i] = (x, y)
                continue
            row, column = np.unravel_index(int(np.argmax(score)), score.shape)
            dy, dx = _peak(score, int(row), int(column))
            moved[i] = (x + column + dx - search, y + row + dy - search)
            quality[i] = max(0.0, float(score[row, column]))
        return moved, quality


def _peak(score: NDArray[np.float32], row: int, column: int) -> tuple[float, float]:
    """Sub-pixel offset (y, x) of the vertex of parabolas through the largest value and its neighbours."""
    offset = []
    for line, at in ((score[:, column], row), (score[row], column)):
        shift = 0.0
        if 0 < at < len(line) - 1:
            left, middle, right = (float(v) for v in line[at - 1 : at + 2])
            bend = left - 2 * middle + right
            shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
        offset.append(float(np.clip(shift, -0.5, 0.5)))
    return offset[0], offset[1]


@register("tracker")
def block_matching(config: BlockMatchingConfig) -> Tracker:
    """Normalised cross-correlation of blocks, frame to frame: conventional speckle tracking."""
    return BlockMatching(config)
