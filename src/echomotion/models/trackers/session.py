"""Points followed through frames that come one by one.

A session gives what :func:`echomotion.track` gives on the whole clip, for the frames of the window that holds a query
and all later ones: windows stand at the same places (:mod:`echomotion.models.trackers.windows`), and each is followed
as soon as its last frame is there. What lies before a point's own window is found only by going back, which a session
does not. Frames that no window needs any more are dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, DataError, Geometry, ModelError, WallPoints
from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Stream, StreamingTracker, Tracker, TrackUpdate
from echomotion.models.trackers.windows import Follower, Found, Prepared, Sweep
from echomotion.models.trackers.working_grid import on_grid


class WindowStream:
    """Points followed window by window; an :class:`echomotion.models.base.Stream`.

    Parameters
    ----------
    follower : Follower
    geometry : Geometry
        From native pixels to the working grid.
    to_native : callable
        Brings what was found on the grid to native pixels, as the tracker does with a whole clip.
    """

    def __init__(self, follower: Follower, geometry: Geometry, to_native: Callable[[Found], Found]) -> None:
        self.follower, self.geometry, self.to_native = follower, geometry, to_native
        self.sweep = Sweep(follower, np.zeros((0, 3)))
        self.queries = np.zeros((0, 3))
        self.held: dict[int, Prepared] = {}
        # First frame of the window that is being filled, frames so far, and frames that windows have been followed on.
        self.first = self.pushed = self.final = 0

    @property
    def oldest(self) -> int:
        """The first frame that no window has been followed on: a point changes its neighbours' tracks."""
        return self.final

    def add(self, queries: NDArray[np.float64]) -> None:
        """Add points (N, 3)."""
        self.queries = np.concatenate([self.queries, queries])
        self.sweep.extend(np.column_stack([queries[:, 0], self.geometry.to_grid(queries[:, 1:])]))

    def push(self, frame: NDArray[np.uint8]) -> TrackUpdate:
        """Take a frame; when it completes a window, that is followed."""
        self.held[self.pushed] = self.follower.prepare(on_grid(frame, self.geometry))
        self.pushed += 1
        if self.pushed < self.first + self.follower.window:
            return self._update(self.final, self.final)
        update = self._close()
        self.first += self.follower.window - self.follower.overlap
        self.sweep.hold(self.first, max(self.first, self.final))
        self.held = {number: kept for number, kept in self.held.items() if number >= self.first}
        return update

    def finish(self) -> TrackUpdate:
        """Follow the window that was begun."""
        return self._close() if self.pushed > self.final else self._update(self.final, self.final)

    def _close(self) -> TrackUpdate:
        first, last = self.first, self.pushed
        start = self.sweep.start
        self.sweep.hold(first, last)
        for number in range(first, last):
            self.sweep.remember(number, self.held[number])
        self.sweep.window([self.held[t] for t in range(first, last)], first, last, start < last, lambda: None)
        new = np.any((start >= self.final) & (start < last))
        begin, self.final = first if new else self.final, last
        return self._update(begin, last)

    def _update(self, begin: int, end: int) -> TrackUpdate:
        """What the sweep holds of the frames from `begin` to `end`, in native pixels."""
        part = slice(begin - self.first, end - self.first) if end > begin else slice(0)
        sweep = self.sweep
        native = self.to_native(Found(sweep.xy[:, part], sweep.visible[:, part], sweep.confidence[:, part]))
        known = sweep.known[:, part]
        xy = np.where(known[..., None], native.xy, np.nan).astype(np.float32)
        visible, confidence = known & native.visible, np.where(known, native.confidence, 0).astype(np.float32)
        rows = np.flatnonzero((sweep.start >= begin) & (sweep.start < end))
        at = sweep.start[rows] - begin
        xy[rows, at], visible[rows, at], confidence[rows, at] = self.queries[rows, 1:], True, 1
        return TrackUpdate(begin, xy, visible, confidence)


class TrackingSession:
    """Frame-by-frame tracking; made by :func:`echomotion.tracking_session`.

    Parameters
    ----------
    tracker : StreamingTracker
    spacing_mm : (float, float), optional
        Height and width of a pixel.

    Raises
    ------
    ModelError
        When the tracker needs a whole clip.
    """

    def __init__(self, tracker: Tracker, spacing_mm: tuple[float, float] | None = None) -> None:
        if not isinstance(tracker, StreamingTracker):
            raise ModelError(
                f"{tracker.name} needs a whole clip and cannot be used frame by frame; use echomotion.track, "
                "or name another model"
            )
        self.tracker = tracker
        self.spacing_mm = None if spacing_mm is None else checked_spacing(spacing_mm)
        self.reset()

    def reset(self) -> None:
        """Forget all frames and points, as if the session were new; the next frame is frame 0, of any size."""
        self._stream: Stream | None = None
        self._shape: tuple[int, int] | None = None
        # Points that were added before the size of the frames is known.
        self._waiting = np.zeros((0, 3))
        self._finished = False
        self._n_points = self._n_frames = 0

    @property
    def n_points(self) -> int:
        """Number of points that were added."""
        return self._n_points

    @property
    def n_frames(self) -> int:
        """Number of frames that were pushed; the next one has this number."""
        return self._n_frames

    @property
    def oldest_frame(self) -> int:
        """The first frame on which a point may still be added."""
        return 0 if self._stream is None else self._stream.oldest

    def add(self, queries: ArrayLike | WallPoints) -> None:
        """Follow further points.

        Parameters
        ----------
        queries : array-like (N, 3) or WallPoints
            ``(t, x, y)`` in native pixels, t counted from the first frame that was pushed. A frame that is still to
            come is best: of those that were, only the ones that are not final can be named.

        Raises
        ------
        DataError
            When there are none, one lies off the frame or on a frame that is final, or the session is finished.
            Points that were added before the first frame are compared with its size when it is pushed.
        """
        self._check_open()
        points = frozen_array(
            queries.queries if isinstance(queries, WallPoints) else queries,
            "queries",
            shape=(None, 3),
            dtype=np.float64,
        )
        if len(points) == 0:
            raise DataError("there are no queries; give at least one point (t, x, y)")
        t = points[:, 0]
        if np.any(t != np.round(t)) or np.any(t < 0):
            raise DataError("a query's frame must be a whole number from 0 on")
        if np.any(t < self.oldest_frame):
            first = int(np.flatnonzero(t < self.oldest_frame)[0])
            raise DataError(
                f"query {first} lies on frame {t[first]:g}, which is final; "
                f"name frame {self.oldest_frame} or a later one"
            )
        if self._stream is None or self._shape is None:
            if np.any(points[:, 1:] < -0.5):
                checked_queries(points, int(t.max()) + 1, (2**31, 2**31))
            self._waiting = np.concatenate([self._waiting, points])
        else:
            self._stream.add(checked_queries(points, int(t.max()) + 1, self._shape))
        self._n_points += len(points)

    def push(self, frame: ArrayLike) -> TrackUpdate:
        """Take the next frame.

        Parameters
        ----------
        frame : uint8 (h, w)
            Of the same size as the frames before; it is copied.

        Returns
        -------
        TrackUpdate
            The frames that became final; none while a window is being filled.

        Raises
        ------
        DataError
            When the frame is not such a picture, when points that were added before the first frame lie off it
            (it is then not taken; reset the session and add others), or the session is finished.
        """
        self._check_open()
        picture = np.array(frame)
        if picture.dtype != np.uint8 or picture.ndim != 2 or picture.size == 0:
            raise DataError(
                f"the frame is {picture.dtype} of shape {picture.shape}; uint8 grey levels (h, w) are needed"
            )
        if self._stream is None:
            shape = (picture.shape[0], picture.shape[1])
            if len(self._waiting):
                checked_queries(self._waiting, int(self._waiting[:, 0].max()) + 1, shape)
            self._shape = shape
            self._stream = self.tracker.stream(Clip(picture[None], np.zeros(1), self.spacing_mm))
            if len(self._waiting):
                self._stream.add(self._waiting)
                self._waiting = np.zeros((0, 3))
        if self._shape != picture.shape:
            raise DataError(
                f"the frame is {picture.shape[1]} x {picture.shape[0]} px, those before it are "
                f"{self._shape[1] if self._shape else 0} x {self._shape[0] if self._shape else 0} px; "
                "reset the session for another recording"
            )
        self._n_frames += 1
        return self._stream.push(picture)

    def finish(self) -> TrackUpdate:
        """End the recording.

        Returns
        -------
        TrackUpdate
            The frames that were not final yet. Points on frames that never came stay NaN.

        Raises
        ------
        DataError
            When the session is finished already.
        """
        self._check_open()
        self._finished = True
        if self._stream is None:
            count = len(self._waiting)
            empty = np.zeros((count, 0), dtype=np.float32)
            return TrackUpdate(0, np.zeros((count, 0, 2), dtype=np.float32), empty.astype(bool), empty)
        return self._stream.finish()

    def _check_open(self) -> None:
        if self._finished:
            raise DataError("the session is finished; call reset() to begin another recording")
