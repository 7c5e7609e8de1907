"""Clips of any length through windows."""

import numpy as np
import pytest

from echomotion.models.trackers.windows import Found, follow_clip, spans


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (1, [(0, 1)]),
        (8, [(0, 8)]),
        (9, [(0, 8), (4, 9)]),
        (12, [(0, 8), (4, 12)]),
        (13, [(0, 8), (4, 12), (8, 13)]),
    ],
)
def test_windows_cover_a_clip_and_overlap(length, wanted):
    assert list(spans(length, 8, 4)) == wanted


class Counter:
    """Says that every point moves one px a frame from the nearest known place; notes what it was asked for."""

    window, overlap = 8, 4

    def __init__(self):
        self.asked = []
        self.prepared = []

    def prepare(self, frame):
        self.prepared.append(int(frame[0, 0]))
        return int(frame[0, 0])

    def work(self, n_points, n_frames):
        return 1

    def follow(self, frames, asked, tell):
        self.asked.append((frames, asked))
        tell()
        step = np.arange(len(frames))
        near = np.abs(step[None, :, None] - step[None, None, :]) + np.where(asked.known[:, None], 0, 1000)
        away = step[None] - near.argmin(axis=-1)
        xy = asked.xy + np.stack([away, np.zeros_like(away)], axis=-1)
        return Found(xy, np.ones(asked.known.shape, bool), np.full(asked.known.shape, 0.5))


def _clip(length):
    return np.arange(length, dtype=np.uint8)[:, None, None].repeat(2, 1).repeat(2, 2)


@pytest.mark.parametrize("length", [1, 5, 8, 21, 40])
def test_every_point_is_found_on_every_frame_from_any_query(length, rng):
    queries = np.column_stack([rng.integers(0, length, 6), rng.uniform(0, 99, (6, 2))]).astype(float)
    follower, calls = Counter(), []
    found = follow_clip(follower, _clip(length), queries, lambda done, total: calls.append((done, total)))
    away = np.arange(length)[None] - queries[:, :1]
    assert found.xy[..., 0] == pytest.approx(queries[:, 1:2] + away)
    assert found.xy[..., 1] == pytest.approx(np.repeat(queries[:, 2:], length, axis=1))
    assert np.all(found.confidence[np.arange(6), queries[:, 0].astype(int)] == 1)
    assert calls[-1][0] == calls[-1][1]
    for frames, asked in follower.asked:
        assert len(frames) <= 8
        assert asked.known.any(axis=1).all()
        # Each query's frame is at hand, counted from the window's first.
        assert {asked.query_frames[int(t)] - frames[0] for t in asked.start} == set(asked.start.tolist())


def test_frames_in_an_overlap_are_prepared_once():
    follower = Counter()
    follow_clip(follower, _clip(40), np.array([[0.0, 1, 1]]))
    assert sorted(follower.prepared) == list(range(40))
