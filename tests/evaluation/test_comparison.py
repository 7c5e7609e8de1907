"""Paired comparisons against figures worked out by hand and by SciPy's own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.core import DataError
from echomotion.evaluation.comparison import compare_trackers, paired_difference
from echomotion.evaluation.tracking import TrackingReport


def report(name, share, error, clips=None):
    clips = clips or [f"c{k}" for k in range(len(share))]
    return TrackingReport(
        name,
        "first",
        [
            {"clip": c, "share_within": s, "median_error_px": e, "average_jaccard": s / 2}
            for c, s, e in zip(clips, share, error, strict=True)
        ],
    )


def test_the_tests_of_a_worked_example():
    # Differences 1, 2, 3: mean 2, SD 1, t = 2 sqrt(3) with 2 degrees of freedom.
    pair = paired_difference([2.0, 4, 6], [1.0, 2, 3])
    assert (pair.n, pair.difference) == (3, 2)
    t = 2 * math.sqrt(3)
    # The t distribution with 2 degrees of freedom: P(|T| > t) = 1 - t / sqrt(2 + t^2).
    assert pair.p_t == pytest.approx(1 - t / math.sqrt(2 + t**2))
    # All three of one sign: 2 of 8 equally likely patterns are as extreme.
    assert pair.p_wilcoxon == pytest.approx(2 / 8)
    # A mean of three draws is 1 or 3 in one of 27 each (3.7 %), which is more than 2.5 %.
    assert (pair.low, pair.high) == (1, 3)


def test_pairs_without_a_value_are_left_out_and_too_few_say_so():
    pair = paired_difference([1.0, math.nan, math.inf, 4], [1.0, 1, 1, 2])
    assert (pair.n, pair.difference) == (2, 1)
    assert math.isnan(paired_difference([2.0], [1.0]).p_t)
    assert paired_difference([], []).n == 0
    same = paired_difference([1.0, 2], [1.0, 2])
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    assert math.isnan(same.p_wilcoxon)
    with pytest.raises(DataError, match="same clips"):
        paired_difference([1.0], [1.0, 2])


def test_the_best_baseline_is_chosen_for_each_figure():
    share_wins = report("a", [0.9, 0.8, 0.7], [3.0, 3, 3])
    error_wins = report("b", [0.5, 0.6, 0.5], [2.0, 2, 2])
    new = report("new", [0.95, 0.9, 0.85], [1.0, 1.5, 1.2])
    rows = compare_trackers([share_wins, error_wins, new], ["a", "b", "absent"])
    of_new = {row["figure"]: row for row in rows if row["tracker"] == "new"}
    assert of_new["share_within"]["baseline"] == "a"
    assert of_new["share_within"]["difference"] == pytest.approx(0.1)
    assert of_new["median_error_px"]["baseline"] == "b"
    assert of_new["median_error_px"]["difference"] == pytest.approx(-2.3 / 3)
    assert of_new["median_error_px"]["high"] < 0
    assert {row["tracker"] for row in rows} == {"a", "b", "new"}


def test_without_a_baseline_or_with_other_clips_there_is_no_comparison():
    one = report("a", [0.9], [1.0])
    with pytest.raises(DataError, match="none of the baselines"):
        compare_trackers([one], ["b"])
    with pytest.raises(DataError, match="other clips"):
        compare_trackers([one, report("b", [0.9], [1.0], ["other"])], ["a"])
    assert np.isfinite(compare_trackers([one, report("b", [0.8], [1.0])], ["a"])[0]["difference"])
