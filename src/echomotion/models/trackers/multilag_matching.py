"""Speckle matching over many lags, averaged over neighbouring points: a conventional tracker made robust.

Nothing is learned. Correlation volumes of neighbouring queries are averaged before their peak is taken, as a wall
moves smoothly; displacements over lags of 1 to 24 frames and from the query frame are reconciled in
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
from echomotion.models.trackers.field_of_view import field_of_view
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.judging import Evidence, Judge, judge_by_likeness
from echomotion.models.trackers.multilag import Estimate, Reader, Stage, read_peaks, refine, work
from echomotion.models.trackers.neighbours import local_affine, spread_out
from echomotion.models.trackers.reconcile import Beliefs
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


@dataclass(frozen=True)
class MultilagMatchingConfig:
    """Options of multi-lag matching; lengths in px of the working grid.

    Attributes
    ----------
    template_px : int
        Side of the square that is matched; odd.
    reach_px : tuple of int
        Search reach of each pass; the first starts from no motion and looks over the short lags only.
    shrink : tuple of int
        So many times smaller are the frames of each pass; the first ones only find the way.
    neighbour_px : tuple of float
        Standard deviation of the Gaussian over neighbouring points in each pass; across a wall a third of that.
    gradient_px : float
        Standard deviation of the Gaussian over the neighbours whose motion tells how the tissue turns and stretches.
    smooth_px : float
        The same for what evens out the result: each point goes where the affine motion of its neighbourhood sees it.
        A heart's wall bends within a centimetre; for broad tissue that moves as one, 40 px give smoother strain.
    short_lags, lags : tuple of int
        Frames between the two frames of a pair, in the first pass and in the later ones.
    clutter_share : tuple of float
        Share of what stands still that is taken out of the frames in each pass. It finds the way first where clutter
        lies over the wall; the last passes see the frames as they are, and so tissue that hardly moves.
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

    template_px: int = 21
    reach_px: tuple[int, ...] = (8, 5, 2, 2)
    shrink: tuple[int, ...] = (2, 2, 1, 1)
    neighbour_px: tuple[float, ...] = (20.0, 14.0, 10.0, 5.0)
    gradient_px: float = 14.0
    smooth_px: float = 6.0
    short_lags: tuple[int, ...] = (1, 2, 3, 4)
    lags: tuple[int, ...] = (1, 3, 8, 20)
    clutter_share: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0)
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
        if self.template_px < 3 or self.template_px % 2 == 0:
            raise ModelError("multilag_matching needs an odd template_px of 3 or more")
        per_pass = (self.reach_px, self.shrink, self.neighbour_px, self.clutter_share, self.misfit_px)
        if len({len(values) for values in per_pass}) > 1 or not self.reach_px:
            raise ModelError(
                "multilag_matching needs as many reach_px as shrink, neighbour_px, clutter_share and misfit_px, "
                "one or more"
            )
        if min(*self.reach_px, *self.shrink) < 1 or not 0 <= min(self.clutter_share) <= max(self.clutter_share) <= 1:
            raise ModelError("multilag_matching needs reach_px and shrink of 1 or more and clutter_share from 0 to 1")
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
        if not self.lags or not self.short_lags or min(*self.lags, *self.short_lags) < 1:
            raise ModelError("multilag_matching needs short_lags and lags of 1 frame or more")
        if self.max_height < 16 or not 0 <= self.min_visible <= 1:
            raise ModelError("multilag_matching needs max_height of 16 or more and min_visible from 0 to 1")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The passes; lengths in px of their own, smaller frames."""
        passes = zip(self.shrink, self.reach_px, self.neighbour_px, self.clutter_share, self.misfit_px, strict=True)
        return tuple(
            Stage(
                # Odd, so that a template has a middle.
                size=self.template_px // shrink | 1,
                reach=max(2, -(-reach // shrink)),
                sigma_px=sigma / shrink,
                gradient_px=self.gradient_px / shrink,
                lags=self.lags if i else self.short_lags,
                to_query=i > 0,
                clutter_share=share,
                sigma_frames=self.smooth_frames,
                beliefs=Beliefs(
                    self.velocity_px / shrink,
                    self.acceleration_px / shrink,
                    self.tissue_px / shrink,
                    misfit / shrink,
                    self.slope,
                    self.freedom,
                ),
            )
            for i, (shrink, reach, sigma, share, misfit) in enumerate(passes)
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
        xy, deviation = asked.xy, np.zeros(asked.known.shape)
        view = field_of_view(frames)
        painted = [view.painted(frame) for frame in frames]
        apart = {t: view.painted(frame) for t, frame in asked.query_frames.items() if not 0 <= t < len(frames)}
        sizes = {shrink: _smaller(painted, apart, asked.start, shrink) for shrink in set(self.config.shrink)}
        for shrink, stage, read in zip(self.config.shrink, self.config.stages, self.readers, strict=True):
            small, queries, down = sizes[shrink]
            seen = down.warp(view.seen.astype(np.uint8) * 255) > _ALL_SEEN
            estimate = Estimate(down.to_grid(xy), asked.known, asked.start, down.to_grid(asked.origin))
            found, deviation = refine(small, queries, seen, estimate, stage, read, tell)
            xy, deviation = down.to_native(found), deviation * shrink
        return xy, deviation


def _smaller(
    frames: Sequence[Frame], apart: Mapping[int, Frame], start: NDArray[np.int64], shrink: int
) -> tuple[NDArray[np.uint8], dict[int, Frame], Geometry]:
    """Frames and query frames, some of them `apart`, so many times smaller, and the map there."""
    small, down = shrunk(np.stack(frames), shrink)
    queries = {t: small[t] for t in np.unique(start).tolist() if t not in apart}
    return small, queries | {t: shrunk(frame[None], shrink)[0][0] for t, frame in apart.items()}, down


@register("tracker")
def multilag_matching(config: MultilagMatchingConfig) -> Tracker:
    """Speckle matching over many lags and neighbouring points, nothing learned."""
    judge = judge_by_likeness(CALIBRATION, config.min_visible)
    follower = MultilagFollower(config, (read_peaks,) * len(config.stages), judge)
    return FollowerTracker("multilag_matching", follower, config.max_height)
