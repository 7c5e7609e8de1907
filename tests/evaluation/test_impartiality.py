"""Bias tests: a tracker that sees a dot is fair, one that looks into a corner is not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from echomotion.core import Clip, DataError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.closure import closure_px
from echomotion.evaluation.impartiality import impartiality
from echomotion.evaluation.transforms import CHANGES, changed_clip, changed_queries, original_xy


def tracks_of(xy, queries):
    xy = np.array(xy, dtype=float)
    xy[np.arange(len(queries)), queries[:, 0].astype(int)] = queries[:, 1:]
    return Tracks(xy, np.ones(xy.shape[:2], bool), np.ones(xy.shape[:2]), queries)


class Brightest:
    """Answers where a frame is brightest."""

    name = "brightest"

    def track(self, clip, queries, *, progress=None):
        at = [np.unravel_index(frame.argmax(), frame.shape)[::-1] for frame in clip.frames]
        return tracks_of(np.tile(at, (len(queries), 1, 1)), np.asarray(queries, float))


class Corner:
    """Stays where it was asked, but for as many px to the right as the first frame's top-left pixel says."""

    name = "corner"

    def track(self, clip, queries, *, progress=None):
        queries = np.asarray(queries, float)
        xy = np.repeat(queries[:, None, 1:], clip.n_frames, axis=1)
        xy[..., 0] += float(clip.frames[0, 0, 0])
        return tracks_of(xy, queries)


class Shy:
    """Goes nine tenths of the way of the dot since the query."""

    name = "shy"

    def track(self, clip, queries, *, progress=None):
        queries = np.asarray(queries, float)
        at = np.array([np.unravel_index(frame.argmax(), frame.shape)[::-1] for frame in clip.frames], float)
        begin = at[queries[:, 0].astype(int)]
        return tracks_of(queries[:, None, 1:] + 0.9 * (at[None] - begin[:, None]), queries)


def dot_case(path, shape=(256, 256)):
    frames = np.zeros((len(path), *shape), np.uint8)
    for t, (x, y) in enumerate(path):
        frames[t, y, x] = 200
    clip = Clip(frames, np.arange(len(path)) / 10, (0.2, 0.4), r_wave_times_s=np.array([0.1]))
    return TrackingCase("dot", clip, np.array([path], float), np.ones((1, len(path)), bool))


WAY = [(5, 30), (9, 31), (14, 28), (14, 20), (20, 20), (20, 12), (8, 9), (6, 21), (5, 30)]


@pytest.mark.parametrize("change", CHANGES)
def test_the_way_there_and_back_is_exact(change):
    case = dot_case(WAY, (40, 25))
    queries = np.array([[2.0, 14, 28]])
    there = changed_clip(case.clip, change)
    asked = changed_queries(queries, case.clip, change)
    t, x, y = asked[0].astype(int)
    assert there.frames[t, y, x] == 200
    back = original_xy(Brightest().track(there, asked).xy, case.clip, change)
    assert np.array_equal(back, case.xy)
    assert there.spacing_mm == ((0.4, 0.2) if change == "rotate_90" else (0.2, 0.4))
    assert np.all(np.diff(there.times_s) > 0)


def test_an_unknown_change_is_named():
    with pytest.raises(DataError, match="flip_left_right"):
        changed_clip(dot_case(WAY).clip, "flip")


def test_a_fair_tracker_has_no_bias():
    report = impartiality(Brightest(), [dot_case(WAY)])
    row = report.rows[0]
    assert [row[c] for c in ("original", *CHANGES)] == [0] * 5
    assert [row[f"apart_{c}"] for c in CHANGES] == [0] * 4
    assert row["closure_px"] == 0
    assert report.summary["signed_error_px"] == 0
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_tracker_that_looks_into_a_corner_is_found_out():
    frames = np.zeros((8, 256, 256), np.uint8)
    frames[:, 0, 0], frames[:, 0, -1], frames[:, -1, 0] = 2, 6, 8
    frames[-1, 0, 0] = 4
    clip = Clip(frames, np.arange(8) / 10)
    case = TrackingCase("still", clip, np.full((3, 8, 2), 100.0), np.ones((3, 8), bool))
    seen = []
    report = impartiality(Corner(), [case] * 2, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    changes = {row["change"]: row for row in report.changes}
    assert changes["flip_left_right"]["ratio"] == pytest.approx(3)
    assert changes["flip_up_down"]["ratio"] == pytest.approx(4)
    assert changes["rotate_90"]["ratio"] == pytest.approx(3)
    assert changes["reverse_time"]["ratio"] == pytest.approx(2)
    # 2 px to the right, and 6 px to the right of the mirrored picture, which is left.
    assert changes["flip_left_right"]["apart_px"] == pytest.approx(8)
    assert report.starts["start_ratio"] == 1
    assert math.isnan(report.summary["signed_error_px"])
    # There 2 px, and 2 px more on the way back.
    assert closure_px(Corner(), case) == pytest.approx(4)
    assert any(row["test"] == "flip_up_down" and row["ratio"] == pytest.approx(4) for row in report.to_table())


def test_a_tracker_that_lags_has_a_negative_signed_error_and_errs_with_the_start():
    # One step of 40 px to the right, at the fourth of eight frames, and back at the last.
    path = [(20, 50)] * 4 + [(60, 50)] * 3 + [(20, 50)]
    report = impartiality(Shy(), [dot_case(path)])
    assert report.summary["signed_error_px"] == pytest.approx(-4, abs=1e-4)
    # From frame 0 four of seven others lie at the start: median 0. From frame 4 five of seven lie away.
    assert report.starts["start_0"] == pytest.approx(0, abs=1e-4)
    assert report.starts["start_4"] == pytest.approx(4, abs=1e-4)
    assert report.by_direction["right"] == pytest.approx(4, abs=1e-4)
    assert report.by_direction["left"] == pytest.approx(4, abs=1e-4)
    assert math.isnan(report.by_direction["up"])


def test_a_point_that_leaves_the_picture_does_not_close():
    frames = np.zeros((3, 64, 64), np.uint8)
    frames[:, 0, 0] = 60
    case = TrackingCase("edge", Clip(frames, np.arange(3) / 10), np.full((1, 3, 2), 30.0), np.ones((1, 3), bool))
    assert closure_px(Corner(), case) == math.inf
