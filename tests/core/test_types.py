"""The core types check what they are given, keep it read-only, and say what is wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from echomotion.core import (
    Beat,
    Clip,
    DataError,
    Geometry,
    Masks,
    Measurement,
    Phases,
    Status,
    Tracks,
    View,
    WallPoints,
    segment_names,
)
from echomotion.core.tracks import checked_queries


def make_clip(**changes):
    values = {"frames": np.zeros((3, 4, 5), np.uint8), "times_s": np.arange(3) / 30}
    return Clip(**{**values, **changes})


def test_a_clip_keeps_its_own_read_only_copy():
    frames = np.zeros((3, 4, 5), np.uint8)
    clip = make_clip(frames=frames)
    frames[0, 0, 0] = 9
    assert clip.frames[0, 0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        clip.frames[0, 0, 0] = 1
    assert frames.flags.writeable


def test_a_clip_knows_its_shape_clock_and_aspect():
    clip = make_clip(spacing_mm=(0.154, 0.308))
    assert (clip.n_frames, clip.shape) == (3, (4, 5))
    assert clip.frame_interval_s == pytest.approx(1 / 30)
    assert clip.pixel_aspect == pytest.approx(0.5)
    assert clip.frame_at(0.05) in (1, 2)
    assert make_clip().pixel_aspect == 1.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.zeros((3, 4, 5), np.uint16)}, "uint16"),
        ({"frames": np.zeros((3, 4, 5, 3), np.uint8)}, "shape"),
        ({"frames": np.zeros((0, 4, 5), np.uint8), "times_s": np.zeros(0)}, "at least 1"),
        ({"times_s": np.zeros(3)}, "increase"),
        ({"times_s": np.array([0, np.nan, 1])}, "NaN"),
        ({"times_s": np.arange(4)}, "shape"),
        ({"spacing_mm": (0.0, 0.3)}, "positive"),
        ({"spacing_mm": (-0.3, 0.3)}, "positive"),
        ({"spacing_mm": (np.nan, 0.3)}, "positive"),
        ({"spacing_mm": 0.3}, "two numbers"),
        ({"view": "A9C"}, "A9C"),
    ],
)
def test_a_bad_clip_is_refused_with_a_reason(changes, message):
    with pytest.raises(DataError, match=message):
        make_clip(**changes)


def make_tracks(**changes):
    queries = np.array([[1.0, 2.0, 3.0]])
    xy = np.full((1, 3, 2), 5.0)
    xy[0, 1] = [2, 3]
    values = {"xy": xy, "visible": np.ones((1, 3), bool), "confidence": np.ones((1, 3)), "queries": queries}
    return Tracks(**{**values, **changes})


def test_tracks_pass_exactly_through_their_queries():
    assert make_tracks().n_points == 1
    with pytest.raises(DataError, match="query point"):
        make_tracks(queries=np.array([[0.0, 2.0, 3.0]]))
    with pytest.raises(DataError, match="between 0 and 1"):
        make_tracks(confidence=np.full((1, 3), 1.5))


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (np.zeros((0, 3)), "no queries"),
        (np.zeros((2, 2)), "shape"),
        ([[0, np.nan, 1]], "NaN"),
        ([[9, 1, 1]], "frame"),
        ([[0.5, 1, 1]], "frame"),
        ([[0, 50, 1]], "outside"),
    ],
)
def test_queries_off_the_clip_are_refused(queries, message):
    with pytest.raises(DataError, match=message):
        checked_queries(queries, 3, (4, 5))


def test_masks_are_asked_for_by_name():
    labels = np.zeros((2, 4, 5), np.uint8)
    labels[:, :2] = 1
    masks = Masks(labels)
    assert masks.area_px("lv_cavity").tolist() == [10, 10]
    assert not masks.has("right_ventricle")
    with pytest.raises(DataError, match="right_ventricle"):
        masks.mask("right_ventricle")


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.full((1, 2, 2), 7, np.uint8)},
        {"classes": {0: "background", 1: "background"}},
        {"probability": np.zeros((1, 4, 2, 2), np.float32)},
        {"probability": np.zeros((1, 4, 3, 2), np.float32), "geometry": Geometry.identity((2, 2))},
        {"probability": np.zeros((1, 4, 3, 3), np.float32), "geometry": Geometry.identity((3, 3))},
    ],
)
def test_bad_masks_are_refused(changes):
    with pytest.raises(DataError):
        Masks(**{"labels": np.zeros((1, 2, 2), np.uint8), **changes})


def test_a_measurement_comes_back_from_its_plain_values():
    whole = Measurement("ejection_fraction", 55.0, "%", frames=(1, 9), view=View.A4C, beat=1, interval=(50.0, 60.0))
    for row in (whole, Measurement.missing("heart_rate", "bpm", "no whole beat")):
        back = Measurement.from_dict(json.loads(json.dumps(row.as_dict())))
        assert back.as_dict() == row.as_dict()
    for wrong in ({}, {**whole.as_dict(), "view": "A9C"}, {**whole.as_dict(), "colour": "red"}):
        with pytest.raises(DataError, match="not a measurement"):
            Measurement.from_dict(wrong)


def test_a_number_is_missing_or_it_has_a_value():
    missing = Measurement.missing("ejection_fraction", "%", "no ventricle was found")
    assert math.isnan(missing.value)
    assert missing.as_dict()["value"] is None
    with pytest.raises(DataError, match="does not go with"):
        Measurement("ejection_fraction", math.nan, "%")
    with pytest.raises(DataError, match="does not go with"):
        Measurement("ejection_fraction", 0.0, "%", Status.NOT_MEASURABLE, "no ventricle")
    with pytest.raises(DataError, match="reason"):
        Measurement("ejection_fraction", 55.0, "%", Status.LOW_CONFIDENCE)


def test_phases_are_in_order():
    assert Phases((Beat(0.0, 0.3, 0.9),), "area", 1.0).beats[0].duration_s == pytest.approx(0.9)
    assert Beat(0.0, 0.3).duration_s is None
    assert Beat(0.6, 0.2).next_ed_s is None
    for times in ((0.3, 0.3), (0.6, 0.2, 0.9)):
        with pytest.raises(DataError, match="after end-diastole"):
            Beat(*times)
    with pytest.raises(DataError, match="after end-systole"):
        Beat(0.0, 0.3, 0.2)


def test_segments_run_from_the_left_base_over_the_apex_to_the_right_base():
    names = segment_names(View.A4C)
    assert names[0] == "basal_inferoseptal"
    assert names[2:4] == ("apical_septal", "apical_lateral")
    assert names[-1] == "basal_anterolateral"
    assert len(set(segment_names(View.UNKNOWN))) == 6


def test_wall_points_carry_one_segment_each_and_rise_along_the_wall():
    queries = np.array([[0, 1, 1], [0, 2, 1.0]])
    points = WallPoints(queries, "mid_wall", ("a", "b"), [0, 1])
    assert points.segment_names() == ("a", "b")
    with pytest.raises(DataError, match="segment names"):
        WallPoints(queries, "mid_wall", ("a",), [0, 1])
    with pytest.raises(DataError, match="rise"):
        WallPoints(queries, "mid_wall", ("a", "b"), [1, 0])
