"""Everything that is measured on the tracked wall of one view: strain, its timing and rate, thickening, motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.measurement import Measurement, Phases
from echomotion.core.tracks import Layer, Tracks
from echomotion.core.views import View
from echomotion.measure.beats import headline, not_apical
from echomotion.measure.mapse import inward_excursion, mapse_measurements
from echomotion.measure.radial import radial_curves
from echomotion.measure.rows import doubted
from echomotion.measure.strain import FULL_WALL, SEGMENTAL, curve_measurements, full_wall_curves, missing_strain
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.strain_rate import FILTER_S, missing_rates, strain_rate_measurements
from echomotion.measure.strain_types import CIRCUMFERENTIAL, LONGITUDINAL, RADIAL, StrainCurves, StrainOptions
from echomotion.measure.timing import mechanical_dispersion, missing_timing, timing_measurements
from echomotion.measure.wall_motion import wall_motion
from echomotion.measure.wall_volume import doubt_thickening

# On simulated recordings of good quality it reads 11 for 31 and 7 for 12 % (docs/measurements/strain.md).
_APICAL_RADIAL = "thickening is seen poorly in apical views and reads about half of what it is"


@dataclass(frozen=True)
class WallResult:
    """What was measured on the wall.

    Attributes
    ----------
    measurements : tuple of Measurement
    curves : mapping of str to tuple of StrainCurves
        Of every beat, by layer (``mid_wall``, ``endocardial``, ``epicardial``, ``full_wall``) and ``radial``.
    doubts : mapping of int to list of str
        By the number of the beat: why the wall, and so what it encloses, is uncertain
        (:func:`echomotion.measure.wall_seen.wall_doubts`).
    """

    measurements: tuple[Measurement, ...]
    curves: Mapping[str, tuple[StrainCurves, ...]]
    doubts: Mapping[int, list[str]] = field(default_factory=dict)


def wall_measurements(
    tracks: Mapping[Layer, Tracks],
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    view: View = View.UNKNOWN,
    *,
    options: StrainOptions | None = None,
    filter_s: float = FILTER_S,
    forward_backward_px: Mapping[Layer, ArrayLike] | None = None,
    frames: NDArray[np.uint8] | None = None,
    reason: str = "",
) -> WallResult:
    """Measure the wall of one view.

    Parameters
    ----------
    tracks : mapping of Layer to Tracks
        Lines of the wall; the first is the one that timing, strain rate and scores are given for. Full-wall and radial
        strain come where the endocardial and the epicardial line are there.
    phases, times_s, spacing_mm
        See :func:`~echomotion.measure.strain.strain_measurements`.
    view : View
        An apical view, or the short axis for circumferential strain; UNKNOWN is taken as apical.
    options : StrainOptions, optional
    filter_s : float
        Width of the strain-rate filter.
    forward_backward_px : mapping of Layer to (N,) or (N, T), optional
        Forward-backward error of each line's points.
    frames : uint8 (T, H, W), optional
        The pictures.
    reason : str
        Why there are no tracks, where there are none.

    Returns
    -------
    WallResult
        Where nothing can be measured the rows say why; that is not an error.
    """
    shown = View(view)
    direction = CIRCUMFERENTIAL if shown is View.PSAX else LONGITUDINAL
    refusal = not_apical(shown, "longitudinal strains") if direction == LONGITUDINAL else ""
    if not refusal and not tracks:
        refusal = reason or "no ventricular wall was tracked"
    if not refusal and not phases.beats:
        refusal = phases.reason or "no heart beat was found in the recording"
    if refusal:
        return WallResult(tuple(_missing(refusal, shown, direction, next(iter(tracks), Layer.MID_WALL))), {})

    errors = forward_backward_px or {}
    lines = {
        Layer(layer): [
            replace(curves, view=shown)
            for curves in strain_curves(
                line,
                phases,
                times_s,
                spacing_mm,
                options=options,
                direction=direction,
                forward_backward_px=errors.get(layer),
                frames=frames,
            )
        ]
        for layer, line in tracks.items()
    }
    made = {str(layer): tuple(curves) for layer, curves in lines.items()}
    first = next(iter(lines))
    rows = [row for curves in lines.values() for row in curve_measurements(curves, phases)]
    strain = [row for row in rows if row.layer == str(first)]
    timing = timing_measurements(lines[first], phases)
    rows += timing
    rows.append(mechanical_dispersion(headline(timing), model=None, direction=direction))
    rows += strain_rate_measurements(lines[first], phases, filter_s=filter_s)
    thickening: list[Measurement] = []
    if Layer.ENDOCARDIAL in lines and Layer.EPICARDIAL in lines:
        made[FULL_WALL] = tuple(full_wall_curves(lines))
        rows += curve_measurements(made[FULL_WALL], phases)
        across = radial_curves(
            tracks[Layer.ENDOCARDIAL], tracks[Layer.EPICARDIAL], phases, times_s, spacing_mm, options=options
        )
        made[RADIAL] = tuple(replace(curves, view=shown) for curves in across)
        thickening = curve_measurements(made[RADIAL], phases)
        if direction == LONGITUDINAL:
            thickening = doubt_thickening(thickening, strain)
            # Not in what scores wall motion, where two other signs stand beside it.
            rows += [doubted(row, [_APICAL_RADIAL]) for row in thickening]
        else:
            rows += thickening
    if direction == LONGITUDINAL:
        annulus = tracks.get(Layer.ENDOCARDIAL, tracks[first])
        rows += mapse_measurements(annulus, phases, times_s, spacing_mm, shown)
    inwards = _inwards(tracks, phases, times_s, spacing_mm)
    rows += wall_motion(strain, thickening, inwards, direction=direction)
    return WallResult(tuple(rows), made)


def _inwards(
    tracks: Mapping[Layer, Tracks], phases: Phases, times_s: ArrayLike, spacing_mm: tuple[float, float] | None
) -> dict[str, float] | None:
    """Inward displacement of each segment, the mean over beats; None where it has no scale or no line."""
    if spacing_mm is None or Layer.ENDOCARDIAL not in tracks:
        return None
    beats = [
        inward_excursion(tracks[Layer.ENDOCARDIAL], phases, times_s, spacing_mm, k) for k in range(len(phases.beats))
    ]
    return {name: float(np.mean([beat[name] for beat in beats])) for name in beats[0]}


def _missing(refusal: str, view: View, direction: str, layer: Layer) -> list[Measurement]:
    rows = missing_strain(refusal, view, layer, direction)
    rows += missing_timing(refusal, view, layer, direction)
    rows += missing_rates(refusal, view, layer, direction)
    rows.append(mechanical_dispersion([], model=None, direction=direction))
    if direction == LONGITUDINAL:
        rows += mapse_measurements(None, Phases((), "none", 0.0, refusal), [0.0], None, view)
    name = SEGMENTAL.replace(LONGITUDINAL, direction)
    return [*rows, *wall_motion([row for row in rows if row.name == name], direction=direction)]
