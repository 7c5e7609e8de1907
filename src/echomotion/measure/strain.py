"""Strain of the wall as measurements: end-systolic and peak, of the whole wall and of its segments.

The strain of a view (GLS) is taken from the length of the whole line; the mean of the segments is given beside it
(Voigt et al. 2015, doi 10.1093/ehjci/jeu184). Curves are made in :mod:`echomotion.measure.strain_curves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.errors import DataError
from echomotion.core.measurement import Measurement, Phases
from echomotion.core.tracks import Layer, Tracks
from echomotion.core.views import View
from echomotion.measure.beats import mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.curve_rows import curve_row, missing_rows, sign_of
from echomotion.measure.reading import extreme, value_at
from echomotion.measure.segment_quality import MIN_CONFIDENCE, PLAUSIBLE, SegmentQuality
from echomotion.measure.strain_curves import strain_curves, wall_of
from echomotion.measure.strain_types import CIRCUMFERENTIAL, LONGITUDINAL, StrainCurves, StrainOptions, join_beats

__all__ = [
    "FULL_WALL",
    "GLOBAL",
    "MEAN_OF_SEGMENTS",
    "MIN_CONFIDENCE",
    "PEAK",
    "SEGMENTAL",
    "curve_measurements",
    "full_wall_curves",
    "join_beats",
    "missing_strain",
    "strain_curves",
    "strain_measurements",
]

GLOBAL, PEAK, MEAN_OF_SEGMENTS, SEGMENTAL = (
    "global_longitudinal_strain",
    "peak_longitudinal_strain",
    "mean_segmental_longitudinal_strain",
    "longitudinal_strain",
)
FULL_WALL = "full_wall"


def strain_measurements(
    tracks: Tracks | None,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    view: View | None = None,
    *,
    options: StrainOptions | None = None,
    direction: str = LONGITUDINAL,
    forward_backward_px: ArrayLike | None = None,
    frames: NDArray[np.uint8] | None = None,
) -> list[Measurement]:
    """Strain of every beat: end-systolic and peak of the view, the mean of its segments, and each of them.

    Parameters
    ----------
    tracks : Tracks or None
        With their `wall`. None (no wall was found) makes everything ``not_measurable``.
    phases : Phases
        Beats; without any, everything is ``not_measurable`` with that reason.
    times_s, spacing_mm, options, direction, forward_backward_px, frames
        See :func:`~echomotion.measure.strain_curves.strain_curves`.
    view : View, optional
        As a rule that of the tracks' wall, which is the default. Longitudinal strain needs an apical view
        (``UNKNOWN`` is taken as one, with status ``low_confidence``), circumferential strain the short axis.

    Returns
    -------
    list of Measurement
        See :func:`curve_measurements`.
    """
    wall = None if tracks is None else wall_of(tracks)
    shown = View(view) if view is not None else (View.UNKNOWN if wall is None else wall.view)
    refusal = _wrong_view(shown, direction)
    if not refusal and tracks is None:
        refusal = "no ventricular wall was tracked"
    if not refusal and not phases.beats:
        refusal = phases.reason or "no heart beat was found in the recording"
    if refusal or tracks is None or wall is None:
        return missing_strain(refusal, shown, None if wall is None else wall.layer, direction)
    curves = strain_curves(
        tracks,
        phases,
        times_s,
        spacing_mm,
        options=options,
        direction=direction,
        forward_backward_px=forward_backward_px,
        frames=frames,
    )
    return curve_measurements([replace(c, view=shown) for c in curves], phases)


def _wrong_view(view: View, direction: str) -> str:
    if direction == CIRCUMFERENTIAL:
        return "" if view is View.PSAX else f"circumferential strains need the short axis, this view is {view}"
    return not_apical(view, "longitudinal strains")


def curve_measurements(curves: Sequence[StrainCurves], phases: Phases) -> list[Measurement]:
    """Strain from curves: of a line, of the full wall, round the short axis or across the wall.

    Returns
    -------
    list of Measurement
        Per beat, for the direction D of the curves, ``global_D_strain`` (end-systolic), ``peak_D_strain`` (the largest
        shortening or thickening of the beat) and ``mean_segmental_D_strain`` of the whole, and ``D_strain``
        (end-systolic) of each segment; then, where there are several beats, the means over them with ``beat`` None.
    """
    rows: list[Measurement] = []
    for part in curves:
        rows += _beat_rows(part, phases)
    return rows + mean_over_beats(rows, len(curves))


def _names(direction: str) -> tuple[str, str, str, str]:
    long = (GLOBAL, PEAK, MEAN_OF_SEGMENTS, SEGMENTAL)
    whole, peak, mean, part = (name.replace(LONGITUDINAL, direction) for name in long)
    return whole, peak, mean, part


def _beat_rows(curves: StrainCurves, phases: Phases) -> list[Measurement]:
    """The measurements of one beat."""
    whole, peak, mean, part = _names(curves.direction)
    times, es = curves.times_s, curves.es_s
    lost = "too many points of the line are missing at end-diastole, end-systole or the end of the beat"
    ends = f"end-systolic ({curves.end_systole})"
    value = value_at(times, curves.whole, es)
    rows = [curve_row(curves, phases, whole, "%", value, [es], ends, notes=_implausible(curves, value), missing=lost)]
    at, value = extreme(times, curves.whole, curves.start_s, curves.stop_s, sign_of(curves.direction))
    cut = curves.next_ed_s is None and at >= times[-1] - 1e-9 and curves.ed_s < es
    notes = _implausible(curves, value) + (["the recording ends at the peak, it may come later"] if cut else [])
    how = f"peak ({'largest' if sign_of(curves.direction) > 0 else 'most negative'} of the beat)"
    rows.append(curve_row(curves, phases, peak, "%", value, [at], how, notes=notes, missing=lost))
    known = {name: value_at(times, curve, es) for name, curve in curves.segments.items()}
    used = [v for name, v in known.items() if np.isfinite(v) and not _left_out(curves, name)]
    how = f"mean of {len(used)} of {len(known)} segments, each {ends}"
    value = float(np.mean(used)) if used and not curves.refusal else float("nan")
    rows.append(curve_row(curves, phases, mean, "%", value, [es], how, missing=lost))
    rows += [curve_row(curves, phases, part, "%", v, [es], ends, segment=n, missing=lost) for n, v in known.items()]
    return rows


def _implausible(curves: StrainCurves, value: float) -> list[str]:
    low, high = PLAUSIBLE[curves.direction]
    return [f"a strain outside {low:g} to {high:+g} % is not plausible"] if value < low or value > high else []


def _left_out(curves: StrainCurves, name: str) -> bool:
    return curves.uses_rejection and name in curves.rejected


def missing_strain(
    reason: str, view: View, layer: Layer | str | None = None, direction: str = LONGITUDINAL
) -> list[Measurement]:
    """The rows of :func:`strain_measurements`, none of which could be measured, and why."""
    *wholes, part = _names(direction)
    return missing_rows([*((name, "%", False) for name in wholes), (part, "%", True)], reason, view, layer)


def full_wall_curves(layers: Mapping[Layer, Sequence[StrainCurves]]) -> list[StrainCurves]:
    """Strain of the full thickness of the wall: the mean over its depth, by Simpson's rule from its three lines.

    Parameters
    ----------
    layers : mapping of Layer to curves of the same beats
        Endocardial and epicardial lines, and the middle one as a rule; without it the mean of the two is taken.

    Raises
    ------
    DataError
        Where the endocardial or the epicardial line is missing, or their beats differ.
    """
    if Layer.ENDOCARDIAL not in layers or Layer.EPICARDIAL not in layers:
        raise DataError("full-wall strain needs the endocardial and the epicardial line")
    weights = {Layer.ENDOCARDIAL: 1.0, Layer.MID_WALL: 4.0, Layer.EPICARDIAL: 1.0}
    used = [layer for layer in weights if layer in layers]
    if len({len(layers[layer]) for layer in used}) != 1:
        raise DataError("the lines of the wall have different numbers of beats")
    share = np.array([weights[layer] for layer in used])
    share /= share.sum()

    def mean(values: Sequence[FloatArray]) -> FloatArray:
        return np.einsum("l,lt->t", share, np.asarray(values))

    out = []
    for parts in zip(*(layers[layer] for layer in used), strict=True):
        first = parts[0]
        names = [name for name in first.segments if all(name in part.segments for part in parts)]
        lines = ", ".join(f"{w:.2g} {layer}" for w, layer in zip(share, used, strict=True))
        out.append(
            replace(
                first,
                whole=mean([part.whole for part in parts]),
                segments={name: mean([part.segments[name] for part in parts]) for name in names},
                raw=mean([part.raw for part in parts]),
                drift=float(np.dot(share, [part.drift for part in parts])),
                compensated=all(part.compensated for part in parts),
                layer=FULL_WALL,
                quality={name: _worst([part.quality[name] for part in parts]) for name in names},
                refusal=next((part.refusal for part in parts if part.refusal), ""),
                method=f"mean over the wall's depth ({lines}) of {first.method}",
            )
        )
    return out


def _worst(lines: Sequence[SegmentQuality]) -> SegmentQuality:
    """The judgement of a segment through the wall: what is doubtful about any of its lines."""
    return SegmentQuality(
        lines[0].segment,
        min(q.points for q in lines),
        min(q.tracked for q in lines),
        min(q.confidence for q in lines),
        max(q.forward_backward for q in lines),
        max((q.drift for q in lines), key=abs),
        tuple(dict.fromkeys(reason for q in lines for reason in q.doubts)),
        tuple(dict.fromkeys(reason for q in lines for reason in q.failures)),
    )
