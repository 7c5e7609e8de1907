import numpy as np
import pytest

from echomotion.core import DataError, Masks, Status, View, short_axis_names
from echomotion.measure.circumferential import ring_points
from echomotion.measure.contours import arc_length
from echomotion.measure.strain import strain_measurements
from tests.measure.lines import FIRST, as_tracks, frame_times, shortening

CLASSES = {0: "background", 1: "lv_cavity", 2: "lv_myocardium", 3: "right_ventricle"}
SPACING = (0.5, 0.8)


def short_axis(inner=20.0, outer=29.0, septum_deg=None, shape=(200, 130)):
    """A ring about the middle of the picture; the right ventricle lies on 120 degrees of it."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    away = np.stack([(x - shape[1] / 2) * SPACING[1], (y - shape[0] / 2) * SPACING[0]], -1)
    radius = np.hypot(away[..., 0], away[..., 1])
    angle = np.rad2deg(np.arctan2(away[..., 0], -away[..., 1]))
    labels = np.zeros(shape, dtype=np.uint8)
    if septum_deg is not None:
        near = np.abs((angle - septum_deg + 180) % 360 - 180) < 60
        labels[near & (radius < outer + 8)] = 3
    labels[radius < outer] = 2
    labels[radius < inner] = 1
    return Masks(labels[None], CLASSES), np.array([shape[1] / 2, shape[0] / 2])


@pytest.mark.parametrize(("layer", "radius"), [("endocardial", 20.0), ("mid_wall", 24.5), ("epicardial", 29.0)])
def test_points_lie_on_their_circle_equally_spaced_and_closed(layer, radius):
    masks, centre = short_axis()
    points = ring_points(masks, frame=0, layer=layer, count=60, spacing_mm=SPACING)
    xy = points.queries[:, 1:]
    assert xy.shape == (61, 2)
    assert np.allclose(xy[0], xy[-1])
    away = (xy - centre) * SPACING[::-1]
    assert np.hypot(*away.T) == pytest.approx(np.full(61, radius), abs=0.5)
    gaps = np.diff(arc_length(away))
    assert np.ptp(gaps) < 0.06 * gaps.mean()
    # Clockwise from seven o'clock.
    assert np.rad2deg(np.arctan2(away[0, 0], -away[0, 1])) % 360 == pytest.approx(210, abs=1)
    assert away[1, 1] < away[0, 1]
    assert points.view is View.PSAX
    assert points.segment_names() == short_axis_names()
    assert np.ptp([points.segment.count(name) for name in points.segment_names()]) <= 2


@pytest.mark.parametrize("septum", [270.0, 225.0, 330.0])
def test_segments_begin_at_the_inferior_insertion_of_the_right_ventricle(septum):
    masks, centre = short_axis(septum_deg=septum)
    points = ring_points(masks, frame=0, spacing_mm=SPACING, count=72)
    away = (points.queries[0, 1:] - centre) * SPACING[::-1]
    assert np.rad2deg(np.arctan2(away[0], -away[1])) % 360 == pytest.approx((septum - 60) % 360, abs=3)
    given = ring_points(masks, frame=0, spacing_mm=SPACING, septum_deg=100.0)
    away = (given.queries[0, 1:] - centre) * SPACING[::-1]
    assert np.rad2deg(np.arctan2(away[0], -away[1])) % 360 == pytest.approx(40, abs=1)


def test_the_apex_has_four_segments_with_the_septum_in_one():
    masks, centre = short_axis(septum_deg=270.0)
    points = ring_points(masks, frame=0, spacing_mm=SPACING, level="apical", count=80)
    assert points.segment_names() == short_axis_names("apical")
    septal = np.array([name == "apical_septal" for name in points.segment])
    away = (points.queries[septal, 1:] - centre) * SPACING[::-1]
    assert away[:, 0].max() < 0


def test_what_is_no_ring_is_refused():
    masks, _ = short_axis()
    with pytest.raises(DataError, match="missing or too small"):
        ring_points(Masks(np.zeros_like(masks.labels), CLASSES), frame=0)
    with pytest.raises(DataError, match="no myocardium"):
        ring_points(Masks(np.where(masks.labels == 2, 0, masks.labels), CLASSES), frame=0)
    cut = np.zeros((1, 60, 60), dtype=np.uint8)
    cut[0, :, :30] = 1
    with pytest.raises(DataError, match="reaches the border"):
        ring_points(Masks(cut, CLASSES), frame=0)
    with pytest.raises(DataError, match="at least 12"):
        ring_points(masks, frame=0, count=5)
    with pytest.raises(DataError, match="no frame 1"):
        ring_points(masks, frame=1)


def test_a_ring_that_shrinks_by_a_fifth_has_a_circumferential_strain_of_minus_twenty():
    masks, centre = short_axis()
    times = frame_times(50)
    points = ring_points(masks, frame=0, spacing_mm=SPACING, count=60)
    start = points.queries[:, None, 1:] - centre
    xy = centre + start * (1 - 0.2 * shortening(times))[None, :, None]
    tracks = as_tracks(xy, View.PSAX)
    tracks = type(tracks)(xy, tracks.visible, tracks.confidence, points.queries, points, "truth")
    rows = strain_measurements(tracks, FIRST, times, SPACING, direction="circumferential")
    assert [row.name for row in rows[:2]] == ["global_circumferential_strain", "peak_circumferential_strain"]
    for row in rows:
        assert row.value == pytest.approx(-20, abs=0.1), row
        assert row.status is Status.OK
    refused = strain_measurements(tracks, FIRST, times, SPACING, View.A4C, direction="circumferential")
    assert "need the short axis" in refused[0].reason
    assert refused[0].name == "global_circumferential_strain"
