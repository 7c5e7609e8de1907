"""Whether a tracker is fair: to left and right, up and down, forward and backward, and to every phase of the beat.

A clip that is mirrored, turned, played backward or asked for on another frame shows the same motion; errors that
differ show a bias that was learnt or built in. All errors are px of a frame resized to 256 x 256.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation import metrics_motion
from echomotion.evaluation import metrics_tracking as metrics
from echomotion.evaluation.closure import closure_px
from echomotion.evaluation.comparison import paired_difference
from echomotion.evaluation.transforms import CHANGES, changed_clip, changed_queries, original_xy
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import create_tracker

START_PHASES = 8


@dataclass(frozen=True)
class ImpartialityReport:
    """What :func:`impartiality` found.

    Attributes
    ----------
    tracker : str
    rows : list of dict
        One per clip: ``clip, points, original`` and one column for each of
        :data:`~echomotion.evaluation.transforms.CHANGES`: median errors; ``apart_`` and the change: median distance
        between the two tracks; ``start_0`` to ``start_7``: median error from that query frame; ``start_ratio`` of the
        largest to the smallest; ``closure_px``, ``signed_error_px``.
    by_phase, by_direction : dict
        Median error, mean over clips, by the phase of the beat on which points were asked for, and by the direction
        of their true motion, both from the eight query frames.
    """

    tracker: str
    rows: list[dict[str, Any]]
    by_phase: dict[str, float]
    by_direction: dict[str, float]

    @property
    def changes(self) -> list[dict[str, Any]]:
        """One row per change: means over clips of both median errors, their ratio, and paired tests."""
        out = []
        for change in CHANGES:
            pair = paired_difference(self._column(change), self._column("original"))
            both = (self._mean("original"), self._mean(change))
            out.append(
                {
                    "change": change,
                    "clips": pair.n,
                    "original_px": both[0],
                    "changed_px": both[1],
                    "ratio": both[1] / both[0] if both[0] > 0 else math.nan,
                    "low": pair.low,
                    "high": pair.high,
                    "p_t": pair.p_t,
                    "p_wilcoxon": pair.p_wilcoxon,
                    "apart_px": self._mean(f"apart_{change}"),
                }
            )
        return out

    @property
    def starts(self) -> dict[str, float]:
        """Median error from each of the eight query frames, mean over clips, and largest through smallest of these."""
        each = {f"start_{k}": self._mean(f"start_{k}") for k in range(START_PHASES)}
        return {**each, "start_ratio": _ratio(list(each.values()))}

    @property
    def summary(self) -> dict[str, float]:
        """Signed error along the motion, closure and ratio of start phases, mean over clips."""
        return {
            "clips": len(self.rows),
            "median_error_px": self._mean("original"),
            "signed_error_px": self._mean("signed_error_px"),
            "closure_px": self._mean("closure_px"),
            "start_ratio": self.starts["start_ratio"],
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN and infinity become None."""
        return {
            "tracker": self.tracker,
            "summary": _plain(self.summary),
            "changes": [_plain(row) for row in self.changes],
            "starts": _plain(self.starts),
            "by_phase": _plain(self.by_phase),
            "by_direction": _plain(self.by_direction),
            "clips": [_plain(row) for row in self.rows],
        }

    def to_table(self) -> list[dict[str, Any]]:
        """Everything as rows ``test, px, ratio, p``: px is the median error, ratio that to the original."""
        rows = [{"test": "original", "px": self._mean("original"), "ratio": 1.0, "p": math.nan}]
        rows += [
            {"test": row["change"], "px": row["changed_px"], "ratio": row["ratio"], "p": row["p_wilcoxon"]}
            for row in self.changes
        ]
        starts = self.starts
        for k in range(START_PHASES):
            rows.append({"test": f"start {k}/8", "px": starts[f"start_{k}"], "ratio": math.nan, "p": math.nan})
        rows.append({"test": "starts, largest to smallest", "px": math.nan, "ratio": starts["start_ratio"]})
        rows += [{"test": f"motion {way}", "px": value} for way, value in self.by_direction.items()]
        rows.append({"test": "signed error along the motion", "px": self.summary["signed_error_px"]})
        rows.append({"test": "forward-backward closure", "px": self.summary["closure_px"]})
        empty = {"px": math.nan, "ratio": math.nan, "p": math.nan}
        return [{"test": row["test"], **empty, **row} for row in rows]

    def _column(self, name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in self.rows], dtype=np.float64)

    def _mean(self, name: str) -> float:
        return _mean(self._column(name))


def impartiality(
    tracker: Tracker | str, cases: Iterable[TrackingCase], *, progress: Progress | None = None
) -> ImpartialityReport:
    """Ask for the same motion in ways that should not matter, and compare the errors, paired over clips.

    Points are asked for where they are first seen, on the clip as it is and after each change of
    :data:`~echomotion.evaluation.transforms.CHANGES`; then those that are seen on frame ``round(k T / 8)`` are, for
    k from 0 to 7, and followed both ways.

    Parameters
    ----------
    tracker : Tracker or str
        A tracker or the name of one.
    cases : iterable of TrackingCase
    progress : callable, optional
        Called with (done, total) clips.

    Raises
    ------
    ModelError
        When there is no tracker of that name.
    """
    model = create_tracker(tracker) if isinstance(tracker, str) else tracker
    cases = list(cases)
    rows, phases, directions = [], [], []
    for done, case in enumerate(cases, start=1):
        starts, by_phase, by_direction = _from_starts(model, case)
        rows.append({"clip": case.name, "points": len(case.xy), **_from_changes(model, case), **starts})
        rows[-1]["closure_px"] = closure_px(model, case)
        phases.append(by_phase)
        directions.append(by_direction)
        if progress is not None:
            progress(done, len(cases))
    return ImpartialityReport(model.name, rows, _mean_of(phases), _mean_of(directions))


def _from_changes(model: Tracker, case: TrackingCase) -> dict[str, float]:
    """Median errors of one clip as it is and changed, the tracks' distances, and the signed error."""
    clip, queries = case.clip, case.queries
    step = np.arange(clip.n_frames)[None] - queries[:, :1]
    evaluated = step > 0
    seen = case.visible & evaluated
    own = np.asarray(model.track(clip, queries).xy, dtype=np.float64)
    errors = metrics.errors_px(own, case.xy, clip.shape)
    vectors = metrics_motion.vectors_px(own, case.xy, clip.shape)
    motion = metrics_motion.vectors_px(case.xy, queries[:, None, 1:], clip.shape)
    out = {
        "original": metrics.median_error(errors, case.visible, evaluated),
        "signed_error_px": metrics_motion.signed_error(vectors, motion, seen),
    }
    for change in CHANGES:
        tracks = model.track(changed_clip(clip, change), changed_queries(queries, clip, change))
        xy = original_xy(tracks.xy, clip, change)
        errors = metrics.errors_px(xy, case.xy, clip.shape)
        out[change] = metrics.median_error(errors, case.visible, evaluated)
        out[f"apart_{change}"] = metrics.median_error(metrics.errors_px(xy, own, clip.shape), case.visible, evaluated)
    return out


def _from_starts(model: Tracker, case: TrackingCase) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Median errors of one clip from eight query frames; by phase of the beat; by direction of the motion."""
    length = case.clip.n_frames
    out: dict[str, float] = {}
    errors, motions, counted, phases = [], [], [], []
    for k in range(START_PHASES):
        frame = round(k * length / START_PHASES)
        asked = np.flatnonzero(case.visible[:, frame])
        if not len(asked):
            out[f"start_{k}"] = math.nan
            continue
        begin = case.xy[asked, frame]
        tracks = model.track(case.clip, np.column_stack([np.full(len(asked), frame), begin]))
        wrong = metrics.errors_px(tracks.xy, case.xy[asked], case.clip.shape)
        evaluated = np.broadcast_to(np.arange(length) != frame, wrong.shape)
        out[f"start_{k}"] = metrics.median_error(wrong, case.visible[asked], evaluated)
        errors.append(wrong)
        motions.append(metrics_motion.vectors_px(case.xy[asked], begin[:, None], case.clip.shape))
        counted.append(case.visible[asked] & evaluated)
        phases.append(np.full(len(asked), case.phase[frame]))
    out["start_ratio"] = _ratio(list(out.values()))
    wrong, seen = np.concatenate(errors), np.concatenate(counted)
    by_phase = metrics_motion.median_by_phase(wrong, np.concatenate(phases), seen)
    return out, by_phase, metrics_motion.median_by_direction(wrong, np.concatenate(motions), seen)


def _ratio(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return max(known) / min(known) if known and min(known) > 0 else math.nan


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _mean_of(tables: list[dict[str, float]]) -> dict[str, float]:
    return {name: _mean(np.array([table[name] for table in tables])) for name in (tables[0] if tables else {})}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
