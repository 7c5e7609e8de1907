"""Strain rate: how fast the wall shortens in systole (s'), and lengthens in early (e') and late (a') diastole.

The rate is the derivative of the strain curve: of Lagrangian strain ``dL/dt / L(ED)``, of natural strain
``dL/dt / L(t)`` (Voigt et al. 2015, doi 10.1093/ehjci/jeu184). It is taken by local cubic regression with a Gaussian
weight whose width in seconds is stated; a cubic in time passes unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from echomotion.core.errors import DataError
from echomotion.core.measurement import Measurement, Phases
from echomotion.core.tracks import Layer
from echomotion.core.views import View
from echomotion.measure.beats import mean_over_beats
from echomotion.measure.contours import FloatArray
from echomotion.measure.curve_rows import curve_of, curve_row, missing_rows, sign_of
from echomotion.measure.reading import fine_times, local_fit, values_at
from echomotion.measure.strain_types import LONGITUDINAL, StrainCurves

SYSTOLIC, EARLY, LATE = (
    "systolic_longitudinal_strain_rate",
    "early_diastolic_longitudinal_strain_rate",
    "late_diastolic_longitudinal_strain_rate",
)
FILTER_S = 0.02
# Of the frame interval; a narrower weight would rest on single frames.
_LEAST_FILTER = 0.8
# Frames a second below which the peaks are cut off (Voigt et al. 2015 ask for 40 to 80 for strain).
MIN_RATE_HZ = 40.0
# A filling wave: shares of the diastole in which its peak may lie, and of the highest peak that it must rise by.
_EARLY_UNTIL, _LATE_FROM, _RISE = 0.65, 0.5, 0.1


@dataclass(frozen=True)
class RateCurve:
    """Strain rate over one beat: `rate` (K,) in 1/s at `times_s` (K,), about a millisecond apart; NaN where unknown."""

    times_s: FloatArray
    rate: FloatArray
    filter_s: float


def rate_curve(curves: StrainCurves, segment: str | None = None, *, filter_s: float = FILTER_S) -> RateCurve:
    """Strain rate of the whole wall or of a segment.

    Parameters
    ----------
    filter_s : float
        Standard deviation of the Gaussian weight in seconds; widened to 0.8 of the frame interval where that is more.
    """
    if not 0 < filter_s < 0.5:
        raise DataError(f"filter_s is {filter_s:g}; it lies between 0 and 0.5 s")
    times = curves.times_s
    width = max(filter_s, _LEAST_FILTER * float(np.median(np.diff(times))))
    grid = fine_times(times, curves.start_s, curves.stop_s)
    # The slope is smooth on the scale of the filter: it is fitted coarsely and read finely.
    coarse = np.linspace(grid[0], grid[-1], max(8, int(np.ceil(3 * (grid[-1] - grid[0]) / width)) + 1))
    _, slope = local_fit(times, curve_of(curves, segment), width, coarse)
    return RateCurve(grid, values_at(coarse, slope, grid) / 100, width)


def strain_rate_measurements(
    curves: Sequence[StrainCurves], phases: Phases, *, filter_s: float = FILTER_S
) -> list[Measurement]:
    """Peak strain rates of every beat in 1/s, of the whole wall and of its segments.

    Returns
    -------
    list of Measurement
        For the direction D of the curves ``systolic_D_strain_rate`` (s'), ``early_diastolic_D_strain_rate`` (e') and
        ``late_diastolic_D_strain_rate`` (a'), per beat, whole (``segment`` None) and segments; then means over beats.
        e' and a' need a beat that is recorded whole; a' also a second filling wave of its own.
    """
    rows: list[Measurement] = []
    for part in curves:
        for segment in (None, *part.segments):
            rows += _rows(part, phases, segment, filter_s)
    return rows + mean_over_beats(rows, len(curves))


def missing_rates(
    reason: str, view: View, layer: Layer | str | None = None, direction: str = LONGITUDINAL
) -> list[Measurement]:
    """The rows of :func:`strain_rate_measurements`, none of which could be measured, and why."""
    names = [name.replace(LONGITUDINAL, direction) for name in (SYSTOLIC, EARLY, LATE)]
    return missing_rows([(name, "1/s", part) for part in (False, True) for name in names], reason, view, layer)


def _rows(curves: StrainCurves, phases: Phases, segment: str | None, filter_s: float) -> list[Measurement]:
    curve, sign = rate_curve(curves, segment, filter_s=filter_s), sign_of(curves.direction)
    nan = float("nan")
    rate_hz = 1 / float(np.median(np.diff(curves.times_s)))
    notes = []
    if rate_hz < MIN_RATE_HZ - 0.5:
        notes.append(f"at {rate_hz:.0f} frames a second peaks of strain rate are cut off, {MIN_RATE_HZ:g} are needed")
    found: list[tuple[str, float, float, str]] = []
    systole = (curve.times_s >= curves.ed_s) & (curve.times_s <= curves.es_s)
    if systole.any() and np.isfinite(curve.rate[systole]).any():
        best = int(np.nanargmax(np.where(systole, sign * curve.rate, np.nan)))
        found.append((SYSTOLIC, float(curve.rate[best]), float(curve.times_s[best]), ""))
    else:
        found.append((SYSTOLIC, nan, nan, "the systole is not recorded from its end-diastole on"))
    found += _filling(curves, curve, sign)
    how = f"peak of the derivative, Gaussian filter of {curve.filter_s:.3g} s"
    return [
        curve_row(
            curves,
            phases,
            name.replace(LONGITUDINAL, curves.direction),
            "1/s",
            value,
            [at],
            how,
            segment=segment,
            notes=notes,
            missing=why,
        )
        for name, value, at, why in found
    ]


def _filling(curves: StrainCurves, curve: RateCurve, sign: int) -> list[tuple[str, float, float, str]]:
    """Early and late diastolic peaks with their times, or why there is none."""
    nan = float("nan")
    if curves.next_ed_s is None or curves.es_s < curves.ed_s:
        why = "diastole is not recorded whole"
        return [(EARLY, nan, nan, why), (LATE, nan, nan, why)]
    inside = (curve.times_s >= curves.es_s) & (curve.times_s <= curves.next_ed_s)
    times, rate = curve.times_s[inside], -sign * curve.rate[inside]
    if len(times) < 5 or not np.isfinite(rate).all():
        why = "too many points of the line are missing"
        return [(EARLY, nan, nan, why), (LATE, nan, nan, why)]
    share = (times - times[0]) / (times[-1] - times[0])
    peaks = signal.find_peaks(rate, prominence=_RISE * max(float(rate.max()), 1e-9))[0]
    peaks = peaks[rate[peaks] > 0]
    early = peaks[share[peaks] <= _EARLY_UNTIL]
    if len(early) == 0:
        why = "no filling wave is seen in early diastole"
        return [(EARLY, nan, nan, why), (LATE, nan, nan, why)]
    first = int(early[np.argmax(rate[early])])
    late = peaks[(peaks > first) & (share[peaks] >= _LATE_FROM)]
    out = [(EARLY, -sign * float(rate[first]), float(times[first]), "")]
    if len(late) == 0:
        return [*out, (LATE, nan, nan, "no second filling wave is seen: none, or fused with the first")]
    second = int(late[np.argmax(rate[late])])
    return [*out, (LATE, -sign * float(rate[second]), float(times[second]), "")]
