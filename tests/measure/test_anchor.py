"""Tracked lines held on outlines, on an ellipse that contracts by a known amount."""

import numpy as np
import pytest

from echomotion.core import Tracks, View, WallPoints
from echomotion.measure.anchor import MOST_HELD, agreed_share, anchored
from echomotion.measure.wall import WallLines

TIMES = np.arange(20) / 30
SIZE = 1 - 0.16 * np.sin(np.pi * TIMES / TIMES[-1]) ** 2


def half_ellipse(scale, count, spacing=(1.0, 1.0)):
    angle = np.linspace(0, np.pi, count)
    # Equal steps in angle are not equal in length; the tracked points keep their angles.
    mm = np.column_stack([100 - 40 * scale * np.cos(angle), 120 - 80 * scale * np.sin(angle)])
    return mm / spacing[::-1]


def walls(spacing=(1.0, 1.0)):
    found = []
    for scale in SIZE:
        line = half_ellipse(scale, 241, spacing)
        found.append(WallLines(line, line, line, line[[0, -1]], line[120], 120))
    return found


def tracks(across, spacing=(1.0, 1.0), count=61):
    """Points that follow the wall, but only a part of its way across."""
    true = np.stack([half_ellipse(scale, count, spacing) for scale in SIZE], axis=1)
    tangent = np.gradient(true[:, 0] * spacing[::-1], axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    way = (true - true[:, :1]) * spacing[::-1]
    left = (1 - across) * np.sum(way * normal[:, None], axis=2, keepdims=True) * normal[:, None]
    xy = (true - left / spacing[::-1]).astype(np.float32)
    queries = np.column_stack([np.zeros(count), xy[:, 0]])
    names = ("a",) * 21 + ("b",) * 20 + ("c",) * 20
    wall = WallPoints(queries, "mid_wall", names, np.linspace(0, 1, count), View.A4C)
    return Tracks(xy, np.ones(xy.shape[:2], bool), np.ones(xy.shape[:2]), queries, wall, "truth")


def strain(found, spacing=(1.0, 1.0)):
    xy = found.xy.astype(float) * spacing[::-1]
    length = np.hypot(*np.moveaxis(np.diff(xy, axis=0), -1, 0)).sum(axis=0)
    return 100 * (length / length[0] - 1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.8)])
def test_a_line_that_is_left_outside_gets_its_strain_back(spacing):
    true = strain(tracks(1.0, spacing), spacing)
    left = tracks(0.6, spacing)
    assert np.abs(strain(left, spacing) - true).max() > 2
    held = anchored(left, walls(spacing), TIMES, spacing)
    assert np.abs(strain(held, spacing) - true).max() < 0.8
    np.testing.assert_array_equal(held.xy[:, 0], left.xy[:, 0])


def test_a_line_that_follows_its_wall_is_left_alone():
    good = tracks(1.0)
    held = anchored(good, walls(), TIMES)
    assert np.abs(held.xy - good.xy).max() < 0.3
    assert np.abs(strain(held) - strain(good)).max() < 0.15


def test_lost_outlines_are_bridged_and_too_many_change_nothing():
    left, seen = tracks(0.6), walls()
    true = strain(tracks(1.0))
    some = [None if k in (4, 9, 10) else wall for k, wall in enumerate(seen)]
    assert np.abs(strain(anchored(left, some, TIMES)) - true).max() < 1.2
    few = [wall if k % 3 == 0 else None for k, wall in enumerate(seen)]
    assert anchored(left, few, TIMES) is left
    # An outline of something else, far away.
    far = [
        WallLines(*(part + 70 for part in (w.endocardial, w.mid_wall, w.epicardial, w.annulus, w.apex)), 120)
        for w in seen
    ]
    assert anchored(left, far, TIMES) is left


def test_unknown_points_stay_unknown():
    left = tracks(0.6)
    xy = left.xy.copy()
    xy[30, 5] = np.nan
    lost = Tracks(xy, left.visible, left.confidence, left.queries, left.wall, "truth")
    held = anchored(lost, walls(), TIMES)
    assert np.isnan(held.xy[30, 5]).all()
    assert np.isfinite(np.delete(held.xy, 30, axis=0)).all()


def test_a_share_of_the_way_is_a_share_of_what_is_added():
    left = tracks(0.6)
    whole, half = anchored(left, walls(), TIMES), anchored(left, walls(), TIMES, share=0.5)
    np.testing.assert_allclose(half.xy - left.xy, (whole.xy - left.xy) / 2, atol=1e-4)
    assert anchored(left, walls(), TIMES, share=0.0) is left


def test_lines_are_held_as_far_as_area_and_length_tell_of_the_same_beat():
    length = 200 * SIZE
    area = 30 * SIZE**2
    assert agreed_share(area, length) == MOST_HELD
    assert agreed_share(np.where(np.arange(20) == 3, np.nan, area), length) == MOST_HELD
    assert agreed_share(area[::-1] + 8 * np.linspace(0, 1, 20), length) == 0
    strayed = area + np.where(np.arange(20) > 14, 4.0, 0.0)
    assert 0 <= agreed_share(strayed, length) < MOST_HELD
    # Nothing moves, or nothing is known.
    assert agreed_share(np.full(20, 30.0), length) == 0
    assert agreed_share(np.full(20, np.nan), length) == 0
