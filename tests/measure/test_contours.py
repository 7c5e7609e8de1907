import numpy as np
import pytest

from echomotion.measure.contours import (
    arc_length,
    largest_component,
    level_contour,
    points_at,
    polygon_area,
    resample,
    smooth_open,
    without_specks,
)
from tests.phantoms import speckle


def test_the_contour_of_a_cone_is_a_circle_below_pixel_precision():
    y, x = np.mgrid[:80, :100]
    contour = level_contour(30.0 - np.hypot(x - 45.3, y - 38.7), level=5.5)
    radius = np.hypot(contour[:, 0] - 45.3, contour[:, 1] - 38.7)
    assert np.abs(radius - 24.5).max() < 0.02
    steps = np.hypot(*(np.roll(contour, -1, axis=0) - contour).T)
    assert steps.max() < 1.5
    assert polygon_area(contour) == pytest.approx(np.pi * 24.5**2, rel=0.001)


def test_a_mask_at_the_border_of_the_image_still_closes():
    mask = np.zeros((20, 30))
    mask[:8, 5:15] = 1
    contour = level_contour(mask)
    assert contour[:, 1].min() < 0 < contour[:, 1].max()
    assert polygon_area(contour) == pytest.approx(80, rel=0.03)


def test_of_several_curves_the_longest_is_returned_and_an_empty_field_has_none():
    mask = np.zeros((40, 40))
    mask[2:5, 2:5] = 1
    mask[10:30, 10:30] = 1
    assert level_contour(mask).min() > 9
    assert level_contour(np.zeros((9, 9))).shape == (0, 2)


def test_contours_of_ragged_fields_always_close(rng):
    for _ in range(5):
        field = speckle((40, 50), rng)
        contour = level_contour(field, 0.6)
        gaps = np.hypot(*(np.roll(contour, -1, axis=0) - contour).T)
        assert len(contour) > 4
        assert gaps.max() < 1.5


def test_the_largest_component_keeps_one_part_and_fills_it():
    mask = np.zeros((30, 30), dtype=bool)
    mask[5:25, 5:25] = True
    mask[10:12, 10:12] = False
    mask[0:3, 0:3] = True
    wanted = np.zeros_like(mask)
    wanted[5:25, 5:25] = True
    assert np.array_equal(largest_component(mask), wanted)
    assert not largest_component(np.zeros((4, 4), dtype=bool)).any()
    # A bay that opens to the outside is no hole.
    mask[10:20, 10:25] = False
    assert not largest_component(mask)[15, 24]


def test_specks_go_and_large_parts_stay():
    mask = np.zeros((30, 30), dtype=bool)
    mask[2:12, 2:12] = mask[20:28, 20:28] = mask[2, 25] = True
    clean = without_specks(mask, 0.05)
    assert clean.sum() == 164
    assert not clean[2, 25]


def test_resampling_spaces_points_equally_and_keeps_the_ends():
    line = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    points = resample(line, 8)
    assert np.allclose(np.diff(arc_length(points)), 1.0)
    assert np.array_equal(points[[0, -1]], line[[0, -1]])
    assert np.allclose(points_at(line, np.array([5.0])), [[3, 2]])
    square = resample(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), 8, closed=True)
    assert len(np.unique(square, axis=0)) == 8


def test_smoothing_keeps_ends_and_radius_and_takes_noise_away(rng):
    angle = np.linspace(0, np.pi, 241)
    arc = 25 * np.column_stack([-np.cos(angle), np.sin(angle)])
    smooth = smooth_open(arc, 0.02)
    assert np.allclose(smooth[[0, -1]], arc[[0, -1]])
    assert np.abs(np.hypot(*smooth.T)[10:-10] - 25).max() < 0.005
    noisy = arc + rng.normal(0, 0.5, arc.shape)
    assert np.std(np.hypot(*smooth_open(noisy, 0.02).T) - 25) < 0.25
