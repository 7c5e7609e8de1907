"""Averaging along trajectories takes flicker away and leaves motion alone."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.models.segmenters.along_tracks import averaged_along_tracks
from echomotion.models.segmenters.point_cues import Cues

SIDE, FRAMES, INTERVAL = 96, 12, 0.03


def disk(radius: float, centre: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = 1 / (1 + np.exp(np.hypot(x - centre[0], y - centre[1]) - radius))
    return np.stack([1 - inside, inside]).astype(np.float32)


def beat(noise: float = 0.0, confidence: float = 1.0) -> tuple[np.ndarray, np.ndarray, Cues]:
    """A disk that shrinks from 30 to 20 px about its centre while it moves 12 px right; with its noisy copy."""
    parts = np.linspace(0, 1, FRAMES)
    rng = np.random.default_rng(0)
    radius, centre = 30 - 10 * parts, np.column_stack([40 + 12 * parts, np.full(FRAMES, 48.0)])
    exact = np.stack([disk(r, tuple(c)) for r, c in zip(radius, centre, strict=True)])
    found = np.stack([disk(r + rng.normal(0, noise), tuple(c)) for r, c in zip(radius, centre, strict=True)])
    y, x = np.mgrid[0:SIDE:8, 0:SIDE:8]
    start = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    xy = centre[None] + (radius / 30)[None, :, None] * (start - centre[0])[:, None]
    seen = np.ones(xy.shape[:2], bool)
    return exact, found, Cues(xy.astype(np.float32), seen, np.full(seen.shape, confidence, np.float32))


def averaged(probability: np.ndarray, cues: Cues, width_s: float = 0.06) -> np.ndarray:
    return averaged_along_tracks(probability, cues, INTERVAL, width_s=width_s, spacing_px=8)


def areas(probability: np.ndarray) -> np.ndarray:
    return (probability[:, 1] > 0.5).sum(axis=(1, 2))


def test_exact_masks_keep_their_place_and_their_excursion():
    exact, _, cues = beat()
    found = averaged(exact, cues)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-4)
    overlap = 2 * ((found[:, 1] > 0.5) & (exact[:, 1] > 0.5)).sum(axis=(1, 2)) / (areas(found) + areas(exact))
    assert overlap.min() > 0.985
    assert np.ptp(areas(found)) == pytest.approx(np.ptp(areas(exact)), rel=0.02)


def test_flicker_becomes_less_than_half():
    exact, noisy, cues = beat(noise=1.0)
    before, after = areas(noisy) / areas(exact) - 1, areas(averaged(noisy, cues)) / areas(exact) - 1
    assert np.std(after) < 0.5 * np.std(before)


def test_frames_whose_points_are_lost_stay_as_they_are():
    _, noisy, cues = beat(noise=1.0, confidence=0.0)
    assert np.abs(averaged(noisy, cues) - noisy).max() < 0.1


def test_one_frame_and_no_width_change_nothing():
    exact, _, cues = beat()
    assert averaged(exact[:1], cues.part(0, 1)) is not None
    assert np.array_equal(averaged(exact, cues, width_s=0.0), exact)
    assert np.array_equal(averaged(exact[:1], cues.part(0, 1)), exact[:1])
