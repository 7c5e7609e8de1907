"""What is carried along with the tissue stays with it, and one frame's mistake is outvoted."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import APICAL_CLASSES, Geometry, ModelError
from echomotion.models.segmenters.carrying import can_carry, carried_in_time, check_carry, local_means
from echomotion.models.segmenters.point_cues import wall_queries
from echomotion.models.segmenters.pointseg import PointSegOptions
from echomotion.models.segmenters.steadying import steady_in_time
from tests.models.segmenters.test_steadying import edge, where

FRAME_S = 0.03


def points_on(places: np.ndarray) -> np.ndarray:
    """Tracks (N, T, 2) of tissue that moves with an edge: a grid of points, 8 px apart, about it."""
    x, y = np.meshgrid(np.arange(-24, 25, 8.0), np.arange(0, 40, 8.0))
    start = np.column_stack([x.ravel(), y.ravel()])
    return np.stack([start + np.array([place, 0]) for place in places], axis=1)


def carried(seen: np.ndarray, moved: np.ndarray, carry_s: float = 0.12) -> np.ndarray:
    xy = points_on(moved)
    return carried_in_time(edge(seen), FRAME_S * np.arange(len(seen)), xy, np.ones(xy.shape[:2]), carry_s)


def test_an_edge_that_trembles_is_held_and_goes_where_its_tissue_goes():
    rng = np.random.default_rng(0)
    true = 30 + 8 * np.sin(2 * np.pi * np.arange(48) / 16)
    seen = true + rng.normal(0, 1, len(true))
    even = where(steady_in_time(edge(seen), 0.2 / FRAME_S))
    found = where(carried(seen, true, 0.25))
    assert np.std(found - true) < 0.5 * np.std(seen - true)
    assert np.std(found - true) < 0.75 * np.std(even - true)
    # So long a parabola at fixed pixels would have taken the motion away.
    assert np.ptp(where(carried(true, true, 0.25))) > 0.99 * np.ptp(true)
    assert np.std(where(carried(true, true, 0.25)) - true) < 0.2
    assert np.std(where(steady_in_time(edge(true), 0.6 / FRAME_S)) - true) > 1


def test_tissue_that_drifts_under_a_contour_does_not_take_it_along():
    times = np.arange(40)
    seen, moved = 30 + 6 * np.sin(2 * np.pi * times / 40), 30 + 4.8 * np.sin(2 * np.pi * times / 40)
    assert np.ptp(where(carried(seen, moved))) > 0.97 * np.ptp(seen)


def test_the_mistake_of_one_frame_is_outvoted():
    true = np.linspace(24, 40, 21)
    seen = true.copy()
    seen[10] += 6
    found = where(carried(seen, true))
    assert abs(found[10] - true[10]) < 2.5
    assert found[[2, 18]] == pytest.approx(true[[2, 18]], abs=0.3)


def test_it_stays_a_probability_and_long_clips_are_worked_on_in_parts():
    places = 30 + 5 * np.sin(np.arange(80) / 6)
    found = carried(places, places)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    # A part of the clip, with all frames in reach of its middle, says the same there.
    part = carried(places[20:60], places[20:60])
    assert part[20] == pytest.approx(found[40], abs=1e-4)


def test_clips_with_few_frames_in_reach_and_no_points_change_nothing():
    clip = edge(np.linspace(20, 30, 9))
    times, xy = FRAME_S * np.arange(9), points_on(np.linspace(20, 30, 9))
    weight = np.ones(xy.shape[:2])
    assert carried_in_time(clip, times, xy[:0], weight[:0], 0.12) is clip
    assert can_carry(times, 0.12)
    assert not can_carry(10 * times, 0.12)
    assert carried_in_time(clip, 10 * times, xy, weight, 0.12) == pytest.approx(clip, abs=2e-3)
    with pytest.raises(ModelError, match="carry_s"):
        check_carry(float("nan"))
    with pytest.raises(ModelError, match="carry_s"):
        PointSegOptions(carry_s=-0.1)


def test_motion_is_read_off_a_plane_and_points_without_weight_say_nothing():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, 60, (200, 2))
    said = 3 + points @ np.array([0.1, -0.05])
    places = np.array([[30.0, 30.0], [22.0, 41.0]])
    weight = np.ones(200)
    assert local_means(places, points, weight) @ said == pytest.approx(3 + places @ [0.1, -0.05], abs=0.1)
    weight[:20], said[:20] = 0, 1000
    assert local_means(places, points, weight) @ said == pytest.approx(3 + places @ [0.1, -0.05], abs=0.1)


def test_points_of_the_wall_lie_in_it_on_the_middle_frame():
    likely = np.zeros((5, 4, 64, 64), np.float32)
    likely[:, 0] = 1
    likely[2, :, 20:44, 20:44] = np.array([0, 0, 1, 0], np.float32)[:, None, None]
    geometry = Geometry.resize((128, 192), (64, 64))
    queries = wall_queries(likely, APICAL_CLASSES, geometry)
    assert len(queries) == 9
    assert np.all(queries[:, 0] == 2)
    on_grid = geometry.to_grid(queries[:, 1:])
    assert np.all((on_grid >= 19.5) & (on_grid <= 43.5))
    # Where no class is called the myocardium all foreground counts; where nothing is found there are none.
    assert len(wall_queries(likely, {0: "background", 2: "right_ventricle"}, geometry)) == 9
    assert wall_queries(likely[:2], APICAL_CLASSES, geometry).shape == (0, 3)
