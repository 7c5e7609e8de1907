"""Every geometry inverts, and a warp puts pixels where the point map says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echomotion.core import DataError, Geometry

sides = st.integers(min_value=2, max_value=2000)
shapes = st.tuples(sides, sides)
fractions = st.floats(0.0, 1.0)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """A resize, a crop, a letterbox, a turn, or two of them after each other."""
    shape = draw(shapes)

    def one(start: tuple[int, int]) -> Geometry:
        kind = draw(st.sampled_from(["resize", "crop", "letterbox", "upside_down", "identity"]))
        if kind == "resize":
            return Geometry.resize(start, draw(shapes))
        if kind == "crop":
            x0, y0 = draw(st.floats(-500, 2000)), draw(st.floats(-500, 2000))
            return Geometry.crop(start, x0, y0, draw(sides), draw(sides))
        if kind == "letterbox":
            x0, y0 = draw(st.floats(-100, 500)), draw(st.floats(-100, 500))
            width, height = draw(st.floats(2, 2000)), draw(st.floats(2, 2000))
            return Geometry.letterbox(start, (x0, y0, x0 + width, y0 + height), draw(shapes), draw(st.floats(0.3, 3)))
        return Geometry.upside_down(start) if kind == "upside_down" else Geometry.identity(start)

    first = one(shape)
    return first.then(one(first.grid_shape)) if draw(st.booleans()) else first


@given(geometries(), st.lists(st.tuples(fractions, fractions), min_size=1, max_size=20))
def test_points_come_back_within_a_ten_thousandth_of_a_pixel(geometry, where):
    rows, columns = geometry.native_shape
    points = np.array(where) * [columns, rows] - 0.5
    there = geometry.to_grid(points)
    assert np.abs(geometry.to_native(there) - points).max() < 1e-4
    assert np.abs(geometry.inverse().to_grid(there) - points).max() < 1e-4


@given(geometries())
def test_a_geometry_survives_json(geometry):
    assert Geometry.from_dict(geometry.as_dict()) == geometry


def test_a_resize_keeps_pixel_centres_in_place():
    halved = Geometry.resize((100, 200), (50, 100))
    # The centre of the first output pixel covers the first two input pixels.
    np.testing.assert_allclose(halved.to_native([[0, 0]]), [[0.5, 0.5]])
    np.testing.assert_allclose(halved.to_grid([[-0.5, -0.5], [199.5, 99.5]]), [[-0.5, -0.5], [99.5, 49.5]])


def test_a_letterbox_keeps_proportions_and_centres_the_box():
    geometry = Geometry.letterbox((400, 300), (-0.5, -0.5, 299.5, 399.5), (200, 200), pixel_aspect=0.5)
    corners = geometry.to_grid([[-0.5, -0.5], [299.5, 399.5]])
    width, height = corners[1] - corners[0]
    assert width / height == pytest.approx(300 / (400 * 0.5))
    np.testing.assert_allclose(corners.mean(axis=0), [99.5, 99.5])


@pytest.mark.parametrize("grid", [(60, 80), (240, 320)])
def test_a_warp_agrees_with_the_point_map(grid):
    image = np.zeros((120, 160), np.uint8)
    cv2.circle(image, (100, 40), 9, 255, -1, cv2.LINE_AA)
    geometry = Geometry.resize(image.shape, grid)
    warped = geometry.warp(image).astype(float)
    y, x = np.mgrid[: grid[0], : grid[1]]
    centre = np.array([(warped * x).sum(), (warped * y).sum()]) / warped.sum()
    np.testing.assert_allclose(centre, geometry.to_grid([100, 40]), atol=0.05)


def test_upside_down_the_last_row_comes_first(rng):
    image = rng.integers(0, 255, (5, 7), dtype=np.uint8)
    turned = Geometry.upside_down(image.shape)
    np.testing.assert_array_equal(turned.warp(image), image[::-1])
    np.testing.assert_allclose(turned.to_grid([[2.0, 0.0]]), [[2.0, 4.0]])
    assert turned.then(turned) == Geometry.identity(image.shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Geometry((0, 5), (5, 5), (1, 1), (0, 0)),
        lambda: Geometry((5, 5), (5, 5), (0, 1), (0, 0)),
        lambda: Geometry((5, 5), (5, 5), (1, 1), (float("nan"), 0)),
        lambda: Geometry.letterbox((5, 5), (3, 0, 3, 5), (5, 5)),
        lambda: Geometry.identity((5, 5)).then(Geometry.identity((6, 5))),
        lambda: Geometry.identity((5, 5)).warp(np.zeros((6, 5), np.uint8)),
    ],
)
def test_impossible_geometries_are_refused(make):
    with pytest.raises(DataError):
        make()
