"""Trackers that go from frame to frame: how points are carried from any query frame to both ends of a clip.

A method brings one function that moves points from one image to the next and says how good each match is; this
module does the rest: the working grid, both directions, forward-backward errors, confidence, native pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, Geometry, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress

Points = NDArray[np.float32]
# (image before, image after, points (N, 2) on the first) -> points (N, 2) on the second, match quality (N,) in 0..1.
Step = Callable[[NDArray[np.uint8], NDArray[np.uint8], Points], tuple[Points, NDArray[np.float32]]]

# Taller frames are tracked at this height: windows then cover the same anatomy whatever the export size.
MAX_HEIGHT = 512
# All figures of accuracy are stated at this height.
REFERENCE_HEIGHT = 256
# A point whose confidence is not above this is taken as unseen.
SEEN = 0.2


@dataclass(frozen=True)
class ConfidenceModel:
    """Probability of an error under 2 px (at a height of 256 px) from what a tracker can see of itself.

    ``1 / (1 + exp(-(bias + drift * log1p(d) + match * (1 - q) + steps * log1p(n))))`` with d the summed
    forward-backward error since the query frame in reference px, q the mean match quality, n the number of steps.
    The numbers are fitted by ``benchmarks/fit_tracker_confidence.py`` on clips that are not used to judge.
    """

    bias: float
    drift: float
    match: float
    steps: float

    def __call__(
        self, drift_px: NDArray[np.float64], quality: NDArray[np.float64], steps: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Probabilities of the shape of the arguments."""
        score = self.bias + self.drift * np.log1p(drift_px) + self.match * (1 - quality) + self.steps * np.log1p(steps)
        return (1 / (1 + np.exp(-score))).astype(np.float32)


def track_stepwise(
    name: str,
    clip: Clip,
    queries: ArrayLike,
    step: Step,
    confidence: ConfidenceModel,
    progress: Progress | None = None,
) -> Tracks:
    """Carry queries through a clip, forward and backward, one frame at a time.

    Every step is also taken back; the distance to where it began, summed since the query frame, tells how much a
    point may have drifted. A point that leaves the picture stays at its last place, unseen and without confidence.

    Parameters
    ----------
    name : str
        Name of the tracker.
    clip : Clip
    queries : array-like (N, 3)
        ``(t, x, y)`` in native pixels.
    step : callable
        See `Step`; it works on the working grid.
    confidence : ConfidenceModel
    progress : callable, optional

    Returns
    -------
    Tracks

    Raises
    ------
    DataError
        When there are no queries, or one lies off the clip.
    """
    points = checked_queries(queries, clip.n_frames, clip.shape)
    found = carry(clip, points, step, progress)
    sure = confidence(found.drift_px, found.quality, found.steps)
    sure[~found.inside] = 0
    rows, start = np.arange(len(points)), points[:, 0].astype(int)
    sure[rows, start] = 1
    return Tracks(found.xy, found.inside & (sure > SEEN), sure, points, model=name)


@dataclass(frozen=True)
class Carried:
    """Points carried through a clip, and what the tracker saw of itself: all (N, T), `xy` (N, T, 2) native pixels."""

    xy: NDArray[np.float32]
    drift_px: NDArray[np.float64]
    quality: NDArray[np.float64]
    steps: NDArray[np.float64]
    inside: NDArray[np.bool_]


def carry(clip: Clip, points: NDArray[np.float64], step: Step, progress: Progress | None = None) -> Carried:
    """Carry points (N, 3) both ways; `drift_px` is the summed forward-backward error at 256 rows."""
    geometry = working_grid(clip)
    whole = geometry == Geometry.identity(clip.shape)
    frames = list(clip.frames) if whole else [geometry.warp(frame) for frame in clip.frames]
    count, n_frames = len(points), clip.n_frames
    start, rows = points[:, 0].astype(int), np.arange(count)
    per_row = REFERENCE_HEIGHT / frames[0].shape[0]

    xy = np.zeros((count, n_frames, 2), np.float32)
    xy[rows, start] = geometry.to_grid(points[:, 1:])
    drift = np.zeros((count, n_frames))
    quality = np.ones((count, n_frames))
    inside = np.ones((count, n_frames), bool)
    done = 0
    for direction in (1, -1):
        for t in range(n_frames - 1) if direction == 1 else range(n_frames - 1, 0, -1):
            after = t + direction
            moving = start <= t if direction == 1 else start >= t
            if moving.any():
                moved, match = step(frames[t], frames[after], xy[moving, t])
                back, _ = step(frames[after], frames[t], moved)
                error = np.hypot(*(back - xy[moving, t]).T.astype(np.float64)) * per_row
                here = inside[moving, t] & _inside(moved, frames[0].shape)
                xy[moving, after] = np.where(here[:, None], moved, xy[moving, t])
                drift[moving, after] = drift[moving, t] + error
                quality[moving, after] = match
                inside[moving, after] = here
            done += 1
            if progress is not None:
                progress(done, 2 * (n_frames - 1))
    steps = np.abs(np.arange(n_frames)[None] - start[:, None]).astype(np.float64)
    native = geometry.to_native(xy).astype(np.float32)
    native[rows, start] = points[:, 1:]
    return Carried(native, drift, _mean_since(quality, start), steps, inside)


def working_grid(clip: Clip, limit: int = MAX_HEIGHT, height: int = MAX_HEIGHT) -> Geometry:
    """The frame itself up to `limit` rows, else a smaller one of `height` rows; pixels become square."""
    rows, columns = clip.shape
    tall = rows * clip.pixel_aspect
    if tall <= limit and clip.pixel_aspect == 1.0:
        return Geometry.identity(clip.shape)
    scale = min(1.0, height / tall)
    return Geometry.resize(clip.shape, (max(1, round(tall * scale)), max(1, round(columns * scale))))


def _inside(points: Points, shape: tuple[int, int]) -> NDArray[np.bool_]:
    return ((points >= 0) & (points <= (shape[1] - 1, shape[0] - 1))).all(axis=1)


def _mean_since(quality: NDArray[np.float64], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the match quality of all steps from the query frame to each frame."""
    frames = np.arange(quality.shape[1])
    forward = np.where(frames > start[:, None], quality, 0).cumsum(axis=1)
    backward = np.where(frames < start[:, None], quality, 0)[:, ::-1].cumsum(axis=1)[:, ::-1]
    steps = np.abs(frames - start[:, None])
    return np.where(steps > 0, (forward + backward) / np.maximum(steps, 1), 1.0)
