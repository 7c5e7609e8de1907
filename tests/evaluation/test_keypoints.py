"""Figures of key-points, on errors that are known on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.core import Beat, Clip, DataError, Keypoints, Phases
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.keypoints import KeypointCase
from echomotion.evaluation.keypoints import KeypointReport, compare_keypoints, evaluate_keypoints, score_keypoints


def truth(count=6):
    """A line down the middle: septum 10 px, cavity 40 px, posterior wall 8 px; all drift by 1 px a frame."""
    depth = np.array([20.0, 30, 70, 78])[:, None] + np.arange(count)
    return np.stack([np.full_like(depth, 60.0), depth], axis=-1)


def points(xy):
    return Keypoints(xy, np.ones(xy.shape[:2], np.float32), PARASTERNAL_POINTS)


def case(xy=None, spacing=(0.5, 0.5), tissue=None):
    xy = truth() if xy is None else xy
    clip = Clip(np.zeros((xy.shape[1], 128, 128), np.uint8), np.arange(xy.shape[1]) / 10, spacing)
    phases = Phases((Beat(0.0, 0.3, None),), "user", 1.0)
    return KeypointCase("a", clip, points(xy), tissue, phases)


def test_a_perfect_answer():
    row = score_keypoints(points(truth()), case(tissue=truth().astype(np.float32)))
    assert row["share_within"] == 1
    zero = ["median_error_px", "vector_error_px", "tissue_error_px", "ivs_mae_mm", "lvid_sd_mm", "lvpw_mae_phases_mm"]
    assert [row[name] for name in zero] == pytest.approx([0] * len(zero), abs=1e-5)


def test_a_constant_shift_is_an_error_of_place_alone():
    row = score_keypoints(points(truth() + np.array([1.5, 0])), case())
    # 1.5 px of a frame of 128 px are 3 px at 256 px and 2.6 px at the 224 px of the paper.
    assert row["median_error_px"] == pytest.approx(3, abs=1e-4)
    assert row["share_within"] == pytest.approx(3 / 5)
    assert [row[f"within_{px}_px"] for px in (1, 2, 4, 8, 16)] == [0, 0, 1, 1, 1]
    assert row["vector_error_px"] == pytest.approx(0, abs=1e-4)
    assert row["lvid_mae_mm"] == pytest.approx(0, abs=1e-5)
    assert math.isnan(row["tissue_error_px"])


def test_a_wall_that_is_too_thick_by_turns():
    own = truth()
    own[0, ::2, 1] -= 2
    row = score_keypoints(points(own), case())
    assert row["ivs_mae_mm"] == pytest.approx(0.5)
    assert row["ivs_mae_px"] == pytest.approx(2)
    assert row["ivs_sd_mm"] == pytest.approx(0.5)
    # Of end-diastole (frame 0) and end-systole (frame 3) one is wrong.
    assert row["ivs_mae_phases_mm"] == pytest.approx(0.5)
    assert row["lvpw_mae_mm"] == pytest.approx(0, abs=1e-5)
    assert row["vector_error_px/septal_epicardial"] == pytest.approx(4)
    assert row["vector_error_px"] == pytest.approx(1)


def test_frames_without_truth_do_not_count_and_missing_answers_are_wrong():
    true = truth()
    true[:, 3:] = np.nan
    own = truth()
    own[:, 3:] += 50
    assert score_keypoints(points(own), case(true))["share_within"] == 1
    own = truth()
    own[:, 0] = np.nan
    row = score_keypoints(points(own), case())
    assert row["share_within"] == pytest.approx(5 / 6)
    assert row["ivs_mae_mm"] == pytest.approx(0, abs=1e-5)


def test_without_calibration_there_are_px_alone():
    row = score_keypoints(points(truth()), case(spacing=None))
    assert math.isnan(row["ivs_mae_mm"])
    assert row["ivs_mae_px"] == pytest.approx(0, abs=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="lack septal_endocardial"):
        score_keypoints(Keypoints(truth()[:1], np.ones((1, 6)), PARASTERNAL_POINTS[:1]), case())
    with pytest.raises(DataError, match="5 frames, the truth on 6"):
        score_keypoints(points(truth(5)), case())


class Off:
    """A detector that knows the truth and misses it."""

    def __init__(self, name, by):
        self.name, self.by = name, by

    def detect(self, clip, *, progress=None):
        return points(truth() + np.array([self.by, 0]))


def test_methods_are_compared_in_pairs():
    cases = [case(), case()]
    reports = [evaluate_keypoints(Off(name, by), cases) for name, by in (("good", 0.0), ("bad", 1.5))]
    assert [len(report.rows) for report in reports] == [2, 2]
    assert reports[1].summary["median_error_px"] == pytest.approx(3, abs=1e-4)
    rows = compare_keypoints(reports, "good")
    share = next(row for row in rows if row["figure"] == "share_within")
    assert (share["method"], share["n"]) == ("bad", 2)
    assert share["difference"] == pytest.approx(-0.4)
    with pytest.raises(DataError, match="no report of best"):
        compare_keypoints(reports, "best")
    with pytest.raises(DataError, match="other clips"):
        compare_keypoints([reports[0], KeypointReport("few", reports[1].rows[:1])], "good")
