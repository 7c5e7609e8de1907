"""From several views of one heart to all its segments and to the average over the views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echomotion.core.errors import DataError
from echomotion.core.measurement import Measurement, Status
from echomotion.core.views import SegmentModel, View
from echomotion.measure.beats import headline

APICAL_VIEWS = (View.A4C, View.A2C, View.A3C)


def average_of_views(rows: Sequence[Measurement], name: str, layer: str | None = None) -> Measurement:
    """The average of a global measurement over the three apical views, as GLS is reported (Voigt et al. 2015).

    Parameters
    ----------
    rows : sequence of Measurement
        Of all views; the mean over beats counts where a view has several.
    name : str
        For instance ``global_longitudinal_strain``.
    layer : str, optional
        The layer; needed where the rows hold several.

    Returns
    -------
    Measurement
        With ``view`` None. One view short of three it is ``low_confidence``, two short ``not_measurable``; the reason
        names the missing views.

    Raises
    ------
    DataError
        Where a view has two rows of that name and layer.
    """
    found = _one_per_view([row for row in headline(rows) if _is(row, name, layer) and row.segment is None])
    used = {view: row for view, row in found.items() if row.status is not Status.NOT_MEASURABLE}
    unit = next((row.unit for row in found.values()), "%")
    gone = [f"{v} ({found[v].reason if v in found else 'not recorded'})" for v in APICAL_VIEWS if v not in used]
    method = f"mean of the views {', '.join(used) or 'none'}"
    kept = next(iter(used.values()), None)
    which = layer if layer is not None else (kept.layer if kept is not None else None)
    if len(used) < 2 or kept is None:
        reason = "two of the three apical views are needed; missing are " + ", ".join(gone)
        return Measurement.missing(name, unit, reason, method=method, layer=which)
    reasons = ["without the view " + ", ".join(gone)] if gone else []
    reasons += [f"{view}: {row.reason}" for view, row in used.items() if row.reason]
    return Measurement(
        name,
        float(np.mean([row.value for row in used.values()])),
        unit,
        Status.LOW_CONFIDENCE if reasons else Status.OK,
        "; ".join(reasons),
        f"{method}, each {kept.method}",
        layer=which,
    )


def bullseye(
    rows: Sequence[Measurement],
    name: str,
    *,
    model: SegmentModel | str | int = SegmentModel.SIXTEEN,
    layer: str | None = None,
) -> list[Measurement]:
    """One row for each segment of the ventricle, in the guidelines' order, from the segments of several views.

    A segment that two views show (apical ones in the 16- and 17-segment models, the cap) is the mean of them.

    Parameters
    ----------
    rows : sequence of Measurement
        Of all views, with segments of this model.
    name : str
        For instance ``longitudinal_strain``.
    layer : str, optional
        The layer; needed where the rows hold several.

    Returns
    -------
    list of Measurement
        16, 17 or 18 rows with ``view`` None; those that no view shows are not measurable, with that reason.

    Raises
    ------
    DataError
        Where rows have segments of another model, or a view has two rows for one segment.
    """
    which = SegmentModel.of(model)
    chosen = [row for row in headline(rows) if _is(row, name, layer) and row.segment is not None]
    strange = sorted({str(row.segment) for row in chosen} - set(which.segments))
    if strange:
        raise DataError(
            f"the {which}-segment model has no {', '.join(strange)}; make wall points with model='{which}', "
            "in views with a name"
        )
    unit = chosen[0].unit if chosen else "%"
    return [_segment(name, segment, [r for r in chosen if r.segment == segment], unit) for segment in which.segments]


def _segment(name: str, segment: str, rows: list[Measurement], unit: str) -> Measurement:
    found = _one_per_view(rows)
    used = [row for row in found.values() if row.status is not Status.NOT_MEASURABLE]
    layer = rows[0].layer if rows else None
    if not used:
        reason = rows[0].reason if rows else "no view shows this segment"
        return Measurement.missing(name, unit, reason, segment=segment, layer=layer)
    reasons = list(dict.fromkeys(f"{row.view}: {row.reason}" for row in used if row.reason))
    shown = ", ".join(str(row.view) for row in used)
    return Measurement(
        name,
        float(np.mean([row.value for row in used])),
        unit,
        Status.LOW_CONFIDENCE if reasons else Status.OK,
        "; ".join(reasons),
        f"{'mean of the views ' if len(used) > 1 else 'from the view '}{shown}, {used[0].method}",
        segment=segment,
        layer=layer,
    )


def _is(row: Measurement, name: str, layer: str | None) -> bool:
    return row.name == name and (layer is None or row.layer == layer) and row.view is not None


def _one_per_view(rows: Sequence[Measurement]) -> dict[View, Measurement]:
    found: dict[View, Measurement] = {}
    for row in rows:
        view = View(row.view or View.UNKNOWN)
        if view in found:
            raise DataError(
                f"{row.name} is given twice for the view {view} ({found[view].layer}, {row.layer}); name one layer"
            )
        found[view] = row
    return found
