"""Forward-backward error: by how much points that are followed there and back miss where they began.

Kalal et al. 2010, doi 10.1109/ICPR.2010.675, over many frames in place of one step. Needs no truth; a tracker that
stands still passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, Tracks
from echomotion.models.base import Progress, Tracker


def there_and_back_px(
    tracker: Tracker, clip: Clip, tracks: Tracks, to: ArrayLike, *, progress: Progress | None = None
) -> NDArray[np.float64]:
    """How far points end from their query when they are followed back from other frames.

    Parameters
    ----------
    tracker : Tracker
        Is asked anew, on the part of the clip between the two frames, for the places that were found.
    clip : Clip
    tracks : Tracks
        N points from their queries; in native pixels.
    to : int or int (N,)
        The frames from which the points are followed back.
    progress : callable, optional

    Returns
    -------
    float64 (N, 2)
        What they miss by in x and y, in native pixels; infinite where a point is lost or off the picture there.
    """
    start = tracks.queries[:, 0].astype(np.int64)
    turn = np.broadcast_to(np.asarray(to, dtype=np.int64), start.shape)
    rows = np.arange(len(start))
    places = tracks.xy[rows, turn].astype(np.float64)
    limit = np.array(clip.shape[::-1]) - 0.5
    with np.errstate(invalid="ignore"):
        kept = np.flatnonzero(np.all((places >= -0.5) & (places <= limit), axis=1))
    misses = np.full((len(start), 2), np.inf)
    if len(kept):
        first, last = min(start.min(), turn.min()), max(start.max(), turn.max()) + 1
        part = clip.with_(frames=clip.frames[first:last], times_s=clip.times_s[first:last], r_wave_times_s=None)
        queries = np.column_stack([turn[kept] - first, places[kept]])
        back = tracker.track(part, queries, progress=progress)
        found = back.xy[np.arange(len(kept)), start[kept] - first].astype(np.float64)
        misses[kept] = np.where(np.isfinite(found), found - tracks.queries[kept, 1:], np.inf)
    return misses
