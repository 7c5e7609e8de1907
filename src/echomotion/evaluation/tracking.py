"""How well a tracker follows points whose true motion is known.

Definitions stand in docs/architecture.md; the formulas in :mod:`echomotion.evaluation.metrics_tracking`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import DataError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation import metrics_motion
from echomotion.evaluation import metrics_tracking as metrics
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import create_tracker

QUERY_MODES = ("first", "strided")
# TAP-Vid's distance between the query frames of the strided mode.
STRIDE = 5
# Confidence claims an error under this many px at 256 px.
CONFIDENT_PX = 2

_COUNTS = ("points", "frames")


@dataclass(frozen=True)
class TrackingReport:
    """Results of one tracker.

    Attributes
    ----------
    tracker, query_mode : str
    rows : list of dict
        One per clip: ``clip, points, frames, average_jaccard, share_within, within_1_px`` to ``within_16_px,
        occlusion_accuracy, median_error_px, median_error_mm, gls_error, calibration_error, survival, jitter,
        signed_error_px, seconds``; jitter is in px. NaN where a clip lacks what a figure needs.
    pooled_calibration_error : float
        Expected calibration error over the positions of all clips together. That of a single clip also counts that
        clips differ: no confidence knows how hard a clip is to the last per cent.
    """

    tracker: str
    query_mode: str
    rows: list[dict[str, Any]]
    pooled_calibration_error: float = math.nan

    @property
    def summary(self) -> dict[str, float]:
        """Mean over clips of every figure, clips without it left out; NaN where none has it."""
        names = [name for name in self.rows[0] if name not in ("clip", *_COUNTS)] if self.rows else []
        out: dict[str, float] = {"clips": len(self.rows)}
        for name in names:
            known = [row[name] for row in self.rows if not math.isnan(row[name])]
            out[name] = float(np.mean(known)) if known else math.nan
        out["pooled_calibration_error"] = self.pooled_calibration_error
        return out

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN and infinity become None."""
        return {
            "tracker": self.tracker,
            "query_mode": self.query_mode,
            "summary": _plain(self.summary),
            "clips": [_plain(row) for row in self.rows],
        }

    def to_table(self) -> list[dict[str, Any]]:
        """The rows, and the mean over clips as a last one."""
        counts = {name: sum(row[name] for row in self.rows) for name in _COUNTS}
        mean = {name: value for name, value in self.summary.items() if self.rows and name in self.rows[0]}
        return [*self.rows, {"clip": "mean", **counts, **mean}]


def evaluate_tracking(
    tracker: Tracker | str,
    cases: Iterable[TrackingCase],
    *,
    query_mode: str = "first",
    progress: Progress | None = None,
) -> TrackingReport:
    """Track the points of every case and compare with the truth.

    Parameters
    ----------
    tracker : Tracker or str
        A tracker or the name of one.
    cases : iterable of TrackingCase
    query_mode : {"first", "strided"}
        ``first``: each point is asked for where it is first seen, later frames count. ``strided``: on every fifth
        frame where it is seen, all other frames count, before and after; no strain error then.
    progress : callable, optional
        Called with (done, total) clips.

    Raises
    ------
    DataError
        On an unknown query mode.
    ModelError
        When there is no tracker of that name.
    """
    if query_mode not in QUERY_MODES:
        raise DataError(f"unknown query mode {query_mode!r}; known are {', '.join(QUERY_MODES)}")
    model = create_tracker(tracker) if isinstance(tracker, str) else tracker
    cases = list(cases)
    rows = []
    gaps, judged = np.zeros(metrics.CALIBRATION_BINS), 0
    for done, case in enumerate(cases, start=1):
        queries, point = _queries(case, query_mode)
        start = time.perf_counter()
        tracks = model.track(case.clip, queries)
        seconds = time.perf_counter() - start
        rows.append({**score(tracks, case, point, query_mode), "seconds": seconds})
        errors, seen = _judged(tracks, case, point, query_mode)
        gaps += metrics.calibration_gaps(tracks.confidence[seen], errors[seen] < CONFIDENT_PX)
        judged += int(seen.sum())
        if progress is not None:
            progress(done, len(cases))
    return TrackingReport(model.name, query_mode, rows, float(np.abs(gaps).sum() / judged) if judged else math.nan)


def score(tracks: Tracks, case: TrackingCase, point: NDArray[np.int64], query_mode: str = "first") -> dict[str, Any]:
    """One row of the report: tracks against the truth.

    Parameters
    ----------
    tracks : Tracks
        M trajectories.
    case : TrackingCase
    point : int (M,)
        The point of the case that each trajectory follows.
    query_mode : {"first", "strided"}
    """
    true, visible = case.xy[point], case.visible[point]
    step, evaluated = _evaluated(tracks, query_mode)
    errors, seen = _judged(tracks, case, point, query_mode)
    within = metrics.shares_within(errors, visible, evaluated)
    vectors = metrics_motion.vectors_px(tracks.xy, true, case.clip.shape)
    motion = metrics_motion.vectors_px(true, tracks.queries[:, None, 1:], case.clip.shape)
    spacing = case.clip.spacing_mm
    gls, line = math.nan, case.line()
    if query_mode == "first" and len(line) > 1 and visible[line].all():
        ed_frame = int(tracks.queries[line, 0].min()) if case.ed_frame is None else case.ed_frame
        gls = metrics.gls_error(tracks.xy[line], true[line], ed_frame, spacing)
    return {
        "clip": case.name,
        "points": len(tracks.queries),
        "frames": case.clip.n_frames,
        "average_jaccard": _mean(metrics.jaccards(errors, visible, tracks.visible, evaluated)),
        "share_within": _mean(within),
        **{f"within_{px}_px": share for px, share in within.items()},
        "occlusion_accuracy": metrics.occlusion_accuracy(visible, tracks.visible, evaluated),
        "median_error_px": metrics.median_error(errors, visible, evaluated),
        "median_error_mm": math.nan
        if spacing is None
        else metrics.median_error(metrics.errors_mm(tracks.xy, true, spacing), visible, evaluated),
        "gls_error": gls,
        "calibration_error": metrics.calibration_error(tracks.confidence[seen], errors[seen] < CONFIDENT_PX),
        "survival": metrics_motion.survival(errors, visible, step, evaluated),
        "jitter": metrics_motion.jitter(vectors, visible & (evaluated | (step == 0))),
        "signed_error_px": metrics_motion.signed_error(vectors, motion, seen),
    }


def _evaluated(tracks: Tracks, query_mode: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Frames since the query, and whether a position counts, both (M, T)."""
    step = np.arange(tracks.n_frames)[None] - tracks.queries[:, :1].astype(np.int64)
    return step, step > 0 if query_mode == "first" else step != 0


def _judged(
    tracks: Tracks, case: TrackingCase, point: NDArray[np.int64], query_mode: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Errors in px, and whether a position counts and can truly be seen, both (M, T)."""
    _, evaluated = _evaluated(tracks, query_mode)
    return metrics.errors_px(tracks.xy, case.xy[point], case.clip.shape), case.visible[point] & evaluated


def _queries(case: TrackingCase, query_mode: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Queries (M, 3), and the point that each asks for."""
    if query_mode == "first":
        return case.queries, np.arange(len(case.xy))
    frames = np.zeros(case.clip.n_frames, dtype=bool)
    frames[::STRIDE] = True
    point, frame = np.nonzero(case.visible & frames)
    return np.column_stack([frame, case.xy[point, frame]]), point


def _mean(figures: dict[int, float]) -> float:
    return float(np.mean(list(figures.values())))


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
