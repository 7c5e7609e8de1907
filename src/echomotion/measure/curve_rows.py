"""From a strain curve and what is doubtful about it to measurements: shared by strain, timing and strain rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from echomotion.core.measurement import Measurement, Phases, Status
from echomotion.core.tracks import Layer
from echomotion.core.views import View, segment_names
from echomotion.measure.beats import doubts, frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.segment_quality import MAX_DRIFT, MIN_CONFIDENCE, SegmentQuality
from echomotion.measure.strain_types import RADIAL, StrainCurves


def sign_of(direction: str) -> int:
    """Which way healthy strain of a direction goes: -1 shortening, +1 thickening."""
    return 1 if direction == RADIAL else -1


def curve_of(curves: StrainCurves, segment: str | None) -> FloatArray:
    """The curve of the whole wall or of a segment."""
    return curves.whole if segment is None else curves.segments[segment]


def curve_row(
    curves: StrainCurves,
    phases: Phases,
    name: str,
    unit: str,
    value: float,
    at: Sequence[float],
    how: str,
    *,
    segment: str | None = None,
    notes: Sequence[str] = (),
    missing: str = "",
) -> Measurement:
    """A measurement from the curves of one beat, with all the doubts about it.

    Parameters
    ----------
    value : float
        NaN where it could not be measured; `missing` then says why, unless the segment or the whole was refused.
    at : sequence of float
        The times in seconds that it was read at.
    how : str
        How the value was read from the curve.
    notes : sequence of str
        Further doubts.
    """
    times = [*dict.fromkeys([curves.ed_s, *(t for t in at if np.isfinite(t))])]
    where: dict[str, Any] = {
        "method": f"{how}, {curves.method}",
        "frames": tuple(dict.fromkeys(frame_at(curves.times_s, t) for t in times)),
        "view": curves.view,
        "beat": curves.beat,
        "segment": segment,
        "layer": curves.layer or None,
    }
    quality = curves.quality.get(segment) if segment is not None else None
    refused = _refusal(curves, quality)
    if refused or not np.isfinite(value):
        reason = refused or missing or "too many points of the line are missing"
        return Measurement.missing(name, unit, reason, **where)
    reasons = [*notes, *_segment_doubts(curves, quality), *_shared_doubts(curves, phases)]
    reasons = list(dict.fromkeys(reasons))
    return Measurement(name, value, unit, Status.LOW_CONFIDENCE if reasons else Status.OK, "; ".join(reasons), **where)


def _refusal(curves: StrainCurves, quality: SegmentQuality | None) -> str:
    if quality is None:
        return curves.refusal
    if quality.points == 0 or (quality.rejected and curves.uses_rejection):
        return "the segment was rejected: " + quality.failures[0]
    return ""


def _segment_doubts(curves: StrainCurves, quality: SegmentQuality | None) -> list[str]:
    if quality is not None:
        return [*quality.failures, *quality.doubts]
    found = []
    if curves.rejected and curves.uses_rejection:
        names = ", ".join(name.replace("_", " ") for name in curves.rejected)
        found.append(f"without the rejected {names}")
    used = [q for q in curves.quality.values() if not q.rejected]
    if used:
        points = np.array([q.points for q in used], dtype=float)
        sure = float(np.average([q.confidence for q in used], weights=points))
        if sure < MIN_CONFIDENCE:
            found.insert(0, f"the points are tracked with a mean confidence of {sure:.2f} only")
    doubtful = [q.segment for q in used if q.doubts]
    if len(doubtful) > len(curves.quality) / 2:
        found.append(f"{len(doubtful)} of {len(curves.quality)} segments are doubtful")
    return found


def _shared_doubts(curves: StrainCurves, phases: Phases) -> list[str]:
    shared = doubts(phases, curves.view)
    if abs(curves.drift) > MAX_DRIFT:
        shared.append(f"the line does not return to its length at the next end-diastole ({curves.drift:+.1f} points)")
    return shared


def missing_rows(
    names: Sequence[tuple[str, str, bool]], reason: str, view: View, layer: Layer | str | None = None
) -> list[Measurement]:
    """Rows that could not be measured: for names with their units, once for the whole or for each segment."""
    which = None if layer is None else str(layer)
    return [
        Measurement.missing(name, unit, reason, view=view, segment=segment, layer=which)
        for name, unit, segmental in names
        for segment in (segment_names(view) if segmental else (None,))
    ]
