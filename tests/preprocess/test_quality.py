"""Broken frames score lower than their neighbours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.core import Clip
from echomotion.preprocess.quality import frame_quality
from echomotion.preprocess.sector import Sector

SECTOR = Sector((100.0, 5.0), (-0.6, 0.6), 5.0, 150.0, (160, 200))


@pytest.fixture
def clip(rng: np.random.Generator) -> Clip:
    """A texture that drifts by half a pixel a frame inside a fan."""
    texture = cv2.GaussianBlur(rng.rayleigh(60, (200, 240)), (0, 0), 1.2)
    texture = (texture - texture.min()) / np.ptp(texture) * 220
    frames = [cv2.warpAffine(texture, np.float32([[1, 0, -0.5 * t], [0, 1, 0]]), (200, 160)) for t in range(12)]
    return Clip((np.stack(frames) * SECTOR.mask()).astype(np.uint8), np.arange(12) / 30)


def changed(clip: Clip, frame: int, picture: np.ndarray) -> Clip:
    frames = clip.frames.copy()
    frames[frame] = picture
    return clip.with_(frames=frames)


def test_a_good_clip_is_good_throughout(clip: Clip) -> None:
    quality = frame_quality(clip, SECTOR)
    assert quality.shape == (12,)
    assert quality.dtype == np.float64
    assert quality.min() > 0.85
    assert quality.max() <= 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame, rng: np.zeros_like(frame),
        lambda frame, rng: np.full_like(frame, 255),
        lambda frame, rng: frame // 8,
        lambda frame, rng: cv2.GaussianBlur(frame, (0, 0), 4),
        lambda frame, rng: frame[::-1],
        lambda frame, rng: rng.integers(0, 256, frame.shape),
    ],
    ids=["black", "white", "dim", "blurred", "jump", "noise"],
)
def test_a_spoilt_frame_stands_out(clip: Clip, spoil, rng: np.random.Generator) -> None:
    quality = frame_quality(changed(clip, 5, spoil(clip.frames[5], rng)), SECTOR)
    others = np.delete(quality, 5)
    assert quality[5] < 0.8 * others.min()
    assert np.isfinite(quality).all()


def test_a_repeated_frame_is_marked_and_its_original_is_not(clip: Clip) -> None:
    quality = frame_quality(changed(clip, 5, clip.frames[4]), SECTOR)
    assert quality[5] < 0.9 * np.delete(quality, 5).min()


def test_what_lies_outside_the_fan_does_not_count(clip: Clip, rng: np.random.Generator) -> None:
    frames = clip.frames.copy()
    outside = ~SECTOR.mask()
    frames[:, outside] = rng.integers(0, 256, (12, outside.sum()))
    np.testing.assert_allclose(frame_quality(clip.with_(frames=frames), SECTOR), frame_quality(clip, SECTOR), atol=0.1)


def test_a_black_clip_and_a_single_frame_have_a_number(clip: Clip) -> None:
    black = Clip(np.zeros((3, 20, 20), np.uint8), np.arange(3) / 10)
    np.testing.assert_array_equal(frame_quality(black), 0)
    still = Clip(clip.frames[:1], np.zeros(1))
    assert 0.8 < frame_quality(still, SECTOR)[0] <= 1
