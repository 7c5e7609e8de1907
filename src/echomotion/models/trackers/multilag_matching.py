"""Speckle matching over many lags, averaged over neighbouring points: a conventional tracker made robust.

Nothing is learned. Correlation volumes of neighbouring queries are averaged before their peak is taken, as a wall
moves smoothly; displacements over lags of 1 to 24 frames and from the query frame are reconciled in
:mod:`echomotion.models.trackers.multilag`. Neighbours are found among the queries themselves, by distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core import Clip, ModelError, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.multilag import Stage, refine, work
from echomotion.models.trackers.neighbours import local_affine
from echomotion.models.trackers.stepwise import REFERENCE_HEIGHT, Calibration, likeness
from echomotion.models.trackers.working_grid import shrunk, working_frames

# Fitted as that of Lucas-Kanade, with the disagreement between pairs of frames in place of the drift; on another heart
# the expected calibration error is 0.01 (clean) to 0.04 (hard).
CALIBRATION = Calibration(offset=-1.41, likeness=5.34, drift=-1.43)

# Enough for neighbours that lie on a line; strain is lessened by its size in parts, so it is small.
_EXACT = 0.003


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
        Standard deviation of the Gaussian over neighbouring points in each pass.
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
    tolerance_px : float
        Disagreement at which a pair of frames has lost half its weight.
    max_height : int
        Taller frames are reduced to this height, so that a template covers the same anatomy in all of them.
    min_visible : float
        Confidence from which on a point counts as visible.
    """

    template_px: int = 21
    reach_px: tuple[int, ...] = (8, 5, 2, 2)
    shrink: tuple[int, ...] = (2, 2, 1, 1)
    neighbour_px: tuple[float, ...] = (12.0, 8.0, 6.0, 3.0)
    gradient_px: float = 20.0
    smooth_px: float = 6.0
    short_lags: tuple[int, ...] = (1, 2, 3, 4)
    lags: tuple[int, ...] = (1, 2, 3, 5, 8, 13, 21)
    clutter_share: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0)
    smooth_frames: float = 1.0
    tolerance_px: float = 1.0
    max_height: int = 256
    min_visible: float = 0.05

    def __post_init__(self) -> None:
        if self.template_px < 3 or self.template_px % 2 == 0:
            raise ModelError("multilag_matching needs an odd template_px of 3 or more")
        passes = {len(self.reach_px), len(self.shrink), len(self.neighbour_px), len(self.clutter_share)}
        if len(passes) > 1 or not self.reach_px:
            raise ModelError(
                "multilag_matching needs as many reach_px as shrink, neighbour_px and clutter_share, one or more"
            )
        if min(*self.reach_px, *self.shrink) < 1 or not 0 <= min(self.clutter_share) <= max(self.clutter_share) <= 1:
            raise ModelError("multilag_matching needs reach_px and shrink of 1 or more and clutter_share from 0 to 1")
        if min(*self.neighbour_px, self.gradient_px, self.smooth_px, self.tolerance_px) <= 0 or self.smooth_frames < 0:
            raise ModelError(
                "multilag_matching needs neighbour_px, gradient_px, smooth_px and tolerance_px above 0, "
                "smooth_frames not below 0"
            )
        if not self.lags or not self.short_lags or min(*self.lags, *self.short_lags) < 1:
            raise ModelError("multilag_matching needs short_lags and lags of 1 frame or more")
        if self.max_height < 16 or not 0 <= self.min_visible <= 1:
            raise ModelError("multilag_matching needs max_height of 16 or more and min_visible from 0 to 1")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The passes; lengths in px of their own, smaller frames."""
        passes = zip(self.shrink, self.reach_px, self.neighbour_px, self.clutter_share, strict=True)
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
            )
            for i, (shrink, reach, sigma, share) in enumerate(passes)
        )


@dataclass
class MultilagTracker:
    """See the module; made by :func:`multilag_matching`."""

    config: MultilagMatchingConfig
    name: str = "multilag_matching"

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip; see :class:`echomotion.models.base.Tracker`."""
        config = self.config
        points = checked_queries(queries, clip.n_frames, clip.shape)
        frames, geometry = working_frames(clip, config.max_height)
        start = points[:, 0].astype(np.int64)
        xy = np.repeat(geometry.to_grid(points[:, 1:])[:, None], len(frames), axis=1)
        total = max(1, work(config.stages, len(points), len(frames), config.smooth_frames))
        done = 0

        def tell() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, total)

        disagreement = np.zeros(xy.shape[:2])
        if len(frames) > 1:
            for shrink, stage in zip(config.shrink, config.stages, strict=True):
                small, down = shrunk(frames, shrink)
                found, missed = refine(
                    small,
                    down.to_grid(xy),
                    start,
                    stage,
                    sigma_frames=config.smooth_frames,
                    tolerance_px=config.tolerance_px / shrink,
                    rounds=3,
                    tell=tell,
                )
                xy, disagreement = down.to_native(found), missed * shrink
            at_query = xy[np.arange(len(xy)), start]
            _, xy = local_affine(xy, start, config.smooth_px, _EXACT)
            xy[np.arange(len(xy)), start] = at_query
        elif progress is not None:
            progress(1, 1)
        limit = np.array([frames.shape[2], frames.shape[1]]) - 0.5
        inside = np.all((xy >= -0.5) & (xy <= limit), axis=-1)
        xy = np.clip(xy, -0.5, limit)
        confidence = CALIBRATION.probability(
            likeness(frames, xy, start), disagreement * REFERENCE_HEIGHT / frames.shape[1]
        )
        confidence[~inside] = 0
        visible = inside & (confidence >= config.min_visible)
        native = geometry.to_native(xy).astype(np.float32)
        rows = np.arange(len(points))
        native[rows, start] = points[:, 1:]
        confidence[rows, start] = 1
        visible[rows, start] = True
        return Tracks(native, visible, confidence.astype(np.float32), points, model=self.name)


@register("tracker")
def multilag_matching(config: MultilagMatchingConfig) -> Tracker:
    """Speckle matching over many lags and neighbouring points, nothing learned."""
    return MultilagTracker(config)
