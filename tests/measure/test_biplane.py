"""Biplane volumes of phantoms and of expert masks whose published values are known."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from echomotion.core import Beat, DataError, Masks, Phases, Status, View
from echomotion.measure.beats import headline
from echomotion.measure.biplane import LENGTH_DIFFERENCE, ApicalView, biplane_measurements
from echomotion.measure.phases import phases_from_user
from echomotion.measure.volumes import volume_curve
from tests.phantoms import HalfEllipse

PHASES = phases_from_user(0.0, 0.3, 0.8)
TIMES = np.array([0.0, 0.3, 0.8])


def recording(view, radii, lengths, spacing=(0.8, 0.6), phases=PHASES, times=TIMES):
    """A view whose cavity has these half widths and lengths on its frames."""
    shape = int(190 / spacing[0]), int(150 / spacing[1])
    labels = [
        HalfEllipse((0.5 * shape[1], 0.62 * shape[0]), radius, length, 9, 0.1, spacing).labels(shape)
        for radius, length in zip(radii, lengths, strict=True)
    ]
    return ApicalView(Masks(np.stack(labels)), phases, times, spacing, view)


FOUR = recording(View.A4C, (24, 18, 24), (85, 70, 85))
TWO = recording(View.A2C, (20, 16, 20), (82, 68, 82), spacing=(0.5, 0.7))


def by_name(rows):
    return {row.name: row for row in headline(rows)}


def test_two_half_ellipses_give_the_ellipsoid_with_the_longer_axis():
    rows = by_name(biplane_measurements(FOUR, TWO))
    edv, esv = (2 / 3 * np.pi * a * b * c / 1000 for a, b, c in ((24, 20, 85), (18, 16, 70)))
    assert rows["end_diastolic_volume"].value == pytest.approx(edv, rel=0.015)
    assert rows["end_systolic_volume"].value == pytest.approx(esv, rel=0.015)
    assert rows["stroke_volume"].value == pytest.approx(edv - esv, rel=0.03)
    assert rows["ejection_fraction"].value == pytest.approx(100 * (1 - esv / edv), abs=0.7)
    assert rows[LENGTH_DIFFERENCE].value == pytest.approx(100 * 3 / 85, abs=0.8)
    assert all(row.status is Status.OK and row.view is None and row.beat == 0 for row in rows.values())
    assert "A4C and A2C" in rows["ejection_fraction"].method
    assert rows["ejection_fraction"].frames == (0, 0, 1, 1)
    turned = by_name(biplane_measurements(TWO, FOUR))
    assert turned["ejection_fraction"].value == pytest.approx(rows["ejection_fraction"].value)


def test_area_length_and_the_shared_height():
    rows = by_name(biplane_measurements(FOUR, TWO, technique="area_length"))
    # Areas over the shorter length: the same ellipsoid.
    assert rows["end_diastolic_volume"].value == pytest.approx(2 / 3 * np.pi * 24 * 20 * 85 / 1000, rel=0.015)
    camus = by_name(biplane_measurements(FOUR, TWO, convention="camus"))
    assert camus["end_systolic_volume"].value == pytest.approx(2 / 3 * np.pi * 18 * 16 * 85 / 1000, rel=0.015)
    with pytest.raises(DataError, match="height of disks"):
        biplane_measurements(FOUR, TWO, technique="area_length", convention="camus")


def test_a_foreshortened_view_and_beats_of_another_rate_are_marked():
    short = recording(View.A2C, (20, 16, 20), (68, 58, 68))
    rows = by_name(biplane_measurements(FOUR, short))
    assert rows[LENGTH_DIFFERENCE].value == pytest.approx(20, abs=1)
    for name in ("end_diastolic_volume", "ejection_fraction", LENGTH_DIFFERENCE):
        assert rows[name].status is Status.LOW_CONFIDENCE
        assert "foreshortened" in rows[name].reason
    slow = recording(View.A2C, (20, 16, 20), (82, 68, 82), phases=phases_from_user(0.0, 0.3, 1.2))
    assert "differ by 33 % in length" in by_name(biplane_measurements(FOUR, slow))["stroke_volume"].reason


def test_a_wall_that_is_not_seen_in_either_view_casts_doubt_on_its_beat_alone():
    phases = Phases((*FOUR.phases.beats, *FOUR.phases.beats), "area", 1.0)
    four = replace(FOUR, phases=phases)
    two = replace(TWO, phases=phases, wall_doubts={1: ["its border is guessed"]})
    for pair in ((four, two), (two, four)):
        volumes = [r for r in biplane_measurements(*pair) if r.name == "ejection_fraction"]
        whole, doubted, mean = volumes
        assert whole.status is Status.OK
        assert doubted.status is mean.status is Status.LOW_CONFIDENCE
        assert "A2C: its border is guessed" in doubted.reason
        assert doubted.value == whole.value
    lengths = [r for r in biplane_measurements(four, two) if r.name == LENGTH_DIFFERENCE]
    assert {r.status for r in lengths} == {Status.OK}


def test_several_beats_are_paired_in_order_and_averaged():
    beats = Phases((Beat(0.0, 0.3, 0.8), Beat(0.8, 1.1, 1.6)), "user", 1.0)
    times = np.array([0.0, 0.3, 0.8, 1.1, 1.6])
    many = recording(View.A4C, (24, 18, 24, 20, 24), (85, 70, 85, 70, 85), phases=beats, times=times)
    both = recording(View.A2C, (20, 16, 20, 16, 20), (82, 68, 82, 68, 82), phases=beats, times=times)
    rows = biplane_measurements(many, both)
    assert [row.beat for row in rows if row.name == "ejection_fraction"] == [0, 1, None]
    values = [row.value for row in rows if row.name == "ejection_fraction"]
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)
    assert [r.beat for r in biplane_measurements(many, TWO) if r.name == "stroke_volume"] == [0]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (FOUR, FOUR, "need an A4C and an A2C view"),
        (FOUR, recording(View.A3C, (20, 16, 20), (82, 68, 82)), "need an A4C and an A2C view"),
        (FOUR, ApicalView(TWO.masks, PHASES, TIMES, None, View.A2C), "not calibrated"),
        (FOUR, ApicalView(TWO.masks, Phases((), "area", 0.0, "no beat seen"), TIMES, (1, 1), View.A2C), "no beat seen"),
    ],
)
def test_pairs_that_give_no_volume_say_why(first, second, reason):
    rows = biplane_measurements(first, second)
    assert len(rows) == 5
    for row in rows:
        assert row.status is Status.NOT_MEASURABLE
        assert reason in row.reason


def test_a_view_without_wall_or_end_systole_takes_only_what_depends_on_it():
    labels = TWO.masks.labels.copy()
    labels[1] = 0
    blind = ApicalView(Masks(labels), PHASES, TIMES, TWO.spacing_mm, View.A2C)
    endless = ApicalView(TWO.masks, Phases((Beat(0.0, np.nan),), "user", 1.0), TIMES, TWO.spacing_mm, View.A2C)
    for second, why in ((blind, "A2C: no ventricular wall on frame 1"), (endless, "A2C: the beat has no end-systole")):
        rows = by_name(biplane_measurements(FOUR, second))
        assert rows["end_diastolic_volume"].status is Status.OK
        for name in ("end_systolic_volume", "stroke_volume", "ejection_fraction"):
            assert rows[name].status is Status.NOT_MEASURABLE
            assert why in rows[name].reason
        camus = by_name(biplane_measurements(FOUR, second, convention="camus"))
        assert camus["end_diastolic_volume"].status is Status.NOT_MEASURABLE


def test_an_unstated_view_is_taken_with_low_confidence():
    unknown = ApicalView(TWO.masks, PHASES, TIMES, TWO.spacing_mm, View.UNKNOWN)
    assert "view is not stated" in by_name(biplane_measurements(FOUR, unknown))["stroke_volume"].reason


def test_expert_masks_give_the_published_volumes_and_fractions(echo_data):
    sitk = pytest.importorskip("SimpleITK")
    with (echo_data / "CAMUS_public" / "patients_info.csv").open() as stream:
        published = {row["Patient"]: float(row["EF"]) for row in csv.DictReader(stream)}
    folders = sorted((echo_data / "CAMUS_mhd").iterdir())
    assert len(folders) == 5
    for folder in folders:
        views = []
        for name, view in (("4CH", View.A4C), ("2CH", View.A2C)):
            images = [sitk.ReadImage(str(folder / f"{folder.name}_{name}_{phase}_gt.mhd")) for phase in ("ED", "ES")]
            labels = np.stack([np.squeeze(sitk.GetArrayFromImage(image)) for image in images]).astype(np.uint8)
            spacing = images[0].GetSpacing()[1], images[0].GetSpacing()[0]
            masks, times = Masks(labels), np.array([0.0, 0.3])
            curve = volume_curve(masks, spacing)
            views.append(ApicalView(masks, phases_from_user(0.0, 0.3), times, spacing, view, curve))
        info = dict(line.split(": ") for line in (folder / "Info_4CH.cfg").read_text().splitlines() if ": " in line)
        rows = by_name(biplane_measurements(*views))
        assert rows["end_diastolic_volume"].value == pytest.approx(float(info["LVedv"]), rel=0.02)
        assert rows["end_systolic_volume"].value == pytest.approx(float(info["LVesv"]), rel=0.02)
        assert rows["ejection_fraction"].value == pytest.approx(float(info["LVef"]), abs=0.5)
        camus = by_name(biplane_measurements(*views, convention="camus"))
        assert camus["ejection_fraction"].value == pytest.approx(published[folder.name], abs=1.5)
