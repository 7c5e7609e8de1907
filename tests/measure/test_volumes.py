import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from echomotion.core import Beat, DataError, Masks, Phases, Status, View
from echomotion.measure.area_length import area_length_volume
from echomotion.measure.beats import headline
from echomotion.measure.phases import find_phases, phases_from_user
from echomotion.measure.shape import LENGTHS, SPHERICITIES, shape_measurements
from echomotion.measure.volumes import NAMES, cavity_area, volume_curve, volume_measurements
from tests.phantoms import HalfEllipse, beating_ventricle


def rendered(phantom_fields, spacing, *, atrium=True, margin=20.0):
    """A half-ellipsoid in the middle of an image just large enough, and its masks."""
    radius, length, wall, angle = phantom_fields
    extent = 1.6 * (length + wall) + 0.55 * length + 2 * margin
    shape = int(extent / spacing[0]), int(extent / spacing[1])
    middle = (np.array(shape[::-1]) - 1) / 2
    base = middle + 0.2 * length * np.array([-np.sin(angle), np.cos(angle)]) / spacing[::-1] + (0.37, -0.21)
    phantom = HalfEllipse((float(base[0]), float(base[1])), radius, length, wall, angle, spacing)
    return phantom, Masks(phantom.labels(shape, atrium=atrium)[None])


@settings(max_examples=16, deadline=None, derandomize=True)
@given(
    length=st.floats(50, 105),
    slenderness=st.floats(0.2, 0.42),
    wall=st.floats(6, 15),
    angle=st.floats(-np.pi, np.pi),
    row=st.floats(0.3, 1.1),
    aspect=st.floats(0.5, 2.0),
    atrium=st.booleans(),
)
def test_any_rendered_half_ellipsoid_has_its_volume_area_and_length(
    length, slenderness, wall, angle, row, aspect, atrium
):
    spacing = (row, min(max(row * aspect, 0.3), 1.3))
    phantom, masks = rendered((slenderness * length, length, wall, angle), spacing, atrium=atrium)
    curve = volume_curve(masks, spacing)
    plane = curve.planes[0]
    assert curve.volume[0] == pytest.approx(phantom.volume_ml, rel=0.015)
    assert area_length_volume(plane) / 1000 == pytest.approx(phantom.volume_ml, rel=0.015)
    assert curve.area[0] == pytest.approx(phantom.area_cm2, rel=0.015)
    assert plane.length == pytest.approx(length, abs=max(0.5, 0.75 * max(spacing)))


def test_upsampling_cropping_and_mirroring_change_nothing_beyond_a_pixels_edge():
    spacing = (0.8, 0.6)
    _, masks = rendered((22, 80, 9, 0.35), spacing)
    volume = volume_curve(masks, spacing).volume[0]
    labels = masks.labels
    fine = np.repeat(np.repeat(labels, 2, axis=1), 2, axis=2)
    assert volume_curve(Masks(fine), (0.4, 0.3)).volume[0] == pytest.approx(volume, rel=0.005)
    for mirrored in (labels[:, :, ::-1], labels[:, ::-1], labels.transpose(0, 2, 1)):
        turned = spacing if mirrored.shape == labels.shape else spacing[::-1]
        assert volume_curve(Masks(mirrored), turned).volume[0] == pytest.approx(volume, rel=0.002)
    rows, columns = np.nonzero(labels[0])
    part = labels[:, rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4]
    assert volume_curve(Masks(part), spacing).volume[0] == pytest.approx(volume, rel=1e-3)


@pytest.fixture(scope="module")
def heart():
    return beating_ventricle(beats=2.2, fps=30, bpm=60, angle=-0.2, spacing_mm=(0.7, 0.5), shape=(230, 320))


def test_volumes_fraction_and_rate_of_a_beating_ventricle(heart):
    clip, masks, truth = heart
    phases = find_phases(cavity_area(masks, clip.spacing_mm), clip.times_s)
    assert len(phases.beats) == 2
    rows = {
        row.name: row for row in headline(volume_measurements(masks, phases, clip.times_s, clip.spacing_mm, View.A4C))
    }
    assert tuple(rows) == NAMES
    assert all(row.status is Status.OK for row in rows.values())
    edv, esv = truth.volumes_ml.max(), truth.volumes_ml.min()
    assert rows["end_diastolic_volume"].value == pytest.approx(edv, rel=0.02)
    assert rows["end_systolic_volume"].value == pytest.approx(esv, rel=0.02)
    assert rows["stroke_volume"].value == pytest.approx(edv - esv, rel=0.03)
    assert rows["ejection_fraction"].value == pytest.approx(truth.ejection_fraction, abs=1.0)
    assert rows["heart_rate"].value == pytest.approx(60, abs=1)
    assert [rows[n].unit for n in NAMES] == ["mL", "mL", "mL", "%", "bpm"]
    assert 0 in rows["end_diastolic_volume"].frames


def test_volume_curve_follows_the_truth_frame_by_frame(heart):
    clip, masks, truth = heart
    curve = volume_curve(Masks(masks.labels[:12:2]), clip.spacing_mm)
    assert np.allclose(curve.volume, truth.volumes_ml[:12:2], rtol=0.015)
    assert np.allclose(curve.area, truth.areas_cm2[:12:2], rtol=0.015)
    assert (curve.volume_unit, curve.area_unit) == ("mL", "cm2")
    assert set(curve.reasons) == {""}


def test_without_spacing_volumes_are_marked_and_the_fraction_is_not(heart):
    clip, _, _ = heart
    _, masks, truth = beating_ventricle(beats=1, fps=30, bpm=60, spacing_mm=(0.6, 0.6))
    phases = phases_from_user(0.0, 0.36, 1.0)
    rows = {row.name: row for row in volume_measurements(masks, phases, clip.times_s[:31], None, View.A4C)}
    for name in NAMES[:3]:
        assert rows[name].unit == "px3"
        assert rows[name].status is Status.LOW_CONFIDENCE
        assert "not calibrated" in rows[name].reason
    assert rows["end_diastolic_volume"].value == pytest.approx(1000 * truth.shapes[0].volume_ml / 0.6**3, rel=0.02)
    fraction = rows["ejection_fraction"]
    assert fraction.status is Status.OK
    assert fraction.value == pytest.approx(truth.ejection_fraction, abs=1.0)
    assert "square pixels assumed" in fraction.method


def test_a_clip_without_a_ventricle_lists_every_number_as_not_measurable():
    masks = Masks(np.zeros((30, 64, 64), np.uint8))
    times = np.arange(30) / 30
    area = cavity_area(masks)
    assert np.isnan(area).all()
    phases = find_phases(area, times)
    for beats in (phases, phases_from_user(0.0, 0.3)):
        rows = volume_measurements(masks, beats, times, (0.5, 0.5), View.A4C)
        assert sorted(row.name for row in rows) == sorted(NAMES)
        for row in rows:
            assert row.status is Status.NOT_MEASURABLE
            assert np.isnan(row.value)
            assert row.reason


def test_a_frame_without_wall_takes_only_what_depends_on_it(heart):
    clip, masks, _ = heart
    labels = masks.labels.copy()
    labels[11] = 0
    phases = phases_from_user(0.0, clip.times_s[11], 1.0)
    rows = {r.name: r for r in volume_measurements(Masks(labels), phases, clip.times_s, clip.spacing_mm, View.A4C)}
    assert rows["end_diastolic_volume"].status is Status.OK
    assert "no ventricular wall on frame 11" in rows["end_systolic_volume"].reason
    for name in NAMES[1:4]:
        assert rows[name].status is Status.NOT_MEASURABLE


def test_heart_rate_needs_a_whole_beat_and_views_must_be_apical(heart):
    clip, masks, _ = heart
    rows = {r.name: r for r in volume_measurements(masks, phases_from_user(0.0, 0.36), clip.times_s, (0.7, 0.5))}
    assert rows["heart_rate"].status is Status.NOT_MEASURABLE
    assert "before the next end-diastole" in rows["heart_rate"].reason
    assert "view is not stated" in rows["ejection_fraction"].reason
    beats = Phases((Beat(0.0, 0.36, 1.0), Beat(1.0, 1.36, 2.0)), "user", 1.0)
    rows = volume_measurements(masks, beats, clip.times_s, (0.7, 0.5), View.PSAX)
    assert {r.name for r in rows} == set(NAMES)
    assert all("need an apical view" in r.reason for r in rows if r.name != "heart_rate")
    assert [r.value for r in rows if r.name == "heart_rate"] == pytest.approx([60, 60, 60])


def test_area_length_and_the_camus_convention(heart):
    clip, masks, truth = heart
    phases = phases_from_user(0.0, 0.36, 1.0)

    def rows(**options):
        return {
            row.name: row
            for row in volume_measurements(masks, phases, clip.times_s, clip.spacing_mm, View.A4C, **options)
        }

    ase, camus, area = rows(), rows(convention="camus"), rows(technique="area_length")
    assert area["end_diastolic_volume"].value == pytest.approx(truth.volumes_ml[0], rel=0.015)
    assert "area-length" in area["ejection_fraction"].method
    # The shorter systolic axis gives way to the diastolic one, so more blood stays behind.
    longer = truth.shapes[0].length / truth.shapes[11].length
    assert camus["end_systolic_volume"].value == pytest.approx(longer * ase["end_systolic_volume"].value, rel=0.01)
    assert camus["end_diastolic_volume"].value == ase["end_diastolic_volume"].value
    assert "greatest disk height" in camus["ejection_fraction"].method
    curve = volume_curve(Masks(masks.labels[:1]), clip.spacing_mm, technique="area_length")
    with pytest.raises(DataError, match="height of disks"):
        rows(curve=curve, convention="camus")
    with pytest.raises(DataError, match="unknown convention"):
        rows(convention="simpson")


@pytest.mark.parametrize("es_s", [np.nan, 9.0, -3.0])
def test_a_beat_without_end_systole_keeps_its_diastole(heart, es_s):
    clip, masks, _ = heart
    phases = Phases((Beat(0.0, es_s),), "user", 1.0)
    rows = {r.name: r for r in volume_measurements(masks, phases, clip.times_s, clip.spacing_mm, View.A4C)}
    assert rows["end_diastolic_volume"].status is Status.OK
    for name in NAMES[1:4]:
        assert rows[name].status is Status.NOT_MEASURABLE
        assert "end-systole" in rows[name].reason
        assert rows[name].frames in ((), (0,))


def test_masks_without_an_annulus_give_a_reason(heart):
    clip, masks, _ = heart
    closed = np.where(masks.labels == 3, 0, masks.labels)
    ring = ndimage.binary_dilation(closed[0] == 1, iterations=12) & (closed[0] != 1)
    labels = np.stack([np.where(ring, 2, (closed[0] == 1).astype(np.uint8))] * masks.n_frames).astype(np.uint8)
    cavity_only = (masks.labels == 1).astype(np.uint8)
    for bare, why in ((labels, "no open base"), (cavity_only, "annulus cannot be placed")):
        phases = phases_from_user(0.0, 0.36, 1.0)
        rows = volume_measurements(Masks(bare), phases, clip.times_s, clip.spacing_mm, View.A4C)
        for row in rows[:4]:
            assert row.status is Status.NOT_MEASURABLE
            assert why in row.reason


def test_length_and_sphericity_of_a_half_ellipsoid(heart):
    clip, masks, truth = heart
    two, times = Masks(masks.labels[[0, 11]]), clip.times_s[[0, 11]]
    curve = volume_curve(two, clip.spacing_mm)
    phases = phases_from_user(0.0, 0.36)
    rows = {row.name: row for row in shape_measurements(curve, phases, times, View.A4C)}
    assert tuple(rows) == (LENGTHS[0], SPHERICITIES[0], LENGTHS[1], SPHERICITIES[1])
    for name, index, shape in zip(LENGTHS, SPHERICITIES, (truth.shapes[0], truth.shapes[11]), strict=True):
        assert rows[name].value == pytest.approx(shape.length, abs=0.5)
        assert (rows[name].unit, rows[index].unit) == ("mm", "1")
        # Half-way up, an ellipse is as wide as the square root of three quarters of its base.
        assert rows[index].value == pytest.approx(np.sqrt(3) * shape.radius / shape.length, rel=0.01)
    bare = {row.name: row for row in shape_measurements(volume_curve(two), phases, times, View.A4C)}
    assert (bare[LENGTHS[0]].unit, bare[LENGTHS[0]].status) == ("px", Status.LOW_CONFIDENCE)
    assert all(r.status is Status.NOT_MEASURABLE for r in shape_measurements(curve, phases, times, View.PLAX))
    empty = shape_measurements(curve, Phases((), "area", 0.0, "no beat"), times, View.A4C)
    assert {row.reason for row in empty} == {"no beat"}


def test_an_implausible_fraction_is_marked(heart):
    clip, masks, _ = heart
    flat = Masks(np.stack([masks.labels[0]] * 31))
    rows = volume_measurements(flat, phases_from_user(0.0, 0.36, 1.0), clip.times_s[:31], (0.7, 0.5), View.A4C)
    fraction = next(row for row in rows if row.name == "ejection_fraction")
    assert fraction.value == pytest.approx(0)
    assert "not plausible" in fraction.reason
