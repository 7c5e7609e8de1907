from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import Beat, DataError, Phases, Status, Tracks, View, WallPoints
from echomotion.measure.beats import headline
from echomotion.measure.lengths import compensate_drift, fill_single_gaps, line_length, line_strain, segment_lengths
from echomotion.measure.phases import phases_from_user
from echomotion.measure.strain import join_beats, missing_strain, strain_curves, strain_measurements
from echomotion.measure.strain_types import StrainOptions
from echomotion.measure.wall_points import wall_points
from tests.phantoms import affine_clip, beating_ventricle, rotating_clip


def arc_tracks(xy, wall_view=View.A4C, confidence=0.9):
    """Tracks of a line of points whose true positions are given (N, T, 2)."""
    count, frames = xy.shape[:2]
    names = [f"{k}" for k in range(6)]
    segment = tuple(names[min(5, 6 * n // count)] for n in range(count))
    queries = np.column_stack([np.zeros(count), xy[:, 0]])
    wall = WallPoints(queries, "mid_wall", segment, np.linspace(0, 1, count), wall_view)
    shape = (count, frames)
    return Tracks(xy, np.ones(shape, bool), np.full(shape, confidence), queries, wall, "truth")


def arc(count=64, centre=(127.5, 127.5)):
    angle = np.linspace(-0.2, np.pi + 0.2, count)
    return np.column_stack([-50 * np.cos(angle), -80 * np.sin(angle)]) + centre


def affine_tracks(frames=20, **kwargs):
    _, true_map = affine_clip(frames=frames)
    return arc_tracks(np.stack([true_map(arc(), t) for t in range(frames)], axis=1), **kwargs)


def test_a_line_that_shrinks_by_ten_percent_has_a_strain_of_minus_ten():
    tracks = affine_tracks()
    for spacing in (None, (0.5, 0.5), (0.308, 0.154)):
        strain = line_strain(tracks.xy, 0, spacing)
        assert strain[0] == 0
        assert strain[-1] == pytest.approx(-10.0, abs=0.1)
        lengths = segment_lengths(tracks.xy, tracks.wall, spacing)
        assert len(lengths) == 6
        for length in lengths.values():
            assert 100 * (length[-1] / length[0] - 1) == pytest.approx(-10.0, abs=0.1)


def test_rotation_has_no_strain():
    _, true_map = rotating_clip()
    xy = np.stack([true_map(arc(), t) for t in range(20)], axis=1)
    assert np.abs(line_strain(xy, 0)).max() < 1e-6


def test_anisotropic_pixels_count_in_mm():
    xy = np.zeros((2, 2, 2))
    xy[1, 0], xy[1, 1] = (10, 0), (0, 10)  # the line turns from along x to along y
    assert np.allclose(line_length(xy, (0.5, 0.25)), [2.5, 5.0])
    assert line_strain(xy, 0, (0.5, 0.25))[1] == pytest.approx(100)
    assert line_strain(xy, 0)[1] == pytest.approx(0)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(12, 90),
    st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)),
    st.lists(st.floats(-0.4, 0.4), min_size=4, max_size=4),
)
def test_segments_tile_the_line_under_any_affine_motion(count, spacing, entries):
    matrix = np.eye(2) + np.reshape(entries, (2, 2))
    start = arc(count)
    tracks = arc_tracks(np.stack([start, (start - 127.5) @ matrix.T + 127.5], axis=1))
    lengths = segment_lengths(tracks.xy, tracks.wall, spacing)
    assert np.allclose(sum(lengths.values()), line_length(tracks.xy, spacing), rtol=1e-6)


def test_single_missing_points_are_bridged_without_changing_the_strain():
    xy = affine_tracks().xy.astype(float).copy()
    full = line_strain(xy, 0)
    xy[10, 5] = np.nan
    xy[12, 5] = np.nan
    xy[30, 0] = np.nan  # missing at end-diastole itself
    assert np.allclose(line_strain(xy, 0), full, atol=0.02)
    assert np.isnan(xy[10, 5]).all(), "the caller's array was changed"


def test_more_missing_points_give_nan_and_never_zero():
    xy = affine_tracks().xy.astype(float).copy()
    xy[10:12, 5] = np.nan
    xy[0, 7] = np.nan
    strain = line_strain(xy, 0)
    assert np.isnan(strain[[5, 7]]).all()
    assert np.isfinite(np.delete(strain, [5, 7])).all()
    xy[20:24, 0] = np.nan
    assert np.isnan(line_strain(xy, 0)).all()
    assert np.isnan(fill_single_gaps(xy, 0)[20:24, 0]).all()


def test_a_gap_costs_only_the_segment_it_lies_in():
    tracks = affine_tracks()
    xy = tracks.xy.astype(float).copy()
    xy[30:33, 15] = np.nan
    lengths = segment_lengths(xy, tracks.wall)
    # Points 30 and 31 belong to the third segment, 32 to the fourth.
    assert [bool(np.isnan(length[15])) for length in lengths.values()] == [False, False, True, True, False, False]


def test_drift_is_taken_out_linearly_over_the_beat_and_refused_without_a_whole_one():
    times = np.arange(31) / 30
    true = -18 * np.sin(np.pi * times) ** 2
    drifted = true + 4 * times
    out = compensate_drift(drifted, times, 0.0, 1.0)
    assert np.allclose(out, true)
    part = compensate_drift(drifted - drifted[3], times, 0.1, 0.9)
    assert np.isnan(part[:3]).all()
    assert np.isnan(part[28:]).all()
    assert part[3] == part[27] == pytest.approx(0)
    with pytest.raises(DataError, match="no next end-diastole"):
        compensate_drift(drifted, times, 0.0, None)
    drifted[30] = np.nan
    with pytest.raises(DataError, match="unknown"):
        compensate_drift(drifted, times, 0.0, 1.0)


@pytest.fixture(scope="module")
def heart():
    clip, masks, truth = beating_ventricle(beats=2, fps=40, bpm=60, shape=(220, 220), angle=0.15)
    wall = wall_points(masks, frame=0, view=clip.view, spacing_mm=clip.spacing_mm)
    xy = np.stack([truth.true_map(wall.queries[:, 1:], t) for t in range(clip.n_frames)], axis=1)
    grid = xy.shape[:2]
    tracks = Tracks(xy, np.ones(grid, bool), np.full(grid, 0.9), wall.queries, wall, "truth")
    return clip, truth, tracks


def test_strain_of_a_beating_ventricle_equals_the_true_one(heart):
    clip, truth, tracks = heart
    rows = strain_measurements(tracks, truth.phases, clip.times_s, clip.spacing_mm)
    true = truth.strain(0.5).min()
    assert true < -12
    for row in rows:
        assert row.status is Status.OK, row
        assert row.view is View.A4C
        if row.segment is None:
            assert row.value == pytest.approx(true, abs=0.4)
    # Two beats and their mean, of 9 numbers each.
    assert [row.beat for row in rows] == [0] * 9 + [1] * 9 + [None] * 9
    assert "mean over 2 of 2 beats" in rows[-1].method
    best = headline(rows)
    assert len(best) == 9
    assert all(row.beat is None for row in best)
    gls = best[0]
    assert (gls.name, gls.unit) == ("global_longitudinal_strain", "%")
    assert "drift of" in gls.method
    segments = [row.segment for row in best if row.name == "longitudinal_strain"]
    assert tuple(segments) == tracks.wall.segment_names()


def test_curves_of_a_beat_return_to_zero_and_carry_over_to_plain_lists(heart):
    clip, truth, tracks = heart
    first, second = strain_curves(tracks, truth.phases, clip.times_s, clip.spacing_mm)
    assert first.whole[0] == first.whole[40] == pytest.approx(0, abs=1e-4)
    assert np.isnan(first.whole[41:]).all()
    assert np.isfinite(first.raw).all()
    assert (second.ed_frame, second.next_ed_frame, second.compensated) == (40, 80, True)
    plain = first.as_dict()
    assert len(plain["times"]) == len(plain["whole"]) == 41
    assert set(plain["segments"]) == set(tracks.wall.segment_names())
    assert None not in plain["whole"]


def test_curves_of_all_beats_join_to_one_over_the_clip(heart):
    clip, truth, tracks = heart
    whole, segments = join_beats(strain_curves(tracks, truth.phases, clip.times_s, clip.spacing_mm))
    assert np.isfinite(whole).all()
    assert np.allclose(whole[:41], whole[40:81], atol=0.3)
    assert list(segments) == list(tracks.wall.segment_names())


def test_layers_keep_their_own_rows_in_the_headline(heart):
    clip, truth, tracks = heart
    other = replace(tracks, wall=replace(tracks.wall, layer="endocardial"))
    rows = [row for t in (tracks, other) for row in strain_measurements(t, truth.phases, clip.times_s, clip.spacing_mm)]
    assert [row.layer for row in headline(rows)] == ["mid_wall"] * 9 + ["endocardial"] * 9


def test_a_beat_without_its_end_is_measured_without_drift_compensation_and_says_so(heart):
    clip, _, tracks = heart
    phases = phases_from_user(0.0, 0.36)
    (curves,) = strain_curves(tracks, phases, clip.times_s)
    assert not curves.compensated
    assert np.isnan(curves.drift)
    rows = strain_measurements(tracks, phases, clip.times_s)
    assert rows[0].status is Status.OK
    assert "drift not compensated (no whole beat)" in rows[0].method
    assert "square pixels assumed" in rows[0].method


def test_doubtful_strain_says_why(heart):
    clip, truth, tracks = heart
    phases = Phases(truth.phases.beats[:1], "area", 0.3, "the cavity area is noisy")
    unsure = Tracks(tracks.xy, tracks.visible, np.full(tracks.visible.shape, 0.4), tracks.queries, tracks.wall, "truth")
    row = strain_measurements(unsure, phases, clip.times_s, view=View.UNKNOWN)[0]
    assert row.status is Status.LOW_CONFIDENCE
    for part in ("mean confidence of 0.40", "view is not stated", "noisy"):
        assert part in row.reason

    xy = np.array(tracks.xy)
    scale = 1 - 0.6 * np.minimum(clip.times_s, 0.36) / 0.36  # collapses by 60 % and stays so
    xy = ((xy[:, :1] - 100) * scale[:, None] + 100).astype(np.float32)
    xy[:, 0] = tracks.xy[:, 0]
    wild = Tracks(xy, tracks.visible, tracks.confidence, tracks.queries, tracks.wall)
    beat = Phases((Beat(0.0, 0.36, 1.0),), "user", 1.0)
    options = StrainOptions(drift_compensation=False, rejection=False)
    row = strain_measurements(wild, beat, clip.times_s, options=options)[0]
    assert "not plausible" in row.reason
    assert "does not return to its length" in row.reason


def test_what_cannot_be_measured_has_no_value_but_a_reason(heart):
    clip, truth, tracks = heart
    cases = [
        (missing_strain("too dark", View.A4C, "endocardial"), "too dark"),
        (strain_measurements(None, truth.phases, clip.times_s, view=View.A4C), "no ventricular wall was tracked"),
        (strain_measurements(tracks, Phases((), "area", 0.0, "flat area"), clip.times_s), "flat area"),
        (strain_measurements(tracks, truth.phases, clip.times_s, view=View.PLAX), "need an apical view"),
    ]
    for rows, reason in cases:
        assert len(rows) == 9
        for row in rows:
            assert row.status is Status.NOT_MEASURABLE
            assert np.isnan(row.value)
            assert reason in row.reason
    xy = np.array(tracks.xy)
    xy[:3, 10:] = np.nan
    lost = Tracks(xy, tracks.visible, tracks.confidence, tracks.queries, tracks.wall)
    rows = {row.segment or row.name: row for row in strain_measurements(lost, truth.phases, clip.times_s)[:9]}
    assert rows["basal_inferoseptal"].status is Status.NOT_MEASURABLE
    assert "too many points" in rows["basal_inferoseptal"].reason
    gls = rows["global_longitudinal_strain"]
    assert gls.status is Status.LOW_CONFIDENCE
    assert "without the rejected basal inferoseptal" in gls.reason
    assert gls.value == pytest.approx(truth.strain(0.5).min(), abs=1.5)
    free = Tracks(tracks.xy, tracks.visible, tracks.confidence, tracks.queries)
    with pytest.raises(DataError, match="do not form a line"):
        strain_measurements(free, truth.phases, clip.times_s)
