import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echomotion.core import DataError
from echomotion.measure.phases import find_phases, phases_from_user
from tests.phantoms import area_curve


def recording(fps=50.0, bpm=70.0, beats=3.0, offset=0.0, systole=0.36, start=0.0):
    """Times, clean area and the true (ED, ES) of every beat whose ED lies in the recording."""
    period = 60 / bpm
    times = start + np.arange(int(beats * period * fps) + 1) / fps
    area = 30 * (0.55 + 0.45 * area_curve((times - start) / period + offset, systole))
    true = [(start + (k - offset) * period, start + (k - offset + systole) * period) for k in range(-1, 9)]
    return times, area, [(ed, es) for ed, es in true if ed >= start - 1e-9 and es < times[-1] - 0.2 * period]


@settings(max_examples=60, deadline=None)
@given(
    st.floats(20, 120),
    st.floats(40, 150),
    st.floats(1.4, 4.5),
    st.floats(0, 1),
    st.floats(0.3, 0.45),
    st.floats(-3, 50),
)
@example(20.0, 150.0, 2.5, 0.0, 0.36, 0.0)
@example(120.0, 40.0, 1.4, 0.1, 0.36, 0.0)
@example(20.0, 150.0, 4.121, 0.0, 0.305, 0.0)
@example(20.0, 142.136, 3.265, 1.0, 0.353, 0.0)
def test_clean_curves_are_read_to_the_frame_at_any_frame_and_heart_rate(fps, bpm, beats, offset, systole, start):
    times, area, true = recording(fps, bpm, beats, offset, systole, start)
    phases = find_phases(area, times)
    for ed, es in true:
        beat = min(phases.beats, key=lambda b: abs(b.es_s - es))
        assert abs(beat.es_s - es) <= 1.3 / fps
        assert abs(beat.ed_s - ed) <= 1.3 / fps
        if beat.next_ed_s is not None and beat.next_ed_s < times[-1] - 1e-9:
            assert beat.duration_s == pytest.approx(60 / bpm, abs=2.1 / fps)
    # Nothing is invented: at most the beat that began before the recording is there besides.
    assert len(phases.beats) <= len(true) + 2
    assert all(np.abs(times - beat.es_s).min() < 1e-9 for beat in phases.beats)


def test_noisy_curves_are_still_read(rng):
    ed_errors, es_errors, missed, total = [], [], 0, 0
    for _ in range(40):
        fps, bpm = rng.uniform(20, 120), rng.uniform(40, 150)
        times, area, true = recording(fps, bpm, rng.uniform(1.5, 4), rng.uniform(0, 1))
        phases = find_phases(area * (1 + 0.03 * rng.standard_normal(len(area))), times)
        for ed, es in true:
            total += 1
            near = [beat for beat in phases.beats if abs(beat.es_s - es) < 0.2 * 60 / bpm]
            if near:
                es_errors.append(abs(near[0].es_s - es) / max(0.04, 1 / fps))
                ed_errors.append(abs(near[0].ed_s - ed) / max(0.04, 1 / fps))
            else:
                missed += 1
    assert missed <= 0.02 * total
    # In units of 40 ms, or of a frame where that is longer.
    assert np.quantile(es_errors, 0.95) < 1
    assert np.quantile(ed_errors, 0.95) < 1.1
    assert np.median(ed_errors) < 0.5


def test_single_collapsed_masks_do_not_become_systoles(rng):
    times, area, true = recording(30, 60, 3)
    area[[20, 47, 75]] = area[[20, 47, 75]] * 0.3
    phases = find_phases(area, times)
    assert len(phases.beats) == len(true)
    assert np.allclose([b.es_s for b in phases.beats], [es for _, es in true], atol=0.05)


def test_irregular_beats_are_each_found():
    lengths = np.array([0.8, 1.2, 0.65, 1.0])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    times = np.arange(int(ends[-1] * 50) + 1) / 50
    phase = np.interp(times, ends, np.arange(5))
    phases = find_phases(0.55 + 0.45 * area_curve(phase), times)
    assert np.allclose([b.ed_s for b in phases.beats], ends[:-1], atol=0.025)
    assert np.allclose([b.es_s for b in phases.beats], ends[:-1] + 0.36 * lengths, atol=0.025)


def test_frames_at_uneven_times_are_taken_at_their_times(rng):
    times, _, _ = recording(60, 70, 3)
    times = np.sort(times + rng.uniform(-0.006, 0.006, len(times)))
    area = 0.55 + 0.45 * area_curve(times * 70 / 60)
    found = [b.es_s for b in find_phases(area, times).beats]
    assert np.allclose(found, (np.arange(3) + 0.36) * 60 / 70, atol=0.025)


def test_one_cycle_from_end_diastole_to_end_diastole():
    times, area, _ = recording(30, 60, 1.0)
    phases = find_phases(area, times)
    (beat,) = phases.beats
    assert beat.ed_s == pytest.approx(0, abs=0.034)
    assert beat.es_s == pytest.approx(0.36, abs=0.034)
    assert beat.next_ed_s == pytest.approx(1.0, abs=0.034)
    assert "last frame stands for the next end-diastole" in phases.reason


def test_a_recording_from_end_diastole_to_end_systole_has_a_beat_without_end():
    times, area, _ = recording(50, 60, 0.36)
    phases = find_phases(area, times)
    (beat,) = phases.beats
    assert (beat.ed_s, beat.next_ed_s) == (0.0, None)
    assert beat.es_s == pytest.approx(0.36, abs=0.021)
    assert phases.confidence < 0.5
    assert "ends at its smallest area" in phases.reason


def test_a_recording_that_starts_in_systole_uses_the_later_beat_or_admits_its_doubt():
    times, area, _ = recording(50, 60, 1.3, offset=0.2)
    phases = find_phases(area, times)
    assert phases.beats[-1].ed_s == pytest.approx(0.8, abs=0.021)
    times, area, _ = recording(50, 60, 0.75, offset=0.15)
    phases = find_phases(area, times)
    (beat,) = phases.beats
    assert beat.ed_s == times[0]
    assert beat.next_ed_s is None
    assert phases.confidence < 0.5
    assert "starts after end-diastole" in phases.reason
    times, area, _ = recording(50, 60, 0.6, offset=0.34)
    phases = find_phases(area, times)
    assert phases.beats == ()
    assert phases.reason


def test_missing_frames_are_bridged_and_too_many_refused():
    times, area, true = recording(40, 70, 2)
    area[[3, 4, 20, 33]] = np.nan
    area[50] = 0
    phases = find_phases(area, times)
    assert len(phases.beats) == len(true)
    area[::2] = np.nan
    phases = find_phases(area, times)
    assert phases.beats == ()
    assert "not found on" in phases.reason


@pytest.mark.parametrize(
    ("area", "reason"),
    [
        (np.full(60, 20.0), "changes by 0.0 %"),
        (np.full(60, np.nan), "not found on 60 of 60 frames"),
        (np.zeros(60), "not found on 60 of 60 frames"),
        (np.linspace(20, 30, 60), "does not fall to an end-systole"),
        (np.array([3.0, 2.0, 3.0]), "too short"),
        (np.array([3.0]), "too short"),
    ],
)
def test_where_there_is_no_beat_there_is_a_reason(area, reason):
    phases = find_phases(area, np.arange(len(area)) / 50)
    assert phases.beats == ()
    assert phases.confidence == 0
    assert reason in phases.reason


def test_r_waves_give_end_diastole_and_the_area_end_systole():
    times, area, _ = recording(50, 60, 2.6, offset=0.1)
    waves = np.array([-0.6, 0.893, 1.893])
    phases = find_phases(area, times, waves)
    assert phases.source == "r_wave"
    first, last = phases.beats
    assert (first.ed_s, first.next_ed_s, last.next_ed_s) == (0.893, 1.893, None)
    assert first.es_s == pytest.approx(0.9 + 0.36, abs=0.021)
    assert find_phases(area, times, [9.0]).source == "area"


def test_confidence_falls_with_noise(rng):
    times, area, _ = recording(50, 60, 3)
    clean = find_phases(area, times).confidence
    noisy = find_phases(area * (1 + 0.03 * rng.standard_normal(len(area))), times).confidence
    bad = find_phases(area * (1 + 0.10 * rng.standard_normal(len(area))), times)
    assert clean > 0.9 > noisy > 0.5 > bad.confidence
    assert bad.reason


def test_times_from_the_user_are_taken_as_they_are_and_checked():
    phases = phases_from_user(0.1, 0.4, 0.9)
    assert (phases.source, phases.confidence) == ("user", 1.0)
    assert phases.beats[0].duration_s == pytest.approx(0.8)
    with pytest.raises(DataError, match="must come after end-diastole"):
        phases_from_user(0.5, 0.4, 0.9)
    with pytest.raises(DataError, match="finite"):
        phases_from_user(0.5, np.nan)
    with pytest.raises(DataError, match="must increase"):
        find_phases(np.ones(10), np.arange(10)[::-1])


def test_a_recording_that_starts_in_systole_compares_with_the_end_systole_before():
    times = np.arange(30) / 30
    # Falls to its smallest at 0.2 s, fills until 0.7 s, and has emptied by half when the recording ends.
    area = np.interp(times, [0.0, 0.2, 0.4, 0.7, 1.0], [23.0, 19.0, 28.0, 33.0, 22.5])
    phases = find_phases(area, times)
    (beat,) = phases.beats
    assert abs(beat.es_s - 0.2) < 0.04
    assert abs(beat.ed_s - 0.7) < 0.04
    assert beat.next_ed_s is None
    assert "starts in systole" in phases.reason
