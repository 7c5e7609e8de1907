"""Volumes where neighbouring segments of the wall cannot be followed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.core import Measurement, Status
from echomotion.measure.segment_quality import SegmentQuality
from echomotion.measure.strain_types import StrainCurves
from echomotion.measure.wall_seen import doubt_volumes, unseen_segments

SEGMENTS = (
    "basal_inferoseptal",
    "mid_inferoseptal",
    "apical_septal",
    "apical_lateral",
    "mid_anterolateral",
    "basal_anterolateral",
)


def beat(*lost: str, number: int = 0) -> StrainCurves:
    """A beat in which these segments were rejected."""
    quality = {
        name: SegmentQuality(name, 12, 1.0, 0.9, 0.0, 0.0, failures=("lost",) if name in lost else ())
        for name in SEGMENTS
    }
    nothing = np.zeros(2)
    return StrainCurves(number, nothing, 0.0, 0.3, 0.8, nothing, {}, nothing, 0.0, True, quality=quality)


def row(name: str, value: float = 50.0, number: int | None = 0, reason: str = "") -> Measurement:
    """A measurement with or without a doubt, or missing."""
    status = Status.NOT_MEASURABLE if math.isnan(value) else Status.LOW_CONFIDENCE if reason else Status.OK
    return Measurement(name, value, "%", status, reason or ("no wall" if math.isnan(value) else ""), beat=number)


@pytest.mark.parametrize(
    ("lost", "unseen"),
    [
        ((), []),
        (("apical_septal",), []),
        (("basal_inferoseptal", "apical_lateral", "basal_anterolateral"), []),
        (("basal_inferoseptal", "basal_anterolateral"), []),
        (("mid_anterolateral", "apical_lateral", "basal_inferoseptal"), ["apical_lateral", "mid_anterolateral"]),
    ],
)
def test_two_neighbours_make_a_gap_and_single_segments_none(lost, unseen):
    assert unseen_segments(beat(*lost)) == unseen


@pytest.mark.parametrize("name", ["end_diastolic_volume", "end_systolic_volume", "stroke_volume", "ejection_fraction"])
def test_a_gap_doubts_volumes_and_names_the_segments(name):
    (found,) = doubt_volumes([row(name)], [beat("apical_lateral", "mid_anterolateral")])
    assert found.status is Status.LOW_CONFIDENCE
    assert found.value == 50.0
    assert "apical lateral, mid anterolateral" in found.reason


def test_only_the_beat_with_a_gap_and_the_mean_are_doubted():
    rows = [row("ejection_fraction", number=number) for number in (0, 1, None)]
    whole, gap, mean = doubt_volumes(rows, [beat(), beat("apical_septal", "apical_lateral", number=1)])
    assert whole == rows[0]
    assert gap.status is mean.status is Status.LOW_CONFIDENCE


def test_reasons_are_kept_and_the_rest_is_left_alone():
    rows = [row("ejection_fraction", reason="the view is not stated"), row("ejection_fraction", math.nan)]
    rows.append(row("heart_rate", 70.0))
    doubted, *others = doubt_volumes(rows, [beat("apical_septal", "apical_lateral")])
    assert doubted.reason.startswith("the view is not stated; the wall could not be followed at apical septal")
    assert others == rows[1:]


def test_without_tracks_nothing_is_said():
    assert doubt_volumes([row("ejection_fraction")], []) == [row("ejection_fraction")]
