import numpy as np
import pytest

from echomotion.core import DataError, Layer, Masks, View, segment_names
from echomotion.measure.contours import arc_length
from echomotion.measure.wall_points import segment_borders, wall_points
from tests.phantoms import HalfEllipse

SPACING = (0.4, 0.8)
PHANTOM = HalfEllipse((120.3, 380.0), 24, 85, 9, 0.2, SPACING)


@pytest.fixture(scope="module")
def masks():
    labels = PHANTOM.labels((500, 250))
    return Masks(np.stack([np.zeros_like(labels), labels]))


@pytest.mark.parametrize(("layer", "share"), [("endocardial", 0), ("mid_wall", 0.5), ("epicardial", 1)])
def test_points_are_equally_spaced_in_mm_and_lie_on_their_layer(masks, layer, share):
    points = wall_points(masks, frame=1, layer=layer, count=64, spacing_mm=SPACING)
    assert points.queries.shape == (64, 3)
    assert np.all(points.queries[:, 0] == 1)
    step = np.array(SPACING[::-1])
    gaps = np.diff(arc_length(points.queries[:, 1:] * step))
    assert np.ptp(gaps) < 0.03 * gaps.mean()
    assert np.allclose(points.s, np.linspace(0, 1, 64))
    assert points.layer is Layer(layer)
    truth = PHANTOM.line(share)
    off = np.sqrt((((points.queries[:, None, 1:] - truth) * step) ** 2).sum(-1)).min(1)
    assert off.max() < 1.4


def test_segments_are_equal_thirds_of_each_walls_arc(masks):
    points = wall_points(masks, frame=1, count=240, view=View.A4C, spacing_mm=SPACING)
    assert points.segment_names() == segment_names(View.A4C)
    left = [points.segment.count(name) for name in points.segment_names()[:3]]
    right = [points.segment.count(name) for name in points.segment_names()[3:]]
    assert np.ptp(left) <= 1
    assert np.ptp(right) <= 1
    # The walls meet at the apex.
    boundary = points.queries[sum(left), 1:]
    assert np.hypot(*((boundary - PHANTOM.line(0.5)[1000]) * SPACING[::-1])) < 1.5


def test_mirrored_display_swaps_the_names_of_the_walls_and_nothing_else(masks):
    normal = wall_points(masks, frame=1, view=View.A4C, spacing_mm=SPACING)
    mirrored = wall_points(masks, frame=1, view=View.A4C, spacing_mm=SPACING, mirrored=True)
    assert np.array_equal(normal.queries, mirrored.queries)
    assert normal.segment[0] == "basal_inferoseptal"
    assert mirrored.segment[0] == "basal_anterolateral"
    assert mirrored.segment_names() == normal.segment_names()[::-1]


def test_an_unstated_view_names_the_walls_by_their_side(masks):
    assert wall_points(masks, frame=1).segment_names()[0] == "basal_left_wall"


def test_a_frame_without_a_ventricle_is_refused_with_its_number_and_reason(masks):
    with pytest.raises(DataError, match=r"no ventricular wall on frame 0: the cavity .* is missing or too small"):
        wall_points(masks, frame=0)
    with pytest.raises(DataError, match="at least 12 points"):
        wall_points(masks, frame=1, count=5)


def test_the_cap_of_the_seventeen_segment_model_takes_a_seventh_of_the_wall(masks):
    points = wall_points(masks, frame=1, count=701, view=View.A4C, spacing_mm=SPACING, model=17)
    assert points.segment_names() == segment_names(View.A4C, 17)
    counts = [points.segment.count(name) for name in points.segment_names()]
    assert np.allclose(counts, 701 / 7, atol=3)
    eighteen = wall_points(masks, frame=1, count=60, view=View.A3C, spacing_mm=SPACING, model="18")
    assert eighteen.segment_names()[2:4] == ("apical_inferolateral", "apical_anteroseptal")
    assert np.allclose(segment_borders(0.4), [0.4 / 3, 0.8 / 3, 0.4, 0.6, 0.8])
