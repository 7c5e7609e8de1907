"""Phases of simulated hearts: of all kinds, at all rates, exact and noisy."""

import numpy as np
import pytest

from echomotion.measure.lengths import line_length
from echomotion.measure.phase_signals import annulus_distance
from echomotion.measure.phases import find_phases
from tests.measure.simulated_curves import errors_of, exact_curves, noisy_curves


def judge(seeds, *, noisy):
    """Errors in frames (K, 2), in the larger of 40 ms and a frame (K, 2), and the share of beats missed."""
    frames, units, lost = [], [], 0
    for seed in seeds:
        curves = exact_curves(seed)
        if noisy:
            curves = noisy_curves(curves, np.random.default_rng(1000 + seed))
        phases = find_phases(curves.area, curves.times, annulus=curves.annulus, length=curves.length)
        error, missed = errors_of(curves, phases)
        lost += missed
        frames.append(error * curves.fps)
        units.append(error / max(0.04, 1 / curves.fps))
    return np.concatenate(frames), np.concatenate(units), lost / sum(map(len, frames))


def test_exact_curves_of_any_heart_give_its_phases():
    frames, units, lost = judge(range(300, 305), noisy=False)
    assert np.all(np.median(frames, axis=0) <= 1)
    assert np.all(np.max(units, axis=0) <= 1)
    assert lost == 0


def test_noisy_curves_of_any_heart_give_its_phases():
    frames, units, lost = judge(range(400, 409), noisy=True)
    assert np.all(np.median(frames, axis=0) <= 1)
    assert np.all(np.quantile(units, 0.9, axis=0) <= 1)
    assert lost <= 0.03


@pytest.mark.slow
def test_phases_of_two_hundred_noisy_beats_are_within_a_frame_and_forty_milliseconds():
    frames, units, lost = judge(range(500, 620), noisy=True)
    assert len(frames) >= 200
    assert np.all(np.median(frames, axis=0) <= 1)
    assert np.all(np.quantile(units, 0.95, axis=0) <= 1)
    assert lost <= 0.03


@pytest.mark.slow
@pytest.mark.parametrize("difficulty", [0.0, 0.4, 0.8])
def test_phases_of_pictures_that_were_segmented_and_tracked(difficulty):
    import echomotion as em
    from echomotion.measure.volumes import cavity_area
    from echomotion.simulate.sequence import simulate

    if not any(m.name == "unet" and m.weights for m in em.list_models("segmenter")):
        pytest.skip("the weights of the segmenter are not installed")
    sequence = simulate("A4C", seed=101 + int(10 * difficulty), difficulty=difficulty, n_frames=40, n_tracks=16)
    clip = sequence.clip
    masks = em.segment(clip)
    area = cavity_area(masks, clip.spacing_mm)
    first = find_phases(area, clip.times_s).beats[0]
    wall = em.wall_points(
        masks, frame=clip.frame_at(first.ed_s), layer="mid_wall", count=61, view=clip.view, spacing_mm=clip.spacing_mm
    )
    tracks = em.track(clip, wall, warn=False)
    phases = find_phases(
        area,
        clip.times_s,
        annulus=annulus_distance(tracks, clip.spacing_mm),
        length=line_length(tracks.xy, clip.spacing_mm),
    )
    for true in sequence.phases.beats:
        beat = min(phases.beats, key=lambda b: abs(b.es_s - true.es_s))
        assert abs(beat.es_s - true.es_s) < max(0.04, 1.5 * clip.frame_interval_s)
        # A recording that starts at end-diastole shows no beginning of its standstill.
        assert abs(beat.ed_s - true.ed_s) < max(0.04, 2.1 * clip.frame_interval_s)
