"""What trackers that go from frame to frame share: walking both ways, forward-backward errors, confidence.

The clip is walked once forward and once backward, however many query frames there are. On each step the points
are followed to the next frame and back again; how far they miss where they came from (Kalal et al. 2010,
doi 10.1109/ICPR.2010.675) tells how much the step can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress
from echomotion.models.trackers.patches import normalised, patches_at
from echomotion.models.trackers.working_grid import working_frames

Frame = NDArray[np.uint8]
Points = NDArray[np.float64]

# Follows points (N, 2) from the first frame to the second.
Step = Callable[[Frame, Frame, Points], Points]

# Side in px of the square whose likeness to the query enters the confidence.
LIKENESS_PX = 21
# Height in px of the frame on which confidence is defined (see Tracks).
REFERENCE_HEIGHT = 256


@dataclass(frozen=True)
class Calibration:
    """Probability of an error under 2 px at 256 px from what can be seen without the truth.

    ``logit p = offset + likeness * r + drift * log(d + 0.1)``, where r is the correlation of the patch around the
    point with that around its query and d the root of the summed squares of the forward-backward errors since the
    query, in px at 256 px: errors of single steps add up as in a random walk. p falls with d and rises with r.
    """

    offset: float
    likeness: float
    drift: float

    def probability(self, likeness: NDArray[np.floating], drift: NDArray[np.floating]) -> NDArray[np.float64]:
        """Probability for each likeness and drift; 0 where likeness is NaN (nothing to be seen)."""
        logit = self.offset + self.likeness * likeness + self.drift * np.log(drift + 0.1)
        return np.where(np.isnan(logit), 0.0, 1 / (1 + np.exp(-np.clip(np.nan_to_num(logit), -50, 50))))


@dataclass(frozen=True)
class Walk:
    """Positions on the working grid and what is known of their quality.

    Attributes
    ----------
    xy : float64 (N, T, 2)
    drift : float64 (N, T)
        Root of the summed squares of the forward-backward errors since the query, in px.
    inside : bool (N, T)
        False from the step on that leads out of the picture; the position is then held.
    """

    xy: Points
    drift: NDArray[np.float64]
    inside: NDArray[np.bool_]


def walk(frames: NDArray[np.uint8], queries: Points, step: Step, progress: Progress | None = None) -> Walk:
    """Follow queries (N, 3) through frames (T, h, w) from each one's frame forward and backward."""
    count, length = len(queries), len(frames)
    start = queries[:, 0].astype(int)
    xy = np.repeat(queries[:, None, 1:], length, axis=1)
    squares = np.zeros((count, length))
    inside = np.ones((count, length), dtype=bool)
    limit = np.array([frames.shape[2], frames.shape[1]]) - 0.5
    done, total = 0, max(1, 2 * (length - 1))
    for direction in (1, -1):
        first, last = (0, length - 1) if direction > 0 else (length - 1, 0)
        for t in range(first, last, direction):
            here, there = frames[t], frames[t + direction]
            begun = start <= t if direction > 0 else start >= t
            if begun.any():
                moving = np.flatnonzero(begun & inside[:, t])
                origin = xy[moving, t]
                found = step(here, there, origin)
                miss = step(there, here, found) - origin
                stays = np.all((found >= -0.5) & (found <= limit), axis=1)
                xy[begun, t + direction] = xy[begun, t]
                squares[begun, t + direction] = squares[begun, t]
                inside[begun, t + direction] = False
                kept = moving[stays]
                xy[kept, t + direction] = found[stays]
                squares[kept, t + direction] += np.sum(miss[stays] ** 2, axis=1)
                inside[kept, t + direction] = True
            done += 1
            if progress is not None:
                progress(done, total)
    if length == 1 and progress is not None:
        progress(1, 1)
    return Walk(xy, np.sqrt(squares), inside)


def likeness(
    frames: Sequence[Frame],
    xy: Points,
    start: NDArray[np.int64],
    origin: Points,
    query_frames: Mapping[int, Frame],
) -> NDArray[np.float64]:
    """Correlation (N, T) of the patch at each position with the one at its query; NaN where there is no contrast.

    Parameters
    ----------
    frames : sequence of uint8 (h, w), T
    xy : float (N, T, 2)
    start : int (N,)
        The frame of each query, a key of `query_frames`.
    origin : float (N, 2)
        The place of each query.
    query_frames : mapping of int to uint8 (h, w)
    """
    template = np.empty((len(xy), LIKENESS_PX**2), dtype=np.float32)
    for t in np.unique(start):
        asked = start == t
        template[asked] = normalised(patches_at(query_frames[int(t)], origin[asked], LIKENESS_PX))
    found = [
        np.sum(normalised(patches_at(frame, xy[:, t], LIKENESS_PX)) * template, axis=1)
        for t, frame in enumerate(frames)
    ]
    return np.stack(found, axis=1).astype(np.float64)


@dataclass
class StepwiseTracker:
    """A tracker made of one step from a frame to the next.

    Attributes
    ----------
    name : str
    step : Step
    calibration : Calibration
    max_height : int
        Rows of the working grid at most.
    min_visible : float
        Confidence from which on a point counts as visible.
    """

    name: str
    step: Step
    calibration: Calibration
    max_height: int
    min_visible: float

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip; see :class:`echomotion.models.base.Tracker`."""
        points = checked_queries(queries, clip.n_frames, clip.shape)
        frames, geometry = working_frames(clip, self.max_height)
        start = points[:, 0].astype(np.int64)
        on_grid = np.column_stack([start, geometry.to_grid(points[:, 1:])])
        found = walk(frames, on_grid, self.step, progress)
        drift = found.drift * REFERENCE_HEIGHT / frames.shape[1]
        alike = likeness([*frames], found.xy, start, on_grid[:, 1:], {int(t): frames[t] for t in np.unique(start)})
        confidence = self.calibration.probability(alike, drift)
        confidence[~found.inside] = 0
        visible = found.inside & (confidence >= self.min_visible)
        xy = geometry.to_native(found.xy).astype(np.float32)
        rows = np.arange(len(points))
        xy[rows, start] = points[:, 1:]
        confidence[rows, start] = 1
        visible[rows, start] = True
        return Tracks(xy, visible, confidence.astype(np.float32), points, model=self.name)
