"""Peaks of strain within the beat and when they come: systolic peaks, post-systolic index, mechanical dispersion.

Definitions follow Voigt et al. 2015 (doi 10.1093/ehjci/jeu184); systole ends with aortic valve closure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echomotion.core.measurement import Measurement, Phases, Status
from echomotion.core.tracks import Layer
from echomotion.core.views import SegmentModel, View
from echomotion.measure.beats import mean_over_beats
from echomotion.measure.curve_rows import curve_of, curve_row, missing_rows, sign_of
from echomotion.measure.reading import extreme, value_at
from echomotion.measure.strain_types import LONGITUDINAL, StrainCurves

PEAK_SYSTOLIC, POSITIVE_PEAK, SEGMENT_PEAK, TIME_TO_PEAK = (
    "peak_systolic_longitudinal_strain",
    "positive_peak_systolic_longitudinal_strain",
    "peak_longitudinal_strain",
    "time_to_peak_longitudinal_strain",
)
POST_SYSTOLIC_INDEX = "post_systolic_index"
DISPERSION = "mechanical_dispersion"
# A peak below this many points has no meaningful time, and nothing can be related to it.
MIN_PEAK = 3.0
# Share of a model's segments that mechanical dispersion needs.
MIN_SHARE = 0.75


def timing_measurements(curves: Sequence[StrainCurves], phases: Phases) -> list[Measurement]:
    """Peaks of strain and their times, of the whole wall and of its segments.

    Parameters
    ----------
    curves : sequence of StrainCurves
        Of every beat.
    phases : Phases

    Returns
    -------
    list of Measurement
        For the direction D of the curves, per beat and for the whole (``segment`` None) and each segment:
        ``peak_systolic_D_strain`` and ``positive_peak_systolic_D_strain`` (%; of what goes against it: the largest
        stretch in systole, the largest thinning for radial strain), ``post_systolic_index`` (%) and
        ``time_to_peak_D_strain`` (s); ``peak_D_strain`` (%) of each segment over the whole beat; then means
        over beats. The time to peak needs a beat recorded from its end-diastole on.
    """
    rows: list[Measurement] = []
    for part in curves:
        for segment in (None, *part.segments):
            rows += _rows(part, phases, segment)
    return rows + mean_over_beats(rows, len(curves))


def missing_timing(
    reason: str, view: View, layer: Layer | str | None = None, direction: str = LONGITUDINAL
) -> list[Measurement]:
    """The rows of :func:`timing_measurements`, none of which could be measured, and why."""
    units = {PEAK_SYSTOLIC: "%", POSITIVE_PEAK: "%", POST_SYSTOLIC_INDEX: "%", TIME_TO_PEAK: "s"}
    named = [(_named(name, direction), unit) for name, unit in units.items()]
    wholes = [(name, unit, False) for name, unit in named]
    parts = [(name, unit, True) for name, unit in named]
    return missing_rows([*wholes, *parts, (_named(SEGMENT_PEAK, direction), "%", True)], reason, view, layer)


def _named(name: str, direction: str) -> str:
    return name.replace(LONGITUDINAL, direction)


def _rows(curves: StrainCurves, phases: Phases, segment: str | None) -> list[Measurement]:
    times, curve, sign = curves.times_s, curve_of(curves, segment), sign_of(curves.direction)
    nan = float("nan")
    starts = curves.ed_s < curves.es_s
    lost = "" if starts else "the systole is not recorded from its end-diastole on"
    at, systolic = extreme(times, curve, curves.ed_s, curves.es_s, sign) if starts else (nan, nan)
    against_at, against = extreme(times, curve, curves.ed_s, curves.es_s, -sign) if starts else (nan, nan)
    peak_at, peak = extreme(times, curve, curves.start_s, curves.stop_s, sign)
    end = value_at(times, curve, curves.es_s)
    cut = curves.next_ed_s is None and np.isfinite(peak_at) and peak_at >= times[-1] - 1e-9
    notes = ["the recording ends at the peak, it may come later"] if cut and starts else []
    until = f"to end-systole {curves.end_systole}"
    flat = "" if sign * peak >= MIN_PEAK or not np.isfinite(peak) else f"strain stays below {MIN_PEAK:g} points"

    def row(name: str, unit: str, value: float, when: float, how: str, why: str = "") -> Measurement:
        return curve_row(
            curves,
            phases,
            _named(name, curves.direction),
            unit,
            value,
            [when],
            how,
            segment=segment,
            notes=notes if when == peak_at else (),
            missing=why,
        )

    way = "largest" if sign > 0 else "most negative"
    index = 100 * max(0.0, (peak - end) / peak) if not flat and peak_at > curves.es_s else 0.0
    if flat or not np.isfinite(peak + end) or not starts:
        index = nan
    late = nan if flat or not starts else peak_at - curves.ed_s
    out = [
        row(PEAK_SYSTOLIC, "%", systolic, at, f"{way} from end-diastole {until}", lost),
        row(POSITIVE_PEAK, "%", against, against_at, f"largest opposite strain from end-diastole {until}", lost),
        row(
            POST_SYSTOLIC_INDEX,
            "%",
            index,
            peak_at,
            f"(peak - end-systolic) / peak, 0 where the peak is not later; {curves.end_systole}",
            lost or flat,
        ),
        row(TIME_TO_PEAK, "s", late, peak_at, f"from end-diastole to the {way} of the beat", lost or flat),
    ]
    if segment is not None:
        out.append(row(SEGMENT_PEAK, "%", peak, peak_at, f"peak ({way} of the beat)"))
    return out


def mechanical_dispersion(
    rows: Sequence[Measurement],
    *,
    model: SegmentModel | str | int | None = SegmentModel.SIXTEEN,
    direction: str = LONGITUDINAL,
) -> Measurement:
    """Standard deviation of the time to peak strain over segments, in seconds.

    Parameters
    ----------
    rows : sequence of Measurement
        With ``time_to_peak_D_strain`` of one beat (or means over beats) and one layer; of one view, or of all segments
        of the ventricle (:func:`~echomotion.measure.segment_models.bullseye`).
    model : SegmentModel or None
        Whose segments are asked for; None for those of one view.

    Returns
    -------
    Measurement
        Not measurable with less than three quarters of the segments. Times differ by chance too: it grows with noise.
    """
    name = _named(TIME_TO_PEAK, direction)
    found = [row for row in rows if row.name == name and row.segment is not None]
    used = [row for row in found if row.status is not Status.NOT_MEASURABLE]
    wanted = len(found) if model is None else len(SegmentModel.of(model).segments)
    views = {row.view for row in found}
    view = views.pop() if len(views) == 1 else None
    layer = found[0].layer if found else None
    method = f"standard deviation of the time to peak {direction} strain over {len(used)} of {wanted} segments"
    if len(used) < max(3, MIN_SHARE * wanted):
        reason = f"the time to peak is known of {len(used)} of {wanted} segments only"
        return Measurement.missing(DISPERSION, "s", reason, method=method, view=view, layer=layer)
    reasons = list(dict.fromkeys(part for row in used if row.reason for part in row.reason.split("; ")))
    if len(used) < wanted:
        reasons.insert(0, f"{wanted - len(used)} of {wanted} segments are missing")
    return Measurement(
        DISPERSION,
        float(np.std([row.value for row in used], ddof=1)),
        "s",
        Status.LOW_CONFIDENCE if reasons else Status.OK,
        "; ".join(reasons),
        method,
        tuple(dict.fromkeys(frame for row in used for frame in row.frames)),
        view,
        used[0].beat if len({row.beat for row in used}) == 1 else None,
        None,
        layer,
    )
