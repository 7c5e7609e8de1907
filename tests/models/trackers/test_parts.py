"""Pieces that the conventional trackers are built from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.core import Clip
from echomotion.models.trackers.block_matching import peak
from echomotion.models.trackers.clutter import still_echoes, without_haze
from echomotion.models.trackers.correlation import averaged, peaks, smoothed_in_time, spectra
from echomotion.models.trackers.neighbours import band_distances, local_affine, neighbour_weights
from echomotion.models.trackers.patches import normalised, patches_at
from echomotion.models.trackers.stepwise import Calibration, likeness, walk
from echomotion.models.trackers.working_grid import working_frames, working_geometry


def clip_of(rows, columns, spacing=None):
    return Clip(np.zeros((2, rows, columns), np.uint8), [0.0, 0.1], spacing)


def test_frames_that_fit_are_used_as_they_are():
    clip = clip_of(256, 400)
    frames, geometry = working_frames(clip, 256)
    assert frames is clip.frames
    assert geometry.scale == (1, 1)


def test_tall_frames_are_reduced_and_pixels_made_square():
    assert working_geometry(clip_of(768, 1024), 256).grid_shape == (256, 341)
    assert working_geometry(clip_of(400, 200, (0.15, 0.3)), 256).grid_shape == (200, 200)
    assert working_geometry(clip_of(1200, 200, (0.15, 0.3)), 256).grid_shape == (256, 85)


def test_patches_are_read_between_pixels_and_beyond_the_border():
    frame = np.add.outer(10 * np.arange(20), np.arange(30)).astype(np.uint8)
    patch = patches_at(frame, np.array([[5.5, 4.0], [0.0, 0.0]]), 3).reshape(2, 3, 3)
    np.testing.assert_allclose(patch[0], [[34.5, 35.5, 36.5], [44.5, 45.5, 46.5], [54.5, 55.5, 56.5]], atol=1e-3)
    np.testing.assert_allclose(patch[1], [[0, 0, 1], [0, 0, 1], [10, 10, 11]], atol=1e-3)
    assert patches_at(frame, np.zeros((0, 2)), 3).shape == (0, 9)


def test_a_deformed_patch_reads_the_deformed_picture():
    frame = np.add.outer(10 * np.arange(20), np.arange(30)).astype(np.uint8)
    quarter_turn = np.array([[[0.0, -1.0], [1.0, 0.0]]])
    patch = patches_at(frame, np.array([[10.0, 9.0]]), 3, 1.5 * quarter_turn).reshape(3, 3)
    # One to the right in the tissue is one and a half down in the picture.
    np.testing.assert_allclose(patch[1] - 100, [-15, 0, 15], atol=1e-3)
    np.testing.assert_allclose(patch[:, 1] - 100, [1.5, 0, -1.5], atol=1e-3)


def test_neighbours_tell_the_affine_motion_and_a_line_or_a_single_point_only_what_it_can(rng):
    at = rng.uniform(0, 100, (60, 2))
    gradient = np.array([[0.9, -0.2], [0.1, 1.2]])
    start = np.arange(60) % 2
    xy = np.stack([at, at @ gradient.T + [3, -4]], axis=1)
    found, expected = local_affine(xy, start, xy[np.arange(len(xy)), start], 30.0, 1e-6)
    assert found[start == 0, 1] == pytest.approx(np.broadcast_to(gradient, (30, 2, 2)), abs=1e-3)
    assert found[start == 1, 0] == pytest.approx(np.broadcast_to(np.linalg.inv(gradient), (30, 2, 2)), abs=1e-3)
    assert expected == pytest.approx(xy, abs=0.01)
    line = np.column_stack([np.arange(0, 100, 5.0), np.full(20, 7.0)])
    xy = np.stack([line, line * [0.8, 1]], axis=1)
    found, _ = local_affine(xy, np.zeros(20, int), xy[:, 0], 20.0, 1e-3)
    assert found[10, 1] == pytest.approx(np.diag([0.8, 1]), abs=1e-3)
    found, expected = local_affine(xy[:1], np.zeros(1, int), xy[:1, 0], 20.0, 1e-3)
    assert found == pytest.approx(np.broadcast_to(np.eye(2), (1, 2, 2, 2)))
    assert expected == pytest.approx(xy[:1])


def test_what_stands_still_fades_and_what_moves_stays(rng):
    frames = np.zeros((10, 20, 40), np.uint8)
    frames[:, 2:5, 2:5] = 200
    for t in range(10):
        frames[t, 12, 4 * t] = 200
    out = frames - 0.5 * still_echoes(frames)
    assert out[:, 2:5, 2:5].max() <= 103
    assert all(out[t, 12, 4 * t] >= 190 for t in range(10))


def test_haze_fades_and_speckle_stays(rng):
    speckle = rng.normal(scale=20, size=(64, 64)).astype(np.float32)
    haze = np.broadcast_to(np.linspace(0, 200, 64, dtype=np.float32), (64, 64))
    out = without_haze((speckle + haze)[None], 0.75, 7)[0]
    lost = speckle - (out - 0.25 * haze)
    assert np.abs(lost[:, 8:-8]).std() < 0.25 * speckle.std()
    assert (
        np.corrcoef(out[:, 8:-8].ravel(), speckle[:, 8:-8].ravel())[0, 1]
        > 0.8
        > np.corrcoef((speckle + haze)[:, 8:-8].ravel(), speckle[:, 8:-8].ravel())[0, 1]
    )


def test_a_patch_without_contrast_is_not_compared():
    out = normalised(np.array([[7, 7, 7, 7], [0, 10, 0, 10]], np.float32))
    assert np.isnan(out[0]).all()
    assert np.allclose(out[1], [-0.5, 0.5, -0.5, 0.5])


def test_the_walk_goes_once_each_way_and_sums_the_misses():
    frames = np.zeros((5, 20, 20), np.uint8)
    frames += np.arange(5, dtype=np.uint8)[:, None, None]
    calls = []

    def step(here, there, points):
        # One px to the right for every frame forward; the way back falls 0.3 px short.
        forward = int(there[0, 0]) - int(here[0, 0])
        calls.append(forward)
        return points + np.array([forward if forward == way[0] else 0.7 * forward, 0])

    way = [1]
    found = walk(frames, np.array([[0, 3.0, 5], [2, 8.0, 6]]), lambda h, t, p: step(h, t, p))
    assert len(calls) == 2 * 2 * 4 - 2 * 2  # no point has begun on the first two steps back
    assert found.xy[0, :, 0].tolist() == [3, 4, 5, 6, 7]
    assert found.xy[1, 2:, 0].tolist() == [8, 9, 10]
    assert found.drift[0] == pytest.approx(0.3 * np.sqrt(np.arange(5)))
    assert found.inside.all()


def test_likeness_is_one_where_the_picture_is_the_same(rng):
    frame = cv2.GaussianBlur(rng.integers(0, 255, (60, 60)).astype(np.uint8), (0, 0), 1.5)
    frames = np.stack([frame, np.roll(frame, 2, axis=1), np.full_like(frame, 9)])
    xy = np.array([[[30, 30], [32, 30], [30, 30]]], dtype=float)
    r = likeness(list(frames), xy, np.array([0]), xy[:, 0], {0: frames[0]})[0]
    assert r[:2] == pytest.approx([1, 1], abs=1e-4)
    assert np.isnan(r[2])


def test_confidence_rises_with_likeness_and_falls_with_drift():
    calibration = Calibration(-3, 6, -1.5)
    assert np.all(np.diff(calibration.probability(np.linspace(-1, 1, 9), np.full(9, 0.5))) > 0)
    assert np.all(np.diff(calibration.probability(np.full(9, 0.5), np.linspace(0, 9, 9))) < 0)
    assert calibration.probability(np.array([np.nan]), np.array([0.0])).tolist() == [0]


def test_the_peak_of_a_parabola_is_found_between_pixels(rng):
    y, x = np.mgrid[:11, :11]
    score = (1 - 0.01 * (x - 6.3) ** 2 - 0.02 * (y - 4.8) ** 2).astype(np.float32)
    assert peak(score) == pytest.approx([6.3, 4.8], abs=1e-3)
    offset, sharpness, value = peaks(score[None, None])
    assert offset[0, 0] == pytest.approx([1.3, -0.2], abs=1e-3)
    assert sharpness[0, 0] == pytest.approx([0.02, 0.04], abs=1e-4)
    assert value[0, 0] == score.max()


def test_correlation_by_transform_equals_opencv(rng):
    # Detail of single pixels, which no speckle has, is not kept.
    frames = np.stack([cv2.GaussianBlur(f, (0, 0), 1.0) for f in rng.integers(0, 255, (2, 80, 90)).astype(np.uint8)])
    xy = np.array([[[40, 35], [42, 33]], [[50, 44], [48, 41]]], dtype=float)
    still = np.broadcast_to(np.eye(2), (2, 2, 2, 2))
    prepared = spectra(frames, xy, still, size=9, reach=4)
    volume = prepared.volume(slice(0, 1), slice(1, 2))
    for i in range(2):
        (x0, y0), (x1, y1) = xy[i].astype(int)
        block = frames[0, y0 - 4 : y0 + 5, x0 - 4 : x0 + 5]
        area = frames[1, y1 - 8 : y1 + 9, x1 - 8 : x1 + 9]
        assert volume[0, i] == pytest.approx(cv2.matchTemplate(area, block, cv2.TM_CCOEFF_NORMED), abs=0.01)


def test_what_lies_across_a_wall_counts_as_farther_than_what_lies_along_it():
    along, across = np.meshgrid(np.arange(0, 200, 8.0), [-5.0, 0, 5.0])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    wall = np.stack([along.ravel(), across.ravel()], axis=1) @ turn.T
    distance = band_distances(wall[None] - wall[:, None], 14.0)
    middle = 25 + 12
    assert distance[middle, middle + 1] == pytest.approx(8, rel=0.02)
    assert distance[middle, middle + 25] == pytest.approx(15, rel=0.02)
    assert distance == pytest.approx(distance.T)
    assert not distance.diagonal().any()


def test_tissue_all_around_has_no_across():
    x, y = np.meshgrid(np.arange(0, 150, 6.0), np.arange(0, 150, 6.0))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    plain = np.linalg.norm(places[None] - places[:, None], axis=-1)
    middle = 12 * 25 + 12
    near = plain[middle] < 20
    assert band_distances(places[None] - places[:, None], 14.0)[middle, near] == pytest.approx(
        plain[middle, near], 0.05
    )
    alone = band_distances(np.zeros((1, 1, 2)), 14.0)
    assert alone.tolist() == [[0.0]]


def test_volumes_are_averaged_over_near_points_and_over_time():
    xy = np.array([[0.0, 0], [5, 0], [200, 0]])[:, None].repeat(3, axis=1)
    weights = neighbour_weights(xy, 5.0, 14.0)
    assert weights.sum(axis=1) == pytest.approx([1, 1, 1])
    assert weights[0, 1] == pytest.approx(np.exp(-0.5) / (1 + np.exp(-0.5)), abs=1e-6)
    volumes = np.zeros((3, 3, 3, 3), np.float32)
    volumes[:, 2] = 1
    mean = averaged(volumes, weights)
    assert mean[:, 2] == pytest.approx(1)
    assert mean[:, :2].max() == 0
    impulse = np.zeros((9, 1, 3, 3), np.float32)
    impulse[4] = 1
    smooth = smoothed_in_time(impulse, 1.0)
    assert smooth.sum(axis=0) == pytest.approx(1, abs=1e-5)
    assert smooth[3, 0, 0, 0] == pytest.approx(smooth[4, 0, 0, 0] * np.exp(-0.5), abs=1e-5)
    assert smoothed_in_time(impulse, 0.0) is impulse
