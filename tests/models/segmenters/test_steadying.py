"""What moves keeps moving, what trembles does not."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.models.segmenters.steadying import steady_in_time


def edge(places: np.ndarray) -> np.ndarray:
    """Two classes (T, 2, 40, 64), the second one left of an edge at those places, unsure over some px about it."""
    x = np.arange(64)
    likely = 1 / (1 + np.exp((x[None] - places[:, None]) / 1.5))
    likely = np.repeat(likely[:, None], 40, axis=1)
    return np.stack([1 - likely, likely], axis=1).astype(np.float32)


def where(probability: np.ndarray) -> np.ndarray:
    """Places of the edge, to parts of a px: where both classes are as likely."""
    odds = np.log(probability[:, 1, 35] / probability[:, 0, 35])
    return np.array([np.interp(0, -row, np.arange(64)) for row in odds])


def test_an_edge_that_moves_evenly_stays_where_it_is():
    places = np.linspace(20, 42, 20)
    even = steady_in_time(edge(places), 7.0)
    assert where(even) == pytest.approx(places, abs=0.4)
    assert even.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_an_edge_that_trembles_is_held():
    rng = np.random.default_rng(0)
    true = 30 + 8 * np.sin(np.linspace(0, 2 * np.pi, 40))
    places = true + rng.normal(0, 1, 40)
    before, after = (np.std(part - true) for part in (places, where(steady_in_time(edge(places), 7.0))))
    assert after < 0.8 * before
    assert np.ptp(where(steady_in_time(edge(true), 7.0))) > 0.97 * np.ptp(true)


def test_short_clips_and_no_width_change_nothing():
    clip = edge(np.array([20.0, 24.0, 21.0, 25.0]))
    assert steady_in_time(clip, 7.0) is clip
    longer = edge(np.linspace(20, 30, 9))
    assert steady_in_time(longer, 0.0) is longer
    # Wider than the clip: as wide as it is.
    assert steady_in_time(longer, 99.0).shape == longer.shape
