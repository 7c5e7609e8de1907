"""Augmentation keeps frame and labels together and depends on its generator alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.training.augment import (
    NEAR,
    WIDE,
    augment_frame,
    placement_matrix,
    random_fan,
    random_grey,
    random_haze,
    random_loss,
    random_placement,
    random_shadows,
    seen_otherwise,
    slight_grey,
)


@pytest.fixture
def frame():
    labels = np.zeros((120, 160), np.uint8)
    cv2.ellipse(labels, (80, 60), (20, 35), 0, 0, 360, 1, -1)
    image = np.where(labels == 1, 200, 60).astype(np.uint8)
    return image, labels


def test_a_placement_moves_frame_and_labels_alike(frame):
    for seed in range(20):
        image, labels = random_placement(*frame, 96, np.random.default_rng(seed))
        assert image.shape == labels.shape == (96, 96)
        inside = labels == 1
        edge = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5))) - cv2.erode(
            inside.astype(np.uint8), np.ones((5, 5))
        )
        assert inside.any()
        assert (image[inside & (edge == 0)] > 0.7).all()
        assert (image[~inside & (edge == 0)] < 0.3).all()


@pytest.mark.parametrize("change", [random_fan, random_grey, random_haze, random_loss, random_shadows, slight_grey])
def test_grey_levels_stay_in_range(frame, change):
    image = frame[0].astype(np.float32) / 255
    for seed in range(20):
        changed = change(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert changed.dtype == np.float32
        assert changed.min() >= 0
        assert changed.max() <= 1


def test_the_same_generator_gives_the_same_frame(frame):
    first = augment_frame(*frame, 64, np.random.default_rng(5))
    second = augment_frame(*frame, 64, np.random.default_rng(5))
    other = augment_frame(*frame, 64, np.random.default_rng(6))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[0], other[0])


def test_near_stays_near_and_wide_goes_far():
    corner, away = np.array([20.0, 150.0, 1.0]), {}
    for name, reach in (("near", NEAR), ("wide", WIDE)):
        moved = [
            placement_matrix((160, 160), 160, np.random.default_rng(seed), reach, mirror=0.0) @ corner
            for seed in range(200)
        ]
        away[name] = np.linalg.norm(np.array(moved) - corner[:2], axis=1)
    assert np.median(away["near"]) < 0.6 * np.median(away["wide"])
    assert away["near"].max() < 0.5 * 160


def test_a_clip_that_is_seen_slightly_otherwise_does_not_flicker(frame):
    image, changes = frame[0].astype(np.float32) / 255, []
    for seed in range(20):
        first, second = seen_otherwise([image, image], np.random.default_rng(seed), slightly=True)
        assert np.array_equal(first, second)
        changes.append(np.abs(first - image).mean())
    assert np.median(changes) < 0.1
    pairs = [seen_otherwise([image, image], np.random.default_rng(seed), slightly=False) for seed in range(40)]
    assert any(not np.array_equal(a, b) for a, b in pairs)


def test_some_clips_that_look_as_recorded_are_shaded():
    image = np.full((96, 96), 0.5, np.float32)
    darkest = [
        float(seen_otherwise([image], np.random.default_rng(seed), slightly=True)[0].min()) for seed in range(200)
    ]
    shaded = np.mean(np.array(darkest) < 0.25)
    assert 0.15 < shaded < 0.4


def test_lost_gain_takes_as_many_grey_levels_from_all_and_keeps_black_black():
    image = np.array([[0.0, 0.1, 0.5, 0.9]], np.float32)
    lost = [0.9 - random_loss(image, np.random.default_rng(seed)) for seed in range(50)]
    amounts = np.array([one[0, 3] for one in lost])
    dim = [random_loss(image / 4, np.random.default_rng(seed)) for seed in range(50)]
    assert min(one.max() for one in dim) > 0.05
    assert amounts.min() >= 0
    assert 0.25 < amounts.max() <= 1 / 3
    assert all(np.isclose(one[0, 2], 0.4 + one[0, 3]) for one in lost)
    assert all(one[0, 0] == np.float32(0.9) for one in lost)
