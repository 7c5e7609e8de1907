"""What PointSeg is told of motion: trajectories of a grid of points, from any tracker, found once for a clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, DataError, Geometry, ModelError, Tracks
from echomotion.core.masks import LV_MYOCARDIUM
from echomotion.models.base import Progress, Tracker
from echomotion.models.queries import grid_queries
from echomotion.models.segmenters.pointseg_network import PointPaths
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.learned import PointFollower
from echomotion.models.trackers.there_and_back import there_and_back_px
from echomotion.models.trackers.windows import spans
from echomotion.models.trackers.working_grid import working_frames

# Of the grid's frames, what lies further than this from anything lit is outside the fan.
_DARK_PX = 15
# Between neighbours in the wall, px of the grid: half of what is usual over the fan, a wall being 10 to 20 px wide.
_WALL_PX = 8.0


@dataclass(frozen=True)
class Cues:
    """Trajectories of N points over T frames, in px of the model's grid.

    Attributes
    ----------
    xy : float32 (N, T, 2)
        Finite; a point that a tracker lost stays at its query.
    visible : bool (N, T)
    confidence : float32 (N, T)
    tokens : float32 (N, T, C) or None
        A tracker's own tokens of the points.
    """

    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    tokens: NDArray[np.float32] | None = None

    def part(self, first: int, last: int) -> Cues:
        """The same on the frames from `first` to `last` (exclusive)."""
        tokens = None if self.tokens is None else self.tokens[:, first:last]
        return Cues(self.xy[:, first:last], self.visible[:, first:last], self.confidence[:, first:last], tokens)

    def placed(self, matrix: NDArray[np.float64]) -> Cues:
        """The same on frames placed by a matrix (2, 3); a tracker's tokens stay, as features of tissue."""
        xy = (self.xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        return Cues(xy, self.visible, self.confidence, self.tokens)


def point_paths(cues: Sequence[Cues], device: torch.device | str = "cpu") -> PointPaths:
    """Cues of B clips with as many points and frames each, as the network takes them."""

    def joined(arrays: list[NDArray[np.generic]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(arrays)).to(device, torch.float32)

    tokens = [cue.tokens for cue in cues if cue.tokens is not None]
    return PointPaths(
        joined([cue.xy for cue in cues]),
        joined([cue.visible for cue in cues]),
        joined([cue.confidence for cue in cues]),
        joined(list(tokens)) if tokens else None,
    )


def cue_queries(
    clip: Clip, frames: NDArray[np.uint8], geometry: Geometry, spacing_px: float, points: ArrayLike | None = None
) -> NDArray[np.float64]:
    """A grid of points over the fan on the middle frame, and points of the user's own before them.

    Parameters
    ----------
    clip : Clip
    frames : uint8 (T, h, w)
        On the model's grid, black outside the fan.
    geometry : Geometry
        The map there.
    spacing_px : float
        Px of the model's grid between neighbours.
    points : array-like (M, 3), optional
        ``(t, x, y)`` in native pixels.

    Returns
    -------
    float64 (N, 3)
        ``(t, x, y)`` in native pixels.
    """
    shape = (frames.shape[1], frames.shape[2])
    lit = cv2.dilate((frames.max(axis=0) > 0).astype(np.uint8), np.ones((_DARK_PX, _DARK_PX), np.uint8)) > 0
    grid = grid_queries(shape, spacing_px=spacing_px, within=lit if lit.any() else None)
    queries = _on_frame(grid, geometry, clip.n_frames // 2)
    if points is not None:
        own = np.asarray(points, dtype=np.float64)
        if own.ndim != 2 or own.shape[1] != 3:
            raise DataError(f"points has shape {own.shape}; (M, 3) with (t, x, y) is needed")
        queries = np.concatenate([own, queries])
    if not len(queries):
        raise DataError(f"no point of a grid of {spacing_px:g} px lies on the clip; take a smaller spacing")
    return queries


def wall_queries(
    probability: NDArray[np.float32], classes: Mapping[int, str], geometry: Geometry
) -> NDArray[np.float64]:
    """A grid of points in the myocardium that the middle frame shows; in all foreground where no class is called so.

    Parameters
    ----------
    probability : float32 (T, K + 1, h, w)
        On the model's grid.
    classes : mapping of int to str
    geometry : Geometry
        The map there.

    Returns
    -------
    float64 (N, 3)
        ``(t, x, y)`` in native pixels; none where the frame shows no wall.
    """
    middle = len(probability) // 2
    labels = probability[middle].argmax(axis=0)
    wall = [label for label, name in classes.items() if name == LV_MYOCARDIUM]
    inside = np.isin(labels, wall) if wall else labels > 0
    try:
        grid = grid_queries((labels.shape[0], labels.shape[1]), spacing_px=_WALL_PX, within=inside)
    except DataError:
        return np.empty((0, 3))
    return _on_frame(grid, geometry, middle)


def _on_frame(grid: NDArray[np.float64], geometry: Geometry, frame: int) -> NDArray[np.float64]:
    """Queries (N, 3) of the model's grid as those of a native frame, without any that lie beside it."""
    native = geometry.to_native(grid[:, 1:])
    limit = np.array(geometry.native_shape[::-1]) - 1
    native = native[np.all((native >= 0) & (native <= limit), axis=1)]
    return np.column_stack([np.full(len(native), frame), native])


def track_cues(
    tracker: Tracker,
    clip: Clip,
    queries: NDArray[np.float64],
    geometry: Geometry,
    *,
    tokens: bool = False,
    progress: Progress | None = None,
) -> tuple[Tracks, Cues]:
    """Follow points and bring what is found to the model's grid.

    Parameters
    ----------
    tracker : Tracker
    clip : Clip
    queries : float64 (N, 3)
        Native pixels.
    geometry : Geometry
        From native pixels to the model's grid.
    tokens : bool
        Whether the tracker's own tokens are wanted as well.
    progress : callable, optional

    Raises
    ------
    ModelError
        When tokens are wanted of a tracker that has none.
    """
    tracks = tracker.track(clip, queries, progress=progress)
    xy = geometry.to_grid(tracks.xy).astype(np.float32)
    start = geometry.to_grid(queries[:, 1:])[:, None]
    known: NDArray[np.bool_] = np.all(np.isfinite(xy), axis=-1)
    xy = np.where(known[..., None], xy, start).astype(np.float32)
    own = tracker_tokens(tracker, clip, tracks) if tokens else None
    return tracks, Cues(xy, tracks.visible & known, np.where(known, tracks.confidence, 0).astype(np.float32), own)


@torch.inference_mode()
def tracker_tokens(tracker: Tracker, clip: Clip, tracks: Tracks) -> NDArray[np.float32]:
    """Tokens (N, T, C) that a tracker with tokens (TAPTR) has of points once it has found them.

    Its decoder goes over the windows once more, from the positions that were found.
    """
    follower = tracker.follower if isinstance(tracker, FollowerTracker) else None
    if not isinstance(tracker, FollowerTracker) or not isinstance(follower, PointFollower):
        raise ModelError(f"{tracker.name} has no tokens of points; take taptr, or sampled features (token_dim: 0)")
    network, device = follower.network, follower.device
    frames, geometry = working_frames(clip, tracker.max_height)
    grey = torch.from_numpy(frames.astype(np.float32)).to(device)[:, None] / 255
    features = [network.encode(frame[None]) for frame in grey]
    queries = torch.from_numpy(geometry.to_grid(tracks.queries[:, 1:])).to(device, torch.float32)
    asked = torch.from_numpy(tracks.queries[:, 0].astype(np.int64)).to(device)
    looks = tuple(torch.cat(parts) for parts in zip(*features, strict=True))
    descriptors = network.describe(looks, asked, queries)
    start = torch.from_numpy(geometry.to_grid(np.nan_to_num(tracks.xy))).to(device, torch.float32)
    out: list[torch.Tensor] = []
    for first, last in spans(len(frames), network.window, 0):
        part = tuple(x[first:last] for x in looks)
        found = network.follow(part, descriptors, start[:, first:last]).tokens
        if found is None:
            raise ModelError(f"{tracker.name} has no tokens of points; take taptr, or sampled features (token_dim: 0)")
        out.append(found.cpu())
    return torch.cat(out, dim=1).numpy()


def forward_backward_px(tracker: Tracker, clip: Clip, tracks: Tracks, geometry: Geometry) -> NDArray[np.float32]:
    """How far each point (N,) of a two-frame clip ends from its start when it is followed there and back, grid px."""
    if tracks.n_frames != 2:
        raise DataError(f"there and back is for clips of two frames; this one has {tracks.n_frames}")
    misses = there_and_back_px(tracker, clip, tracks, 1 - tracks.queries[:, 0])
    return np.hypot(*(misses * geometry.scale).T).astype(np.float32)
