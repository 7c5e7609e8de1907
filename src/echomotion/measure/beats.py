"""What all measurements of a beat share: its frames, the doubts about it, the mean over several beats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echomotion.core.measurement import Measurement, Phases, Status
from echomotion.core.views import View
from echomotion.measure.contours import FloatArray

_Key = tuple[str, str | None, str | None, View | None]

# Below this, whatever is read at the times of the phases is marked.
MIN_PHASE_CONFIDENCE = 0.5


def frame_at(times_s: FloatArray, time_s: float) -> int:
    """Index of the frame nearest to a time."""
    return int(np.argmin(np.abs(np.asarray(times_s) - time_s)))


def not_apical(view: View, what: str) -> str:
    """Why something that needs an apical view cannot be measured in this one; empty where it can."""
    if view.is_apical_lv or view is View.UNKNOWN:
        return ""
    return f"{what} need an apical view, this one is {view}"


def doubts(phases: Phases, view: View | None = None) -> list[str]:
    """Reasons to trust a number less, from the phases and, where the number depends on it, from the view."""
    reasons = []
    if view is View.UNKNOWN:
        reasons.append("the view is not stated, an apical view is assumed")
    if phases.confidence < MIN_PHASE_CONFIDENCE:
        reasons.append(phases.reason or "the heart phases are uncertain")
    return reasons


def _key(row: Measurement) -> _Key:
    """What a measurement has in common with those of the other beats."""
    return row.name, row.segment, row.layer, row.view


def mean_over_beats(rows: Sequence[Measurement], n_beats: int) -> list[Measurement]:
    """Means over beats of each measurement (same name, segment, layer and view), ``beat`` None; none for one beat.

    Beats in which the number could not be measured are left out, and the method says how many were used.
    """
    if n_beats < 2:
        return []
    groups: dict[_Key, list[Measurement]] = {}
    for row in rows:
        groups.setdefault(_key(row), []).append(row)
    out = []
    for group in groups.values():
        first = group[0]
        name, segment = first.name, first.segment
        used = [row for row in group if row.status is not Status.NOT_MEASURABLE]
        if not used:
            out.append(
                Measurement.missing(
                    name,
                    first.unit,
                    first.reason,
                    method=first.method,
                    view=first.view,
                    segment=segment,
                    layer=first.layer,
                )
            )
            continue
        reasons = list(dict.fromkeys(part for row in used if row.reason for part in row.reason.split("; ")))
        out.append(
            Measurement(
                name,
                float(np.mean([row.value for row in used])),
                first.unit,
                Status.LOW_CONFIDENCE if reasons else Status.OK,
                "; ".join(reasons),
                f"mean over {len(used)} of {n_beats} beats: {used[0].method}",
                tuple(dict.fromkeys(frame for row in used for frame in row.frames)),
                first.view,
                None,
                segment,
                first.layer,
            )
        )
    return out


def headline(rows: Sequence[Measurement]) -> list[Measurement]:
    """One row for each measurement: the mean over beats where there are several, else the only beat."""
    means = {_key(row) for row in rows if row.beat is None}
    return [row for row in rows if row.beat is None or _key(row) not in means]
