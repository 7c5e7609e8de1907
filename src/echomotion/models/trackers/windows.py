"""Clips of any length through a method that looks at a window of frames at once.

Windows stand at fixed places: frames 0 to W - 1, then each one W - O frames further, O being the overlap. A point is
first found in the earliest window that holds its query, then in later ones, then in earlier ones; what an earlier
step found in the overlap is given to the next one and stays. Whole clip, chunks and frame by frame are therefore one
and the same computation (:mod:`echomotion.models.trackers.session`), and memory holds one window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# A frame as a method prepares it once: grey levels, features.
Prepared = Any


@dataclass(frozen=True)
class Found:
    """Points on the frames of a window.

    Attributes
    ----------
    xy : float64 (N, T, 2)
        Px of the grid.
    visible : bool (N, T)
    confidence : float64 (N, T)
        Probability of an error under 2 px at 256 rows.
    """

    xy: FloatArray
    visible: BoolArray
    confidence: FloatArray


@dataclass(frozen=True)
class Asked:
    """What a window is asked for.

    Attributes
    ----------
    start : int64 (N,)
        The frame of each query, counted from the window's first: below 0 or past its end when it lies outside.
    origin : float64 (N, 2)
        The place of each query.
    query_frames : mapping of int to Prepared
        The frames of all queries, by the same count.
    xy : float64 (N, T, 2)
        Known positions; elsewhere the nearest known one in time.
    known : bool (N, T)
        Where the position is known and stays.
    """

    start: IntArray
    origin: FloatArray
    query_frames: Mapping[int, Prepared]
    xy: FloatArray
    known: BoolArray


class Follower(Protocol):
    """Finds points on the frames of one window."""

    @property
    def window(self) -> int:
        """Frames that are looked at together."""

    @property
    def overlap(self) -> int:
        """Frames that two windows share."""

    def prepare(self, frame: NDArray[np.uint8]) -> Prepared:
        """A frame (h, w) of the grid, as :meth:`follow` wants it."""

    def follow(self, frames: Sequence[Prepared], asked: Asked, tell: Callable[[], None]) -> Found:
        """Find N points on all T frames; `tell` is called :meth:`work` times."""

    def work(self, n_points: int, n_frames: int) -> int:
        """How often :meth:`follow` will call `tell`."""


def spans(length: int, window: int, overlap: int) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) frame of each window over a clip."""
    first = 0
    while True:
        yield first, min(first + window, length)
        if first + window >= length:
            return
        first += window - overlap


class Sweep:
    """Positions found so far, from window to window.

    Parameters
    ----------
    follower : Follower
    queries : float64 (N, 3)
        ``(t, x, y)`` on the grid, t counted from the first frame of the clip.
    """

    def __init__(self, follower: Follower, queries: FloatArray) -> None:
        self.follower = follower
        self.start = queries[:, 0].astype(np.int64)
        self.origin = queries[:, 1:].astype(np.float64)
        self.query_frames: dict[int, Prepared] = {}
        count = len(queries)
        self.first = 0
        self.xy = np.zeros((count, 0, 2))
        self.visible = np.zeros((count, 0), dtype=bool)
        self.confidence = np.zeros((count, 0))
        self.known = np.zeros((count, 0), dtype=bool)

    def extend(self, queries: FloatArray) -> None:
        """Take in further queries (M, 3), on frames for which no window has been followed."""
        count = len(queries)
        self.start = np.append(self.start, queries[:, 0].astype(np.int64))
        self.origin = np.concatenate([self.origin, queries[:, 1:].astype(np.float64)])
        self.xy = np.pad(self.xy, ((0, count), (0, 0), (0, 0)))
        self.visible, self.confidence, self.known = (
            np.pad(a, ((0, count), (0, 0))) for a in (self.visible, self.confidence, self.known)
        )

    def remember(self, number: int, frame: Prepared) -> None:
        """Keep a frame on which points are asked for."""
        if np.any(self.start == number):
            self.query_frames[number] = frame

    def hold(self, first: int, last: int) -> None:
        """Make room for the frames from `first` to `last`; those before `first` are given up."""
        grown = last - self.first - self.xy.shape[1]
        if grown > 0:
            self.xy = np.pad(self.xy, ((0, 0), (0, grown), (0, 0)))
            self.visible, self.known = (np.pad(a, ((0, 0), (0, grown))) for a in (self.visible, self.known))
            self.confidence = np.pad(self.confidence, ((0, 0), (0, grown)))
            rows = np.flatnonzero((self.start >= last - grown) & (self.start < last))
            at = self.start[rows] - self.first
            self.xy[rows, at], self.confidence[rows, at] = self.origin[rows], 1.0
            self.visible[rows, at] = self.known[rows, at] = True
        if first > self.first:
            gone = first - self.first
            self.xy, self.visible = self.xy[:, gone:], self.visible[:, gone:]
            self.confidence, self.known = self.confidence[:, gone:], self.known[:, gone:]
            self.first = first

    def window(
        self, frames: Sequence[Prepared], first: int, last: int, active: BoolArray, tell: Callable[[], None]
    ) -> None:
        """Find the active points (N,) on the frames from `first` to `last`, which must be held."""
        rows = np.flatnonzero(active)
        part = slice(first - self.first, last - self.first)
        known = self.known[rows, part]
        if not len(rows) or known.all():
            return
        near = _nearest(known)
        shift = {number - first: frame for number, frame in self.query_frames.items()}
        asked = Asked(
            self.start[rows] - first,
            self.origin[rows],
            shift,
            np.take_along_axis(self.xy[rows, part], near[..., None], axis=1),
            known,
        )
        found = self.follower.follow(frames, asked, tell)
        self.xy[rows, part] = np.where(known[..., None], self.xy[rows, part], found.xy)
        self.visible[rows, part] = np.where(known, self.visible[rows, part], found.visible)
        self.confidence[rows, part] = np.where(known, self.confidence[rows, part], found.confidence)
        self.known[rows, part] = True


def _nearest(known: BoolArray) -> IntArray:
    """Index (N, T) of the nearest known frame of each row, which has at least one."""
    at = np.arange(known.shape[1])
    distance = np.where(known[:, None, :], np.abs(at[:, None] - at[None, :])[None], known.shape[1])
    return distance.argmin(axis=-1)


def follow_clip(
    follower: Follower,
    frames: NDArray[np.uint8],
    queries: FloatArray,
    progress: Callable[[int, int], None] | None = None,
) -> Found:
    """Find points on all frames of a clip.

    Parameters
    ----------
    follower : Follower
    frames : uint8 (T, h, w)
        On the grid.
    queries : float64 (N, 3)
        ``(t, x, y)`` on the grid.
    progress : callable, optional
        Called with (done, total).
    """
    sweep = Sweep(follower, queries)
    length = len(frames)
    places = list(spans(length, follower.window, follower.overlap))
    # The first window that holds each query.
    own = np.array([next(k for k, (a, b) in enumerate(places) if a <= t < b) for t in sweep.start])
    steps = [(k, own <= k) for k in range(len(places))] + [(k, own > k) for k in range(len(places) - 1, -1, -1)]
    steps = [(k, active) for k, active in steps if active.any()]
    total = max(1, sum(follower.work(int(active.sum()), places[k][1] - places[k][0]) for k, active in steps))
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for number in np.unique(sweep.start):
        sweep.remember(int(number), follower.prepare(frames[number]))
    sweep.hold(0, length)
    held: dict[int, Prepared] = {}
    for k, active in steps:
        first, last = places[k]
        # A frame in the overlap of two windows is prepared once.
        held = {
            t: held[t]
            if t in held
            else sweep.query_frames[t]
            if t in sweep.query_frames
            else follower.prepare(frames[t])
            for t in range(first, last)
        }
        sweep.window([held[t] for t in range(first, last)], first, last, active, tell)
    if done < total and progress is not None:
        progress(total, total)
    return Found(sweep.xy, sweep.visible, sweep.confidence)
