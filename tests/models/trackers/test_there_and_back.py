"""Points that are followed there and back."""

import numpy as np
import pytest

import echomotion as em
from echomotion.core import Clip, Tracks
from echomotion.models.registry import create_tracker
from echomotion.models.trackers.there_and_back import there_and_back_px
from tests.phantoms import affine_clip


class Drifting:
    """Everything goes 1 px right with every frame after the query, and as much left with every frame before it."""

    name = "drifting"

    def __init__(self, back=1.0):
        self.back, self.asked = back, []

    def track(self, clip, queries, *, progress=None):
        queries = np.asarray(queries, dtype=np.float64)
        self.asked.append((clip.n_frames, queries))
        since = np.arange(clip.n_frames) - queries[:, :1]
        way = np.where(since > 0, since, self.back * since)
        xy = (queries[:, None, 1:] + np.stack([way, 0 * way], axis=-1)).astype(np.float32)
        return Tracks(xy, np.ones(way.shape, bool), np.ones(way.shape, np.float32), queries)


@pytest.fixture
def clip():
    return Clip(np.zeros((8, 40, 60), np.uint8), np.arange(8) / 30)


def test_a_way_back_that_is_shorter_is_told_with_its_direction(clip):
    queries = [[1, 10, 10], [2, 20, 30]]
    assert there_and_back_px(Drifting(), clip, Drifting().track(clip, queries), 5) == pytest.approx(0)
    lazy = Drifting(back=0.5)
    misses = there_and_back_px(lazy, clip, lazy.track(clip, queries), [5, 4])
    assert misses == pytest.approx(np.array([[2.0, 0.0], [1.0, 0.0]]))
    # Only the frames between are looked at again, and the points start where they were found.
    frames, asked = lazy.asked[-1]
    assert frames == 5
    assert asked == pytest.approx(np.array([[4, 14, 10], [3, 22, 30]]))


def test_a_point_that_is_lost_or_off_the_picture_misses_by_infinity(clip):
    tracks = Drifting().track(clip, [[0, 57, 10], [0, 10, 10], [0, 20, 20]])
    xy = tracks.xy.copy()
    xy[1, 5] = np.nan
    misses = there_and_back_px(Drifting(), clip, Tracks(xy, tracks.visible, tracks.confidence, tracks.queries), 5)
    assert np.isinf(misses[:2]).all()
    assert misses[2] == pytest.approx(0)
    gone = Drifting().track(clip, [[0, 57, 10]])
    assert np.isinf(there_and_back_px(Drifting(), clip, gone, 7)).all()


def test_a_real_tracker_comes_back():
    clip, _ = affine_clip(shrink=0.10)
    tracker = create_tracker("multilag_matching")
    tracks = em.track(clip, [[0, 60, 60], [0, 90, 80]], model="multilag_matching", warn=False)
    assert np.abs(there_and_back_px(tracker, clip, tracks, clip.n_frames - 1)).max() < 0.3
