"""Template matching with shared evidence: the best that can be done without learning, and a fast default.

Each point's template on its query frame is compared with every other frame by normalised cross-correlation over a
window of displacements. One such map is ambiguous where speckle has changed; the maps of neighbouring points, and
of neighbouring moments, see nearly the same displacement, so they are averaged before the peak is read. Later
rounds search in small windows around the path found so far, with smaller templates and less averaging, and also
compare with templates of nearby frames at the path's own places, whose speckle has changed less; the query frame's
template keeps them from drifting. The first round reads not each moment's peak but the best path from the query
(dynamic programming), so that a point cannot jump to a better match elsewhere. This design is echomotion's own; its numbers were chosen on the ``tune`` clips of
the physics simulation, never on those that judge.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from echomotion.core import Clip, Geometry, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.stepwise import REFERENCE_HEIGHT, SEEN, ConfidenceModel, working_grid

Frames = list[NDArray[np.float32]]
Path = NDArray[np.float64]

# Fitted by benchmarks/fit_tracker_confidence.py.
_CONFIDENCE = ConfidenceModel(bias=5.58, drift=-2.36, match=-6.86, steps=-0.44)
# Frames up to this height are tracked as they are, taller ones at 256 rows, to which the windows below belong.
_MAX_HEIGHT = 300
_BLUR_PX = 0.8
# How sharply the mean position about a peak follows the correlation, and the half width it is taken over.
_SHARPNESS, _PEAK_PX = 20.0, 2
# Cost of a change of displacement by v px/s from frame to frame, per v squared, and the largest change in px/s.
_SPEED_COST, _MAX_SPEED = 1.2e-5, 220.0
# Bytes that the maps of one group of points may take.
_MAP_BYTES = 400_000_000


@dataclass(frozen=True)
class _Round:
    """One pass: search and template in px, averaging over neighbours in px and over time in s."""

    search: int
    template: int
    neighbours: float
    moments_s: float
    smooth_s: float
    # Distances in s at which templates of other frames are taken too, and their weight beside the query frame's.
    nearby_s: tuple[float, ...] = ()
    nearby_weight: float = 0.3
    # Whether displacements are read along the best path from the query, or moment by moment.
    best_path: bool = False


_NEARBY = (0.055, 0.11)
_ROUNDS = (
    _Round(20, 31, 28.0, 0.042, 0.06, best_path=True),
    _Round(6, 25, 14.0, 0.028, 0.05, _NEARBY),
    _Round(4, 21, 10.0, 0.028, 0.04, _NEARBY),
    _Round(4, 21, 10.0, 0.028, 0.04, _NEARBY),
    _Round(3, 17, 10.0, 0.028, 0.04, _NEARBY),
)


@dataclass(frozen=True)
class TemplateMatchingConfig:
    """The tracker has no options."""


class TemplateMatching:
    """See :func:`template_matching`."""

    name = "template_matching"

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points; see :class:`echomotion.models.base.Tracker`.

        Points that are asked for on one frame help each other.
        """
        points = checked_queries(queries, clip.n_frames, clip.shape)
        evidence = match_templates(clip, points, progress)
        sure = _CONFIDENCE(evidence.drift_px, evidence.quality, evidence.steps)
        rows, start = np.arange(len(points)), points[:, 0].astype(int)
        sure[rows, start] = 1
        return Tracks(evidence.xy, sure > SEEN, sure, points, model=self.name)


@dataclass(frozen=True)
class Evidence:
    """Paths and what speaks for them: `xy` (N, T, 2) native px, and (N, T) the last correction in px at 256 rows,
    the correlation at the peak, and the frames since the query.
    """

    xy: NDArray[np.float32]
    drift_px: NDArray[np.float64]
    quality: NDArray[np.float64]
    steps: NDArray[np.float64]


def match_templates(clip: Clip, points: NDArray[np.float64], progress: Progress | None = None) -> Evidence:
    """Paths of points (N, 3) through a clip."""
    geometry = working_grid(clip, _MAX_HEIGHT, REFERENCE_HEIGHT)
    whole = geometry == Geometry.identity(clip.shape)
    frames = [
        cv2.GaussianBlur((f if whole else geometry.warp(f)).astype(np.float32), (0, 0), _BLUR_PX) for f in clip.frames
    ]
    start = points[:, 0].astype(int)
    xy = np.zeros((len(points), clip.n_frames, 2))
    drift, quality = np.zeros(xy.shape[:2]), np.ones(xy.shape[:2])
    groups = _groups(points, clip.n_frames)
    for k, own in enumerate(groups):

        def tell(done: int, total: int, k: int = k) -> None:
            if progress is not None:
                progress(k * total + done, len(groups) * total)

        found = _follow(frames, geometry.to_grid(points[own, 1:]), int(start[own[0]]), clip.times_s, tell)
        xy[own], drift[own], quality[own] = found
    native = geometry.to_native(xy).astype(np.float32)
    native[np.arange(len(points)), start] = points[:, 1:]
    steps = np.abs(np.arange(clip.n_frames)[None] - start[:, None]).astype(np.float64)
    return Evidence(native, drift * REFERENCE_HEIGHT / frames[0].shape[0], quality, steps)


def _groups(points: NDArray[np.float64], n_frames: int) -> list[NDArray[np.int64]]:
    """Points that are tracked together: those of one query frame, in parts that fit the memory, from left to right."""
    side = 2 * max(plan.search for plan in _ROUNDS) + 1
    most = max(16, _MAP_BYTES // (4 * n_frames * side * side))
    groups = []
    for t0 in np.unique(points[:, 0]):
        own = np.flatnonzero(points[:, 0] == t0)
        own = own[np.argsort(points[own, 1], kind="stable")] if len(own) > most else own
        groups += [own[k : k + most] for k in range(0, len(own), most)]
    return groups


def _follow(
    frames: Frames, start: Path, t0: int, times_s: NDArray[np.float64], tell: Progress
) -> tuple[Path, NDArray[np.float64], NDArray[np.float64]]:
    """All rounds for points (n, 2) of one query frame: path (n, T, 2), last correction and correlation (n, T)."""
    limit = np.array(frames[0].shape[::-1]) - 1.0
    path = np.repeat(start[:, None], len(frames), axis=1)
    drift = np.zeros(path.shape[:2])
    quality = np.ones(path.shape[:2])
    for number, plan in enumerate(_ROUNDS):
        step, quality = _search(frames, path, t0, times_s, plan)
        moved = smooth_path(path + step, times_s, plan.smooth_s)
        moved[:, t0] = start
        moved = np.clip(moved, 0, limit)
        drift = np.hypot(*np.moveaxis(moved - path, -1, 0))
        path = moved
        tell(number + 1, len(_ROUNDS))
    return path, drift, quality


def _search(
    frames: Frames, path: Path, t0: int, times_s: NDArray[np.float64], plan: _Round
) -> tuple[Path, NDArray[np.float64]]:
    """Displacement (n, T, 2) from the path to the peak of the shared maps, and the correlation there (n, T)."""
    n_frames = len(frames)
    interval = float(np.median(np.diff(times_s))) if n_frames > 1 else 1.0
    apart = np.square(path[:, None, t0] - path[None, :, t0]).sum(axis=-1)
    weights = np.exp(-apart / (2 * plan.neighbours**2)).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    nearby = sorted({max(1, round(s / interval)) for s in plan.nearby_s})
    first = _templates(frames[t0], path[:, t0], plan.template)
    maps = []
    for t in range(n_frames):
        shared = _correlate(frames[t], first, path[:, t], plan.search)
        total = 1.0
        for other in (t + sign * k for k in nearby for sign in (-1, 1)):
            if 0 <= other < n_frames and other != t0:
                templates = _templates(frames[other], path[:, other], plan.template)
                shared += plan.nearby_weight * _correlate(frames[t], templates, path[:, t], plan.search)
                total += plan.nearby_weight
        maps.append((weights @ shared.reshape(len(shared), -1)) / total)
    smooth = gaussian_filter1d(np.stack(maps, axis=1), plan.moments_s / interval, axis=1, mode="nearest", truncate=3.0)
    if plan.best_path:
        reach = max(1, min(plan.search, int(np.ceil(_MAX_SPEED * interval))))
        step, _ = _peaks(path_scores(smooth, plan.search, t0, _SPEED_COST / interval**2, reach), plan.search)
        return step, _value_at(smooth, step, plan.search)
    return _peaks(smooth, plan.search)


def path_scores(
    maps: NDArray[np.float32], search: int, t0: int, cost: float, reach: int
) -> NDArray[np.float32]:
    """Score of the best path from the query through each displacement of each frame, per frame of the path.

    Parameters
    ----------
    maps : float32 (n, T, D * D)
        Correlation per displacement.
    search : int
        D = 2 search + 1.
    t0 : int
        Frame on which the displacement is 0.
    cost : float
        Of a change by one pixel from frame to frame, growing with its square.
    reach : int
        Largest change in px along x and along y.

    Returns
    -------
    float32 (n, T, D * D)
        Differences between displacements of one frame are those of whole paths.
    """
    count, n_frames = maps.shape[:2]
    side = 2 * search + 1
    grid = maps.reshape(count, n_frames, side, side).copy()
    grid[:, t0] = -1e3
    grid[:, t0, search, search] = 0.0

    def spread(score: NDArray[np.float32]) -> NDArray[np.float32]:
        for axis in (1, 2):
            best = score.copy()
            for shift in range(1, reach + 1):
                for low, high in ((slice(shift, None), slice(None, -shift)), (slice(None, -shift), slice(shift, None))):
                    to = tuple(low if k == axis else slice(None) for k in range(3))
                    source = tuple(high if k == axis else slice(None) for k in range(3))
                    np.maximum(best[to], score[source] - np.float32(cost * shift**2), out=best[to])
            score = best
        return score

    inward = [np.zeros_like(grid[:, 0])] * n_frames
    out = grid.copy()
    for order in (range(t0 + 1, n_frames), range(t0 - 1, -1, -1)):
        for t in reversed(order):
            # What the rest of the clip, away from the query, has to say about each displacement here.
            beyond = t + order.step
            inward[t] = spread(grid[:, beyond] + inward[beyond]) if beyond in order else np.zeros_like(grid[:, 0])
        for t in order:
            before = spread(out[:, t - order.step] - inward[t - order.step])
            out[:, t] = grid[:, t] + before + inward[t]
    return out.reshape(maps.shape)


def _value_at(maps: NDArray[np.float32], step: Path, search: int) -> NDArray[np.float64]:
    """The map's value at the pixel nearest to a displacement (n, T)."""
    x, y = (np.clip(np.round(step[..., k]).astype(int) + search, 0, 2 * search) for k in range(2))
    return np.take_along_axis(maps, (y * (2 * search + 1) + x)[..., None], axis=-1)[..., 0].astype(np.float64)


def _templates(frame: NDArray[np.float32], centres: Path, side: int) -> list[NDArray[np.float32]]:
    return [cv2.getRectSubPix(frame, (side, side), (x, y)) for x, y in centres.tolist()]


def _correlate(
    frame: NDArray[np.float32], templates: list[NDArray[np.float32]], centres: Path, search: int
) -> NDArray[np.float32]:
    """Normalised correlation (n, D, D) of each template with the window about its centre, D = 2 search + 1."""
    side = templates[0].shape[0] + 2 * search
    out = np.empty((len(templates), 2 * search + 1, 2 * search + 1), np.float32)
    for k, (template, (x, y)) in enumerate(zip(templates, centres.tolist(), strict=True)):
        window = cv2.getRectSubPix(frame, (side, side), (x, y))
        # A flat patch matches everything; it must not speak.
        out[k] = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED) if template.std() > 1e-2 else 0.0
    return np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)


def _peaks(maps: NDArray[np.float32], search: int) -> tuple[Path, NDArray[np.float64]]:
    """Sub-pixel peak (x, y) of maps (n, T, D * D) relative to their middle, and its height."""
    side = 2 * search + 1
    grid = maps.reshape(*maps.shape[:2], side, side)
    y, x = np.mgrid[-search : search + 1, -search : search + 1].astype(np.float32)
    # Between equals, the smallest displacement.
    best = (grid - 1e-4 * np.hypot(x, y)).reshape(maps.shape).argmax(axis=-1)
    py, px = best // side - search, best % side - search
    height = np.take_along_axis(maps, best[..., None], axis=-1)[..., 0]
    near = (np.abs(y - py[..., None, None]) <= _PEAK_PX) & (np.abs(x - px[..., None, None]) <= _PEAK_PX)
    mass = np.exp(_SHARPNESS * (grid - height[..., None, None])) * near
    total = mass.sum(axis=(-1, -2))
    return np.stack([(mass * x).sum((-1, -2)) / total, (mass * y).sum((-1, -2)) / total], axis=-1), height


def smooth_path(path: Path, times_s: NDArray[np.float64], width_s: float) -> Path:
    """Paths (n, T, 2) smoothed by local quadratic regression in time, Gaussian weight of `width_s` seconds."""
    n_points, n_frames = path.shape[:2]
    out = np.empty_like(path)
    for k in range(n_frames):
        z = (times_s - times_s[k]) / width_s
        use = np.flatnonzero(np.abs(z) < 4)
        if len(use) < 4:
            out[:, k] = path[:, k]
            continue
        # The root of the Gaussian weight goes on both sides of the least-squares problem.
        weight = np.exp(-(z[use] ** 2) / 4)
        basis = np.stack([np.ones(len(use)), z[use], z[use] ** 2], axis=1) * weight[:, None]
        values = (path[:, use] * weight[None, :, None]).transpose(1, 0, 2).reshape(len(use), -1)
        out[:, k] = np.linalg.lstsq(basis, values, rcond=None)[0][0].reshape(n_points, 2)
    return out


@register("tracker")
def template_matching(config: TemplateMatchingConfig) -> Tracker:
    """Templates of the query frame, correlation shared among neighbours and moments, no learning."""
    return TemplateMatching()
