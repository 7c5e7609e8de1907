"""Augmentations keep points on their pixels, and each switch does what it says and no more."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from echomotion.core import DatasetError
from echomotion.training.appearance import change_appearance
from echomotion.training.cines import Cine, ImpartialMotion, SimulatedCines, draw_cine, draw_frames, draw_placement

NONE = ImpartialMotion.none()
SWITCHES = [field.name for field in fields(ImpartialMotion)]


def cine(points=12, length=20, seed=0):
    """Bright dots that move along curves on a dark frame, one beat from frame 3 to 17."""
    rng = np.random.default_rng(seed)
    time = np.arange(length)
    centre = rng.uniform(60, 140, (points, 1, 2))
    swing = rng.uniform(3, 9, (points, 1, 1))
    phase = 2 * np.pi * time[None, :, None] / 14 + rng.uniform(0, 6, (points, 1, 2))
    xy = (centre + swing * np.sin(phase)).astype(np.float32)
    y, x = np.mgrid[:200, :200].astype(np.float32)
    frames = np.zeros((length, 200, 200), np.float32)
    for t in range(length):
        for px, py in xy[:, t]:
            frames[t] = np.maximum(frames[t], 250 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 1.5**2)))
    visible = np.ones((points, length), bool)
    return Cine(frames.astype(np.uint8), xy, visible, np.array(["wall"] * points), (3, 17), "A4C")


def draw(motion, seed=0, own=None, **changes):
    options = {"frames": 6, "size": 160, "points": 8, "consecutive": True, **changes}
    return draw_cine(own or cine(), np.random.default_rng(seed), motion, **options)


def centroid(frame, xy):
    """Centre of light of the 9 px square around a place."""
    column, row = np.round(xy).astype(int)
    part = frame[row - 4 : row + 5, column - 4 : column + 5].astype(float)
    y, x = np.mgrid[row - 4 : row + 5, column - 4 : column + 5]
    return np.array([(part * x).sum(), (part * y).sum()]) / part.sum()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("consecutive", [True, False])
def test_a_dot_stays_under_its_point(seed, consecutive):
    one = cine(points=1, seed=seed)
    sample = draw(replace(ImpartialMotion(), appearance=False), seed, one, consecutive=consecutive)
    found = 0
    for t in range(6):
        xy = sample.xy[0, t]
        if np.all((xy > 8) & (xy < 151)):
            assert np.abs(centroid(sample.frames[t], xy) - xy).max() < 0.3
            assert sample.visible[0, t]
            found += 1
    assert found


def test_a_sample_has_the_promised_shapes_and_a_seen_query():
    sample = draw(ImpartialMotion(), points=40)
    assert sample.frames.shape == (6, 160, 160)
    assert sample.frames.dtype == np.uint8
    assert sample.xy.shape == (40, 6, 2)
    assert sample.visible[np.arange(40), sample.query].all()
    again = draw(ImpartialMotion(), points=40)
    assert np.array_equal(sample.frames, again.frames)
    assert np.array_equal(sample.xy, again.xy)


def test_without_augmentations_a_sample_is_a_piece_of_the_cine_from_end_diastole_on():
    one = cine()
    for seed in range(5):
        sample = draw(NONE, seed, one)
        assert not sample.query.any()
        shift = sample.xy[0, 0] - one.xy[:, 3]
        which = np.abs(shift - np.round(shift)).sum(axis=1).argmin()
        moved = np.round(shift[which]).astype(int)
        np.testing.assert_allclose(sample.xy[0], one.xy[which, 3:9] + moved, atol=1e-3)
        whole = np.zeros((160, 160), np.uint8)
        rows = np.arange(160) - moved[1]
        columns = np.arange(160) - moved[0]
        inside_rows, inside_columns = (rows >= 0) & (rows < 200), (columns >= 0) & (columns < 200)
        picked = one.frames[3][rows[inside_rows]][:, columns[inside_columns]]
        whole[np.ix_(inside_rows, inside_columns)] = picked
        assert np.array_equal(sample.frames[0], whole)


def frames_of(motion, seeds=40, consecutive=True, count=6):
    one = cine()
    return [draw_frames(one, np.random.default_rng(s), motion, count, consecutive) for s in range(seeds)]


def only(switch):
    return replace(NONE, **{switch: True})


def test_frames_without_augmentations():
    assert all(np.array_equal(order, np.arange(3, 9)) for order in frames_of(NONE))
    assert all(order[0] == 3 and np.all(np.diff(order) > 0) for order in frames_of(NONE, consecutive=False))
    assert frames_of(NONE, 1, count=30)[0][-1] == 19


def test_time_runs_backward_in_half_of_the_samples():
    backward = [order[0] > order[-1] for order in frames_of(only("time_reversal"), 200)]
    assert 0.4 < np.mean(backward) < 0.6


def test_a_rolled_beat_begins_anywhere_and_goes_round():
    orders = frames_of(only("cyclic_roll"), 200)
    assert {int(order[0]) for order in orders} == set(range(3, 17))
    for order in orders:
        assert np.all((np.diff(order) == 1) | (np.diff(order) == -13))
    assert all(((order >= 3) & (order < 17)).all() for order in orders)


def test_frames_are_left_out():
    steps = {int(np.diff(order)[0]) for order in frames_of(only("frame_rate"), 60)}
    assert steps == {1, 2, 3}


def matrices(motion, seeds=60):
    centre = np.array([90.3, 77.9])
    return [draw_placement(centre, np.random.default_rng(s), motion, 160) for s in range(seeds)]


def test_placement():
    assert all(np.array_equal(m[:, :2], np.eye(2)) for m in matrices(NONE))
    assert {tuple(np.diag(m)) for m in matrices(only("flips"))} == {(x, y) for x in (-1, 1) for y in (-1, 1)}
    turns = [m[:, :2] for m in matrices(only("rotation"), 200)]
    assert all(np.allclose(m @ m.T, np.eye(2)) and np.linalg.det(m) > 0 for m in turns)
    quarter = np.mean([np.array_equal(m, np.round(m)) for m in turns])
    assert 0.4 < quarter < 0.6
    angles = np.array([np.arctan2(m[1, 0], m[0, 0]) for m in turns])
    assert np.histogram(angles, 4, (-np.pi, np.pi))[0].min() > 20
    scales = np.array([np.diag(m) for m in matrices(only("anisotropic_scale"))])
    assert scales.min() >= 0.85
    assert scales.max() <= 1.2
    assert np.ptp(scales[:, 0] / scales[:, 1]) > 0.2
    # The centre comes to the middle, whatever happens.
    for m in matrices(ImpartialMotion()):
        assert np.abs(m[:, :2] @ [90.3, 77.9] + m[:, 2] - 79.5).max() <= 0.51


def test_random_queries_are_on_all_frames():
    asked = np.concatenate([draw(only("random_query"), s).query for s in range(10)])
    assert set(asked.tolist()) == set(range(6))


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_changes_samples(switch):
    plain = [draw(NONE, s) for s in range(6)]
    other = [draw(only(switch), s) for s in range(6)]
    assert any(
        not np.array_equal(a.query, b.query) or not np.array_equal(a.frames, b.frames)
        for a, b in zip(plain, other, strict=True)
    )


def test_appearance_changes_grey_levels_and_keeps_black_black():
    frames = np.zeros((5, 64, 64), np.uint8)
    frames[:, 16:48, 16:48] = np.random.default_rng(1).integers(20, 200, (5, 32, 32), dtype=np.uint8)
    before = frames.copy()
    for seed in range(10):
        out = change_appearance(frames, np.random.default_rng(seed))
        assert out.shape == frames.shape
        assert out.dtype == np.uint8
        assert not out[:, :8].any()
        assert np.array_equal(frames, before)
    assert np.array_equal(change_appearance(np.zeros_like(frames), np.random.default_rng(0)), np.zeros_like(frames))


def test_the_view_of_the_right_ventricle_is_held_out(tmp_path):
    with pytest.raises(DatasetError, match="held out"):
        SimulatedCines(tmp_path, ["A4C", "RV_FOCUSED"])
    assert not list(tmp_path.iterdir())


def test_a_cine_without_visible_points_is_refused():
    dark = replace(cine(), visible=np.zeros((12, 20), bool))
    with pytest.raises(DatasetError, match="seen"):
        draw(ImpartialMotion(), own=dark)


@pytest.mark.slow
def test_cines_are_made_once_and_read_again(tmp_path):
    options = {"shape": (64, 80), "n_frames": 12, "n_tracks": 16}
    first = SimulatedCines(tmp_path, ["A4C", "PSAX"], 1, 3, **options)
    made = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz"))
    again = SimulatedCines(tmp_path, ["A4C", "PSAX"], 1, 3, **options)
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")) == made
    assert len(first) == len(again) == 2
    assert first[0].frames.shape == (12, 64, 80)
    assert first[0].xy.shape == (16, 12, 2)
    assert {one.view for one in first.cines} == {"A4C", "PSAX"}
    assert np.array_equal(first[1].xy, again[1].xy)
