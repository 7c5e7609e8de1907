import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import DataError
from echomotion.measure.agreement import agreement, bland_altman, bootstrap_interval, icc, variation

# Peak expiratory flow by two meters, 17 subjects (Bland and Altman 1986, table 1).
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
# Six targets, four judges (Shrout and Fleiss 1979, table 2).
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def test_limits_of_the_published_example():
    found = bland_altman(np.array(WRIGHT, float), np.array(MINI, float))
    assert found.bias.value == pytest.approx(-2.1, abs=0.05)
    assert found.sd == pytest.approx(38.8, abs=0.05)
    assert (found.bias.low, found.bias.high) == pytest.approx((-22.0, 17.8), abs=0.1)
    assert (found.lower.value, found.upper.value) == pytest.approx((-78.1, 73.9), abs=0.1)
    # The exact interval is wider outside than inside, unlike the approximate one of the paper (-114 to -45).
    assert found.lower.low < -114 < found.lower.high < found.lower.value + 35
    assert found.upper.high - found.upper.value == pytest.approx(found.lower.value - found.lower.low)


def test_interval_of_a_limit_holds_the_true_limit_as_often_as_it_says(rng):
    held = [
        limit.low <= 1.96 <= limit.high
        for limit in (bland_altman(rng.normal(size=12), np.zeros(12)).upper for _ in range(200))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.046)


@pytest.mark.parametrize(
    ("kind", "value", "low", "high"),
    [("1", 0.166, -0.133, 0.723), ("A,1", 0.290, 0.019, 0.761), ("C,1", 0.715, 0.342, 0.946)],
)
def test_intraclass_correlation_of_the_published_example(kind, value, low, high):
    found = icc(JUDGES, kind)
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=0.001)


def test_variation_and_errors_of_a_worked_example():
    # Differences 2, -2, 2, -2 about a mean of 10: sqrt(4 / 2) / 10.
    first, second = [11.0, 9, 11, 9], [9.0, 11, 9, 11]
    assert variation(first, second) == pytest.approx(100 * math.sqrt(2) / 10)
    found = agreement(first, second)
    assert (found.mae.value, found.rmse.value, found.bland_altman.bias.value) == pytest.approx((2, 2, 0))
    # Strain is negative; its variation is not.
    assert variation([-20.0, -18], [-18.0, -20]) == pytest.approx(100 * math.sqrt(2) / 19)


def test_bootstrap_intervals_hold_the_truth_and_narrow_with_more_pairs(rng):
    def mae(n):
        truth = rng.normal(55, 10, n)
        return agreement(truth + rng.normal(0, 3, n), truth + rng.normal(0, 3, n)).mae

    expected = 6 / math.sqrt(math.pi)  # mean of |N(0, 3 sqrt 2)|
    small, large = mae(40), mae(1500)
    assert small.low < expected < small.high
    assert large.low < expected < large.high
    assert large.high - large.low < (small.high - small.low) / 3


def test_missing_values_are_counted_and_too_few_pairs_are_said():
    found = agreement([1.0, math.nan, 3, 4, 9], [1.1, 2, math.inf, 4.2, 8])
    assert (found.n, found.left_out, found.reason) == (3, 2, "")
    few = agreement([1.0, math.nan], [1.0, 2])
    assert "1 pairs are too few" in few.reason
    assert math.isnan(few.mae.value)
    assert few.as_dict()["bland_altman"]["bias"]["value"] is None
    json.dumps(few.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 2, 3], [1.0, 2, 3]), ([1.0, 2, 3], [2.0, 3, 4]), ([5.0] * 4, [5.0] * 4), ([0.0] * 3, [0.0, 1, 2])],
)
def test_degenerate_pairs_raise_nothing(first, second):
    found = agreement(first, second)
    json.dumps(found.as_dict(), allow_nan=False)
    if first == second and len(set(first)) > 1:
        assert (found.icc_agreement.value, found.mae.value, found.bland_altman.sd) == (1, 0, 0)
    if len(set(first)) == 1 and first == second:
        assert math.isnan(found.icc_agreement.value)


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match="3 and 2 values"):
        agreement([1, 2, 3], [1, 2])
    with pytest.raises(DataError, match="confidence"):
        agreement([1, 2, 3], [1, 2, 3], confidence=95)
    with pytest.raises(DataError, match="unknown intraclass"):
        icc(JUDGES, "ICC2")
    with pytest.raises(DataError, match="two or more"):
        icc([[1.0, 2.0]])
    with pytest.raises(DataError, match="too few"):
        bland_altman(np.zeros(2), np.zeros(2))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    values=st.lists(st.tuples(st.floats(-200, 200), st.floats(-200, 200)), min_size=3, max_size=12),
    shift=st.floats(-50, 50),
    scale=st.floats(0.1, 10),
)
def test_any_pairs_have_figures_in_order_and_change_with_units_as_they_should(values, shift, scale):
    first, second = np.array(values).T
    one = agreement(first, second, resamples=100)
    json.dumps(one.as_dict(), allow_nan=False)
    for estimate in (one.bland_altman.bias, one.bland_altman.lower, one.bland_altman.upper):
        assert estimate.low <= estimate.value + 1e-9 <= estimate.high + 2e-9
    other = agreement(scale * first, scale * second, resamples=100)
    assert other.bland_altman.sd == pytest.approx(scale * one.bland_altman.sd, rel=1e-6, abs=1e-9)
    moved = bland_altman(first + shift, second + shift)
    assert moved.bias.value == pytest.approx(one.bland_altman.bias.value, abs=1e-6)
    swapped = bland_altman(second, first)
    assert swapped.upper.value == pytest.approx(-one.bland_altman.lower.value, abs=1e-9)


def test_a_statistic_that_is_never_defined_has_no_interval():
    found = bootstrap_interval(variation, np.array([1.0, -1.0, 0.0]), np.array([-1.0, 1.0, 0.0]))
    assert math.isnan(found.value)
    assert math.isnan(found.low)
