import numpy as np
import pytest

from echomotion.core import Beat, Masks, Phases, Status, View
from echomotion.measure.beats import headline
from echomotion.measure.phases import find_phases, phases_from_user
from echomotion.measure.volumes import NAMES, cavity_area, volume_curve, volume_measurements, wall_volume
from echomotion.measure.wall import find_wall
from tests.phantoms import HalfEllipse, beating_ventricle


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.6, 0.6), (0.308, 0.154), (0.25, 0.5)])
@pytest.mark.parametrize("angle", [0.0, 0.45, 1.5, np.pi, -2.3])
@pytest.mark.parametrize(("radius", "length", "atrium"), [(24, 85, True), (17, 70, False), (32, 92, True)])
def test_volume_and_area_of_a_rendered_half_ellipsoid(spacing, angle, radius, length, atrium):
    shape = int(220 / spacing[0]), int(220 / spacing[1])
    base = (
        (shape[1] - 1) / 2 - 30 * np.sin(angle) / spacing[1] + 0.37,
        (shape[0] - 1) / 2 + 30 * np.cos(angle) / spacing[0] - 0.21,
    )
    phantom = HalfEllipse(base, radius, length, 9, angle, spacing)
    masks = Masks(phantom.labels(shape, atrium=atrium)[None])
    assert wall_volume(find_wall(masks, 0, spacing), spacing) == pytest.approx(phantom.volume_ml, rel=0.015)
    assert cavity_area(masks, spacing)[0] == pytest.approx(phantom.area_cm2, rel=0.015)


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


def test_volume_curve_follows_the_truth_on_every_frame(heart):
    clip, masks, truth = heart
    curve = volume_curve(masks, clip.spacing_mm)
    assert np.allclose(curve.volume, truth.volumes_ml, rtol=0.02)
    assert np.allclose(curve.area, truth.areas_cm2, rtol=0.015)
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


def test_an_implausible_fraction_is_marked(heart):
    clip, masks, _ = heart
    flat = Masks(np.stack([masks.labels[0]] * 31))
    rows = volume_measurements(flat, phases_from_user(0.0, 0.36, 1.0), clip.times_s[:31], (0.7, 0.5), View.A4C)
    fraction = next(row for row in rows if row.name == "ejection_fraction")
    assert fraction.value == pytest.approx(0)
    assert "not plausible" in fraction.reason


def test_single_plane_fraction_of_expert_masks_is_near_the_published_biplane_one(echo_data):
    sitk = pytest.importorskip("SimpleITK")
    differences = []
    for folder in sorted((echo_data / "CAMUS_mhd").iterdir()):
        volumes = []
        for phase in ("ED", "ES"):
            image = sitk.ReadImage(str(folder / f"{folder.name}_4CH_{phase}_gt.mhd"))
            labels = np.squeeze(sitk.GetArrayFromImage(image)).astype(np.uint8)
            spacing = image.GetSpacing()[1], image.GetSpacing()[0]
            volumes.append(wall_volume(find_wall(Masks(labels[None]), 0, spacing), spacing))
        info = dict(line.split(": ") for line in (folder / "Info_4CH.cfg").read_text().splitlines() if ": " in line)
        differences.append(100 * (1 - volumes[1] / volumes[0]) - float(info["LVef"]))
    assert len(differences) == 5
    assert np.abs(differences).max() < 10
    assert abs(np.mean(differences)) < 4
