"""Motion is kept where the picture has edges, and words tell what moves from what does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from echomotion.core import Clip, DataError
from echomotion.evaluation.motion_features import edge_filtered_motion, motion_descriptors, word_counts

pytest.importorskip("sklearn")


def speckled(seed, shift):
    """A cine of blobs that jump to and fro by `shift` px."""
    picture = gaussian_filter(np.random.default_rng(seed).random((160, 160)), 3)
    picture = (255 * (picture - picture.min()) / np.ptp(picture)).astype(np.uint8)
    frames = np.stack([np.roll(picture, round(shift * np.sin(t)), axis=0) for t in range(8)])
    return Clip(frames, np.arange(8) / 30)


def test_only_edges_that_move_are_bright():
    first, second = np.zeros((2, 80, 80), np.uint8)
    first[20:40, 20:60] = 200
    second[23:43, 20:60] = 200
    moved = edge_filtered_motion(first, second)
    assert moved[18:24, 30:50].max() > 60
    assert not moved[60:].any()
    assert not edge_filtered_motion(first, first).any()


def test_faster_motion_fills_higher_bins_and_words_are_shares():
    clips = [speckled(seed, shift) for shift in (2, 6) for seed in range(3)]
    descriptors = [motion_descriptors(clip) for clip in clips]
    assert all(own.shape[1] == 64 and len(own) > 10 for own in descriptors)
    # The first half is of motion: four cells of eight bins.
    level = [float((own[:, :32].reshape(-1, 4, 8) @ np.arange(8)).mean()) for own in descriptors]
    assert min(level[3:]) > max(level[:3])
    counts = word_counts(descriptors)
    assert counts.shape == (6, 48)
    assert counts.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(counts, word_counts(descriptors))


def test_a_still_clip_has_no_descriptors():
    still = motion_descriptors(speckled(0, 0))
    assert still.shape == (0, 64)
    with pytest.raises(DataError, match="no dictionary"):
        word_counts([still])
