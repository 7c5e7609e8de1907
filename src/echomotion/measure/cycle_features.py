"""What a heart's septum, cavity and posterior wall do over one cycle, as numbers for a classifier."""

from __future__ import annotations

import numpy as np

from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Phases
from echomotion.measure.contours import FloatArray
from echomotion.measure.dimensions import CAVITY, PARTS, POSTERIOR, SEPTUM, DimensionCurves
from echomotion.measure.reading import values_at

SAMPLES = 24
SHORT = {SEPTUM: "ivs", CAVITY: "lvid", POSTERIOR: "lvpw"}
# More of a cycle than this without a measuring line is no curve.
_MAX_MISSING = 0.3


def cycle_features(curves: DimensionCurves, phases: Phases, times_s: FloatArray) -> dict[str, float]:
    """Curves of the first whole beat, from its end-diastole, and indices of thickening.

    Parameters
    ----------
    curves : DimensionCurves
    phases : Phases
    times_s : float (T,)
        Time of each frame.

    Returns
    -------
    dict of str to float
        ``ivs_00`` to ``lvpw_23``: the curves at equal steps of the cycle, in mm; ``ivs_thickening`` and
        ``lvpw_thickening``: 100 (ES - ED) / ED; ``ivs_post_systolic`` and ``lvpw_post_systolic``: how much thicker than
        at end-systole the wall becomes afterwards, in % of its largest thickness (100 (max - ES) / max);
        ``ivs_time_to_peak`` and ``lvpw_time_to_peak``: time from end-diastole to the largest thickness, as a share of
        the cycle; ``fractional_shortening`` in %.

    Raises
    ------
    DataError
        Without calibration, without a whole beat, or when too much of it has no measuring line.
    """
    if curves.unit != "mm":
        raise DataError("the curves are not calibrated; a classifier needs lengths in mm, give the pixel size")
    beat = next((beat for beat in phases.beats if beat.next_ed_s is not None), None)
    if beat is None:
        raise DataError(f"there is no whole heart beat ({phases.reason or 'the recording ends before the beat does'})")
    times = np.asarray(times_s, dtype=np.float64)
    found: dict[str, float] = {}
    for name in PARTS:
        values = _filled(curves.values[name], times, beat, name)
        found |= _of_curve(values, times, beat, SHORT[name])
    at_ed, at_es = (
        _read(_filled(curves.values[CAVITY], times, beat, CAVITY), times, t) for t in (beat.ed_s, beat.es_s)
    )
    found["fractional_shortening"] = 100 * (at_ed - at_es) / at_ed
    return found


def _of_curve(values: FloatArray, times: FloatArray, beat: Beat, name: str) -> dict[str, float]:
    """Samples of one curve and, for a wall, its indices."""
    end = float(beat.next_ed_s) if beat.next_ed_s is not None else beat.es_s
    moments = np.linspace(beat.ed_s, end, SAMPLES, endpoint=False)
    samples = np.array([_read(values, times, t) for t in moments])
    found = {f"{name}_{k:02d}": float(v) for k, v in enumerate(samples)}
    if name == SHORT[CAVITY]:
        return found
    at_es = _read(values, times, beat.es_s)
    late = moments >= beat.es_s
    peak = max(float(samples[late].max(initial=at_es)), at_es)
    found[f"{name}_thickening"] = 100 * (at_es / samples[0] - 1)
    found[f"{name}_post_systolic"] = 100 * (peak - at_es) / peak
    found[f"{name}_time_to_peak"] = float(np.argmax(samples)) / SAMPLES
    return found


def _read(values: FloatArray, times: FloatArray, time: float) -> float:
    # The last frame may lie a little before the end of the beat.
    return float(values_at(times, values, min(max(time, times[0]), times[-1]))[0])


def _filled(values: FloatArray, times: FloatArray, beat: Beat, name: str) -> FloatArray:
    """A curve whose gaps are bridged by straight lines."""
    known = np.isfinite(values)
    inside = (times >= beat.ed_s) & (times <= (beat.next_ed_s or times[-1]))
    if not inside.any() or np.mean(~known[inside]) > _MAX_MISSING:
        raise DataError(f"the curve of the {name.replace('_', ' ')} is missing on too many frames of the beat")
    return np.interp(times, times[known], values[known])
