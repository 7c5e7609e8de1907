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

from echomotion.core import Clip, Geometry, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress, TrackUpdate
from echomotion.models.trackers.patches import normalised, patches_at
from echomotion.models.trackers.working_grid import on_grid, working_frames, working_geometry

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
    done, total = 0, max(1, 2 * (length - 1))
    for direction in (1, -1):
        first, last = (0, length - 1) if direction > 0 else (length - 1, 0)
        for t in range(first, last, direction):
            here, there = frames[t], frames[t + direction]
            begun = start <= t if direction > 0 else start >= t
            if begun.any():
                to = t + direction
                xy[begun, to], squares[begun, to], inside[begun, to] = advance(
                    here, there, xy[begun, t], squares[begun, t], inside[begun, t], step
                )
            done += 1
            if progress is not None:
                progress(done, total)
    if length == 1 and progress is not None:
        progress(1, 1)
    return Walk(xy, np.sqrt(squares), inside)


def advance(
    here: Frame, there: Frame, xy: Points, squares: NDArray[np.float64], inside: NDArray[np.bool_], step: Step
) -> tuple[Points, NDArray[np.float64], NDArray[np.bool_]]:
    """Places (N, 2), summed squares (N,) of the errors and whether inside (N,), one frame further."""
    limit = np.array([there.shape[1], there.shape[0]]) - 0.5
    moving = np.flatnonzero(inside)
    origin = xy[moving]
    found = step(here, there, origin)
    miss = step(there, here, found) - origin
    stays = np.all((found >= -0.5) & (found <= limit), axis=1)
    kept = moving[stays]
    xy, squares, inside = xy.copy(), squares.copy(), np.zeros_like(inside)
    xy[kept] = found[stays]
    squares[kept] += np.sum(miss[stays] ** 2, axis=1)
    inside[kept] = True
    return xy, squares, inside


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
    template = query_patches(start, origin, query_frames)
    return np.stack([likeness_to(template, frame, xy[:, t]) for t, frame in enumerate(frames)], axis=1)


def query_patches(start: NDArray[np.int64], origin: Points, query_frames: Mapping[int, Frame]) -> NDArray[np.float32]:
    """Normalised patches (N, K) of queries; NaN where there is no contrast."""
    template = np.empty((len(start), LIKENESS_PX**2), dtype=np.float32)
    for t in np.unique(start):
        asked = start == t
        template[asked] = normalised(patches_at(query_frames[int(t)], origin[asked], LIKENESS_PX))
    return template


def likeness_to(template: NDArray[np.float32], frame: Frame, xy: Points) -> NDArray[np.float64]:
    """Correlation (N,) of the patches at places (N, 2) with normalised ones (N, K)."""
    return np.sum(normalised(patches_at(frame, xy, LIKENESS_PX)) * template, axis=1).astype(np.float64)


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
        queries_on_grid = np.column_stack([start, geometry.to_grid(points[:, 1:])])
        found = walk(frames, queries_on_grid, self.step, progress)
        query_frames = {int(t): frames[t] for t in np.unique(start)}
        alike = likeness([*frames], found.xy, start, queries_on_grid[:, 1:], query_frames)
        confidence, visible = self.judge(alike, found.drift, found.inside, frames.shape[1])
        xy = geometry.to_native(found.xy).astype(np.float32)
        rows = np.arange(len(points))
        xy[rows, start] = points[:, 1:]
        confidence[rows, start] = 1
        visible[rows, start] = True
        return Tracks(xy, visible, confidence.astype(np.float32), points, model=self.name)

    def judge(
        self, alike: NDArray[np.float64], drift: NDArray[np.float64], inside: NDArray[np.bool_], rows: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Confidence and visibility from likeness and drift in px of a grid of so many rows."""
        confidence = self.calibration.probability(alike, drift * REFERENCE_HEIGHT / rows)
        confidence[~inside] = 0
        return confidence, inside & (confidence >= self.min_visible)

    def stream(self, clip: Clip) -> StepStream:
        """Frame by frame, forward; see :class:`echomotion.models.base.StreamingTracker`."""
        return StepStream(self, working_geometry(clip, self.max_height))


class StepStream:
    """The forward walk of a :class:`StepwiseTracker`, one frame at a time; an :class:`echomotion.models.base.Stream`.

    It holds the last frame and, for each point, the patch around its query.

    Parameters
    ----------
    tracker : StepwiseTracker
    geometry : Geometry
        From native pixels to the working grid.
    """

    def __init__(self, tracker: StepwiseTracker, geometry: Geometry) -> None:
        self.tracker, self.geometry = tracker, geometry
        self.pushed = 0
        self.here: Frame | None = None
        self.queries = np.zeros((0, 3))
        self.xy = np.zeros((0, 2))
        self.squares = np.zeros(0)
        self.inside = np.zeros(0, dtype=bool)
        self.template = np.zeros((0, LIKENESS_PX**2), dtype=np.float32)
        # The last column that was told, and whether points were added on that frame since.
        self.told = _nothing(0, self.pushed, 0)
        self.late = False

    @property
    def oldest(self) -> int:
        """The last frame that was pushed."""
        return max(0, self.pushed - 1)

    def add(self, queries: Points) -> None:
        """Add points (N, 3) on the last frame or later ones."""
        count = len(queries)
        self.queries = np.concatenate([self.queries, queries])
        self.xy = np.concatenate([self.xy, self.geometry.to_grid(queries[:, 1:])])
        self.squares = np.append(self.squares, np.zeros(count))
        self.inside = np.append(self.inside, np.ones(count, dtype=bool))
        self.template = np.pad(self.template, ((0, count), (0, 0)))
        told, more = self.told, _nothing(count, self.told.first_frame, self.told.n_frames)
        self.told = TrackUpdate(
            told.first_frame,
            np.concatenate([told.xy, more.xy]),
            np.concatenate([told.visible, more.visible]),
            np.concatenate([told.confidence, more.confidence]),
        )
        if self.here is not None:
            self.late |= self._begin(self.here, self.pushed - 1)

    def push(self, frame: Frame) -> TrackUpdate:
        """Walk to the next frame."""
        here, there, now = self.here, on_grid(frame, self.geometry), self.pushed
        begun = self.queries[:, 0] < now
        if here is not None and begun.any():
            self.xy[begun], self.squares[begun], self.inside[begun] = advance(
                here, there, self.xy[begun], self.squares[begun], self.inside[begun], self.tracker.step
            )
        before = self.told if self.late else _nothing(len(self.queries), now, 0)
        self.told = _nothing(len(self.queries), now, 1)
        self.here, self.pushed, self.late = there, now + 1, False
        self._begin(there, now)
        if begun.any():
            alike = likeness_to(self.template[begun], there, self.xy[begun])
            drift = np.sqrt(self.squares[begun])
            confidence, visible = self.tracker.judge(alike, drift, self.inside[begun], there.shape[0])
            self.told.xy[begun, 0] = self.geometry.to_native(self.xy[begun])
            self.told.visible[begun, 0], self.told.confidence[begun, 0] = visible, confidence
        return TrackUpdate(
            before.first_frame,
            np.concatenate([before.xy, self.told.xy], axis=1),
            np.concatenate([before.visible, self.told.visible], axis=1),
            np.concatenate([before.confidence, self.told.confidence], axis=1),
        )

    def finish(self) -> TrackUpdate:
        """Nothing is left, but for points that were added on the last frame."""
        return self.told if self.late else _nothing(len(self.queries), self.pushed, 0)

    def _begin(self, frame: Frame, number: int) -> bool:
        """Keep what the points of this frame look like, and tell their places; whether there are any."""
        rows = np.flatnonzero(self.queries[:, 0] == number)
        if len(rows):
            self.template[rows] = normalised(patches_at(frame, self.xy[rows], LIKENESS_PX))
            self.told.xy[rows, -1], self.told.visible[rows, -1] = self.queries[rows, 1:], True
            self.told.confidence[rows, -1] = 1
        return len(rows) > 0


def _nothing(n_points: int, first_frame: int, n_frames: int) -> TrackUpdate:
    xy = np.full((n_points, n_frames, 2), np.nan, dtype=np.float32)
    return TrackUpdate(first_frame, xy, np.zeros(xy.shape[:2], dtype=bool), np.zeros(xy.shape[:2], dtype=np.float32))
