"""Judging masks of whole beats: exact masks have nothing to blame, flicker and lost motion are found."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import APICAL_CLASSES, Clip, DataError, Geometry, Masks
from echomotion.evaluation.beat_masks import (
    LabelledBeat,
    as_steady,
    end_systole_shift,
    filtered,
    judge_beat,
    means,
    steadied,
    validation_beats,
)

FRAMES, SIDE = 24, 96


def labels(radius: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - 48, y - 48)
    wall = distance[None] < (radius + 8)[:, None, None]
    return np.where(distance[None] < radius[:, None, None], 1, 2 * wall).astype(np.uint8)


def radii(excursion: float = 6.0, noise: float = 0.0) -> np.ndarray:
    course = 26 - excursion * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / FRAMES))
    return course + noise * np.random.default_rng(0).standard_normal(FRAMES)


def masks(found: np.ndarray) -> Masks:
    probability = np.stack([found == k for k in range(3)], axis=1).astype(np.float16)
    classes = {0: "background", 1: "lv_cavity", 2: "lv_myocardium"}
    return Masks(found, classes, probability, Geometry.identity((SIDE, SIDE)), "toy")


@pytest.fixture
def beat() -> LabelledBeat:
    clip = Clip(np.full((FRAMES, SIDE, SIDE), 9, np.uint8), 0.03 * np.arange(FRAMES), (0.5, 0.5))
    return LabelledBeat("toy", clip, labels(radii()))


def test_the_truth_is_judged_perfect(beat):
    found = judge_beat(beat, masks(beat.labels), "lv_cavity")
    assert found["dice"] == 1
    assert found["excursion_ratio"] == 1
    assert found["es_shift_frames"] == found["es_shift_beyond_level_frames"] == 0
    assert found["contour_jitter"] < 0.2


def test_end_systoles_of_two_beats_are_not_taken_for_each_other():
    time = np.arange(40)
    true = 1 + np.cos(2 * np.pi * time / 20) + 0.001 * time
    found = 1 + np.cos(2 * np.pi * time / 20) - 0.001 * time
    assert end_systole_shift(found, true) == 0
    # The later of the two beats is late by three frames.
    found[20:] = 1 + np.cos(2 * np.pi * (time[20:] - 3) / 20)
    assert end_systole_shift(found, true) == 3
    # A dip of a tenth of the range is no beat; an end-systole on the last frame is one.
    fall = np.linspace(1.0, 0.0, 40) - 0.1 * np.exp(-0.5 * ((time - 10) / 2) ** 2)
    assert end_systole_shift(fall[::-1].copy(), fall) == 39
    assert end_systole_shift(np.roll(fall, -1), fall) == 1
    assert end_systole_shift(np.ones(5), np.ones(5)) == 0


def test_frames_of_a_level_end_systole_count_alike():
    true = np.array([10.0, 6.0, 2.0, 0.09, 0.05, 0.0, 0.08, 0.2, 4.0, 10.0])
    for smallest, plain, beyond in ((3, 2, 0), (6, 1, 0), (7, 2, 1), (1, 4, 2), (9, 4, 3)):
        found = np.ones(10)
        found[smallest] = 0
        assert end_systole_shift(found, true) == plain
        assert end_systole_shift(found, true, 0.01) == beyond


def test_flicker_and_lost_motion_are_found(beat):
    rough = judge_beat(beat, masks(labels(radii(noise=1.0))), "lv_cavity")
    assert rough["contour_jitter"] > 0.3
    assert rough["area_roughness"] > 3
    stiff = judge_beat(beat, masks(labels(radii(excursion=3.0))), "lv_cavity")
    assert stiff["excursion_ratio"] == pytest.approx(0.55, abs=0.08)
    assert "excursion_ratio" not in judge_beat(beat, masks(beat.labels), "lv_myocardium")


def test_the_filter_reaches_the_jitter_that_is_asked_for(beat):
    rough = masks(labels(radii(noise=1.0)))
    wanted = 0.5 * judge_beat(beat, rough, "lv_cavity")["contour_jitter"]
    width, even = as_steady([beat], [rough], "lv_cavity", wanted)
    assert width > 0
    assert judge_beat(beat, even[0], "lv_cavity")["contour_jitter"] == pytest.approx(wanted, rel=0.25)
    assert filtered(rough, beat.clip, 0.0) is rough


def test_masks_without_probabilities_cannot_be_filtered(beat):
    with pytest.raises(DataError, match="probabilities"):
        filtered(Masks(beat.labels, APICAL_CLASSES, model="toy"), beat.clip, 0.1)
    with pytest.raises(DataError, match="probabilities"):
        steadied(Masks(beat.labels, APICAL_CLASSES, model="toy"), beat.clip)


def test_steadying_takes_jitter_and_keeps_the_motion(beat):
    rough = masks(labels(radii(noise=1.0)))
    before, after = (judge_beat(beat, one, "lv_cavity") for one in (rough, steadied(rough, beat.clip)))
    assert after["contour_jitter"] < 0.8 * before["contour_jitter"]
    clean = judge_beat(beat, steadied(masks(beat.labels), beat.clip), "lv_cavity")
    assert clean["excursion_ratio"] == pytest.approx(1, abs=0.05)


def test_means_tell_the_largest_shift():
    found = means([{"dice": 0.5, "es_shift_frames": 0.0}, {"dice": 0.7, "es_shift_frames": 3.0}])
    assert found["dice"] == pytest.approx(0.6)
    assert found["es_shift_largest"] == 3


def test_beats_of_validation_patients_have_masks_on_every_frame(echo_data):
    for kind in ("simulated", "joined"):
        (one,) = validation_beats(echo_data, kind, 1)
        assert one.clip.n_frames == len(one.labels) == 32
        assert one.clip.spacing_mm is not None
        assert all((one.labels == k).any(axis=(1, 2)).all() for k in (1, 2))
        spread = (one.labels == 1).sum(axis=(1, 2))
        assert spread.min() < 0.9 * spread.max()


def test_other_beats_are_refused(tmp_path):
    with pytest.raises(DataError, match="simulated or joined"):
        next(validation_beats(tmp_path, "dreamt", 1))
