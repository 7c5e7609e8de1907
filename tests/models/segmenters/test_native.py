"""Each class is one piece without holes."""

from __future__ import annotations

import numpy as np

from echomotion.core import Geometry, Masks
from echomotion.models.segmenters.native import empty_where_dark, labels_from_probability, without_islands


def test_a_second_piece_goes_and_a_hole_is_filled():
    labels = np.zeros((40, 50), np.uint8)
    labels[5:35, 10:40] = 2
    labels[10:35, 15:35] = 1
    whole = without_islands(labels)
    assert np.array_equal(whole, labels)
    # A piece of atrium within the ventricle, as a tendon makes it, and one of wall far off.
    broken = labels.copy()
    broken[18:22, 20:30] = 3
    broken[35:39, 15:35] = 3
    broken[2:4, 45:48] = 2
    mended = without_islands(broken)
    assert (mended[18:22, 20:30] == 1).all()
    assert (mended[35:39, 15:35] == 3).all()
    assert (mended[2:4, 45:48] == 0).all()


def test_background_that_reaches_the_border_stays():
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 5:25] = 2
    labels[10:30, 10:20] = 0
    assert np.array_equal(without_islands(labels), labels)
    assert not without_islands(np.zeros((8, 8), np.uint8)).any()


def test_labels_of_a_turned_grid_lie_where_the_picture_has_them():
    probability = np.zeros((2, 64, 64), np.float32)
    probability[0], probability[1, 40:56, 8:30] = 0.5, 1.0
    upright = Geometry.resize((100, 128), (64, 64))
    turned = Geometry.upside_down((100, 128)).then(upright)
    labels = labels_from_probability(probability, upright)
    assert labels[70:80, 20:50].all()
    assert np.array_equal(labels_from_probability(probability, turned), labels[::-1])


def test_darkness_has_no_heart():
    frames = np.zeros((2, 8, 8), np.uint8)
    frames[0], frames[1, 2, 2] = 3, 90
    probability = np.full((2, 2, 8, 8), 0.5, np.float16)
    classes = {0: "background", 1: "lv_cavity"}
    masks = Masks(np.ones((2, 8, 8), np.uint8), classes, probability, Geometry.identity((8, 8)))
    found = empty_where_dark(masks, frames)
    assert not found.labels[0].any()
    assert found.labels[1].all()
    assert (found.probability[0, 0] == 1).all()
    assert not found.probability[0, 1].any()
    assert np.array_equal(found.probability[1], probability[1])
    assert empty_where_dark(masks, frames + 100) is masks
