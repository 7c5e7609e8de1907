"""Parameters of the heart: ranges, errors that name them, kinds with plausible function, the beat in seconds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import DataError, View
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import (
    CONTRACTION_RANGES,
    KINDS,
    LESION_RANGES,
    SHAPE_RANGES,
    VIEWS,
    Contraction,
    HeartParameters,
    Lesion,
    Pose,
    Shape,
    WholeMotion,
    wall_segments,
)
from echomotion.simulate.motion import heart_motion
from echomotion.simulate.rhythm import Rhythm, fibrillation, steady_rhythm
from echomotion.simulate.truth import cavity_areas, end_systoles, line_lengths, volume_ml


@pytest.mark.parametrize(
    ("make", "ranges"), [(Shape, SHAPE_RANGES), (Contraction, CONTRACTION_RANGES)], ids=["shape", "contraction"]
)
def test_every_range_is_enforced_and_named(make, ranges):
    for name, (low, high) in ranges.items():
        for value in (low - 0.01 * (high - low) - 1e-3, high + 0.01 * (high - low) + 1e-3, float("nan")):
            with pytest.raises(DataError, match=name):
                make(**{name: value})


def test_lesions_check_their_ranges_and_their_segment():
    for name, (low, high) in LESION_RANGES.items():
        for value in (low - 0.1, high + 0.1):
            with pytest.raises(DataError, match=name):
                Lesion("basal_inferoseptal", **{name: value})
    wrong = Contraction(lesions=(Lesion("basal_septum"),))
    with pytest.raises(DataError, match=r"segment.*basal_inferoseptal"):
        HeartParameters(View.A4C, contraction=wrong)


def test_impossible_hearts_are_refused_by_name():
    with pytest.raises(DataError, match=r"thickness_first_mm.*too thick.*cavity_radius_mm"):
        Shape(cavity_radius_mm=15, thickness_first_mm=16)
    with pytest.raises(DataError, match=r"systole_s.*end-systole must come after end-diastole"):
        steady_rhythm(70, systole_s=-0.1)
    with pytest.raises(DataError, match=r"systole_s.*before the next"):
        steady_rhythm(70, systole_s=0.85)
    with pytest.raises(DataError, match=r"heart_rate_bpm is 30; it must lie between 40 and 150"):
        steady_rhythm(30)
    with pytest.raises(DataError, match="rr_s"):
        Rhythm((5.0,), (0.3,), (1.0,))
    with pytest.raises(DataError, match=r"view.*A4C.*RV_FOCUSED"):
        HeartParameters("sideways")
    with pytest.raises(DataError, match=r"kind.*dyskinetic"):
        draw_heart("A4C", np.random.default_rng(0), "broken")
    with pytest.raises(DataError, match=r"delay_s is 0.15; it must lie between -0.08 and 0.08"):
        HeartParameters(
            View.A4C,
            rhythm=steady_rhythm(150),
            contraction=Contraction(lesions=(Lesion("basal_inferoseptal", 1.0, 0.15),)),
        )
    with pytest.raises(DataError, match="drift_mm"):
        WholeMotion(drift_mm=(50.0, 0.0))
    with pytest.raises(DataError, match="y_mm"):
        Pose(y_mm=1.0)


@pytest.mark.parametrize("view", VIEWS)
def test_a_heart_survives_json(view):
    for kind in KINDS:
        heart = draw_heart(view, np.random.default_rng(4), kind)
        assert HeartParameters.from_dict(json.loads(json.dumps(heart.as_dict()))) == heart


def test_a_draw_depends_on_its_generator_alone_and_covers_the_kinds():
    assert draw_heart("PLAX", np.random.default_rng(8)) == draw_heart("PLAX", np.random.default_rng(8))
    rng = np.random.default_rng(1)
    hearts = [draw_heart("A4C", rng) for _ in range(150)]
    assert {heart.kind for heart in hearts} == set(KINDS)
    assert any(heart.rhythm.late_share == 0 for heart in hearts)


def test_one_seed_gives_one_heart_from_several_sides():
    for seed in range(12):
        hearts = [draw_heart(view, np.random.default_rng(seed)) for view in VIEWS]
        first = hearts[0]
        assert all(heart.kind == first.kind and heart.rhythm == first.rhythm for heart in hearts)
        assert all(heart.surroundings.atrium_length_mm == first.surroundings.atrium_length_mm for heart in hearts)
        for heart in hearts[1:5]:
            assert heart.shape.cavity_radius_mm == first.shape.cavity_radius_mm
            assert heart.contraction.longitudinal == first.contraction.longitudinal


# GLS of the middle of the wall and EF in %, lowest and highest mean over draws.
_EXPECTED = {
    "healthy": ((-22, -16), (54, 70)),
    "reduced": ((-13, -7), (25, 42)),
    "hypertrophic": ((-17, -10), (52, 72)),
    "dilated": ((-11, -5), (17, 32)),
    "dyssynchronous": ((-13, -6), (20, 42)),
    "akinetic": ((-17, -9), (34, 55)),
    "dyskinetic": ((-15, -6), (25, 50)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_strain_and_ejection_fraction_suit_the_kind(kind):
    strain, ejection = [], []
    for seed in range(6):
        heart = draw_heart("A4C", np.random.default_rng(seed), kind).with_(rhythm=steady_rhythm(70))
        motion = heart_motion(heart, np.array([0.0, end_systoles(heart, 0, 0)[0]]))
        length, volume = line_lengths(motion, 0.5), volume_ml(motion)
        strain.append(100 * (length[1] / length[0] - 1))
        ejection.append(100 * (1 - volume[1] / volume[0]))
    (gls_low, gls_high), (ef_low, ef_high) = _EXPECTED[kind]
    assert gls_low < np.mean(strain) < gls_high
    assert ef_low < np.mean(ejection) < ef_high


@settings(max_examples=60, deadline=None)
@given(rate=st.floats(40, 150), early=st.floats(0.3, 0.75), late=st.floats(0.0, 0.24))
def test_the_beat_is_smooth_and_in_order_at_every_rate(rate, early, late):
    rhythm = steady_rhythm(rate, early_share=early, late_share=late)
    rr, systole = rhythm.rr_s[0], rhythm.systole_s[0]
    times = np.arange(0.0, rr, 0.0005)
    active = rhythm.activation(times)
    assert active[0] == pytest.approx(0, abs=1e-12)
    assert rhythm.activation(np.array([systole]))[0] == pytest.approx(1)
    assert rhythm.activation(np.array([rr]))[0] == pytest.approx(0, abs=1e-9)
    # It rises until end-systole, falls after it, and never jumps.
    assert np.all(np.diff(active[times <= systole]) >= -1e-12)
    assert np.all(np.diff(active[times >= systole]) <= 1e-12)
    assert np.max(np.abs(np.diff(active, 2))) < 3e-3
    # Systole takes a larger part of a faster beat, and shortens all the same.
    slower = steady_rhythm(max(40.0, rate - 20))
    if slower.rr_s[0] > rr + 0.01:
        assert systole < slower.systole_s[0]
        # The regression itself turns round beyond 120 beats a minute.
        assert rate > 115 or systole / rr > slower.systole_s[0] / slower.rr_s[0]


def test_the_volume_stands_still_while_the_valves_are_closed_and_after_the_kick():
    heart = HeartParameters(View.A4C, contraction=Contraction(isovolumic=0.01))
    rhythm = heart.rhythm
    systole = rhythm.systole_s[0]
    closed = np.concatenate([np.linspace(0, 0.048, 9), systole + np.linspace(0, 0.07, 9)])
    volume = volume_ml(heart_motion(heart, closed))
    for part in (volume[:9], volume[9:]):
        assert np.ptp(part) < 0.015 * volume[0]
    # The wall changes its shape meanwhile.
    length = line_lengths(heart_motion(heart, closed), 0.5)
    assert np.ptp(length[:9]) > 0.3


def test_atrial_fibrillation_has_unequal_beats_without_a_kick():
    rhythm = fibrillation(90, np.random.default_rng(3))
    assert np.std(rhythm.rr_s) > 0.05
    assert rhythm.late_share == 0
    phases = rhythm.phases(0.0, 5.0)
    lengths = [beat.duration_s for beat in phases.beats if beat.duration_s]
    assert np.allclose(lengths, rhythm.rr_s[: len(lengths)])
    # Nothing drives the wall in the last tenth of a second before the next beat but slow filling.
    speed = np.gradient(rhythm.activation(np.linspace(0, lengths[0], 500)), lengths[0] / 499)
    assert np.abs(speed[-40:]).max() < 0.2 * np.abs(speed).max()


def test_a_delayed_wall_moves_end_systole_to_the_smallest_volume():
    late = tuple(Lesion(name, 1.0, 0.1) for name in wall_segments("A4C")[3:])
    heart = HeartParameters(View.A4C, contraction=Contraction(lesions=late))
    found = end_systoles(heart, 0.0, 0.0)[0]
    assert found > heart.rhythm.systole_s[0] + 0.02
    around = found + np.array([-0.03, 0.0, 0.03])
    area = cavity_areas(heart_motion(heart, around))
    assert area[1] == pytest.approx(area.min(), rel=0.01)


def test_parameters_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Shape().skew = 1
