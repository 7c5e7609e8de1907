import numpy as np
import pytest

from echomotion.core import DataError, Phases, Status, View
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.strain_rate import missing_rates, rate_curve, strain_rate_measurements
from echomotion.measure.strain_types import StrainOptions
from tests.measure.lines import FIRST, PERIOD, SYSTOLE, as_tracks, even, frame_times, shortening, straight


def two_waves(times, _=0):
    """Shortening by 20 %, early filling of 13, rest, and a late wave of 7, each half a cosine."""
    knots = np.array([0, SYSTOLE, 0.48, 0.62, PERIOD])
    values = np.array([0, -20, -7, -7, 0.0])
    out = np.zeros_like(times)
    for k in range(4):
        part = (times >= knots[k]) & (times <= knots[k + 1])
        share = (times[part] - knots[k]) / (knots[k + 1] - knots[k])
        out[part] = values[k] + (values[k + 1] - values[k]) * (1 - np.cos(np.pi * share)) / 2
    return out


def values(rows, segment=None):
    return {row.name.split("_")[0]: row for row in rows if row.segment == segment}


@pytest.mark.parametrize("rate_hz", [60, 100, 200])
def test_peaks_of_strain_rate_equal_the_formula(rate_hz):
    times = frame_times(rate_hz)
    curves = strain_curves(as_tracks(straight(two_waves, times)), FIRST, times)
    rows = strain_rate_measurements(curves, FIRST, filter_s=0.012)
    expected = {
        "systolic": -0.20 * np.pi / 2 / SYSTOLE,
        "early": 0.13 * np.pi / 2 / (0.48 - SYSTOLE),
        "late": 0.07 * np.pi / 2 / (PERIOD - 0.62),
    }
    for segment in (None, "apical_lateral"):
        for name, true in expected.items():
            row = values(rows, segment)[name]
            assert row.value == pytest.approx(true, rel=0.03 if rate_hz < 100 else 0.01), (name, segment)
            assert row.unit == "1/s"
            assert "Gaussian filter of 0.01" in row.method


def test_a_cubic_in_time_passes_the_filter_unchanged_and_natural_strain_is_relative_to_the_present_length():
    times = frame_times(80)

    def cubic(t, _):
        return -60 * t**2 + 40 * t**3

    for kind in ("Lagrangian", "natural"):
        options = StrainOptions(kind=kind, drift_compensation=False, rejection=False)
        curve = rate_curve(strain_curves(as_tracks(straight(cubic, times)), FIRST, times, options=options)[0])
        true = (-120 * curve.times_s + 120 * curve.times_s**2) / 100
        if kind == "natural":
            true = true / (1 + cubic(curve.times_s, 0) / 100)
        inner = (curve.times_s > 0.1) & (curve.times_s < 0.7)
        assert np.abs(curve.rate - true)[inner].max() < 0.005


def test_the_filter_is_never_narrower_than_the_frames_allow_and_few_frames_are_doubtful():
    times = frame_times(25)
    curves = strain_curves(as_tracks(even(20, times)), FIRST, times)
    assert rate_curve(curves[0]).filter_s == pytest.approx(0.032)
    row = strain_rate_measurements(curves, FIRST)[0]
    assert row.status is Status.LOW_CONFIDENCE
    assert "at 25 frames a second" in row.reason
    for filter_s in (0.0, -1.0, 1.0):
        with pytest.raises(DataError, match="filter_s"):
            rate_curve(curves[0], filter_s=filter_s)


def test_one_filling_wave_is_early_and_has_no_late_one():
    times = frame_times(100)
    rows = values(strain_rate_measurements(strain_curves(as_tracks(even(20, times)), FIRST, times), FIRST))
    assert rows["early"].value == pytest.approx(0.20 * np.pi / 2 / (PERIOD - SYSTOLE), rel=0.02)
    assert "fused with the first" in rows["late"].reason


def test_a_beat_without_end_has_no_filling_and_a_flat_wall_none_either():
    times = frame_times(100)
    cut = Phases((type(FIRST.beats[0])(0.0, SYSTOLE),), "user", 1.0)
    rows = values(strain_rate_measurements(strain_curves(as_tracks(even(20, times)), cut, times), cut))
    assert rows["systolic"].status is Status.OK
    assert "not recorded whole" in rows["early"].reason
    still = strain_curves(as_tracks(straight(lambda t, _: 0 * shortening(t), times)), FIRST, times)
    assert "no filling wave" in values(strain_rate_measurements(still, FIRST))["early"].reason
    missing = missing_rates("too dark", View.A4C)
    assert {(r.name, r.segment) for r in missing} == {
        (r.name, r.segment) for r in strain_rate_measurements(still, FIRST)
    }
