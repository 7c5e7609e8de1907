"""Speckle matching over many lags, averaged over neighbouring points: a conventional tracker made robust.

Nothing is learned. Correlation volumes of neighbouring queries are averaged before their peak is taken, as a wall
moves smoothly; displacements over lags of 1 to 20 frames and from the query frame are reconciled in
:mod:`echomotion.models.trackers.multilag`. Neighbours are found among the queries themselves, by distance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Geometry, ModelError
from echomotion.models.base import Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.clutter import still_echoes, without_haze
from echomotion.models.trackers.field_of_view import FieldOfView, field_of_view
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.judging import Evidence, Judge, judge_by_likeness
from echomotion.models.trackers.multilag import Estimate, Reader, Stage, read_peaks, refine, work
from echomotion.models.trackers.neighbours import local_affine, spread_out
from echomotion.models.trackers.reconcile import Beliefs, deviations
from echomotion.models.trackers.stepwise import Calibration, Frame
from echomotion.models.trackers.windows import Asked, Found
from echomotion.models.trackers.working_grid import shrunk

FloatArray = NDArray[np.float64]

# Fitted as that of Lucas-Kanade, with the disagreement between pairs of frames in place of the drift; on another heart
# the expected calibration error is 0.01 (clean) to 0.04 (hard).
CALIBRATION = Calibration(offset=-1.41, likeness=5.34, drift=-1.43)

# Enough for neighbours that lie on a line; strain is lessened by its size in parts, so it is small.
_EXACT = 0.003
# A pixel of a smaller frame is seen when all that it was made from is; of 255.
_ALL_SEEN = 250
# Options with one value for each pass.
_PER_PASS = (
    "template_px",
    "reach_px",
    "shrink",
    "neighbour_px",
    "lags",
    "clutter_share",
    "haze_share",
    "rounds",
    "misfit_px",
)


@dataclass(frozen=True)
class MultilagMatchingConfig:
    """Options of multi-lag matching; lengths in px of the working grid.

    Attributes
    ----------
    template_px : tuple of int
        Side of the square that is matched in each pass; odd.
    reach_px : tuple of int
        Search reach of each pass; the first starts from no motion, and so does not look from the query.
    shrink : tuple of int
        So many times smaller are the frames of each pass; the first ones only find the way.
    neighbour_px : tuple of float
        Standard deviation of the Gaussian over neighbouring points in each pass; across a wall a third of that.
    gradient_px : float
        Standard deviation of the Gaussian over the neighbours whose motion tells how the tissue turns and stretches.
    smooth_px : float
        The same for what evens out the result: each point goes where the affine motion of its neighbourhood sees it.
        A heart's wall bends within a centimetre; for broad tissue that moves as one, 40 px give smoother strain.
    lags : tuple of tuple of int
        Frames between the two frames of a pair, in each pass.
    clutter_share : tuple of float
        Share of what stands still that is taken out of the frames in each pass. It finds the way first where clutter
        lies over the wall; the last passes see the frames as they are, and so tissue that hardly moves.
    haze_share : tuple of float
        Share of what is broader than speckle that is taken out of the frames in each pass.
    haze_px : int
        Side of the squares whose mean tells what is broader; odd.
    rounds : tuple of int
        How often pairs and neighbours are weighed anew in each pass.
    smooth_frames : float
        Gaussian over time on the correlation volumes.
    velocity_px, acceleration_px : float
        What tissue is believed to move from one frame to the next, and how much that changes (standard deviations).
    tissue_px : float
        Width of the Gaussian over the neighbours whose affine motion a point is believed to share; across a wall a
        third of that.
    misfit_px : tuple of float
        Standard deviation of a point from that motion, in each pass.
    slope : float
        Standard deviation of the strain by which the estimate before a pass may be wrong.
    freedom : float
        Degrees of freedom of Student's t, by which pairs that disagree lose weight.
    node_px : float
        Points nearer than this to a measured one go with the affine motion of the measured ones round them.
    most_nodes : int
        Points that are measured at most; of more, the rest goes with these.
    window : int
        Frames that are looked at together; half of them are shared with the window before.
    max_height : int
        Taller frames are reduced to this height, so that a template covers the same anatomy in all of them.
    min_visible : float
        Confidence from which on a point counts as visible.
    """

    template_px: tuple[int, ...] = (21, 21, 15, 21)
    reach_px: tuple[int, ...] = (8, 5, 2, 2)
    shrink: tuple[int, ...] = (2, 2, 1, 1)
    neighbour_px: tuple[float, ...] = (20.0, 14.0, 10.0, 5.0)
    gradient_px: float = 14.0
    smooth_px: float = 6.0
    lags: tuple[tuple[int, ...], ...] = ((1, 3), (1, 3, 8, 20), (1, 3, 8, 20), (1, 3, 8, 20))
    clutter_share: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0)
    haze_share: tuple[float, ...] = (0.0, 0.0, 0.3, 0.3)
    haze_px: int = 7
    rounds: tuple[int, ...] = (2, 2, 2, 3)
    smooth_frames: float = 1.0
    velocity_px: float = 8.0
    acceleration_px: float = 0.7
    tissue_px: float = 28.0
    misfit_px: tuple[float, ...] = (1.5, 1.0, 0.7, 0.7)
    slope: float = 0.05
    freedom: float = 1.5
    node_px: float = 4.0
    most_nodes: int = 128
    window: int = 64
    max_height: int = 256
    min_visible: float = 0.05

    def __post_init__(self) -> None:
        if any(size < 3 or size % 2 == 0 for size in (*self.template_px, self.haze_px)):
            raise ModelError("multilag_matching needs odd template_px and haze_px of 3 or more")
        if len({len(getattr(self, name)) for name in _PER_PASS}) > 1 or not self.shrink:
            raise ModelError(f"multilag_matching needs {', '.join(_PER_PASS)} with one value for each pass")
        if min(*self.reach_px, *self.shrink, *self.rounds) < 1:
            raise ModelError("multilag_matching needs reach_px, shrink and rounds of 1 or more")
        shares = (*self.clutter_share, *self.haze_share)
        if not 0 <= min(shares) <= max(shares) <= 1:
            raise ModelError("multilag_matching needs clutter_share and haze_share from 0 to 1")
        lengths = (*self.neighbour_px, *self.misfit_px, self.gradient_px, self.smooth_px, self.tissue_px)
        if min(*lengths, self.velocity_px, self.acceleration_px, self.slope, self.freedom) <= 0:
            raise ModelError(
                "multilag_matching needs neighbour_px, misfit_px, gradient_px, smooth_px, tissue_px, velocity_px, "
                "acceleration_px, slope and freedom above 0"
            )
        if min(self.smooth_frames, self.node_px) < 0 or self.window < 2 or self.most_nodes < 1:
            raise ModelError(
                "multilag_matching needs smooth_frames and node_px not below 0, a window of 2 frames or more and "
                "most_nodes of 1 or more"
            )
        if not all(lags and min(lags) >= 1 for lags in self.lags):
            raise ModelError("multilag_matching needs lags of 1 frame or more in each pass")
        if self.max_height < 16 or not 0 <= self.min_visible <= 1:
            raise ModelError("multilag_matching needs max_height of 16 or more and min_visible from 0 to 1")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The passes; lengths in px of their own, smaller frames."""
        return tuple(self._stage(i) for i in range(len(self.shrink)))

    def _stage(self, i: int) -> Stage:
        shrink = self.shrink[i]
        return Stage(
            # Odd, so that a template has a middle.
            size=self.template_px[i] // shrink | 1,
            reach=max(2, -(-self.reach_px[i] // shrink)),
            sigma_px=self.neighbour_px[i] / shrink,
            gradient_px=self.gradient_px / shrink,
            lags=self.lags[i],
            to_query=i > 0,
            sigma_frames=self.smooth_frames,
            beliefs=Beliefs(
                self.velocity_px / shrink,
                self.acceleration_px / shrink,
                self.tissue_px / shrink,
                self.misfit_px[i] / shrink,
                self.slope,
                self.freedom,
            ),
            rounds=self.rounds[i],
        )


@dataclass(frozen=True)
class MultilagFollower:
    """Finds points in one window by passes from coarse to fine; a :class:`~.windows.Follower`.

    Attributes
    ----------
    config : MultilagMatchingConfig
    readers : tuple of Reader
        One for each pass.
    judge : Judge
        Tells confidence and visibility.
    """

    config: MultilagMatchingConfig
    readers: tuple[Reader, ...]
    judge: Judge

    @property
    def window(self) -> int:
        """Frames that are looked at together."""
        return self.config.window

    @property
    def overlap(self) -> int:
        """Frames that two windows share."""
        return self.config.window // 2

    def prepare(self, frame: Frame) -> Frame:
        """Grey levels are all that is needed."""
        return frame

    def work(self, n_points: int, n_frames: int) -> int:
        """Calls of `tell` in one window."""
        return work(self.config.stages, min(n_points, self.config.most_nodes), n_frames)

    def follow(self, frames: Sequence[Frame], asked: Asked, tell: Callable[[], None]) -> Found:
        """Find N points on all T frames; those that are not measured are judged as the nearest that is."""
        config = self.config
        nodes, widest = spread_out(asked.origin, asked.start, config.node_px, config.most_nodes)
        some = replace(
            asked, start=asked.start[nodes], origin=asked.origin[nodes], xy=asked.xy[nodes], known=asked.known[nodes]
        )
        moved, deviation = self._measure(frames, some, tell)
        everyone = (asked.start, asked.origin)
        _, even = local_affine(moved, some.start, some.origin, max(config.smooth_px, widest), _EXACT, everyone)
        xy = np.where(asked.known[..., None], asked.xy, even)
        uneven = np.linalg.norm(moved - even[nodes], axis=-1)
        confidence, visible = self.judge(frames, Evidence(xy[nodes], deviation, uneven), some)
        apart = np.linalg.norm(asked.origin[:, None] - some.origin, axis=-1)
        nearest = np.where(asked.start[:, None] == some.start, apart, np.inf).argmin(axis=1)
        return Found(xy, visible[nearest], confidence[nearest])

    def _measure(
        self, frames: Sequence[Frame], asked: Asked, tell: Callable[[], None]
    ) -> tuple[FloatArray, FloatArray]:
        """Trajectories and their standard deviations, in px of the grid."""
        xy = asked.xy
        view, config = field_of_view(frames), self.config
        painted = np.stack([view.painted(frame) for frame in frames])
        apart = {t: view.painted(frame) for t, frame in asked.query_frames.items() if not 0 <= t < len(frames)}
        passes = list(zip(config.shrink, config.clutter_share, config.haze_share, strict=True))
        pictures = {kind: _picture(painted, apart, view, asked.start, *kind, config.haze_px) for kind in set(passes)}
        for kind, stage, read in zip(passes, config.stages, self.readers, strict=True):
            picture = pictures[kind]
            estimate = Estimate(picture.down.to_grid(xy), asked.known, asked.start, picture.down.to_grid(asked.origin))
            found, factor = refine(picture.frames, picture.queries, picture.seen, estimate, stage, read, tell)
            xy = picture.down.to_native(found)
        return xy, deviations(factor) * config.shrink[-1]


@dataclass(frozen=True)
class _Picture:
    """What a pass sees: float32 (T, h, w) and (h, w), bool (h, w), and the map there."""

    frames: NDArray[np.float32]
    queries: dict[int, NDArray[np.float32]]
    seen: NDArray[np.bool_]
    down: Geometry


def _picture(
    frames: NDArray[np.uint8],
    apart: Mapping[int, Frame],
    view: FieldOfView,
    start: NDArray[np.int64],
    shrink: int,
    clutter_share: float,
    haze_share: float,
    haze_px: int,
) -> _Picture:
    """Frames and query frames, some of them `apart`, so many times smaller, and less of what does not move."""
    small, down = shrunk(frames, shrink)
    still = clutter_share * still_echoes(small) if clutter_share else None

    def cleared(some: NDArray[np.uint8]) -> NDArray[np.float32]:
        out = some.astype(np.float32)
        if still is not None:
            np.clip(np.subtract(out, still, out=out), 0, 255, out=out)
        return without_haze(out, haze_share, haze_px // shrink | 1) if haze_share else out

    clear = cleared(small)
    queries = {t: clear[t] for t in np.unique(start).tolist() if t not in apart}
    queries |= {t: cleared(shrunk(frame[None], shrink)[0])[0] for t, frame in apart.items()}
    return _Picture(clear, queries, down.warp(view.seen.astype(np.uint8) * 255) > _ALL_SEEN, down)


@register("tracker")
def multilag_matching(config: MultilagMatchingConfig) -> Tracker:
    """Speckle matching over many lags and neighbouring points, nothing learned."""
    judge = judge_by_likeness(CALIBRATION, config.min_visible)
    follower = MultilagFollower(config, (read_peaks,) * len(config.stages), judge)
    return FollowerTracker("multilag_matching", follower, config.max_height)
