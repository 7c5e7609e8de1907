"""How far a segment's tracking may be trusted, and whether the segment is rejected.

Thresholds are ours unless a source is named; each is a constant here and stands in the reason that it leads to. A doubt
marks a number; a rejection removes the segment from its view. Neighbouring segments of the 16-segment model differ by
less than 7 points in healthy simulated hearts and by up to 22 at the border of an infarct
(`docs/measurements/strain.md`), so a jump that only disease makes is marked, never silently believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.tracks import Tracks
from echomotion.measure.contours import BoolArray, FloatArray

MIN_CONFIDENCE, LOST_CONFIDENCE = 0.5, 0.25
# Share of positions that must be known.
MIN_TRACKED = 0.8
# Forward-backward error as a share of the line's length.
FORWARD_BACKWARD, LOST_FORWARD_BACKWARD = 0.01, 0.03
MAX_DRIFT, LOST_DRIFT = 5.0, 15.0
# Lowest and highest strain in % that is plausible, and that is possible, by direction.
PLAUSIBLE = {"longitudinal": (-40.0, 20.0), "circumferential": (-55.0, 25.0), "radial": (-30.0, 150.0)}
POSSIBLE = {"longitudinal": (-60.0, 40.0), "circumferential": (-75.0, 50.0), "radial": (-60.0, 300.0)}
# Largest difference between neighbours in points of strain, and that which with a second sign of failure rejects.
MAX_JUMP = {"longitudinal": 15.0, "circumferential": 20.0, "radial": 60.0}
LOST_JUMP = 25.0
# The base moves at least as far as the middle of its wall, unless it is stretched; below this share it stays behind.
STILL = 0.5
# So far, as a share of the line's length, the middle of the wall must move for that to be judged.
MOVES = 0.015
# Grey level relative to the line's median that makes a fibrous annulus likely, and the strain that it does not exceed.
BRIGHT, UNSHORTENED = 1.5, -8.0


@dataclass(frozen=True)
class SegmentQuality:
    """How well a segment was tracked over one beat.

    Attributes
    ----------
    segment : str
    points : int
        Number of its points.
    tracked : float
        Share of positions that are known; NaN without points.
    confidence : float
        Mean confidence of the tracker over the beat's systole.
    forward_backward : float
        Median distance after tracking forth and back, as a share of the line's length; NaN where not given.
    drift : float
        What its strain fails to return to 0 by, in points; NaN without a whole beat.
    doubts, failures : tuple of str
        Why it is marked, and why it is rejected.
    """

    segment: str
    points: int
    tracked: float
    confidence: float
    forward_backward: float
    drift: float
    doubts: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def rejected(self) -> bool:
        """Whether the segment may not be used."""
        return bool(self.failures)


@dataclass(frozen=True)
class Evidence:
    """What a segment is judged by, over one beat of one line.

    Attributes
    ----------
    frames : int64 (K,)
        From end-diastole to end-systole.
    strain : mapping of segment to float
        End-systolic, %; NaN where unknown.
    drift : mapping of segment to float
        Without compensation, in points; NaN without a whole beat.
    direction : str
        ``longitudinal``, ``circumferential`` or ``radial``.
    spacing_mm : (float, float) or None
    forward_backward_px : (N,) or (N, T), optional
        Distance of each point from where it started after tracking forth and back.
    picture : uint8 (H, W), optional
        The frame of end-diastole, to tell bright fibrous tissue from muscle.
    """

    frames: NDArray[np.int64]
    strain: Mapping[str, float]
    drift: Mapping[str, float]
    direction: str
    spacing_mm: tuple[float, float] | None = None
    forward_backward_px: ArrayLike | None = None
    picture: NDArray[np.uint8] | None = None


def judge_segments(tracks: Tracks, names: tuple[str, ...], evidence: Evidence) -> dict[str, SegmentQuality]:
    """Judge every segment of a line of the wall.

    Parameters
    ----------
    tracks : Tracks
        With their wall.
    names : tuple of str
        The segments that the line should have, in their order along it; those without points are rejected.
    evidence : Evidence
    """
    if tracks.wall is None:
        raise DataError("these tracks do not form a line of the wall; track the queries of wall_points()")
    owner = np.asarray(tracks.wall.segment)
    errors = _forward_backward(tracks, evidence)
    behind = _left_behind(tracks, names, evidence) if evidence.direction == "longitudinal" else {}
    jumps = _jumps(names, evidence)
    found = {}
    for name in names:
        part = owner == name
        found[name] = _judge(tracks, part, name, evidence, errors, jumps.get(name), behind.get(name, ""))
    return found


def _judge(
    tracks: Tracks,
    part: BoolArray,
    name: str,
    evidence: Evidence,
    errors: FloatArray | None,
    jump: tuple[float, str] | None,
    behind: str,
) -> SegmentQuality:
    """The judgement of one segment."""
    if not part.any():
        nan = float("nan")
        return SegmentQuality(name, 0, nan, nan, nan, nan, failures=("no point of the wall lies in this segment",))
    frames = evidence.frames
    tracked = float(np.isfinite(tracks.xy[part][:, frames]).all(axis=-1).mean())
    sure = float(tracks.confidence[part][:, frames].mean())
    back = float("nan") if errors is None else float(np.median(errors[part]))
    value, drift = evidence.strain[name], evidence.drift[name]
    doubts: list[str] = []
    failures: list[str] = []

    def grade(size: float, doubtful: float, lost: float, reason: str) -> None:
        if size > doubtful:
            (failures if size > lost else doubts).append(reason)

    if tracked < MIN_TRACKED or not np.isfinite(value):
        failures.append("too many points of the line are missing at end-diastole, end-systole or the end of the beat")
    grade(-sure, -MIN_CONFIDENCE, -LOST_CONFIDENCE, f"the points are tracked with a mean confidence of {sure:.2f} only")
    grade(
        back,
        FORWARD_BACKWARD,
        LOST_FORWARD_BACKWARD,
        f"tracked forth and back, the points miss their start by {100 * back:.1f} % of the line",
    )
    grade(
        abs(drift),
        MAX_DRIFT,
        LOST_DRIFT,
        f"the line does not return to its length at the next end-diastole ({drift:+.1f} points)",
    )
    (low, high), (least, most) = PLAUSIBLE[evidence.direction], POSSIBLE[evidence.direction]
    if value < low or value > high:
        reason = f"a strain outside {low:g} to {high:+g} % is not plausible"
        (failures if value < least or value > most else doubts).append(reason)
    if behind:
        doubts.append(behind)
    if jump is not None:
        size, neighbour = jump
        reason = (
            f"it differs by {size:.0f} points from {neighbour}: "
            "a regional disease or lost tracking, the picture must decide"
        )
        # A jump alone may be an infarct; with points that hang on something else it is not.
        (failures if size > LOST_JUMP and (behind or sure < MIN_CONFIDENCE) else doubts).append(reason)
    return SegmentQuality(
        name, int(part.sum()), tracked, sure, back, drift, tuple(dict.fromkeys(doubts)), tuple(failures)
    )


def _forward_backward(tracks: Tracks, evidence: Evidence) -> FloatArray | None:
    """Forward-backward error of each point (N,) as a share of the line's length."""
    if evidence.forward_backward_px is None:
        return None
    given = np.asarray(evidence.forward_backward_px, dtype=np.float64)
    shape: tuple[int | None, ...] = (tracks.n_points,) if given.ndim == 1 else (tracks.n_points, tracks.n_frames)
    errors = frozen_array(given, "forward_backward_px", shape=shape, dtype=np.float64, finite=False)
    if errors.ndim == 2:
        errors = np.median(errors[:, evidence.frames], axis=1)
    start = tracks.xy[:, evidence.frames[0]].astype(np.float64)
    return errors / float(np.nansum(np.hypot(*np.diff(start, axis=0).T)))


def _jumps(names: tuple[str, ...], evidence: Evidence) -> dict[str, tuple[float, str]]:
    """The largest difference of each segment from a neighbour, and which, where it is too large."""
    limit = MAX_JUMP[evidence.direction]
    pairs = list(pairwise(names))
    if evidence.direction == "circumferential":
        pairs.append((names[-1], names[0]))
    found: dict[str, tuple[float, str]] = {}
    for a, b in pairs:
        size = abs(evidence.strain[a] - evidence.strain[b])
        for name, other in ((a, b), (b, a)):
            if size > max(limit, found.get(name, (0.0, ""))[0]):
                found[name] = size, other.replace("_", " ")
    return found


def _left_behind(tracks: Tracks, names: tuple[str, ...], evidence: Evidence) -> dict[str, str]:
    """Basal segments whose points hang on the annulus or on what lies beyond it, and the sign of that."""
    wall = tracks.wall
    if wall is None or len(names) < 4 or len(wall.queries) < 12:
        return {}
    sy, sx = (1.0, 1.0) if evidence.spacing_mm is None else checked_spacing(evidence.spacing_mm)
    ends = tracks.xy[:, evidence.frames[[0, -1]]].astype(np.float64) * (sx, sy)
    owner = np.asarray(wall.segment)
    start = ends[:, 0]
    base = (start[0] + start[-1]) / 2
    far = np.hypot(*(start - base).T)
    if not np.isfinite(far).any():
        return {}
    apex = int(np.nanargmax(far))
    if not len(far) // 4 <= apex <= len(far) - 1 - len(far) // 4:
        return {}
    axis = start[apex] - base
    length = float(np.nansum(np.hypot(*np.diff(start, axis=0).T)))
    towards = (ends[:, 1] - ends[:, 0]) @ (axis / np.hypot(*axis))
    grey = None if evidence.picture is None else _grey(tracks, evidence)
    found = {}
    for basal, inner, outwards in ((names[0], names[1], 1), (names[-1], names[-2], -1)):
        points = np.flatnonzero(owner == basal)[::outwards]
        outer = points[: max(2, len(points) // 3)]
        middle = owner == inner
        known = np.isfinite(towards)
        if not (known & middle).any() or not known[outer].any():
            continue
        moved, carried = np.nanmean(towards[outer]), np.nanmean(towards[middle])
        if carried > MOVES * length and moved < STILL * carried:
            found[basal] = "its outer points stay behind while the wall moves: they may lie on the still annulus"
        elif grey is not None and evidence.strain[basal] > max(UNSHORTENED, evidence.strain[inner] + 10):
            ratio = float(np.mean(grey[points]) / max(np.median(grey), 1.0))
            if ratio > BRIGHT:
                found[basal] = (
                    f"it is {ratio:.1f} times as bright as the wall and does not shorten: "
                    "its points may lie on the annulus"
                )
    return found


def _grey(tracks: Tracks, evidence: Evidence) -> FloatArray:
    """Grey level (N,) round each point at end-diastole."""
    soft = ndimage.gaussian_filter(np.asarray(evidence.picture, dtype=np.float64), 1.0)
    x, y = np.nan_to_num(tracks.xy[:, evidence.frames[0]].astype(np.float64)).T
    return ndimage.map_coordinates(soft, [y, x], order=1, mode="nearest")
