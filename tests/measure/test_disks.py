"""Disks and the area-length formula on outlines whose volume is known on paper."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import DataError
from echomotion.measure.area_length import area_length_volume, chamber_volume
from echomotion.measure.disks import (
    ChamberPlane,
    Convention,
    Technique,
    chamber_plane,
    chosen,
    disk_volume,
    shared_length,
    sum_of_disks,
)


def half_ellipse(radius, length, angle=0.0, place=(0.0, 0.0), count=2001):
    """Outline, annulus and apex of half an ellipse, turned and moved."""
    t = np.linspace(0, np.pi, count)
    points = np.column_stack([-radius * np.cos(t), length * np.sin(t)])
    c, s = np.cos(angle), np.sin(angle)
    contour = points @ np.array([[c, s], [-s, c]]) + place
    return contour, contour[[0, -1]], contour[count // 2]


def bullet(radius, length):
    """A cylinder of two thirds of the length, closed by half an ellipse of the last third."""
    t = np.linspace(0, np.pi, 1001)
    cap = np.column_stack([-radius * np.cos(t), length * 2 / 3 + length / 3 * np.sin(t)])
    contour = np.concatenate([[[-radius, 0.0]], cap, [[radius, 0.0]]])
    return contour, contour[[0, -1]], np.array([0.0, length])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    radius=st.floats(8, 50),
    second=st.floats(8, 50),
    length=st.floats(30, 140),
    angle=st.floats(-math.pi, math.pi),
    place=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    mirror=st.booleans(),
    scale=st.floats(0.05, 20),
)
def test_any_half_ellipsoid_has_the_volume_of_the_formula(radius, second, length, angle, place, mirror, scale):
    first = chamber_plane(*half_ellipse(radius, length, angle, place))
    other = chamber_plane(*half_ellipse(second, length, -angle, place))
    truth = 2 / 3 * math.pi * radius * second * length
    assert sum_of_disks(first, other) == pytest.approx(truth, rel=0.005)
    assert area_length_volume(first, other) == pytest.approx(truth, rel=0.005)
    assert first.length == pytest.approx(length, abs=0.1)
    assert first.area == pytest.approx(math.pi / 2 * radius * length, rel=0.001)
    contour, annulus, apex = half_ellipse(radius, length, angle, place)
    flip = np.array([-1.0 if mirror else 1.0, 1.0]) * scale
    volume = disk_volume(contour * flip, annulus * flip, apex * flip)
    assert volume / scale**3 == pytest.approx(sum_of_disks(first), rel=1e-6)


def test_a_bullet_and_a_cone_have_theirs():
    assert disk_volume(*bullet(22, 90)) == pytest.approx(math.pi * 22**2 * 90 * (2 / 3 + 2 / 9), rel=0.005)
    cone = np.array([[-20.0, 0], [0, 80], [20, 0]])
    assert disk_volume(cone, cone[[0, 2]], cone[1]) == pytest.approx(math.pi / 3 * 20**2 * 80, rel=0.005)


def test_an_indented_border_counts_both_chords_and_what_lies_below_the_annulus_counts_nothing():
    # A square of side 10 with a notch from the top, 2 wide and 5 deep: one chord of 10 below, two of 4 above.
    square = np.array([[0.0, 0], [0, 10], [4, 10], [4, 5], [6, 5], [6, 10], [10, 10], [10, 0]])
    plane = chamber_plane(square, square[[0, -1]], np.array([5.0, 10.0]), disks=10)
    assert plane.diameters.tolist() == pytest.approx([10] * 5 + [8] * 5)
    low = np.concatenate([square, [[10.0, -3], [0, -3]]])
    assert chamber_plane(low, square[[0, -1]], np.array([5.0, 10.0]), disks=10).diameters == pytest.approx(
        plane.diameters
    )


def test_conventions_choose_the_length():
    planes = [ChamberPlane(np.full(20, d), length, 1.0) for d, length in ((40, 80), (40, 90), (30, 60), (30, 66))]
    assert sum_of_disks(planes[0], planes[1]) == pytest.approx(math.pi / 4 * 1600 * 90)
    assert sum_of_disks(planes[2], planes[3]) == pytest.approx(math.pi / 4 * 900 * 66)
    assert shared_length(planes, Convention.ASE) is None
    assert shared_length(planes, Convention.CAMUS) == 90
    assert chamber_volume(Technique.DISKS, planes[2], planes[3], length=90) == pytest.approx(math.pi / 4 * 900 * 90)
    # The shorter length of the two, as in the formula for the atrium.
    pair = (ChamberPlane(np.ones(20), 50.0, 2000.0), ChamberPlane(np.ones(20), 55.0, 1800.0))
    assert area_length_volume(*pair) == pytest.approx(8 / (3 * math.pi) * 2000 * 1800 / 50)


def test_shapes_without_volume_and_unknown_names_are_refused():
    contour, annulus, _ = half_ellipse(20, 80)
    with pytest.raises(DataError, match="no long axis"):
        chamber_plane(contour, annulus, annulus.mean(axis=0))
    with pytest.raises(DataError, match="no volume"):
        chamber_plane(contour * 0, annulus, np.array([0.0, 80.0]))
    with pytest.raises(DataError, match="0 disks"):
        chamber_plane(*half_ellipse(20, 80), disks=0)
    with pytest.raises(DataError, match="20 and 10 disks"):
        sum_of_disks(chamber_plane(*half_ellipse(20, 80)), chamber_plane(*half_ellipse(20, 80), disks=10))
    with pytest.raises(DataError, match="unknown technique 'simpson'; there are disks, area_length"):
        chosen(Technique, "simpson")
    with pytest.raises(DataError, match="unknown convention"):
        chosen(Convention, "ASE ")
