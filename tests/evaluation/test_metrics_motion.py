"""Metrics of a tracker's way against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.evaluation import metrics_motion as motion


def test_a_point_is_lost_once_it_missed_by_more_than_16_px():
    # Query on frame 1 of 5. Backward: lost at once. Forward: lost on frame 3, and stays so when it comes back.
    errors = np.array([[20.0, 0.0, 16.0, 16.1, 0.5]])
    step = np.array([[-1, 0, 1, 2, 3]])
    seen = np.ones((1, 5), bool)
    assert motion.survival(errors, seen, step, step != 0) == 1 / 4
    assert motion.survival(errors, seen, step, step > 0) == 1 / 3
    # What cannot be seen is no miss.
    assert motion.survival(errors, np.array([[True, True, True, False, True]]), step, step > 0) == 1
    # A position that is not given is one.
    assert motion.survival(np.full((1, 5), np.inf), seen, step, step > 0) == 0
    assert math.isnan(motion.survival(errors, seen, step, np.zeros((1, 5), bool)))


def test_a_tracker_that_makes_nine_tenths_of_the_way_lags_by_one_tenth():
    true = np.zeros((1, 3, 2))
    true[0, :, 1] = [0, -10, -20]  # up the picture
    seen = np.ones((1, 3), bool)
    assert motion.signed_error(0.9 * true - true, true, seen) == pytest.approx(-1.5)
    assert motion.signed_error(1.1 * true - true, true, seen) == pytest.approx(1.5)
    # An error across the motion is none along it.
    across = np.zeros((1, 3, 2))
    across[..., 0] = 7
    assert motion.signed_error(across, true, seen) == 0
    # Half a pixel has no direction, and what is not given no sign.
    assert math.isnan(motion.signed_error(across, true / 40, seen))
    assert math.isnan(motion.signed_error(np.full((1, 3, 2), np.nan), true, seen))


def test_vectors_are_measured_on_a_frame_of_256_px():
    assert motion.vectors_px([[3.0, 8.0]], [[0.0, 0.0]], (512, 128)).tolist() == [[6, 4]]


def test_jitter_is_the_second_difference_of_the_error():
    vectors = np.zeros((1, 5, 2))
    vectors[0, :, 0] = np.arange(5) * 3.0  # grows evenly
    usable = np.ones((1, 5), bool)
    assert motion.jitter(vectors, usable) == 0
    vectors[0, :, 1] = [0, 1, 0, 1, 0]  # second differences -2, 2, -2
    assert motion.jitter(vectors, usable) == pytest.approx(2)
    vectors[0, 4] = np.nan
    assert motion.jitter(vectors, usable) == pytest.approx(2)
    usable[0, 2] = False
    assert math.isnan(motion.jitter(vectors, usable))


def test_medians_by_direction_and_by_phase():
    step = np.array([[[5.0, 0.2], [5.0, -0.2], [0.0, 9.0], [-4.0, -4.0], [0.1, 0.1]]])
    errors = np.array([[1.0, 3.0, 7.0, 2.0, 99.0]])
    by_direction = motion.median_by_direction(errors, step, np.ones((1, 5), bool))
    assert {k: v for k, v in by_direction.items() if not math.isnan(v)} == {"right": 2, "down": 7, "up_left": 2}
    by_phase = motion.median_by_phase(np.array([[1.0, 2], [3, 9], [5, 5]]), [0.97, 0.03, 0.5], np.ones((3, 2), bool), 4)
    assert by_phase["0.000"] == 2.5
    assert by_phase["0.500"] == 5
    assert math.isnan(by_phase["0.250"])
