"""Volumes where neighbouring segments of the wall cannot be followed or seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from echomotion.core import Beat, Measurement, Phases, Status, View
from echomotion.core.views import segment_names
from echomotion.measure.segment_quality import SegmentQuality
from echomotion.measure.strain_types import StrainCurves
from echomotion.measure.wall import WallLines
from echomotion.measure.wall_seen import doubt_volumes, neighbours, segment_contrast, size_doubt, wall_doubts
from tests.measure.lines import as_tracks, u_shape

SEGMENTS = segment_names(View.A4C)
TIMES = np.arange(10) / 10
PHASES = Phases((Beat(0.0, 0.3, 0.5), Beat(0.5, 0.8, None)), "area", 1.0)
TIP = np.array([60.0, 20.0])


def tracked(*lost: str, number: int = 0) -> StrainCurves:
    """A beat in which these segments were rejected."""
    quality = {
        name: SegmentQuality(name, 12, 1.0, 0.9, 0.0, 0.0, failures=("lost",) if name in lost else ())
        for name in SEGMENTS
    }
    nothing = np.zeros(2)
    return StrainCurves(number, nothing, 0.0, 0.3, 0.8, nothing, {}, nothing, 0.0, True, quality=quality)


def outlined() -> WallLines:
    """A ventricle of half an ellipse, its wall 12 px thick; apex up."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 121)
    inner, outer = (
        np.column_stack([60 + width * np.sin(angle), 100 - height * np.cos(angle)])
        for width, height in ((25.0, 80.0), (37.0, 92.0))
    )
    return WallLines(inner, (inner + outer) / 2, outer, inner[[0, -1]], TIP, 60)


def picture(dark: float | None = None) -> np.ndarray:
    """Blood of 30 and a wall of 120, which is 20 from this column on."""
    y, x = np.mgrid[:130, :120]
    inside = ((x - 60) / 25.0) ** 2 + ((y - 100) / 80.0) ** 2 < 1
    grey = np.where(inside, 30, 120)
    return np.where(~inside & (x > dark), 20, grey).astype(np.uint8) if dark is not None else grey.astype(np.uint8)


def row(name: str, value: float = 50.0, number: int | None = 0, reason: str = "") -> Measurement:
    """A measurement with or without a doubt, or missing."""
    status = Status.NOT_MEASURABLE if math.isnan(value) else Status.LOW_CONFIDENCE if reason else Status.OK
    return Measurement(name, value, "%", status, reason or ("no wall" if math.isnan(value) else ""), beat=number)


@pytest.mark.parametrize(
    ("lost", "found"),
    [("", ""), ("c", ""), ("adf", ""), ("af", ""), ("aed", "de"), ("abdef", "abdef")],
)
def test_two_neighbours_make_a_gap_and_single_segments_none(lost, found):
    assert neighbours("abcdef", [name in lost for name in "abcdef"]) == list(found)


def test_contrast_is_that_of_the_wall_over_the_blood():
    contrast = segment_contrast(picture(), outlined())
    assert contrast == pytest.approx(np.full(6, 90.0), abs=8)
    right = segment_contrast(picture(dark=60.0), outlined())
    assert right[:3] == pytest.approx(np.full(3, 90.0), abs=8)
    assert np.all(right[3:] < 0)


def test_without_an_outer_border_nothing_is_said_of_contrast():
    assert np.isnan(segment_contrast(picture(), replace(outlined(), epicardial=None))).all()


def test_a_wall_as_dark_as_blood_at_either_phase_is_named():
    frames = np.stack([picture()] * 10)
    frames[8] = picture(dark=60.0)
    found = wall_doubts(PHASES, TIMES, View.A4C, (), [outlined()] * 10, frames)
    assert found[0] == []
    (reason,) = found[1]
    assert "apical lateral, mid anterolateral, basal anterolateral" in reason
    assert "septal" not in reason


def test_a_gap_in_the_tracks_is_named_for_its_beat():
    beats = [tracked("apical_septal"), tracked("apical_septal", "apical_lateral", number=1)]
    found = wall_doubts(PHASES, TIMES, View.A4C, beats, (), None)
    assert found == {0: [], 1: ["the wall could not be followed at apical septal, apical lateral"]}


@pytest.mark.parametrize(("turns", "doubted"), [(1, False), (2, True)])
def test_a_cavity_that_goes_another_way_than_the_wall_is_doubted(turns, doubted):
    """Half an ellipse that contracts once, and areas that fall once or twice."""
    times = np.linspace(0, 1, 21)
    size = 1 - 0.15 * np.sin(np.pi * times) ** 2
    line = as_tracks((u_shape()[:, None] - [100, 80]) * size[:, None] + [100, 80])
    area = 30 * (1 - 0.3 * np.sin(turns * np.pi * times) ** 2)
    reason = size_doubt(area, line)
    assert ("does not go with the length" in reason) == doubted
    assert size_doubt(np.full(21, np.nan), line).endswith("(correlation 0.00)")


def test_outlines_that_are_missing_and_phases_off_the_recording_say_nothing():
    frames = np.stack([picture(dark=0.0)] * 10)
    off = Phases((Beat(0.0, 3.0, None),), "area", 1.0)
    assert wall_doubts(PHASES, TIMES, View.A4C, (), [None] * 10, frames) == {0: [], 1: []}
    assert wall_doubts(off, TIMES, View.A4C, (), [None] + [outlined()] * 9, frames) == {0: []}
    assert wall_doubts(Phases((), "none", 0.0, "no beat"), TIMES, View.A4C, (), (), frames) == {}


@pytest.mark.parametrize("name", ["end_diastolic_volume", "end_systolic_volume", "stroke_volume", "ejection_fraction"])
def test_volumes_of_a_doubted_beat_and_their_mean_have_low_confidence(name):
    rows = [row(name, number=number) for number in (0, 1, None)]
    whole, doubted, mean = doubt_volumes(rows, {0: [], 1: ["one", "other"]})
    assert whole == rows[0]
    assert doubted.status is mean.status is Status.LOW_CONFIDENCE
    assert doubted.value == 50.0
    assert doubted.reason == mean.reason == "one; other"


def test_reasons_are_kept_and_the_rest_is_left_alone():
    rows = [row("ejection_fraction", reason="the view is not stated"), row("ejection_fraction", math.nan)]
    rows.append(row("heart_rate", 70.0))
    doubted, *others = doubt_volumes(rows, {0: ["one"]})
    assert doubted.reason == "the view is not stated; one"
    assert others == rows[1:]
