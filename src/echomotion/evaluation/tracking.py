"""How well a tracker follows true points, after TAP-Vid (Doersch et al. 2022, arXiv 2211.03726).

Positions are compared at a frame size of 256 x 256 px; the query frame is left out. ``share_k`` is the part of truly
visible points within k px, ``share`` its average over 1, 2, 4, 8, 16; ``average_jaccard`` and
``occlusion_accuracy`` use the predicted visibility; ``median_error`` is in px at 256, ``error_mm`` the mean in mm on the
native grid; ``gls_error`` is the absolute difference in strain points of the mid-wall line at the frame where the
true line is shortest, without smoothing or drift compensation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import DataError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.measure.lengths import line_strain
from echomotion.models.base import Progress, Tracker

THRESHOLDS = (1, 2, 4, 8, 16)
_SIDE = 256
QUERY_MODES = ("first", "strided")
_STRIDE = 5


@dataclass(frozen=True)
class TrackingReport:
    """Results of one tracker: one row per clip, and the mean over clips as the last row."""

    query_mode: str
    rows: list[dict[str, Any]]

    @property
    def summary(self) -> dict[str, Any]:
        """The mean over clips."""
        return self.rows[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        plain = [{k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()} for row in self.rows]
        return {"query_mode": self.query_mode, "clips": plain[:-1], "mean": plain[-1]}


def evaluate_tracking(
    tracker: Tracker,
    cases: Sequence[TrackingCase],
    *,
    query_mode: str = "first",
    progress: Progress | None = None,
) -> TrackingReport:
    """Track every clip and compare.

    Parameters
    ----------
    tracker : Tracker
    cases : sequence of TrackingCase
    query_mode : {"first", "strided"}
        Queries on the first frame, or on every fifth frame.
    progress : callable, optional

    Raises
    ------
    DataError
        When the query mode is unknown.
    """
    if query_mode not in QUERY_MODES:
        raise DataError(f"unknown query mode {query_mode!r}; there are {', '.join(QUERY_MODES)}")
    rows = []
    for done, case in enumerate(cases, start=1):
        starts = range(0, case.clip.n_frames, _STRIDE) if query_mode == "strided" else range(1)
        parts = [_evaluate(tracker, case, start) for start in starts]
        row: dict[str, Any] = {"clip": case.name, "points": len(case.xy)}
        row |= {name: float(np.nanmean([part[name] for part in parts])) for name in parts[0]}
        rows.append(row)
        if progress is not None:
            progress(done, len(cases))
    names = [name for name in rows[0] if name not in ("clip", "points")]
    mean: dict[str, Any] = {"clip": "mean", "points": sum(row["points"] for row in rows)}
    mean |= {name: float(np.mean([row[name] for row in rows])) for name in names}
    return TrackingReport(query_mode, [*rows, mean])


def _evaluate(tracker: Tracker, case: TrackingCase, start: int) -> dict[str, float]:
    seen = np.flatnonzero(case.visible[:, start])
    queries = np.column_stack([np.full(len(seen), start), case.xy[seen, start]])
    tracks = tracker.track(case.clip, queries)
    figures = track_figures(tracks, case.xy[seen], case.visible[seen], case.clip.shape, case.clip.spacing_mm)
    figures["gls_error"] = float("nan")
    if start == 0 and len(case.mid_wall) > 2 and len(seen) == len(case.xy):
        figures["gls_error"] = gls_error(tracks.xy[case.mid_wall], case.xy[case.mid_wall], case.clip.spacing_mm)
    return figures


def track_figures(
    tracks: Tracks,
    true_xy: NDArray[np.float64],
    true_visible: NDArray[np.bool_],
    shape: tuple[int, int],
    spacing_mm: tuple[float, float] | None = None,
) -> dict[str, float]:
    """Figures of one clip; see the module for their definitions.

    Parameters
    ----------
    tracks : Tracks
        N tracks in native pixels.
    true_xy : float (N, T, 2), true_visible : bool (N, T)
    shape : (int, int)
        Rows and columns of the native frame.
    spacing_mm : (float, float), optional
    """
    counted = np.ones(true_visible.shape, bool)
    counted[np.arange(len(counted)), tracks.queries[:, 0].astype(int)] = False
    off = tracks.xy - true_xy
    scaled = np.hypot(off[..., 0] * _SIDE / shape[1], off[..., 1] * _SIDE / shape[0])[counted]
    visible, predicted = true_visible[counted], tracks.visible[counted]
    figures: dict[str, float] = {}
    jaccard = []
    for limit in THRESHOLDS:
        near = scaled < limit
        figures[f"share_{limit}"] = _share(near & visible, visible)
        hits = np.count_nonzero(near & visible & predicted)
        false = np.count_nonzero(predicted & ~(near & visible))
        jaccard.append(hits / max(1, np.count_nonzero(visible) + false))
    figures["share"] = float(np.mean([figures[f"share_{limit}"] for limit in THRESHOLDS]))
    figures["average_jaccard"] = float(np.mean(jaccard))
    figures["occlusion_accuracy"] = float(np.mean(predicted == visible)) if visible.size else float("nan")
    figures["median_error"] = float(np.median(scaled[visible])) if visible.any() else float("nan")
    figures["error_mm"] = float("nan")
    if spacing_mm is not None and visible.any():
        in_mm = np.hypot(off[..., 0] * spacing_mm[1], off[..., 1] * spacing_mm[0])[counted]
        figures["error_mm"] = float(in_mm[visible].mean())
    return figures


def gls_error(
    line: NDArray[np.floating], true_line: NDArray[np.floating], spacing_mm: tuple[float, float] | None
) -> float:
    """Absolute difference in strain points of two lines (M, T, 2) where the true one is shortest."""
    true = line_strain(true_line, 0, spacing_mm)
    shortest = int(np.argmin(true))
    return float(abs(line_strain(line, 0, spacing_mm)[shortest] - true[shortest]))


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    count = np.count_nonzero(whole)
    return np.count_nonzero(part) / count if count else float("nan")
