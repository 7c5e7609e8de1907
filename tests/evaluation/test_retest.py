"""Test-retest agreement against figures worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from echomotion.core import Clip, DataError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.retest import agreement, retest_pairs, retest_strain


def test_limits_of_agreement_of_a_worked_example():
    # Differences 1, -1, 3: mean 1, SD 2, mean absolute difference 5/3.
    found = agreement([-20.0, -20, -20, math.nan], [-21.0, -19, -23, 1])
    assert found["pairs"] == 3
    assert found["mean_difference"] == pytest.approx(1)
    assert found["mean_absolute_difference"] == pytest.approx(5 / 3)
    assert (found["lower_limit"], found["upper_limit"]) == pytest.approx((1 - 3.92, 1 + 3.92))
    assert math.isnan(agreement([1.0], [2.0])["upper_limit"])
    assert math.isnan(agreement([], [])["mean_difference"])


class Shrink:
    """Makes a line shorter by as many % as the first pixel says."""

    name = "shrink"

    def track(self, clip, queries, *, progress=None):
        queries = np.asarray(queries, float)
        xy = np.repeat(queries[:, None, 1:], clip.n_frames, axis=1)
        xy[:, 1:] *= 1 - clip.frames[0, 0, 0] / 100
        return Tracks(xy, np.ones(xy.shape[:2], bool), np.ones(xy.shape[:2]), queries)


def line_case(percent):
    frames = np.full((3, 8, 8), percent, np.uint8)
    xy = np.zeros((2, 3, 2))
    xy[1, :, 0] = [5, 4, 4.5]  # -20 % on frame 1
    return TrackingCase(
        "line", Clip(frames, np.arange(3) / 10), xy, np.ones((2, 3), bool), np.array([0.0, 1]), np.full(2, 0.5)
    )


def test_strain_is_measured_where_the_true_line_is_shortest():
    report = retest_strain(Shrink(), [(line_case(18), line_case(21))])
    assert report.rows[0]["true"] == pytest.approx(-20)
    assert (report.rows[0]["first"], report.rows[0]["second"]) == pytest.approx((-18, -21), abs=1e-4)
    assert report.summary["gls_error"] == pytest.approx(1.5, abs=1e-4)
    assert report.summary["mean_absolute_difference"] == pytest.approx(3, abs=1e-4)
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_case_without_a_line_is_refused():
    case = line_case(10)
    bare = TrackingCase("bare", case.clip, case.xy, case.visible)
    with pytest.raises(DataError, match="bare has no line"):
        retest_strain(Shrink(), [(bare, bare)])


def test_a_heart_recorded_twice_moves_alike_and_looks_different():
    ((first, second),) = retest_pairs(1, seed=3, n_frames=12)
    assert np.allclose(first.xy, second.xy, atol=1e-6)
    assert first.visible.all()
    assert second.visible.all()
    assert len(first.line()) >= 16
    both = (first.clip.frames[0] > 0) & (second.clip.frames[0] > 0)
    a, b = first.clip.frames[0][both].astype(float), second.clip.frames[0][both].astype(float)
    assert np.corrcoef(a, b)[0, 1] < 0.8
