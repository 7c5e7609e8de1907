import numpy as np
import pytest

from echomotion.core import Beat, Measurement, Phases, Status, View
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.strain_types import StrainOptions
from echomotion.measure.timing import (
    DISPERSION,
    mechanical_dispersion,
    missing_timing,
    timing_measurements,
)
from tests.measure.lines import FIRST, PERIOD, PHASES, SYSTOLE, as_tracks, even, frame_times, shortening, straight

DELAYS = (0.0, 0.02, 0.05, 0.08, 0.04, -0.02)
TIMES = frame_times(100)


def late(times, k):
    """Each segment peaks at -20 %, `DELAYS` after end-systole; all start and end at 0."""
    warped = np.interp(times, [0, SYSTOLE + DELAYS[k], PERIOD], [0, SYSTOLE, PERIOD])
    return -20 * shortening(np.minimum(warped, PERIOD - 1e-12))


def by_name(rows, name, segment=None):
    return next(row for row in rows if row.name == name and row.segment == segment and row.beat in (0, None))


def rows_of(strain, times=TIMES, phases=FIRST, **options):
    curves = strain_curves(as_tracks(straight(strain, times)), phases, times, options=StrainOptions(**options))
    return timing_measurements(curves, phases)


def test_time_to_peak_peak_and_post_systolic_index_of_delayed_segments():
    rows = rows_of(late)
    for name, delay, k in zip(as_tracks(even(20, TIMES)).wall.segment_names(), DELAYS, range(6), strict=True):
        assert by_name(rows, "time_to_peak_longitudinal_strain", name).value == pytest.approx(
            SYSTOLE + delay, abs=0.004
        )
        assert by_name(rows, "peak_longitudinal_strain", name).value == pytest.approx(-20, abs=0.1)
        end = late(np.array([SYSTOLE]), k)[0]
        index = by_name(rows, "post_systolic_index", name).value
        assert index == pytest.approx(100 * (-20 - end) / -20 if delay > 0 else 0.0, abs=0.5)
        systolic = by_name(rows, "peak_systolic_longitudinal_strain", name).value
        assert systolic == pytest.approx(end if delay > 0 else -20, abs=0.1)
    dispersion = mechanical_dispersion(rows, model=None)
    assert dispersion.value == pytest.approx(np.std(np.array(DELAYS), ddof=1), abs=0.002)
    assert (dispersion.unit, dispersion.view, dispersion.status) == ("s", View.A4C, Status.OK)


def test_early_stretch_is_the_positive_peak():
    def stretch(times, k):
        early = 6 * np.sin(np.pi * np.clip(times / 0.16, 0, 1)) ** 2 if k == 0 else 0
        return early - 15 * shortening(times) * (times > 0.16 if k == 0 else 1)

    rows = rows_of(stretch)
    first = by_name(rows, "positive_peak_systolic_longitudinal_strain", "basal_inferoseptal")
    assert first.value == pytest.approx(6, abs=0.3)  # the piece beside the next segment is half its
    assert by_name(rows, "positive_peak_systolic_longitudinal_strain", "apical_septal").value == pytest.approx(
        0, abs=0.1
    )


def test_valve_closure_that_is_given_ends_systole():
    rows = rows_of(late, avc_after_ed_s=0.4)
    row = by_name(rows, "peak_systolic_longitudinal_strain", "apical_lateral")
    assert row.value == pytest.approx(-20, abs=0.1)
    assert "aortic valve closure, 0.4 s after end-diastole as given" in row.method
    found = Phases(FIRST.beats, "area", 1.0)
    curves = strain_curves(as_tracks(even(20, TIMES)), found, TIMES)
    assert "as seen in the pictures (for aortic valve closure)" in timing_measurements(curves, found)[0].method


def test_a_segment_that_does_not_shorten_has_no_time_to_peak():
    rows = rows_of(lambda t, k: (2 if k == 0 else -18) * shortening(t))
    for name in ("time_to_peak_longitudinal_strain", "post_systolic_index"):
        row = by_name(rows, name, "basal_inferoseptal")
        assert row.status is Status.NOT_MEASURABLE
        assert "stays below 3 points" in row.reason
    assert by_name(rows, "peak_systolic_longitudinal_strain", "basal_inferoseptal").value == pytest.approx(0, abs=0.1)


def test_a_beat_that_starts_in_systole_has_no_systolic_peak():
    phases = Phases((Beat(0.4, 0.1),), "area", 0.6)
    curves = strain_curves(as_tracks(even(15, TIMES)), phases, TIMES)
    for row in timing_measurements(curves, phases):
        if row.name != "peak_longitudinal_strain":
            assert "not recorded from its end-diastole" in row.reason


def test_a_recording_that_ends_at_the_peak_says_that_it_may_come_later():
    times = frame_times(100)[:33]
    phases = Phases((Beat(0.0, SYSTOLE - 0.05),), "user", 1.0)
    rows = timing_measurements(strain_curves(as_tracks(even(15, times)), phases, times), phases)
    assert "may come later" in by_name(rows, "time_to_peak_longitudinal_strain").reason
    assert by_name(rows, "peak_systolic_longitudinal_strain").status is Status.OK


def test_means_over_beats_and_rows_that_are_missing():
    times = frame_times(100, 2)
    curves = strain_curves(as_tracks(even(15, times)), PHASES, times)
    rows = timing_measurements(curves, PHASES)
    assert [sum(row.beat == k for row in rows) for k in (0, 1, None)] == [4 + 6 * 5] * 3
    missing = missing_timing("too dark", View.A4C, "mid_wall")
    assert {(r.name, r.segment) for r in missing} == {(r.name, r.segment) for r in rows}
    assert all(row.reason == "too dark" for row in missing)


def test_dispersion_needs_three_quarters_of_the_segments():
    rows = [
        Measurement("time_to_peak_longitudinal_strain", 0.3 + 0.01 * k, "s", segment=f"s{k}", view=View.A4C)
        for k in range(11)
    ]
    assert mechanical_dispersion(rows).status is Status.NOT_MEASURABLE
    assert "11 of 16" in mechanical_dispersion(rows).reason
    more = [*rows, Measurement("time_to_peak_longitudinal_strain", 0.41, "s", segment="s11", view=View.A2C)]
    row = mechanical_dispersion(more)
    assert (row.name, row.status, row.view) == (DISPERSION, Status.LOW_CONFIDENCE, None)
    assert row.value == pytest.approx(np.std(0.01 * np.arange(12), ddof=1))
    assert "4 of 16 segments are missing" in row.reason
    assert mechanical_dispersion([], model=None).status is Status.NOT_MEASURABLE
