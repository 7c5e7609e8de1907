"""The valve that is drawn open: the bright line goes, leaflets come, and all else stays as it was."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.training import open_valve as subject
from echomotion.training.open_valve import mitral_hinges, open_valve, perhaps_open_valve


@pytest.fixture
def frame():
    """A ventricle over an atrium, blood at 0.1, tissue at 0.6, and the shut valve a line at 0.9 in row 120."""
    labels = np.zeros((200, 160), np.uint8)
    cv2.rectangle(labels, (45, 20), (115, 120), 2, -1)
    cv2.rectangle(labels, (60, 35), (100, 120), 1, -1)
    cv2.rectangle(labels, (60, 121), (100, 170), 3, -1)
    picture = np.where(np.isin(labels, (1, 3)), 0.1, 0.6).astype(np.float32)
    picture[119:123, 60:101] = 0.9
    return picture, labels


def test_hinges_are_where_cavity_atrium_and_wall_meet(frame):
    hinges = mitral_hinges(frame[1])
    assert hinges is not None
    ordered = hinges[np.argsort(hinges[:, 0])]
    np.testing.assert_allclose(ordered, [[60, 120.5], [100, 120.5]], atol=3)


def test_the_line_goes_and_leaflets_stand_in_the_cavity(frame, monkeypatch):
    picture, labels = frame
    monkeypatch.setattr(subject, "_UNSEEN", 0.0)
    drawn = 0
    for seed in range(20):
        opened = open_valve([picture], [labels], np.random.default_rng(seed))[0]
        assert opened.dtype == np.float32
        assert 0 <= opened.min() <= opened.max() <= 1
        # Of the shut valve nothing is left between the hinges but where a leaflet begins.
        assert np.median(opened[119:123, 66:95]) < 0.2
        # Walls and what lies beyond them stay, and so does the far end of the atrium.
        assert np.array_equal(opened[:, :40], picture[:, :40])
        assert np.array_equal(opened[150:], picture[150:])
        drawn += bool((opened[60:112, 62:99] > 0.2).any())
    assert drawn > 15


def test_nothing_is_drawn_over_brighter_tissue(frame):
    picture, labels = frame
    for seed in range(10):
        opened = open_valve([picture], [labels], np.random.default_rng(seed))[0]
        assert (opened[labels == 2] >= picture[labels == 2] - 0.05).all()


def test_frames_of_a_clip_have_the_same_leaflets(frame):
    picture, labels = frame
    for seed in range(5):
        first, second, third = open_valve([picture] * 3, [labels] * 3, np.random.default_rng(seed))
        assert np.abs(first - second).mean() < 0.05
        assert np.abs(second - third).mean() < 0.05


def test_blood_is_not_taken_from_beyond_the_fan(frame):
    picture, labels = frame
    picture = picture.copy()
    picture[128:] = 0
    opened = open_valve([picture], [labels], np.random.default_rng(0))[0]
    assert np.median(opened[121:126, 66:95]) > 0.05


def test_a_frame_without_both_chambers_stays(frame):
    picture, labels = frame
    for kept in (np.zeros_like(labels), np.where(labels == 3, 0, labels).astype(np.uint8)):
        assert mitral_hinges(kept) is None
        assert open_valve([picture], [kept], np.random.default_rng(0))[0] is picture


def test_about_one_clip_of_five_is_opened(frame):
    picture, labels = frame
    rng = np.random.default_rng(3)
    opened = sum(perhaps_open_valve([picture], [labels], rng)[0] is not picture for _ in range(300))
    assert 35 < opened < 90
