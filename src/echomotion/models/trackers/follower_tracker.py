"""A tracker of native pixels around a method that follows points in windows of frames on a working grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core import Clip, Geometry, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress
from echomotion.models.trackers.session import WindowStream
from echomotion.models.trackers.windows import Follower, Found, follow_clip
from echomotion.models.trackers.working_grid import working_frames, working_geometry


@dataclass(frozen=True)
class FollowerTracker:
    """See :class:`echomotion.models.base.Tracker`.

    Attributes
    ----------
    name : str
    follower : Follower
    max_height : int
        Rows of the working grid at most.
    """

    name: str
    follower: Follower
    max_height: int

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip, forward and backward."""
        points = checked_queries(queries, clip.n_frames, clip.shape)
        frames, geometry = working_frames(clip, self.max_height)
        on_grid = np.column_stack([points[:, 0], geometry.to_grid(points[:, 1:])])
        found = follow_clip(self.follower, frames, on_grid, progress)
        native = to_native(found, geometry)
        xy, visible = native.xy.astype(np.float32), native.visible
        confidence = native.confidence.astype(np.float32)
        rows, start = np.arange(len(points)), points[:, 0].astype(np.int64)
        xy[rows, start], confidence[rows, start], visible[rows, start] = points[:, 1:], 1, True
        return Tracks(xy, visible, confidence, points, model=self.name)

    def stream(self, clip: Clip) -> WindowStream:
        """Frame by frame; see :class:`echomotion.models.base.StreamingTracker`."""
        geometry = working_geometry(clip, self.max_height)
        return WindowStream(self.follower, geometry, lambda found: to_native(found, geometry))


def to_native(found: Found, geometry: Geometry) -> Found:
    """What was found on a grid, in native pixels; points that left the picture stay at its border, not visible."""
    limit = np.array([geometry.grid_shape[1], geometry.grid_shape[0]]) - 0.5
    inside = np.all((found.xy >= -0.5) & (found.xy <= limit), axis=-1)
    xy = geometry.to_native(np.clip(found.xy, -0.5, limit))
    return Found(xy, found.visible & inside, np.where(inside, found.confidence, 0))
