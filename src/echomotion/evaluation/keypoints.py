"""How well key-points of the parasternal long axis are found and followed, one row a method.

Key-points are scored on the calipers: the places on the measuring line, which tissue slides past. Definitions stand in
docs/parasternal.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import DataError, Keypoints
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.keypoints import KeypointCase
from echomotion.datasets.simulated import read_simulated
from echomotion.evaluation.comparison import paired_difference
from echomotion.evaluation.metrics_tracking import METRIC_SIZE, THRESHOLDS_PX, errors_px
from echomotion.measure.beats import frame_at
from echomotion.models.base import KeypointDetector, Progress
from echomotion.simulate.store import stored_calipers

# Side in px at which the paper gives its figures.
PAPER_SIZE = 224
DIMENSIONS = ("ivs", "lvid", "lvpw")
# Figures that are compared in pairs, and whether more is better.
COMPARED = {
    "share_within": True,
    "ivs_mae_mm": False,
    "lvid_mae_mm": False,
    "lvpw_mae_mm": False,
    "ivs_sd_mm": False,
    "lvid_sd_mm": False,
    "lvpw_sd_mm": False,
    "vector_error_px": False,
}

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class KeypointReport:
    """Results of one method: `method`, and `rows`, one a clip with the figures of :func:`score_keypoints`."""

    method: str
    rows: list[dict[str, Any]]

    @property
    def summary(self) -> dict[str, float]:
        """Mean over clips of every figure, clips without it left out; NaN where none has it."""
        out: dict[str, float] = {"clips": len(self.rows)}
        for name in self.rows[0] if self.rows else ():
            if name != "clip":
                known = [row[name] for row in self.rows if not math.isnan(row[name])]
                out[name] = float(np.mean(known)) if known else math.nan
        return out

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {"method": self.method, "summary": _plain(self.summary), "clips": [_plain(row) for row in self.rows]}


def simulated_cases(folder: str | Path) -> Iterator[KeypointCase]:
    """Simulated parasternal sequences with their calipers, from a folder that ``echomotion simulate`` wrote.

    Raises
    ------
    DatasetError
        As :func:`~echomotion.datasets.simulated.read_simulated`.
    DataError
        When they show another view.
    """
    for sequence in read_simulated(folder):
        truth = stored_calipers(sequence.parameters)
        yield KeypointCase(sequence.name, sequence.clip, truth, sequence.keypoints.xy, sequence.phases)


def evaluate_keypoints(
    detector: KeypointDetector, cases: Iterable[KeypointCase], *, progress: Progress | None = None
) -> KeypointReport:
    """Run a detector over every case and compare with the truth.

    Parameters
    ----------
    detector : KeypointDetector
    cases : iterable of KeypointCase
    progress : callable, optional
        Called with (done, total) clips.
    """
    cases = list(cases)
    rows = []
    for done, case in enumerate(cases, start=1):
        start = time.perf_counter()
        found = detector.detect(case.clip)
        seconds = time.perf_counter() - start
        rows.append({**score_keypoints(found, case), "seconds": seconds})
        if progress is not None:
            progress(done, len(cases))
    return KeypointReport(detector.name, rows)


def score_keypoints(found: Keypoints, case: KeypointCase) -> dict[str, Any]:
    """One row of the report.

    Parameters
    ----------
    found : Keypoints
        With the four names.
    case : KeypointCase

    Returns
    -------
    dict
        ``share_within`` and ``within_1_px`` ... at 256 px, ``paper_share_within`` at 224 px, ``median_error_px`` (256);
        for each of ``ivs, lvid, lvpw``: ``_mae_mm, _mae_px`` (256 px), ``_mae_phases_mm`` (ED and ES), ``_sd_mm`` and
        ``_sd_px``, the standard deviation over time of the difference; ``vector_error_px`` and
        ``vector_error_px/NAME``, the mean error of the motion from frame to frame; ``tissue_error_px``, that of the
        motion from the first end-diastole against tissue. NaN where a clip lacks what a figure needs.

    Raises
    ------
    DataError
        When a name is missing or the numbers of frames differ.
    """
    missing = [name for name in PARASTERNAL_POINTS if name not in found.names]
    if missing:
        raise DataError(f"the key-points lack {', '.join(missing)}; there are {', '.join(found.names) or 'none'}")
    own, true = (np.stack([points.point(name) for name in PARASTERNAL_POINTS]) for points in (found, case.keypoints))
    if own.shape != true.shape:
        raise DataError(f"{case.name}: key-points on {own.shape[1]} frames, the truth on {true.shape[1]}")
    shape = case.clip.shape
    errors = errors_px(own, true, shape)
    known = np.isfinite(true).all(axis=-1)
    wrong = errors[known]
    within = {px: float(np.mean(wrong < px)) for px in THRESHOLDS_PX}
    row: dict[str, Any] = {
        "clip": case.name,
        "share_within": float(np.mean(list(within.values()))),
        **{f"within_{px}_px": share for px, share in within.items()},
        "paper_share_within": float(np.mean([np.mean(wrong * PAPER_SIZE / METRIC_SIZE < px) for px in THRESHOLDS_PX])),
        "median_error_px": float(np.median(wrong)),
    }
    row |= _dimension_figures(own, true, case)
    to_metric = np.array([METRIC_SIZE / shape[1], METRIC_SIZE / shape[0]])
    steps = np.linalg.norm((np.diff(own, axis=1) - np.diff(true, axis=1)) * to_metric, axis=-1)
    row["vector_error_px"] = _mean(steps)
    row |= {f"vector_error_px/{name}": _mean(part) for name, part in zip(PARASTERNAL_POINTS, steps, strict=True)}
    row["tissue_error_px"] = math.nan
    if case.tissue is not None and case.phases is not None and case.phases.beats:
        at = frame_at(case.clip.times_s, case.phases.beats[0].ed_s)
        moved = (own - own[:, at : at + 1]) - (case.tissue - case.tissue[:, at : at + 1])
        row["tissue_error_px"] = _mean(np.linalg.norm(moved * to_metric, axis=-1))
    return row


def _dimension_figures(own: FloatArray, true: FloatArray, case: KeypointCase) -> dict[str, float]:
    """Errors of septum, cavity and posterior wall."""
    shape, spacing = case.clip.shape, case.clip.spacing_mm
    units = {"px": (METRIC_SIZE / shape[1], METRIC_SIZE / shape[0])}
    if spacing is not None:
        units["mm"] = (spacing[1], spacing[0])
    row = {f"{name}_{figure}_mm": math.nan for name in DIMENSIONS for figure in ("mae", "mae_phases", "sd")}
    frames = []
    for beat in case.phases.beats if case.phases is not None else ():
        frames += [frame_at(case.clip.times_s, t) for t in (beat.ed_s, beat.es_s) if t is not None and math.isfinite(t)]
    for unit, scale in units.items():
        gaps = [np.linalg.norm(np.diff(points * scale, axis=0), axis=-1) for points in (own, true)]
        apart = gaps[0] - gaps[1]
        for name, values in zip(DIMENSIONS, apart, strict=True):
            row[f"{name}_mae_{unit}"] = _mean(np.abs(values))
            row[f"{name}_mae_phases_{unit}"] = _mean(np.abs(values[frames])) if frames else math.nan
            row[f"{name}_sd_{unit}"] = float(np.nanstd(values)) if np.isfinite(values).sum() > 1 else math.nan
    return row


def compare_keypoints(reports: Sequence[KeypointReport], against: str) -> list[dict[str, Any]]:
    """Every method against one, figure by figure, paired over clips; the difference is method minus that one.

    Raises
    ------
    DataError
        When there is no report of that name, or the reports are of different clips.
    """
    by_name = {report.method: report for report in reports}
    if against not in by_name:
        raise DataError(f"there is no report of {against}; there are {', '.join(by_name)}")
    base = by_name[against]
    rows = []
    for figure in COMPARED:
        for name, report in by_name.items():
            if [row["clip"] for row in report.rows] != [row["clip"] for row in base.rows]:
                raise DataError(f"{name} was run on other clips than {against}; run both on the same")
            if name == against:
                continue
            pair = paired_difference([r[figure] for r in report.rows], [r[figure] for r in base.rows])
            rows.append({"figure": figure, "method": name, "against": against, **vars(pair)})
    return rows


def _mean(values: NDArray[np.floating]) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
