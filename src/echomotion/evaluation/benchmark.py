"""All trackers on the same clips in one process: accuracy, paired comparison, seconds, memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from echomotion.core import DataError, EchoMotionError
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.comparison import compare_trackers
from echomotion.evaluation.named import named_tracker
from echomotion.evaluation.onnx_tracker import OnnxTracker, load_onnx_tracker
from echomotion.evaluation.resources import YARDSTICK, machine_facts, measured, yardstick_seconds
from echomotion.evaluation.speed import FULL_LOADS, LOADS, measure_speed
from echomotion.evaluation.tracking import TrackingReport, evaluate_tracking
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import list_models
from echomotion.version import __version__


@dataclass(frozen=True)
class BenchmarkReport:
    """What :func:`benchmark_tracking` found.

    Attributes
    ----------
    parts : dict
        By the name of a set of clips: ``clips`` (their number), ``fingerprint``, ``trackers`` (a row each: tracker,
        mean figures, seconds a clip, peak memory), ``comparison`` (:func:`~echomotion.evaluation.comparison.
        compare_trackers`) and ``rows`` (every clip of every tracker).
    speed : list of dict
        As :func:`~echomotion.evaluation.speed.measure_speed`, for every tracker and load.
    yardstick_s : float
    failed : dict
        Why a tracker that failed did so.
    """

    parts: dict[str, dict[str, Any]]
    speed: list[dict[str, Any]]
    yardstick_s: float
    failed: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN and infinity become None."""
        plain: dict[str, Any] = _plain(
            {
                "echomotion": __version__,
                "machine": machine_facts(),
                "yardstick": {"network": YARDSTICK, "seconds": self.yardstick_s},
                "parts": self.parts,
                "speed": self.speed,
                "failed": self.failed,
            }
        )
        return plain


def benchmark_trackers(names: Sequence[str] | None = None, onnx: Sequence[str] = ()) -> list[Tracker]:
    """The trackers to run.

    Parameters
    ----------
    names : sequence of str, optional
        Registered ones, as :func:`~echomotion.evaluation.named.named_tracker` takes them; all that have their weights
        without.
    onnx : sequence of str
        Outside ones as ``NAME=PATH``.

    Raises
    ------
    DataError
        When an entry of `onnx` is not of that form, or a name is given twice.
    ModelError, EchoMotionError
        As :func:`~echomotion.models.registry.create_tracker` and
        :func:`~echomotion.evaluation.onnx_tracker.load_onnx_tracker`.
    """
    if not names:
        names = [model.name for model in list_models("tracker") if model.weights != "missing"]
    trackers: list[Tracker] = [named_tracker(name) for name in dict.fromkeys(names)]
    for entry in onnx:
        name, given, path = entry.partition("=")
        if not (name and given and path):
            raise DataError(f"{entry!r} names no ONNX tracker; give NAME=PATH")
        if name in {tracker.name for tracker in trackers}:
            raise DataError(f"there are two trackers called {name}; give the ONNX file another name")
        trackers.append(load_onnx_tracker(name, Path(path)))
    return trackers


def benchmark_tracking(
    trackers: Sequence[Tracker],
    parts: Mapping[str, Iterable[TrackingCase]],
    *,
    speed: bool = True,
    full: bool = False,
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Run every tracker on the same clips, one after the other in this process, and compare them.

    A tracker that raises an error of ours is named in the report and left out; the others still run.

    Parameters
    ----------
    trackers : sequence of Tracker
    parts : mapping of str to iterable of TrackingCase
        Sets of clips by name.
    speed : bool
        Also time fixed numbers of points and frames.
    full : bool
        Also 1,024 points over 300 frames, which takes minutes.
    progress : callable, optional
        Called with (done, total) clips and loads.

    Raises
    ------
    DataError
        When there are no trackers.
    ImportError
        Without MONAI, for the yardstick.
    """
    if not trackers:
        raise DataError("there are no trackers to run; name one, or install the weights of one")
    sets = {name: list(cases) for name, cases in parts.items()}
    loads = (FULL_LOADS if full else LOADS) if speed else ()
    total = len(trackers) * (sum(map(len, sets.values())) + len(loads))
    done = 0

    def tell(count: int = 1) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    baselines = _baselines(trackers)
    yardstick_s = yardstick_seconds()
    failed: dict[str, str] = {}
    found = {
        name: _run_part([t for t in trackers if t.name not in failed], cases, baselines, failed, tell)
        for name, cases in sets.items()
    }
    timed = []
    for tracker in trackers:
        for points, frames in loads:
            if tracker.name not in failed:
                try:
                    timed.append(measure_speed(tracker, points, frames, yardstick_s))
                except EchoMotionError as error:
                    failed[tracker.name] = str(error)
            tell()
    return BenchmarkReport(found, timed, yardstick_s, failed)


def _run_part(
    trackers: Sequence[Tracker],
    cases: list[TrackingCase],
    baselines: list[str],
    failed: dict[str, str],
    tell: Any,
) -> dict[str, Any]:
    """Accuracy, time and memory of all trackers on one set of clips."""
    reports: list[TrackingReport] = []
    table: list[dict[str, Any]] = []
    for tracker in trackers:
        try:
            # What is made on first use is not part of any clip's time.
            tracker.track(cases[0].clip, cases[0].queries[:1])
            use = measured(lambda t=tracker: evaluate_tracking(t, cases, progress=lambda *_: tell()))  # type: ignore[misc]
        except EchoMotionError as error:
            failed[tracker.name] = str(error)
            continue
        report = _without_confidence(use.result) if isinstance(tracker, OnnxTracker) else use.result
        reports.append(report)
        table.append(
            {
                "tracker": tracker.name,
                **report.summary,
                "peak_memory_mb": use.peak_memory_mb,
                "peak_memory_is_own": use.peak_is_own,
                "peak_gpu_memory_mb": use.peak_gpu_memory_mb,
            }
        )
    compared = len(reports) > 1 and any(report.tracker in baselines for report in reports)
    return {
        "clips": len(cases),
        "fingerprint": fingerprint(cases),
        "trackers": table,
        "comparison": compare_trackers(reports, baselines) if compared else [],
        "rows": {report.tracker: report.rows for report in reports},
    }


def fingerprint(cases: Iterable[TrackingCase]) -> str:
    """A short hash of frames and true tracks: figures are comparable where it is the same."""
    digest = hashlib.sha256()
    for case in cases:
        digest.update(case.name.encode())
        digest.update(np.ascontiguousarray(case.clip.frames).tobytes())
        digest.update(case.xy.astype(np.float32).tobytes())
        digest.update(case.visible.tobytes())
    return digest.hexdigest()[:16]


def _baselines(trackers: Sequence[Tracker]) -> list[str]:
    """Names of those that learn nothing."""
    conventional = {model.name for model in list_models("tracker") if not model.learned}
    return [tracker.name for tracker in trackers if tracker.name in conventional]


def _without_confidence(report: TrackingReport) -> TrackingReport:
    """A report of a tracker that states no confidence and no visibility."""
    unknown = {"calibration_error": math.nan, "occlusion_accuracy": math.nan}
    return TrackingReport(report.tracker, report.query_mode, [{**row, **unknown} for row in report.rows])


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
