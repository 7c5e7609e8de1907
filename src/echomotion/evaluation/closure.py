"""Forward-backward closure: how far a point that is followed to the last frame and back misses where it began.

Needs no truth. Kalal et al. 2010, doi 10.1109/ICPR.2010.675, over the whole clip in place of one step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.metrics_tracking import errors_px
from echomotion.models.base import Tracker


def closure_px(tracker: Tracker, case: TrackingCase) -> float:
    """Median over points of the way they miss their query after going to the last frame and back, px at 256.

    The tracker is asked anew on the last frame for the places it has found there. A point that it lost or that left
    the picture counts as infinitely far off; one whose query is on the last frame is left out.
    """
    queries = case.queries
    last = case.clip.n_frames - 1
    queries = queries[queries[:, 0] < last]
    if not len(queries):
        return np.nan
    ends = np.asarray(tracker.track(case.clip, queries).xy[:, last], dtype=np.float64)
    kept = np.flatnonzero(_inside(ends, case.clip.shape))
    misses = np.full(len(queries), np.inf)
    if len(kept):
        back = tracker.track(case.clip, np.column_stack([np.full(len(kept), last), ends[kept]]))
        start = queries[kept, 0].astype(int)
        misses[kept] = errors_px(back.xy[np.arange(len(kept)), start], queries[kept, 1:], case.clip.shape)
    return float(np.median(misses))


def _inside(xy: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    limit = np.array([shape[1], shape[0]]) - 0.5
    with np.errstate(invalid="ignore"):
        return np.all((xy >= -0.5) & (xy <= limit), axis=-1)
