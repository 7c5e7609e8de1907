"""Forward-backward closure: how far a point that is followed to the last frame and back misses where it began."""

from __future__ import annotations

import numpy as np

from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.metrics_tracking import errors_px
from echomotion.models.base import Tracker
from echomotion.models.trackers.there_and_back import there_and_back_px


def closure_px(tracker: Tracker, case: TrackingCase) -> float:
    """Median over points of the way they miss their query after going to the last frame and back, px at 256.

    A point that is lost or that left the picture counts as infinitely far off; one whose query is on the last frame is
    left out. See :mod:`echomotion.models.trackers.there_and_back`.
    """
    last = case.clip.n_frames - 1
    queries = case.queries[case.queries[:, 0] < last]
    if not len(queries):
        return np.nan
    misses = there_and_back_px(tracker, case.clip, tracker.track(case.clip, queries), last)
    return float(np.median(errors_px(queries[:, 1:] + misses, queries[:, 1:], case.clip.shape)))
