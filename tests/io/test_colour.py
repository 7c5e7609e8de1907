"""Overlays are taken out of grey pictures; tinted pictures are kept."""

from __future__ import annotations

import numpy as np

from echomotion.io.colour import GreyMaker
from tests.io.samples import grey_cine

GREY = grey_cine(1, (80, 100))[0]


def test_grey_frames_pass() -> None:
    grey = GreyMaker()
    np.testing.assert_array_equal(grey(GREY), GREY)
    np.testing.assert_array_equal(grey(np.repeat(GREY[..., None], 3, axis=2)), GREY)
    assert grey.warnings == []


def test_rounding_of_colour_coding_averages_out(rng: np.random.Generator) -> None:
    grey = GreyMaker()
    noisy = np.clip(GREY[..., None] + rng.integers(-12, 13, (80, 100, 3)), 0, 255).astype(np.uint8)
    assert np.abs(grey(noisy).astype(int) - GREY).max() <= 13
    assert grey.warnings == []


def test_flow_and_a_trace_become_black_and_are_warned_about() -> None:
    grey = GreyMaker()
    frame = np.repeat(GREY[..., None], 3, axis=2)
    frame[20:40, 20:50] = (200, 30, 0)
    frame[40:55, 20:50] = (0, 60, 220)
    frame[70, :] = (0, 255, 0)
    out = grey(frame)
    assert not out[20:55, 20:50].any()
    assert not out[70].any()
    np.testing.assert_array_equal(out[:20], GREY[:20])
    assert "coloured overlay" in grey.warnings[0]


def test_a_tinted_picture_is_kept_and_said() -> None:
    for tint in ((1.0, 0.78, 0.45), (0.35, 0.6, 1.0)):
        grey = GreyMaker()
        frame = (GREY[..., None] * np.array(tint)).astype(np.uint8)
        np.testing.assert_array_equal(grey(frame), GREY)
        assert "tinted" in grey.warnings[0]


def test_a_screen_full_of_flow_is_not_a_tint() -> None:
    grey = GreyMaker()
    frame = np.zeros((80, 100, 3), np.uint8)
    frame[:, :50, 0], frame[:, 50:, 2] = 220, 220
    assert not grey(frame).any()


def test_the_decision_holds_for_the_whole_clip() -> None:
    grey = GreyMaker()
    plain = np.repeat(GREY[..., None], 3, axis=2)
    grey(np.zeros_like(plain))
    grey(plain)
    assert not grey((plain * np.array([1, 0.3, 0.1])).astype(np.uint8))[GREY > 100].any()
