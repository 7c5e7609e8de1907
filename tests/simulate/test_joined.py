"""Beats between two real frames: the recording at either end, and motion that agrees with the masks in between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from echomotion.core import Clip, DataError
from echomotion.datasets.camus import CamusFrame
from echomotion.simulate.joined import JoinedBeat, depths, joined_beat
from tests.phantoms import HalfEllipse

SHAPE, SPACING = (240, 240), (0.6, 0.6)


def frame(phase: str, radius: float, length: float) -> CamusFrame:
    heart = HalfEllipse((120.0, 160.0), radius, length, spacing_mm=SPACING)
    labels = heart.labels(SHAPE)
    picture = np.array([60, 20, 200, 20], np.uint8)[labels]
    return CamusFrame("p", phase, "", Clip(picture[None], [0.0], SPACING), labels)


@pytest.fixture(scope="module")
def beat() -> JoinedBeat:
    return joined_beat(frame("ED", 22.0, 75.0), frame("ES", 16.0, 63.0), 240)


def test_both_ends_are_the_recording(beat):
    for part in (0, 1):
        picture, labels = beat.render(part)
        assert np.array_equal(picture, beat.frames[part])
        assert np.array_equal(labels, beat.labels[part])


def test_areas_go_from_one_end_to_the_other(beat):
    areas = [np.count_nonzero(beat.render(part)[1] == 1) for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(before > after for before, after in itertools.pairwise(areas))


def test_tissue_keeps_its_class_and_its_grey_level_on_its_way(beat):
    rng = np.random.default_rng(0)
    for label, grey in ((1, 20), (2, 200)):
        inside = np.argwhere(depths(beat.labels[0])[label] > 4)[:, ::-1]
        points = rng.permutation(inside)[:50].astype(float)
        xy = np.round(beat.track(points, [0.5])[:, 0]).astype(int)
        picture, labels = beat.render(0.5)
        assert (labels[xy[:, 1], xy[:, 0]] == label).mean() > 0.95
        assert np.abs(picture[xy[:, 1], xy[:, 0]].astype(float) - grey).mean() < 25


def test_tracks_start_where_they_are_asked_for(beat):
    points = np.array([[100.0, 90.0], [130.5, 120.25]])
    tracks = beat.track(points, [0.0, 0.5, 1.0])
    np.testing.assert_allclose(tracks[:, 0], points)
    np.testing.assert_allclose(tracks[:, 1] - tracks[:, 0], tracks[:, 2] - tracks[:, 1], atol=1e-3)


def test_how_deep_a_pixel_lies_in_its_class():
    labels = np.zeros((9, 9), np.uint8)
    labels[:, 4:] = 2
    assert depths(labels)[2][4].tolist()[3:7] == pytest.approx([-1, 1, 2, 3], abs=0.15)


def test_contours_without_a_wall_are_refused():
    empty = CamusFrame("p", "ED", "", Clip(np.zeros((1, *SHAPE), np.uint8), [0.0], SPACING), np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match="template p"):
        joined_beat(empty, empty, 240)
