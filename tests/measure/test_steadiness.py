"""Cavities that beat are believed, cavities that jump about are not."""

import numpy as np

from echomotion.core import Masks
from echomotion.measure.steadiness import unsteady


def disc(x, y, radius):
    rows, columns = np.mgrid[:80, :100]
    return (np.hypot(columns - x, rows - y) <= radius).astype(np.uint8)


def test_a_cavity_that_beats_and_drifts_is_steady():
    frames = [disc(40 + t, 40, 20 + 6 * np.cos(2 * np.pi * t / 14)) for t in range(20)]
    assert unsteady(Masks(np.stack(frames))) == ""


def test_a_cavity_that_is_elsewhere_on_every_frame_is_none():
    rng = np.random.default_rng(0)
    frames = [disc(rng.uniform(15, 85), rng.uniform(15, 65), 14) for _ in range(12)]
    assert "does not stay in its place" in unsteady(Masks(np.stack(frames)))


def test_single_lost_frames_and_empty_masks_decide_nothing():
    frames = [disc(40, 40, 20) for _ in range(9)]
    frames[4] = disc(80, 15, 8)
    assert unsteady(Masks(np.stack(frames))) == ""
    assert unsteady(Masks(np.zeros((4, 20, 20), np.uint8))) == ""
