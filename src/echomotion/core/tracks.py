"""Points of the wall that are asked for, and the trajectories that come back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.core.errors import DataError
from echomotion.core.views import View


class Layer(StrEnum):
    """Where across the wall a line of points lies."""

    ENDOCARDIAL = "endocardial"
    MID_WALL = "mid_wall"
    EPICARDIAL = "epicardial"


@dataclass(frozen=True)
class WallPoints:
    """A line of points along the wall: how it is asked for, and known again in tracks, strain and report.

    Attributes
    ----------
    queries : float64 (N, 3)
        ``(t, x, y)`` in native pixels, ordered along the wall from the base on the image's left,
        over the apex, to the base on the right.
    layer : Layer
        Depth in the wall.
    segment : tuple of str, N
        Name of the segment to which each point belongs.
    s : float64 (N,)
        Position along the wall by arc length on the query frame: 0 first base, 1 second base.
    view : View
        The view that gave the segments their names.
    """

    queries: NDArray[np.float64]
    layer: Layer
    segment: tuple[str, ...]
    s: NDArray[np.float64]
    view: View = View.UNKNOWN

    def __post_init__(self) -> None:
        set_field(self, "queries", frozen_array(self.queries, "queries", shape=(None, 3), dtype=np.float64))
        count = len(self.queries)
        set_field(self, "s", frozen_array(self.s, "s", shape=(count,), dtype=np.float64))
        if np.any(np.diff(self.s) < 0) or (count and (self.s[0] < -1e-9 or self.s[-1] > 1 + 1e-9)):
            raise DataError("s must rise from 0 to 1 along the wall")
        if len(self.segment) != count:
            raise DataError(f"{len(self.segment)} segment names for {count} points")
        set_field(self, "segment", tuple(self.segment))
        set_field(self, "layer", Layer(self.layer))
        set_field(self, "view", View(self.view))

    def segment_names(self) -> tuple[str, ...]:
        """The names of the segments in their order along the wall."""
        return tuple(dict.fromkeys(self.segment))


@dataclass(frozen=True)
class Tracks:
    """Trajectories of N points over T frames, in native pixels.

    Attributes
    ----------
    xy : float32 (N, T, 2)
        Positions; NaN where a tracker gives none.
    visible : bool (N, T)
        Whether the point can be seen.
    confidence : float32 (N, T)
        Probability of an error under 2 px at a frame height of 256 px.
    queries : float64 (N, 3)
        ``(t, x, y)`` that were asked for; they come back exactly in `xy`.
    wall : WallPoints or None
        The line the points form, when they form one.
    model : str
        Name of the tracker.
    """

    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    queries: NDArray[np.float64]
    wall: WallPoints | None = None
    model: str = ""

    def __post_init__(self) -> None:
        queries = frozen_array(self.queries, "queries", shape=(None, 3), dtype=np.float64)
        set_field(self, "queries", queries)
        count = len(queries)
        xy = frozen_array(self.xy, "xy", shape=(count, None, 2), dtype=np.float32, finite=False)
        set_field(self, "xy", xy)
        grid = (count, xy.shape[1])
        set_field(self, "visible", frozen_array(self.visible, "visible", shape=grid, dtype=np.bool_))
        confidence = frozen_array(self.confidence, "confidence", shape=grid, dtype=np.float32)
        if np.any((confidence < 0) | (confidence > 1)):
            raise DataError("confidence must lie between 0 and 1")
        set_field(self, "confidence", confidence)
        if self.wall is not None and len(self.wall.queries) != count:
            raise DataError(f"the wall has {len(self.wall.queries)} points, the tracks {count}")
        frames = queries[:, 0].astype(int)
        if count and not np.array_equal(xy[np.arange(count), frames], queries[:, 1:].astype(np.float32)):
            raise DataError("a track does not pass through its query point")

    @property
    def n_points(self) -> int:
        """Number of points N."""
        return len(self.queries)

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return self.xy.shape[1]


def checked_queries(queries: object, n_frames: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Queries (N, 3) that lie on the clip, as float64, or :class:`DataError` that says which does not."""
    points = frozen_array(queries, "queries", shape=(None, 3), dtype=np.float64)
    if len(points) == 0:
        raise DataError("there are no queries; give at least one point (t, x, y)")
    t, x, y = points.T
    if np.any(t != np.round(t)) or np.any((t < 0) | (t > n_frames - 1)):
        raise DataError(f"a query's frame must be a whole number from 0 to {n_frames - 1}")
    outside = (x < -0.5) | (y < -0.5) | (x > shape[1] - 0.5) | (y > shape[0] - 0.5)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise DataError(
            f"query {first} at (x {x[first]:g}, y {y[first]:g}) lies outside the frame of "
            f"{shape[1]} x {shape[0]} px; queries are (t, x, y) in native pixels"
        )
    return points
