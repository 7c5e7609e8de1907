"""Patch correlation along tracks, on pictures whose answer is known and on the reference clips."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.core import DataError
from echomotion.datasets.tracking import read_tracking
from echomotion.simulate.similarity import LAGS, patch_correlation

# What the notes of the reference clips state for lags of 1, 2, 4, 8 and 12 frames, both hearts together.
REFERENCE = {
    "clean": (0.91, 0.88, 0.83, 0.76, 0.72),
    "mild": (0.74, 0.67, 0.62, 0.56, 0.54),
    "hard": (0.62, 0.52, 0.46, 0.42, 0.41),
}


@pytest.fixture
def texture(rng) -> np.ndarray:
    return cv2.GaussianBlur(rng.normal(128, 60, (256, 300)).astype(np.float32), (0, 0), 1.5)


def grid_tracks(frames: int, step: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    x, y = np.meshgrid(np.arange(60, 240, 30.0), np.arange(60, 200, 30.0))
    start = np.stack([x.ravel(), y.ravel()], -1)
    return start[:, None] + np.arange(frames)[None, :, None] * np.array(step)


def test_texture_that_moves_with_the_tracks_stays_alike(texture):
    frames = np.stack([np.roll(texture, (2 * t, t), (0, 1)) for t in range(10)]).clip(0, 255).astype(np.uint8)
    moving = patch_correlation(frames, grid_tracks(10, (1.0, 2.0)), (1, 4, 8))
    np.testing.assert_allclose(moving, 1.0, atol=1e-4)
    assert patch_correlation(frames, grid_tracks(10), (8,))[0] < 0.3


def test_independent_noise_has_the_correlation_its_power_says(rng):
    signal = rng.normal(0, 20, (256, 256))
    frames = np.stack([128 + signal + rng.normal(0, 20, signal.shape) for _ in range(6)]).clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose(patch_correlation(frames, grid_tracks(6)[:, :, ::1], (1, 3)), 0.5, atol=0.03)


def test_the_frame_is_brought_to_256_rows(texture):
    frames = np.stack([np.roll(texture, (2 * t, t), (0, 1)) for t in range(6)]).clip(0, 255).astype(np.uint8)
    big = np.stack([cv2.resize(f, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR) for f in frames])
    tracks = grid_tracks(6, (1.0, 2.0)) + 0.25
    small = patch_correlation(frames, tracks, (1, 4))
    np.testing.assert_allclose(patch_correlation(big, (tracks + 0.5) * 2 - 0.5, (1, 4)), small, atol=0.03)


def test_pairs_that_cannot_be_compared_are_left_out(texture):
    frames = np.stack([texture] * 4).clip(0, 255).astype(np.uint8)
    tracks = grid_tracks(4)
    assert np.isnan(patch_correlation(frames, tracks, (4, 9))).all()
    assert np.isnan(patch_correlation(np.zeros_like(frames), tracks, (1,))).all()
    assert np.isnan(patch_correlation(frames, tracks - 1000.0, (1,))).all()
    assert np.isnan(patch_correlation(frames, tracks, (1,), visible=np.zeros(tracks.shape[:2], bool))).all()
    tracks[:, 2] = np.nan
    assert patch_correlation(frames, tracks, (1,))[0] == pytest.approx(1.0)


def test_impossible_lag_and_shape_are_refused(texture):
    frames = np.stack([texture] * 4).clip(0, 255).astype(np.uint8)
    with pytest.raises(DataError, match="lag"):
        patch_correlation(frames, grid_tracks(4), (0,))
    with pytest.raises(DataError, match="xy has shape"):
        patch_correlation(frames, grid_tracks(3), (1,))


def test_reference_clips_have_the_values_stated_for_them(echo_data):
    measured = {
        case.name: patch_correlation(case.clip.frames, case.xy, LAGS)
        for case in read_tracking(echo_data / "pymust_validation")
    }
    for level, stated in REFERENCE.items():
        np.testing.assert_allclose(measured[f"tune_{level}"], stated, atol=0.03)
