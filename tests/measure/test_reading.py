import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import DataError
from echomotion.measure.reading import checked_times, extreme, local_fit, value_at, values_at

TIMES = np.sort(np.concatenate([np.arange(20) / 25, [0.31, 0.333]]))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.lists(st.floats(0, 0.76), min_size=1, max_size=5))
def test_a_cubic_is_read_exactly_between_unevenly_spaced_frames(coefficients, at):
    cubic = np.polynomial.Polynomial(coefficients)
    assert np.allclose(values_at(TIMES, cubic(TIMES), at), cubic(np.array(at)), atol=1e-6)
    fitted, slope = local_fit(TIMES, cubic(TIMES), 0.05, at)
    assert np.allclose(fitted, cubic(np.array(at)), atol=1e-5)
    assert np.allclose(slope, cubic.deriv()(np.array(at)), atol=1e-3)


def test_on_a_frame_its_own_value_counts_even_beside_a_gap():
    values = np.arange(len(TIMES), dtype=float)
    values[5] = np.nan
    assert value_at(TIMES, values, TIMES[4]) == 4
    assert np.isnan(value_at(TIMES, values, (TIMES[4] + TIMES[5]) / 2))
    assert np.isnan(value_at(TIMES, values, TIMES[5]))


def test_nothing_is_read_off_the_recording_or_from_nothing():
    values = np.ones(len(TIMES))
    assert np.isnan(values_at(TIMES, values, [-0.01, TIMES[-1] + 0.01])).all()
    assert np.isnan(values_at(TIMES, np.full(len(TIMES), np.nan), TIMES)).all()
    assert value_at(np.array([0.5]), np.array([3.0]), 0.5) == 3
    assert np.isnan(extreme(TIMES, np.full(len(TIMES), np.nan), 0.0, 0.5, 1)).all()
    assert np.isnan(local_fit(TIMES, np.full(len(TIMES), np.nan), 0.1, [0.1])).all()


def test_an_extreme_between_two_frames_is_found_to_a_millisecond():
    at, value = extreme(TIMES, (TIMES - 0.217) ** 2, 0.0, 0.7, -1)
    assert at == pytest.approx(0.217, abs=0.001)
    assert value == pytest.approx(0, abs=1e-6)
    at, _ = extreme(TIMES, (TIMES - 0.217) ** 2, 0.3, 0.7, -1)
    assert at == pytest.approx(0.3)


def test_an_extreme_that_may_lie_in_a_gap_is_not_known():
    values = (TIMES - 0.217) ** 2
    values[4:9] = np.nan
    assert np.isnan(extreme(TIMES, values, 0.0, 0.5, -1)).all()
    assert extreme(TIMES, values, 0.4, 0.7, 1)[0] == pytest.approx(0.7)
    # What lies off the recording is not a gap.
    assert extreme(TIMES, TIMES, 0.0, 9.0, 1)[1] == pytest.approx(TIMES[-1])


def test_times_that_go_backwards_are_refused_with_the_frame():
    with pytest.raises(DataError, match=r"must increase .* frame 2 is not later"):
        checked_times([0.0, 0.1, 0.1])
    with pytest.raises(DataError, match="shape"):
        checked_times([0.0, 0.1], 3)
