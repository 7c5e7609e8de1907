"""Linear dimensions, mass and geometry from key-points and from masks of walls of known thickness."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from echomotion.core import Beat, DataError, Keypoints, Masks, Phases, Status, Subject, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.measure.beats import headline
from echomotion.measure.dimensions import (
    NAMES,
    PARTS,
    dimension_curves,
    dimension_measurements,
    fractional_shortening,
    thickening,
)
from echomotion.measure.lv_mass import LvGeometry, lv_geometry, lv_mass, relative_wall_thickness
from echomotion.measure.parasternal import METHOD, measuring_line
from echomotion.measure.phases import phases_from_user
from echomotion.simulate.sequence import simulate

TIMES = np.array([0.0, 0.1, 0.3, 0.6])
PHASES = phases_from_user(0.0, 0.3, 0.6)
# Septum, cavity and posterior wall in mm on four frames; ED on the first, ES on the third.
SIZES = np.array([[9.0, 48, 10], [10, 42, 11], [12, 30, 15], [9, 48, 10]])
SUBJECT = Subject("F", 165, 62)


def keypoints(sizes, spacing=(0.5, 0.25), angle=0.3, place=(200.0, 90.0), confidence=1.0):
    """Points on a straight line at these distances."""
    along = np.concatenate([np.zeros((len(sizes), 1)), np.cumsum(sizes, axis=1)], axis=1).T
    xy = along[..., None] * np.array([np.sin(angle), np.cos(angle)]) / spacing[::-1] + place
    return Keypoints(xy, np.full(xy.shape[:2], confidence), PARASTERNAL_POINTS)


def by_name(rows):
    return {row.name: row for row in headline(rows)}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(st.floats(4, 30), st.floats(15, 90), st.floats(4, 30)),
    angle=st.floats(-math.pi, math.pi),
    spacing=st.tuples(st.floats(0.1, 1.5), st.floats(0.1, 1.5)),
    place=st.tuples(st.floats(0, 900), st.floats(0, 900)),
    mirror=st.booleans(),
    upsampled=st.integers(1, 4),
)
def test_any_line_has_its_lengths(sizes, angle, spacing, place, mirror, upsampled):
    points = keypoints(np.array([sizes]), spacing, angle, place)
    curves = dimension_curves(points, spacing)
    assert [curves.values[part][0] for part in PARTS] == pytest.approx(sizes, abs=0.01)
    assert (curves.unit, curves.reasons, curves.doubts) == ("mm", ("",), ((),))
    moved = (points.xy - (17, 5)) * (-1 if mirror else 1, 1)
    fine = Keypoints((moved + 0.5) * upsampled - 0.5, points.confidence, points.names)
    other = dimension_curves(fine, (spacing[0] / upsampled, spacing[1] / upsampled))
    assert [other.values[part][0] for part in PARTS] == pytest.approx(sizes, abs=0.01)


def test_every_measurement_equals_its_formula():
    curves = dimension_curves(keypoints(SIZES), (0.5, 0.25))
    rows = by_name(dimension_measurements(curves, PHASES, TIMES, View.PLAX, SUBJECT))
    assert tuple(rows) == (*NAMES, "lv_mass", "lv_mass_index", "lv_geometry")
    assert [rows[name].value for name in NAMES[:6]] == pytest.approx([9, 48, 10, 12, 30, 15], abs=0.01)
    assert rows["fractional_shortening"].value == pytest.approx(100 * 18 / 48, abs=0.01)
    assert rows["relative_wall_thickness"].value == pytest.approx(20 / 48, abs=0.001)
    assert rows["septal_thickening"].value == pytest.approx(100 / 3, abs=0.1)
    assert rows["posterior_wall_thickening"].value == pytest.approx(50, abs=0.1)
    mass = 0.8 * 1.04 * (6.7**3 - 4.8**3) + 0.6
    assert rows["lv_mass"].value == pytest.approx(mass, rel=0.001)
    assert rows["lv_mass_index"].value == pytest.approx(mass / SUBJECT.body_surface_m2, rel=0.001)
    assert all(row.status is Status.OK for row in rows.values())
    assert [rows[name].unit for name in ("lv_mass", "lv_mass_index", "relative_wall_thickness")] == ["g", "g/m2", "1"]
    assert "normal geometry" in rows["lv_geometry"].method or "hypertrophy" in rows["lv_geometry"].method
    assert rows["septal_thickness_systole"].frames == (2,)


def test_mass_of_a_published_example_and_the_four_geometries():
    # IVSd 1.0, LVIDd 5.0, LVPWd 1.0 cm: 0.8 * 1.04 * (7^3 - 5^3) + 0.6.
    assert lv_mass(10, 50, 10) == pytest.approx(0.8 * 1.04 * 218 + 0.6)
    assert relative_wall_thickness(50, 10) == pytest.approx(0.4)
    assert fractional_shortening(50, 32) == pytest.approx(36)
    assert lv_geometry(95, 0.42, "F") is LvGeometry.NORMAL
    assert lv_geometry(96, 0.42, "F") is LvGeometry.ECCENTRIC_HYPERTROPHY
    assert lv_geometry(96, 0.43, "M") is LvGeometry.CONCENTRIC_REMODELLING
    assert lv_geometry(116, 0.43, "M") is LvGeometry.CONCENTRIC_HYPERTROPHY


def test_mass_index_and_geometry_need_body_size_and_sex():
    curves = dimension_curves(keypoints(SIZES), (0.5, 0.25))
    for subject, index, geometry in (
        (None, "height and weight", "height and weight"),
        (Subject("M", 180), "height and weight", "height and weight"),
        (Subject(None, 180, 80), "", "the sex is needed"),
    ):
        rows = by_name(dimension_measurements(curves, PHASES, TIMES, View.PLAX, subject))
        assert rows["lv_mass"].status is Status.OK
        assert index in rows["lv_mass_index"].reason
        assert (rows["lv_mass_index"].status is Status.OK) == (not index)
        assert geometry in rows["lv_geometry"].reason
        assert rows["lv_geometry"].status is Status.NOT_MEASURABLE


def test_without_spacing_lengths_are_px_and_mass_is_not_measured():
    square = keypoints(SIZES, (0.5, 0.5))
    rows = by_name(dimension_measurements(dimension_curves(square), PHASES, TIMES, View.PLAX, SUBJECT))
    assert (rows["septal_thickness_diastole"].unit, rows["septal_thickness_diastole"].value) == (
        "px",
        pytest.approx(18),
    )
    assert rows["septal_thickness_diastole"].status is Status.LOW_CONFIDENCE
    assert rows["fractional_shortening"].status is Status.OK
    assert "square pixels assumed" in rows["fractional_shortening"].method
    for name in ("lv_mass", "lv_mass_index", "lv_geometry"):
        assert "not calibrated" in rows[name].reason


def test_several_beats_are_averaged_and_classed_once():
    sizes = np.concatenate([SIZES, SIZES[1:] + np.array([2, 0, 2])])
    times = np.array([0.0, 0.1, 0.3, 0.6, 0.7, 0.9, 1.2])
    phases = Phases((Beat(0.0, 0.3, 0.6), Beat(0.6, 0.9, 1.2)), "user", 1.0)
    rows = dimension_measurements(dimension_curves(keypoints(sizes), (0.5, 0.25)), phases, times, View.PLAX, SUBJECT)
    assert [row.beat for row in rows if row.name == "lv_mass"] == [0, 1, None]
    assert [row.beat for row in rows if row.name == "lv_geometry"] == [None]
    masses = [row.value for row in rows if row.name == "lv_mass"]
    assert masses[2] == pytest.approx(np.mean(masses[:2]))
    curve = dimension_curves(keypoints(sizes), (0.5, 0.25)).values[PARTS[0]]
    grown = thickening(curve, phases, times)
    assert grown[[0, 2, 3]] == pytest.approx([0, 100 / 3, 0], abs=0.1)
    assert np.isnan(thickening(curve, Phases((), "area", 0.0, "none"), times)).all()


def test_bad_points_beats_and_views_say_why():
    missing = keypoints(SIZES).xy.copy()
    missing[1, 2] = np.nan
    swapped = keypoints(SIZES).xy.copy()
    swapped[[1, 2], 2] = swapped[[2, 1], 2]
    for xy, why in ((missing, "no septal_endocardial"), (swapped, "do not follow each other")):
        curves = dimension_curves(Keypoints(xy, np.ones(xy.shape[:2]), PARASTERNAL_POINTS), (0.5, 0.25))
        rows = by_name(dimension_measurements(curves, PHASES, TIMES, View.PLAX, SUBJECT))
        assert rows["lv_internal_diameter_diastole"].status is Status.OK
        assert rows["lv_mass"].status is Status.OK
        for name in ("lv_internal_diameter_systole", "fractional_shortening", "septal_thickening"):
            assert rows[name].status is Status.NOT_MEASURABLE
            assert why in rows[name].reason
    curves = dimension_curves(keypoints(SIZES), (0.5, 0.25))
    rows = by_name(dimension_measurements(curves, Phases((Beat(0.0, np.nan),), "user", 1.0), TIMES, View.PLAX))
    assert rows["septal_thickness_diastole"].status is Status.OK
    assert "no end-systole" in rows["lv_internal_diameter_systole"].reason
    for phases, view, why in (
        (PHASES, View.A4C, "need a PLAX view"),
        (Phases((), "area", 0.0, "no beat"), View.PLAX, "no beat"),
    ):
        rows = dimension_measurements(curves, phases, TIMES, view, SUBJECT)
        assert len(rows) == len(NAMES) + 3
        assert all(row.status is Status.NOT_MEASURABLE and why in row.reason for row in rows)
    assert "view is not stated" in dimension_measurements(curves, PHASES, TIMES)[0].reason
    with pytest.raises(DataError, match="lack septal_epicardial"):
        dimension_curves(Keypoints(np.zeros((1, 1, 2)), np.ones((1, 1)), ("apex",)))


def test_doubtful_points_are_marked():
    unsure = dimension_curves(keypoints(SIZES, confidence=0.3), (0.5, 0.25))
    assert "confidence of 0.30" in unsure.doubts[0][0]
    bent = keypoints(SIZES).xy.copy()
    bent[3] += (40, 0)
    curves = dimension_curves(Keypoints(bent, np.ones(bent.shape[:2]), PARASTERNAL_POINTS), (0.5, 0.25))
    assert "cuts a wall obliquely" in curves.doubts[0][0]
    huge = by_name(
        dimension_measurements(dimension_curves(keypoints(4 * SIZES), (0.5, 0.25)), PHASES, TIMES, View.PLAX, SUBJECT)
    )
    assert huge["lv_mass"].status is Status.LOW_CONFIDENCE
    assert "not plausible" in huge["lv_internal_diameter_diastole"].reason


CLASSES = {0: "background", 1: "lv_cavity", 2: "septum", 3: "posterior_wall", 4: "left_atrium"}


def parasternal(septum, cavity, posterior, spacing, angle=0.0, level=0.7):
    """Masks (1, H, W) of a half-ellipse with its long axis across the image; at `level` it is `cavity` mm wide."""
    shape = int(150 / spacing[0]), int(170 / spacing[1])
    y, x = np.mgrid[: shape[0], : shape[1]]
    point = np.stack([(x - shape[1] / 2) * spacing[1], (y - shape[0] / 2) * spacing[0]], axis=-1)
    c, s = np.cos(angle), np.sin(angle)
    u, v = point @ np.array([c, s]), point @ np.array([-s, c])
    # From the apex (u = -45) to the base (u = 45).
    height = (u + 45) / 90
    with np.errstate(invalid="ignore"):
        half = cavity / 2 * np.sqrt(1 - (1 - height) ** 2) / np.sqrt(1 - (1 - level) ** 2)
    seen = (height >= 0) & (height <= 1)
    labels = np.zeros(shape, np.uint8)
    labels[seen & (np.abs(v) <= half)] = 1
    labels[seen & (v < -half) & (v >= -half - septum)] = 2
    labels[seen & (v > half) & (v <= half + posterior)] = 3
    labels[(u > 45) & (np.hypot(u - 45, v - 5) < 15)] = 4
    return labels[None]


@settings(max_examples=10, deadline=None, derandomize=True)
@example(7.0, 45.75, 7.0, 0.078125, 0.7890625, 1.0, False)
@given(
    septum=st.floats(7, 16),
    cavity=st.floats(28, 55),
    posterior=st.floats(7, 16),
    angle=st.floats(-0.6, 0.6),
    row=st.floats(0.3, 0.8),
    aspect=st.floats(0.6, 1.6),
    mirror=st.booleans(),
)
def test_any_walls_of_known_thickness_are_read_from_masks(septum, cavity, posterior, angle, row, aspect, mirror):
    spacing = (row, row * aspect)
    labels = parasternal(septum, cavity, posterior, spacing, angle)
    points, reasons = measuring_line(Masks(labels[:, :, :: -1 if mirror else 1], CLASSES), spacing)
    curves = dimension_curves(points, spacing, reasons=reasons, method=METHOD)
    # Masks know a border to a pixel.
    within = max(0.5, *spacing)
    assert [curves.values[part][0] for part in PARTS] == pytest.approx([septum, cavity, posterior], abs=within)
    assert curves.doubts == ((),)


def test_masks_without_a_line_say_why():
    labels = parasternal(9, 45, 10, (0.6, 0.6))
    two = np.concatenate([labels, np.where(labels == 2, 0, labels)])
    points, reasons = measuring_line(Masks(two, CLASSES), (0.6, 0.6))
    assert reasons == ("", "no septum is seen")
    curves = dimension_curves(points, (0.6, 0.6), reasons=reasons)
    assert curves.reasons == reasons
    assert np.isnan(curves.values[PARTS[1]][1])
    apical = Masks(np.minimum(labels, 3))
    assert measuring_line(apical)[1] == ("the segmentation has no class septum",)
    # A septum that touches the cavity nowhere is not crossed.
    far = np.where(labels == 2, 0, labels)
    far[0, :3, :3] = 2
    assert "does not cross both walls" in measuring_line(Masks(far, CLASSES), (0.6, 0.6))[1][0]


def test_a_simulated_parasternal_view_has_the_dimensions_of_its_truth():
    sequence = simulate(View.PLAX, 3, n_frames=2, n_tracks=1, reference_frame=0)
    spacing = sequence.clip.spacing_mm
    for points, tolerance in ((sequence.keypoints, 0.1), (measuring_line(sequence.masks, spacing)[0], 1.0)):
        curves = dimension_curves(points, spacing)
        for part, name in zip(PARTS, ("ivs", "lvid", "lvpw"), strict=True):
            assert curves.values[part] == pytest.approx(sequence.dimensions_mm[name], abs=tolerance)
