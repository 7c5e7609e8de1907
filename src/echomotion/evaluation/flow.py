"""How well dense motion follows tissue: from one frame straight to every other, against the tracks of a simulation.

Trackers are run on the same points from the same frame, and points that stay where they are stand beside both.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError
from echomotion.datasets.simulated import StoredSequence
from echomotion.evaluation.metrics_tracking import errors_px, shares_within
from echomotion.models.base import FlowEstimator, Progress, Tracker

NO_MOTION = "no motion"

Places = NDArray[np.floating]
# Where points (N, 2) of a reference frame are on all frames, (N, T, 2), in native pixels.
Follow = Callable[[Clip, int, Places], Places]


@dataclass(frozen=True)
class MotionReport:
    """Results of one method: `method`, and `rows`, one a clip with the figures of :func:`evaluate_motion`."""

    method: str
    rows: list[dict[str, Any]]

    @property
    def summary(self) -> dict[str, float]:
        """Mean over clips of every figure."""
        figures = [name for name in self.rows[0] if name != "clip"]
        return {"clips": len(self.rows), **{name: float(np.mean([row[name] for row in self.rows])) for name in figures}}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not finite, as where a point was lost, becomes None."""
        return {"method": self.method, "summary": _plain(self.summary), "clips": [_plain(row) for row in self.rows]}


def by_flow(estimator: FlowEstimator) -> Follow:
    """Displacement by dense motion, read at the points."""
    return lambda clip, reference, points: points[:, None] + estimator.estimate(clip, reference).at(points)


def by_tracker(tracker: Tracker) -> Follow:
    """Trajectories from queries on the reference frame."""
    return lambda clip, reference, points: (
        tracker.track(clip, np.column_stack([np.full(len(points), reference), points])).xy
    )


def standing_still(clip: Clip, reference: int, points: Places) -> Places:
    """Points that do not move."""
    return np.repeat(points[:, None], clip.n_frames, axis=1)


def evaluate_motion(
    method: str, follow: Follow, sequences: Iterable[StoredSequence], *, progress: Progress | None = None
) -> MotionReport:
    """Follow the points of simulated sequences from their reference frame.

    Parameters
    ----------
    method : str
    follow : callable
        See :data:`Follow`.
    sequences : iterable of StoredSequence
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    MotionReport
        Per clip ``share_within``, the share of visible places within 1, 2, 4, 8 and 16 px (mean over the five),
        ``median_error_px`` and ``mean_error_px``, all at 256 px and without the reference frame, and ``seconds``.

    Raises
    ------
    DataError
        When there are no sequences.
    """
    cases = list(sequences)
    if not cases:
        raise DataError("there are no sequences to follow points in")
    rows = []
    for done, case in enumerate(cases, start=1):
        at = case.reference_frame
        true, visible = case.tracks.xy, case.tracks.visible
        started = time.perf_counter()
        found = follow(case.clip, at, case.tracks.queries[:, 1:])
        seconds = time.perf_counter() - started
        errors = errors_px(found, true, case.clip.shape)
        evaluated = np.broadcast_to(np.arange(case.clip.n_frames) != at, visible.shape)
        wrong = errors[visible & evaluated]
        rows.append(
            {
                "clip": case.name,
                "share_within": float(np.mean(list(shares_within(errors, visible, evaluated).values()))),
                "median_error_px": float(np.median(wrong)),
                "mean_error_px": float(np.mean(wrong)),
                "seconds": seconds,
            }
        )
        if progress is not None:
            progress(done, len(cases))
    return MotionReport(method, rows)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
