"""Tracking metrics against figures worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from echomotion.core import Clip, DataError, ModelError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation import metrics_tracking as metrics
from echomotion.evaluation.tracking import evaluate_tracking


class Scripted:
    """Answers the truth plus a fixed error, in native px."""

    name = "scripted"

    def __init__(self, case, error=(0.0, 0.0), visible=None, confidence=1.0):
        self.case, self.error, self.visible, self.confidence = case, np.asarray(error, float), visible, confidence
        self.asked = []

    def track(self, clip, queries, *, progress=None):
        queries = np.asarray(queries, float)
        self.asked.append(queries)
        rows, start = np.arange(len(queries)), queries[:, 0].astype(int)
        which = [
            int(np.flatnonzero((self.case.xy[:, t] == q).all(-1))[0])
            for t, q in zip(start, queries[:, 1:], strict=True)
        ]
        xy = (self.case.xy[which] + self.error).astype(np.float32)
        xy[rows, start] = queries[:, 1:]
        visible = np.ones(xy.shape[:2], bool) if self.visible is None else np.array(self.visible)[which]
        return Tracks(xy, visible, np.full(xy.shape[:2], self.confidence), queries)


def case_of(xy, visible=None, shape=(256, 256), **fields):
    xy = np.asarray(xy, float)
    frames = np.zeros((xy.shape[1], *shape), np.uint8)
    spacing = fields.pop("spacing_mm", None)
    clip = Clip(frames, np.arange(len(frames)) / 10, spacing)
    return TrackingCase("toy", clip, xy, np.ones(xy.shape[:2], bool) if visible is None else visible, **fields)


def test_distances_are_measured_on_a_frame_of_256_px():
    # 512 rows and 128 columns: x counts double, y half.
    errors = metrics.errors_px([[3.0, 8.0], [np.nan, 0]], [[0.0, 0.0], [1, 1]], (512, 128))
    assert errors.tolist() == [math.hypot(6, 4), math.inf]
    assert metrics.errors_mm([[3.0, 8.0]], [[0.0, 0.0]], (0.5, 2.0)).tolist() == [math.hypot(6, 4)]


def test_jaccard_and_occlusion_of_a_worked_example():
    # One point, five frames, the first is the query. Truly hidden on frame 3.
    visible = np.array([[True, True, True, False, True]])
    called = np.array([[True, True, False, True, True]])
    errors = np.array([[0.0, 0.5, 0.5, 0.5, 3.0]])
    evaluated = np.array([[False, True, True, True, True]])
    # Frame 1 hit; 2 missed (called hidden); 3 false positive (hidden); 4 is within 4 px but not within 2.
    # Within 2 px: hits 1, truly visible 3, false 2 -> 1 / 5. Within 4 px: hits 2, visible 3, false 1 -> 2 / 4.
    jaccards = metrics.jaccards(errors, visible, called, evaluated)
    assert jaccards == pytest.approx({1: 1 / 5, 2: 1 / 5, 4: 1 / 2, 8: 1 / 2, 16: 1 / 2})
    assert metrics.shares_within(errors, visible, evaluated) == pytest.approx({1: 2 / 3, 2: 2 / 3, 4: 1, 8: 1, 16: 1})
    assert metrics.occlusion_accuracy(visible, called, evaluated) == 2 / 4
    assert metrics.median_error(errors, visible, evaluated) == 0.5


def test_calibration_error_of_a_worked_example():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.25, 0.25])
    within = np.array([True, True, True, False, False, False])
    # Bin 0.9 to 1: mean 0.95 against 0.75; bin 0.2 to 0.3: 0.25 against 0.
    assert metrics.calibration_error(confidence, within) == pytest.approx((4 * 0.2 + 2 * 0.25) / 6)
    assert math.isnan(metrics.calibration_error([], np.zeros(0, bool)))
    # A clip that is better than claimed makes good for one that is worse.
    parts = [metrics.calibration_gaps(confidence[k::2], within[k::2]) for k in (0, 1)]
    assert np.abs(sum(parts)).sum() / 6 == pytest.approx(metrics.calibration_error(confidence, within))


def test_strain_error_is_taken_where_the_true_line_is_shortest():
    true = np.zeros((3, 4, 2))
    true[:, :, 0] = np.outer([0, 1, 2], [10, 9, 8, 9.5])  # -20 % on frame 2
    found = true.copy()
    found[:, 2, 0] *= 8.5 / 8  # -15 %
    found[:, 1, 0] *= 0.1
    assert metrics.gls_error(found, true, 0) == pytest.approx(5)
    # The same along y, with rows of another height: a strain does not change.
    assert metrics.gls_error(found[..., ::-1], true[..., ::-1], 0, (0.3, 1.0)) == pytest.approx(5)


def test_a_report_of_a_constant_error():
    xy = np.zeros((6, 4, 2))
    xy[..., 0] = 20 + 10 * np.arange(6)[:, None]
    xy[..., 1] = 30 + np.arange(4)
    depth = np.array([0.5, 0.5, 0.5, 0.2, 0.2, 0.2])
    case = case_of(xy, spacing_mm=(0.5, 0.5), wall_s=np.array([0.9, 0.1, 0.5, 0, 0.5, 1]), wall_w=depth)
    tracker = Scripted(case, error=(3.0, 0.0), confidence=0.75)
    report = evaluate_tracking(tracker, [case, case])
    row = report.rows[0]
    assert row["share_within"] == pytest.approx(3 / 5)
    assert row["average_jaccard"] == pytest.approx(3 / 5)
    assert (row["within_2_px"], row["within_4_px"]) == (0, 1)
    assert row["median_error_px"] == pytest.approx(3)
    assert row["median_error_mm"] == pytest.approx(1.5)
    assert row["gls_error"] == pytest.approx(0, abs=1e-5)
    assert row["occlusion_accuracy"] == 1
    assert row["calibration_error"] == pytest.approx(0.75)
    assert row["survival"] == 1
    # The error comes at once after the query and stays: one second difference of 3 px, one of 0.
    assert row["jitter"] == pytest.approx(math.sqrt((9 + 0) / 2), rel=1e-5)
    # It points to the right, the motion down.
    assert row["signed_error_px"] == pytest.approx(0, abs=1e-5)
    assert report.summary["clips"] == 2
    assert report.summary["median_error_px"] == pytest.approx(3)
    assert report.to_table()[-1]["clip"] == "mean"
    assert report.to_table()[-1]["points"] == 12
    json.dumps(report.as_dict(), allow_nan=False)


def test_strain_refers_to_the_end_diastole_that_a_case_names():
    xy = np.zeros((2, 3, 2))
    xy[1, :, 0] = [100, 80, 60]
    wall = {"wall_s": np.array([0.0, 1.0]), "wall_w": np.full(2, 0.5)}
    found = case_of(xy, **wall)
    tracker = Scripted(found)
    tracker.track = lambda clip, queries, progress=None: Tracks(
        np.array([[[0, 0]] * 3, [[100, 0], [80, 0], [64, 0]]]), np.ones((2, 3), bool), np.ones((2, 3)), queries
    )
    assert evaluate_tracking(tracker, [found]).rows[0]["gls_error"] == pytest.approx(100 * 4 / 100)
    late = case_of(xy, ed_frame=1, **wall)
    assert evaluate_tracking(tracker, [late]).rows[0]["gls_error"] == pytest.approx(100 * 4 / 80)


def test_the_line_of_the_wall_goes_in_order_of_its_arc():
    case = case_of(np.ones((4, 2, 2)), wall_s=np.array([0.9, 0.1, 0.5, 0.3]), wall_w=np.array([0.5, 0.5, 0.5, 0.2]))
    assert case.line().tolist() == [1, 2, 0]
    assert case_of(np.ones((4, 2, 2))).line().tolist() == []


def test_without_spacing_or_wall_those_figures_are_missing_and_not_zero():
    case = case_of(np.full((2, 3, 2), 9.0) + np.arange(2)[:, None, None])
    report = evaluate_tracking(Scripted(case), [case])
    assert math.isnan(report.rows[0]["gls_error"])
    assert math.isnan(report.summary["median_error_mm"])
    assert report.as_dict()["summary"]["gls_error"] is None


def test_first_mode_asks_where_a_point_is_first_seen_and_counts_later_frames_only():
    xy = np.tile(np.array([[[5.0, 5]], [[50.0, 50]]]), (1, 8, 1)) + np.arange(8)[None, :, None]
    visible = np.ones((2, 8), bool)
    visible[1, :3] = False
    case = case_of(xy, visible)
    tracker = Scripted(case, error=(20.0, 0), visible=visible)
    row = evaluate_tracking(tracker, [case]).rows[0]
    assert tracker.asked[0][:, 0].tolist() == [0, 3]
    assert row["share_within"] == 0
    assert row["occlusion_accuracy"] == 1


def test_strided_mode_asks_on_every_fifth_frame_and_counts_both_ways():
    xy = np.tile(np.array([[[5.0, 5]], [[50.0, 50]]]), (1, 8, 1)) + np.arange(8)[None, :, None]
    visible = np.ones((2, 8), bool)
    visible[1, 0] = False
    case = case_of(xy, visible)
    tracker = Scripted(case, error=(3.0, 0))
    report = evaluate_tracking(tracker, [case], query_mode="strided")
    assert tracker.asked[0].tolist() == [[0, 5, 5], [5, 10, 10], [5, 55, 55]]
    row = report.rows[0]
    assert row["points"] == 3
    assert row["median_error_px"] == 3
    # 21 positions count, one of them hidden but called visible.
    assert row["occlusion_accuracy"] == pytest.approx(20 / 21)
    assert math.isnan(row["gls_error"])


def test_wrong_modes_and_unknown_trackers_are_named():
    with pytest.raises(DataError, match="first, strided"):
        evaluate_tracking("lucas_kanade", [], query_mode="last")
    with pytest.raises(ModelError, match="there is no tracker"):
        evaluate_tracking("nobody", [])


def test_progress_counts_clips():
    case = case_of(np.ones((1, 3, 2)))
    seen = []
    evaluate_tracking(Scripted(case), [case] * 3, progress=lambda *at: seen.append(at))
    assert seen == [(1, 3), (2, 3), (3, 3)]
