"""Lines of the wall followed to end-systole and back."""

import numpy as np
import pytest

from echomotion.core import Beat, Layer, Phases, View
from echomotion.wall_tracking import LAYERS, track_wall, wall_closure
from tests.phantoms import beating_ventricle


def tell(stage, done, total):
    assert done <= total


@pytest.fixture(scope="module")
def heart():
    clip, masks, truth = beating_ventricle(rng=np.random.default_rng(5), bpm=75.0)
    return clip, masks, truth.phases


def tracked(heart, **options):
    clip, masks, phases = heart
    options = {"tracker": "multilag_matching", "points": 31, "model": 18, "tell": tell, **options}
    return track_wall(clip, masks, phases, **options)


def test_every_line_comes_back_to_where_it_began(heart):
    clip, _, phases = heart
    lines, reason = tracked(heart)
    assert (tuple(lines), reason) == (LAYERS, "")
    misses = wall_closure(clip, lines, phases, tracker="multilag_matching", tell=tell)
    assert set(misses) == set(lines)
    assert all(errors.shape == (31,) for errors in misses.values())
    assert np.median(misses[Layer.MID_WALL]) < 1


def test_without_an_end_systole_apart_from_the_query_nothing_is_tried(heart):
    clip, _, phases = heart
    lines, _ = tracked(heart)
    assert wall_closure(clip, {}, phases, tracker="multilag_matching", tell=tell) == {}
    assert wall_closure(clip, lines, Phases((), "user", 0.0), tracker="multilag_matching", tell=tell) == {}
    first = float(clip.times_s[0])
    there = Phases((Beat(float(clip.times_s[-1]), first),), "user", 1.0)
    assert wall_closure(clip, lines, there, tracker="multilag_matching", tell=tell) == {}


def test_an_end_systole_before_the_query_serves_where_none_follows(heart):
    clip, masks, phases = heart
    systole = clip.frame_at(phases.beats[0].es_s)
    late = Phases((Beat(float(clip.times_s[-1]), float(clip.times_s[systole])),), "user", 1.0)
    lines, _ = tracked((clip, masks, late))
    assert int(lines[Layer.MID_WALL].queries[0, 0]) > systole
    misses = wall_closure(clip, lines, late, tracker="multilag_matching", tell=tell)
    assert np.median(misses[Layer.MID_WALL]) < 1


def test_a_parasternal_long_axis_has_no_line_to_follow(heart):
    clip, masks, phases = heart
    lines, reason = tracked((clip.with_(view=View.PLAX), masks, phases))
    assert lines == {}
    assert "apical" in reason
