"""Dice and HD95 on masks whose answer can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.core import Clip, Masks
from echomotion.datasets.camus import CamusFrame
from echomotion.evaluation.segmentation import agreement, compare_masks


def box(x0, x1, y0=10, y1=30, shape=(50, 60)):
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_a_shifted_box():
    dice, hd95 = agreement(box(10, 30), box(13, 33), (0.5, 2.0))
    assert dice == pytest.approx(2 * 17 * 20 / (2 * 20 * 20))
    assert hd95 == pytest.approx(3 * 2.0)
    _, across = agreement(box(10, 30, 10, 30), box(10, 30, 13, 33), (0.5, 2.0))
    assert across == pytest.approx(3 * 0.5)


def test_the_larger_direction_counts():
    small, large = box(10, 30), box(10, 30) | box(45, 55)
    forward = agreement(small, large, (1, 1))[1]
    backward = agreement(large, small, (1, 1))[1]
    assert forward == pytest.approx(backward)
    assert forward > 10


def test_an_empty_prediction_is_as_wrong_as_can_be_and_two_empties_are_left_out():
    nothing = np.zeros((30, 40), bool)
    something = box(2, 9, 2, 9, (30, 40))
    assert agreement(nothing, something, (1.0, 1.0)) == (0.0, pytest.approx(50.0))
    assert all(math.isnan(v) for v in agreement(nothing, nothing, (1.0, 1.0)))


def test_means_run_over_frames_then_patients():
    def frame(patient, phase, shift):
        labels = np.zeros((50, 60), np.uint8)
        labels[box(10 + shift, 30 + shift)] = 1
        clip = Clip(np.zeros((1, 50, 60), np.uint8), np.zeros(1), (1.0, 1.0))
        return CamusFrame(patient, phase, "Good", clip, labels)

    frames = [frame("a", "ED", 0), frame("a", "ES", 10), frame("b", "ED", 0)]
    found = Masks(np.where(box(10, 30), 1, 0).astype(np.uint8)[None])
    report = compare_masks(frames, lambda _: found)
    summary = report.summary().set_index(["group", "class"])
    row = summary.loc[("all", "lv_cavity")]
    assert row["patients"] == 2
    assert row["dice"] == pytest.approx(((1 + 0.5) / 2 + 1) / 2)
    assert summary.loc[("ES", "lv_cavity"), "dice"] == pytest.approx(0.5)
    assert math.isnan(summary.loc[("all", "left_atrium"), "dice"])
    assert report.as_dict()["summary"][2]["dice"] is None
