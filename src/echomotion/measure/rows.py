"""Measurements put together from a value, what is missing and what is doubtful; the frames of a beat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from echomotion.core.measurement import Measurement, Status
from echomotion.core.views import View
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray

UNCALIBRATED = "the recording is not calibrated: no pixel spacing"
NO_BODY_SIZE = "height and weight are needed for the body surface"


def judged(
    name: str,
    value: float,
    unit: str,
    method: str,
    frames: Sequence[int] = (),
    *,
    missing: str = "",
    doubts: Sequence[str] = (),
    view: View | None = None,
    beat: int | None = None,
) -> Measurement:
    """A measurement: not measurable for the reason `missing`, of low confidence for `doubts`, else ok."""
    where = {"method": method, "frames": tuple(frames), "view": view, "beat": beat}
    if missing or not math.isfinite(value):
        return Measurement.missing(name, unit, missing or "it is not defined for these values", **where)
    reasons = "; ".join(dict.fromkeys(doubts))
    status = Status.LOW_CONFIDENCE if reasons else Status.OK
    return Measurement(name, value, unit, status, reasons, method, tuple(frames), view, beat)


def doubted(row: Measurement, reasons: Sequence[str]) -> Measurement:
    """The same with low confidence and these reasons besides its own; what is not measurable stays as it is."""
    if not reasons or row.status is Status.NOT_MEASURABLE:
        return row
    return replace(row, status=Status.LOW_CONFIDENCE, reason="; ".join(filter(None, (row.reason, *reasons))))


def phase_frame(times_s: FloatArray, time_s: float | None, phase: str) -> tuple[int | None, str]:
    """The frame nearest to a phase of a beat, or None and why there is none: the time is unknown or off the clip."""
    times = np.asarray(times_s, dtype=np.float64)
    if time_s is None or not math.isfinite(time_s):
        return None, f"the beat has no {phase}"
    margin = float(np.median(np.diff(times))) / 2 if len(times) > 1 else 0.0
    if not times[0] - margin <= time_s <= times[-1] + margin:
        return None, f"the {phase} of the beat, at {time_s:g} s, lies off the recording"
    return frame_at(times, time_s), ""
