"""Real four-chamber clips pass; noise, stills, photographs and foreign views do not."""

from __future__ import annotations

import time
import warnings

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file

import echomotion as em
from echomotion.preprocess.familiarity import RANGES, clip_facts, unfamiliar
from echomotion.preprocess.sector import Sector
from echomotion.simulate.sequence import simulate
from tests.phantoms import speckle

FAN = Sector((150.0, 4.0), (-0.7, 0.7), 6.0, 240.0, (256, 300)).mask()


def drifting(picture, count=8, step=0.6, fan=FAN, fps=40.0, **fields):
    """A picture that drifts behind a fan."""
    rows, columns = fan.shape
    frames = [
        cv2.warpAffine(picture, np.array([[1, 0, -step * t - 3], [0, 1, -0.5 * step * t - 3]]), (columns, rows)) * fan
        for t in range(count)
    ]
    return em.Clip(np.stack(frames).astype(np.uint8), np.arange(count) / fps, **fields)


@pytest.fixture(scope="module")
def texture():
    return (speckle((300, 340), np.random.default_rng(2), 2.0) * 200).astype(np.uint8)


def test_a_speckled_fan_is_familiar(texture):
    assert unfamiliar(drifting(texture)) is None
    assert unfamiliar(drifting(texture, view="PSAX")) is None


def test_real_four_chamber_clips_are_familiar(echo_data):
    for path in (
        echo_data / "clips" / "apical4_echotracker_45f.mp4",
        get_testdata_file("examples_ybr_color.dcm", download=False),
    ):
        clip = em.read_clip(path)
        assert unfamiliar(clip) is None
        assert unfamiliar(clip.with_(view="A4C")) is None


def test_a_simulated_clip_is_familiar_and_the_right_ventricle_is_not():
    for view in ("A4C", "RV_FOCUSED"):
        clip = simulate(view, 4, n_frames=4, n_tracks=16).clip
        said = unfamiliar(clip)
        if view == "A4C":
            assert said is None
        else:
            assert said is not None
            assert "the view is RV_FOCUSED" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1}, "a single frame has no motion"),
        ({"step": 0.0}, "the likeness of neighbouring frames is 1 "),
        ({"step": 9.0}, "the likeness of neighbouring frames"),
        ({"fps": 4.0}, "the number of frames a second is 4 "),
        ({"fan": FAN[:90, 100:200]}, "the height of the fan is"),
        ({"fan": np.ones_like(FAN)}, "bounding box that the fan fills is 1 "),
        ({"fan": np.zeros_like(FAN)}, "nothing is lit"),
        ({"view": "RV_FOCUSED"}, "the view is RV_FOCUSED"),
    ],
)
def test_what_is_unlike_is_named(change, message, texture):
    said = unfamiliar(drifting(texture, **change))
    assert said is not None
    assert message in said
    assert "\n" not in said


def test_noise_and_photographs_are_unfamiliar(rng):
    noise = rng.integers(0, 256, (8, *FAN.shape)).astype(np.uint8)
    times = np.arange(8) / 40
    for frames in (noise, noise * FAN):
        said = unfamiliar(em.Clip(frames, times))
        assert said is not None
        assert "grain" in said
        assert "likeness" in said
    # Broad shades and edges, as a photograph has, in a black border.
    shades = cv2.GaussianBlur(rng.standard_normal((300, 340)), (0, 0), 12)
    photograph = np.where(shades > 0, 180, 60) + 400 * shades
    box = np.zeros_like(FAN)
    box[30:230, 40:260] = True
    for fan in (np.ones_like(FAN), box):
        said = unfamiliar(drifting(np.clip(photograph, 0, 255).astype(np.uint8), fan=fan))
        assert said is not None
        assert "bounding box" in said


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 2), (16, 16)])
def test_tiny_frames_do_no_harm(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unfamiliar(em.Clip(np.full((3, *shape), 90, np.uint8), np.arange(3))) is not None


def test_facts_of_known_pictures(rng):
    noise = rng.integers(0, 256, (6, 200, 200)).astype(np.uint8)
    facts = clip_facts(em.Clip(noise, np.arange(6) / 30))
    assert facts.fan_fill == 1
    assert facts.fan_rows == 200
    assert facts.frame_rate_hz == pytest.approx(30)
    assert abs(facts.likeness) < 0.05
    # The autocorrelation of smoothed noise is a Gaussian that is wider by the root of two; taking out what is broad
    # makes it a little narrower.
    smooth = cv2.GaussianBlur(rng.standard_normal((200, 200)), (0, 0), 1.5)
    picture = np.clip(120 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    facts = clip_facts(em.Clip(picture[None], [0.0]))
    assert facts.grain_x == pytest.approx(1.5 * np.sqrt(2), rel=0.15)
    assert facts.grain_y == pytest.approx(facts.grain_x, rel=0.05)
    assert set(RANGES) == set(vars(facts))


def test_it_is_cheap(rng):
    clip = em.Clip(rng.integers(0, 256, (40, 768, 1024)).astype(np.uint8), np.arange(40) / 40)
    spent = []
    for _ in range(5):
        before = time.process_time()
        unfamiliar(clip)
        spent.append(time.process_time() - before)
    assert min(spent) < 0.05


def test_tracking_warns_once_and_can_be_told_not_to(texture):
    strange = drifting(texture, view="RV_FOCUSED", count=3)
    with pytest.warns(em.EchoMotionWarning, match="RV_FOCUSED") as caught:
        em.track(strange, [[0, 150, 120]], model="lucas_kanade")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        em.track(strange, [[0, 150, 120]], model="lucas_kanade", warn=False)
        em.track(drifting(texture), [[0, 150, 120]], model="lucas_kanade")
