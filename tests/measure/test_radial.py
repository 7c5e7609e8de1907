import numpy as np
import pytest

from echomotion.core import DataError, Status, View
from echomotion.measure.contours import arc_length
from echomotion.measure.radial import radial_curves, radial_curves_of_masks, thickness_of_masks, thickness_of_tracks
from echomotion.measure.strain import curve_measurements
from tests.measure.lines import FIRST, as_tracks, frame_times, shortening
from tests.phantoms import beating_ventricle

TIMES = frame_times(50)


def ring(radius, count=90):
    angle = np.linspace(0, 2 * np.pi, count + 1) + np.deg2rad(210)
    radius = np.broadcast_to(radius, (count + 1, len(TIMES)))
    return np.stack([radius * np.sin(angle)[:, None], -radius * np.cos(angle)[:, None]], axis=-1) + 100


def edges(thickening=40.0):
    """Two rings 10 mm apart that come together inwards, their distance growing by `thickening` %."""
    inner = 25 - 6 * shortening(TIMES)
    outer = inner + 10 * (1 + thickening / 100 * shortening(TIMES))
    names = tuple(f"s{k}" for k in range(6))
    return (
        as_tracks(ring(inner), View.PSAX, "endocardial", names=names),
        as_tracks(ring(outer), View.PSAX, "epicardial", names=names),
    )


def test_thickening_of_a_ring_is_that_of_the_formula():
    inner, outer = edges()
    for spacing in (None, (1.0, 1.0)):
        rows = curve_measurements(radial_curves(inner, outer, FIRST, TIMES, spacing), FIRST)
        assert [row.name for row in rows[:3]] == [
            "global_radial_strain",
            "peak_radial_strain",
            "mean_segmental_radial_strain",
        ]
        for row in rows:
            assert row.value == pytest.approx(40, abs=0.1), row
            assert row.status is Status.OK
            assert (row.unit, row.layer) == ("%", "endocardial_to_epicardial")
    thick = thickness_of_tracks(inner, outer, (0.5, 0.5))
    # Of a polygon of 90 sides the epicardial line lies within its circle by 0.06 %.
    assert thick[:, 0] == pytest.approx(np.full(91, 5.0), abs=0.02)


def test_lines_must_be_the_two_edges_of_one_wall():
    inner, outer = edges()
    with pytest.raises(DataError, match="endocardial and an epicardial line"):
        radial_curves(outer, inner, FIRST, TIMES)
    with pytest.raises(DataError, match="frames"):
        thickness_of_tracks(inner, as_tracks(ring(30)[:, :5], View.PSAX, "epicardial", names=("a",)))


def test_a_lost_epicardial_line_leaves_no_thickness():
    inner, outer = edges()
    xy = np.array(outer.xy)
    xy[:, 10:] = np.nan
    lost = type(outer)(xy, outer.visible, outer.confidence, outer.queries, outer.wall)
    assert np.isnan(thickness_of_tracks(inner, lost)[:, 10:]).all()
    rows = curve_measurements(radial_curves(inner, lost, FIRST, TIMES), FIRST)
    assert all(row.status is Status.NOT_MEASURABLE for row in rows)
    assert "6 of 6 segments were rejected" in rows[0].reason


def test_thickening_from_masks_of_an_apical_view():
    clip, masks, truth = beating_ventricle(fps=12, bpm=60, shape=(220, 220), wall=12.0)
    thick = thickness_of_masks(masks, clip.spacing_mm, clip.view)
    assert next(iter(thick)) == "basal_inferoseptal"
    shape, step = truth.shapes[0], np.array(clip.spacing_mm[::-1])
    inner, outer = shape.line(0.0, 601) * step, shape.line(1.0, 2001) * step
    across = np.sqrt(((inner[:, None] - outer) ** 2).sum(-1)).min(axis=1)
    along = arc_length(inner)
    third = np.minimum((6 * along / along[-1]).astype(int), 5)
    for k, values in enumerate(thick.values()):
        assert values[0] == pytest.approx(across[third == k].mean(), abs=0.6), k
    rows = curve_measurements(radial_curves_of_masks(thick, truth.phases, clip.times_s, clip.view), truth.phases)
    assert abs(rows[0].value) < 8  # the phantom's wall keeps its thickness
    grown = {name: 10 + 4 * shortening(TIMES) for name in thick}
    rows = curve_measurements(radial_curves_of_masks(grown, FIRST, TIMES, View.A4C), FIRST)
    assert all(row.value == pytest.approx(40, abs=0.01) for row in rows)


def test_masks_without_wall_and_impossible_thickening_are_rejected():
    base = {f"s{k}": 10 + 4 * shortening(TIMES) for k in range(6)}
    gone = {**base, "s2": np.full(len(TIMES), np.nan), "s3": 1 + 9 * shortening(TIMES)}
    rows = {r.segment or r.name: r for r in curve_measurements(radial_curves_of_masks(gone, FIRST, TIMES), FIRST)}
    assert "wall is not found" in rows["s2"].reason
    assert "not possible" in rows["s3"].reason
    assert rows["global_radial_strain"].value == pytest.approx(40, abs=0.01)
    assert "without the rejected s2, s3" in rows["global_radial_strain"].reason
    with pytest.raises(DataError, match="empty"):
        radial_curves_of_masks({}, FIRST, TIMES)
