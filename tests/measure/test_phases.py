import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echomotion.core import DataError, Layer, Tracks, View, WallPoints
from echomotion.measure.clip_measurements import tracked_phases
from echomotion.measure.phase_signals import annulus_distance
from echomotion.measure.phases import find_phases, phases_from_user
from echomotion.simulate.rhythm import Rhythm, steady_rhythm
from tests.measure.lines import as_tracks, u_shape
from tests.phantoms import area_curve


def recording(fps=50.0, bpm=70.0, beats=3.0, offset=0.0, systole=None, start=0.0):
    """Times, clean area and the true (ED, ES) of every beat whose ED lies in the recording.

    `systole` is a part of the beat; as a rule it follows the heart rate.
    """
    changes = {} if systole is None else {"systole_s": systole * 60 / bpm}
    rhythm = steady_rhythm(bpm, **changes)
    period, length = 60 / bpm, rhythm.systole_s[0]
    times = start + np.arange(int(beats * period * fps) + 1) / fps
    area = 30 * (1 - 0.45 * rhythm.activation(times - start + offset * period))
    waves = [start + (k - offset) * period for k in range(-1, 9)]
    true = [(ed, ed + length) for ed in waves if ed >= start - 1e-9 and ed + length < times[-1] - 0.2 * period]
    return times, area, true


# Beats are found in any curve; between two valves' closing and opening, where it stands still, in one of a heart.
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.floats(20, 120),
    st.floats(40, 150),
    st.floats(1.4, 4.5),
    st.floats(0, 1),
    st.floats(-0.04, 0.04),
    st.floats(-3, 50),
)
@example(20.0, 150.0, 2.5, 0.0, 0.0, 0.0)
@example(120.0, 40.0, 1.4, 0.1, 0.0, 0.0)
@example(20.0, 150.0, 4.121, 0.0, -0.04, 0.0)
@example(20.0, 142.136, 3.265, 1.0, 0.0, 0.0)
@example(119.625, 40.0, 2.0, 0.0, -0.04, 0.0)
def test_clean_curves_are_read_at_any_frame_and_heart_rate(fps, bpm, beats, offset, longer, start):
    period = 60 / bpm
    usual = steady_rhythm(bpm).systole_s[0]
    times, area, true = recording(fps, bpm, beats, offset, usual / period + longer, start)
    phases = find_phases(area, times)
    limit = max(1.0 / fps, 0.025)
    for ed, es in true:
        beat = min(phases.beats, key=lambda b: abs(b.es_s - es))
        assert abs(beat.es_s - es) <= limit
        assert abs(beat.ed_s - ed) <= limit
        if beat.next_ed_s is not None and beat.next_ed_s < times[-1] - 1e-9:
            assert beat.duration_s == pytest.approx(period, abs=2 * limit)
    # Nothing is invented: at most the beat that began before the recording is there besides.
    assert len(phases.beats) <= len(true) + 2
    assert all(np.abs(times - beat.es_s).min() < 1e-9 for beat in phases.beats)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(20, 120), st.floats(40, 150), st.floats(1.4, 4.5), st.floats(0.3, 0.45))
@example(119.625, 40.0, 2.0, 0.3046875)
@example(20.0, 121.0, 2.0, 0.375)
def test_curves_that_never_stand_still_are_read_to_a_twentieth_of_a_beat(fps, bpm, beats, systole):
    period = 60 / bpm
    times = np.arange(int(beats * period * fps) + 1) / fps
    phases = find_phases(0.55 + 0.45 * area_curve(times / period, systole), times)
    for k in range(int(beats - systole - 0.2) + 1):
        beat = min(phases.beats, key=lambda b: abs(b.es_s - (k + systole) * period))
        limit = 0.5 / fps + 0.055 * period
        assert abs(beat.es_s - (k + systole) * period) <= limit
        assert abs(beat.ed_s - k * period) <= limit


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_stretch_that_shows_nothing_is_no_part_of_the_recording(where):
    times, area, _ = recording(30, 60, 1.6, offset=0.2)
    alone = find_phases(area, times)
    blank = np.full(20, np.nan)
    longer = np.arange(len(area) + 20) / 30
    shift = 20 / 30 if where == "before" else 0.0
    padded = np.concatenate([blank, area] if where == "before" else [area, blank])
    found = find_phases(padded, longer)
    assert [(b.ed_s, b.es_s) for b in found.beats] == [
        (pytest.approx(b.ed_s + shift), pytest.approx(b.es_s + shift)) for b in alone.beats
    ]
    assert found.confidence == pytest.approx(alone.confidence)


def test_points_that_stay_where_they_are_on_black_frames_make_no_phase():
    """A leader before a recording that starts in systole: its first end-diastole is not the last black frame."""
    times, area, _ = recording(30, 60, 1.2, offset=0.15)
    size = np.sqrt(np.concatenate([np.full(8, area.max()), area]) / area.max())
    middle = np.array([100.0, 80.0])
    line = as_tracks(middle + (u_shape()[:, None] - middle) * size[:, None])
    longer = np.arange(len(size)) / 30
    hidden = np.concatenate([np.full(8, np.nan), area])
    alone, found = find_phases(area, times), tracked_phases(hidden, longer, None, {Layer.MID_WALL: line})
    assert [round(b.ed_s * 30) for b in found.beats] == [round(b.ed_s * 30) + 8 for b in alone.beats]
    assert [round(b.es_s * 30) for b in found.beats] == [round(b.es_s * 30) + 8 for b in alone.beats]


def test_single_collapsed_masks_do_not_become_systoles(rng):
    times, area, true = recording(30, 60, 3)
    area[[20, 47, 75]] = area[[20, 47, 75]] * 0.3
    phases = find_phases(area, times)
    assert len(phases.beats) == len(true)
    assert np.allclose([b.es_s for b in phases.beats], [es for _, es in true], atol=0.05)


def test_irregular_beats_are_each_found():
    lengths, systoles = (0.8, 1.2, 0.65, 1.0), (0.34, 0.38, 0.31, 0.36)
    rhythm = Rhythm(lengths, systoles, (1.0, 1.1, 0.8, 1.0))
    times = np.arange(int(sum(lengths) * 50) + 1) / 50
    ends = np.concatenate([[0.0], np.cumsum(lengths)])[:-1]
    phases = find_phases(1 - 0.45 * rhythm.activation(times), times)
    assert np.allclose([b.ed_s for b in phases.beats], ends, atol=0.03)
    assert np.allclose([b.es_s for b in phases.beats], ends + systoles, atol=0.03)


def test_two_short_beats_after_a_long_one_are_not_one_beat():
    # As in atrial fibrillation: the mean beat tells little about the shortest.
    rhythm = Rhythm((0.42, 0.38, 0.9, 0.40, 0.95), (0.24, 0.22, 0.3, 0.23, 0.3), (1.0,) * 5, late_share=0.0)
    times = np.arange(int(3.05 * 80)) / 80
    phases = find_phases(1 - 0.4 * rhythm.activation(times), times)
    assert len(phases.beats) == 5


def test_frames_at_uneven_times_are_taken_at_their_times(rng):
    times, _, true = recording(60, 70, 3)
    times = np.sort(times + rng.uniform(-0.006, 0.006, len(times)))
    found = [b.es_s for b in find_phases(1 - 0.45 * steady_rhythm(70).activation(times), times).beats]
    assert np.allclose(found, [es for _, es in true], atol=0.025)


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
    assert beat.next_ed_s is None
    assert beat.ed_s == pytest.approx(0, abs=0.021)
    assert beat.es_s == pytest.approx(0.36, abs=0.021)
    assert phases.confidence < 0.5
    assert "ends at its smallest size" in phases.reason


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


def signals(fps=40.0, bpm=65.0, beats=2.6, offset=0.15):
    """Times, cavity area, distance of the annulus, length of the wall, and the true phases."""
    times, area, true = recording(fps, bpm, beats, offset)
    active = 1 - area / 30
    return times, area, 80 - 30 * active, 180 * (1 - 0.4 * active), true


def es_of(phases):
    return [beat.es_s for beat in phases.beats]


def test_every_signal_alone_gives_the_phases_and_says_so():
    times, area, annulus, length, true = signals()
    for curves, source in (
        ({"area": area}, "area"),
        ({"area": None, "annulus": annulus}, "wall_motion"),
        ({"area": None, "length": length}, "wall_motion"),
        ({"area": area, "length": length}, "area_and_wall_motion"),
        ({"area": area, "annulus": annulus, "length": length}, "area_and_wall_motion"),
    ):
        phases = find_phases(times_s=times, **curves)
        assert phases.source == source
        assert np.allclose(es_of(phases), [es for _, es in true], atol=0.026)
        assert phases.confidence > 0.8
        assert phases.reason == ""


def test_masks_that_are_wrong_for_a_while_are_not_followed():
    times, area, annulus, length, true = signals()
    wrong = (times > true[0][1] + 0.1) & (times < true[0][1] + 0.3)
    area[wrong] = 0.8 * area.min()
    # The area alone puts end-systole there.
    assert abs(es_of(find_phases(area, times))[0] - true[0][1]) > 0.04
    for kwargs in ({"length": length}, {"length": length, "annulus": annulus}):
        phases = find_phases(area, times, **kwargs)
        assert np.allclose(es_of(phases), [es for _, es in true], atol=0.026)
    assert "the cavity area leaves the other signals" in phases.reason


def test_a_signal_that_shows_no_beat_is_left_out_and_named():
    times, _, annulus, length, true = signals()
    for bad in (np.full(len(times), np.nan), np.full(len(times), 20.0)):
        phases = find_phases(bad, times, annulus=annulus, length=length)
        assert phases.source == "wall_motion"
        assert np.allclose(es_of(phases), [es for _, es in true], atol=0.026)
        assert "frames" in phases.reason or "changes by" in phases.reason
    phases = find_phases(np.full(len(times), np.nan), times, length=np.full(len(times), 5.0))
    assert (phases.beats, phases.confidence) == ((), 0)


def test_the_noisier_signal_counts_less(rng):
    times, area, _, length, _ = signals(beats=4)
    noisy = area * (1 + 0.08 * rng.standard_normal(len(area)))
    both = find_phases(noisy, times, length=length)
    assert both.confidence > find_phases(noisy, times).confidence + 0.2
    assert np.allclose(es_of(both), es_of(find_phases(None, times, length=length)), atol=0.026)


def test_a_drift_of_the_tracked_wall_moves_no_phase():
    times, _, _, length, true = signals(beats=3)
    phases = find_phases(None, times, length=length * (1 - 0.03 * times))
    assert np.allclose(es_of(phases), [es for _, es in true], atol=0.026)
    assert np.allclose([beat.ed_s for beat in phases.beats], [ed for ed, _ in true], atol=0.03)


def test_wrong_times_per_frame_are_read_as_well():
    # A container of 20 frames a second that holds a heart at half its speed: only ratios of durations count.
    times, area, true = recording(40, 75, 2.5)
    phases = find_phases(area, 2 * times)
    assert np.allclose(es_of(phases), [2 * es for _, es in true], atol=0.06)


def test_signals_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="at least one"):
        find_phases(None, np.arange(20) / 20)
    with pytest.raises(DataError, match="length of the wall"):
        find_phases(np.ones(20), np.arange(20) / 20, length=np.ones(19))


def test_distance_of_the_annulus_is_that_of_the_ends_from_the_apex():
    angle = np.linspace(0, np.pi, 41)
    line = np.stack([100 + 30 * np.cos(np.pi - angle), 150 - 80 * np.sin(angle)], axis=1)
    queries = np.column_stack([np.full(41, 2.0), line])
    shift = np.array([5.0, 2.0, 0.0])
    # The base comes towards the apex, which stays.
    share = 1 - np.sin(angle)
    xy = np.repeat(line[:, None], 3, axis=1)
    xy[..., 1] -= share[:, None] * shift
    wall = WallPoints(queries, Layer.MID_WALL, ("x",) * 41, np.linspace(0, 1, 41), View.A4C)
    tracks = Tracks(xy, np.ones((41, 3), bool), np.ones((41, 3)), queries, wall)
    distance = annulus_distance(tracks, (0.5, 1.0))
    base = line[:2, 1].mean()
    lowered = base - share[:2].mean() * shift
    assert np.allclose(distance, 0.5 * (lowered - line[20, 1]), atol=1e-4)
    with pytest.raises(DataError, match="do not form a line"):
        annulus_distance(Tracks(xy, np.ones((41, 3), bool), np.ones((41, 3)), queries))
