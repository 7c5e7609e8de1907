import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import DataError, Masks, Phases, Status, Subject, View
from echomotion.measure.biplane import ApicalView
from echomotion.measure.disks import sum_of_disks
from echomotion.measure.left_atrium import NAMES, AtriumNotFoundError, atrial_measurements, atrium_plane
from echomotion.measure.phases import phases_from_user
from tests.phantoms import HalfEllipse

TIMES = np.array([0.0, 0.3])
PHASES = phases_from_user(0.0, 0.3)


def phantom(radius, length, angle=0.1, spacing=(0.7, 0.7)):
    """A ventricle and, below it, an atrium of the same width and 0.55 times the length."""
    extent = 3.2 * length + 30
    shape = int(extent / spacing[0]), int(extent / spacing[1])
    return HalfEllipse((shape[1] / 2, shape[0] / 2), radius, length, 9, angle, spacing), shape


def recording(view, radius=20.0, length=70.0, spacing=(0.7, 0.7)):
    shape, size = phantom(radius, length, spacing=spacing)
    return ApicalView(Masks(np.stack([shape.labels(size)] * 2)), PHASES, TIMES, spacing, view)


def volume(first, second, length):
    return 2 / 3 * np.pi * first * second * 0.55 * length / 1000


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    radius=st.floats(16, 30),
    length=st.floats(60, 95),
    angle=st.floats(-np.pi, np.pi),
    row=st.floats(0.4, 0.9),
    aspect=st.floats(0.6, 1.5),
)
def test_any_half_ellipsoid_atrium_has_its_volume(radius, length, angle, row, aspect):
    spacing = (row, row * aspect)
    shape, size = phantom(radius, length, angle, spacing)
    plane = atrium_plane(Masks(shape.labels(size)[None]), 0, spacing)
    assert sum_of_disks(plane) / 1000 == pytest.approx(volume(radius, radius, length), rel=0.015)
    assert plane.length == pytest.approx(0.55 * length, abs=0.75 * max(spacing))


def test_single_and_biplane_volume_and_index():
    four, two = recording(View.A4C), recording(View.A2C, 24.0)
    subject = Subject("F", 165, 60)
    single = atrial_measurements(four, subject=subject)
    assert tuple(row.name for row in single) == NAMES
    assert single[0].value == pytest.approx(volume(20, 20, 70), rel=0.015)
    assert (single[0].status, single[0].frames, single[0].view) == (Status.OK, (1,), View.A4C)
    assert single[1].value == pytest.approx(single[0].value / subject.body_surface_m2)
    for technique in ("disks", "area_length"):
        both = atrial_measurements(four, two, technique=technique)
        assert both[0].value == pytest.approx(volume(20, 24, 70), rel=0.015)
        assert (both[1].status, both[1].unit) == (Status.NOT_MEASURABLE, "mL/m2")
        assert "height and weight" in both[1].reason


def test_lengths_that_differ_and_pixels_without_size_are_marked():
    rows = atrial_measurements(recording(View.A4C), recording(View.A2C, 20.0, 84.0))
    assert "differ by 8 mm" in rows[0].reason
    four = recording(View.A4C)
    bare = ApicalView(four.masks, PHASES, TIMES, None, View.A4C)
    rows = atrial_measurements(bare, subject=Subject("M", 180, 80))
    assert (rows[0].unit, rows[0].status) == ("px3", Status.LOW_CONFIDENCE)
    assert rows[0].value == pytest.approx(1000 * volume(20, 20, 70) / 0.7**3, rel=0.015)
    assert "not calibrated" in rows[1].reason


def test_what_gives_no_atrium_says_why():
    shape, size = phantom(20, 70)
    labels = shape.labels(size)
    plain = Masks(np.where(labels == 3, 0, labels)[None].astype(np.uint8))
    with pytest.raises(AtriumNotFoundError, match="missing or too small"):
        atrium_plane(plain, 0, (0.7, 0.7))
    no_class = Masks(np.minimum(labels, 2)[None], {0: "background", 1: "lv_cavity", 2: "lv_myocardium"})
    with pytest.raises(AtriumNotFoundError, match="no class left_atrium"):
        atrium_plane(no_class, 0)
    with pytest.raises(AtriumNotFoundError, match="annulus is not found"):
        atrium_plane(Masks(np.where(labels == 3, labels, 0)[None].astype(np.uint8)), 0)
    rows_with_atrium = np.flatnonzero((labels == 3).any(axis=1))
    cut = labels[: rows_with_atrium[-1] - 10]
    with pytest.raises(AtriumNotFoundError, match="border of the image"):
        atrium_plane(Masks(cut[None]), 0, (0.7, 0.7))
    four = recording(View.A4C)
    for view, phases, why in (
        (View.A3C, PHASES, "need an A4C or A2C view"),
        (View.A4C, Phases((), "area", 0.0, "no beat"), "no beat"),
        (View.A4C, Phases((*phases_from_user(0.0, 5.0).beats,), "user", 1.0), "lies off the recording"),
    ):
        rows = atrial_measurements(ApicalView(four.masks, phases, TIMES, (0.7, 0.7), view))
        assert all(row.status is Status.NOT_MEASURABLE and why in row.reason for row in rows)
    with pytest.raises(DataError, match="unknown technique"):
        atrial_measurements(four, technique="cube")
