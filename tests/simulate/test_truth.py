"""What a sequence states is what its own dense displacement shows: strain, areas, masks, tracks, in every view."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from echomotion.core import View
from echomotion.measure.contours import polygon_area
from echomotion.simulate.acquisition import to_px, visible_points
from echomotion.simulate.heart import KINDS, VIEWS
from echomotion.simulate.scan_conversion import fan_mask
from tests.simulate.hearts import followed, lengths, reference_points, without_picture

_SIZE = {"n_frames": 9, "n_tracks": 120, "shape": (112, 112)}
# Every kind is seen by default, and every view; all of their pairs in the long run.
_PAIRS = [*((view, KINDS[k % len(KINDS)]) for k, view in enumerate(VIEWS)), (View.A4C, KINDS[-1])]
_REST = [(view, kind) for view in VIEWS for kind in KINDS if (view, kind) not in _PAIRS]


@pytest.fixture(
    scope="module",
    params=[*_PAIRS, *(pytest.param(pair, marks=pytest.mark.slow) for pair in _REST)],
    ids=lambda pair: f"{pair[0]}-{pair[1]}",
)
def sequence(request):
    view, kind = request.param
    return without_picture(view, 3, kind=kind, reference_frame=2, **_SIZE)


def strain(values, frame):
    return 100 * (values / values[frame] - 1)


def middles(low, high, count=400):
    return low + (high - low) * (np.arange(count) + 0.5) / count


def thickness(sequence, s):
    inner, outer = (followed(sequence, reference_points(sequence, s, w)) for w in (0.0, 1.0))
    return np.hypot(*np.moveaxis(outer - inner, -1, 0)).mean(axis=0)


def test_stated_strain_is_that_of_the_dense_displacement(sequence):
    truth, frame = sequence.truth, sequence.reference_frame
    for layer, w in (("endocardial", 0.0), ("mid_wall", 0.5), ("epicardial", 1.0)):
        line = followed(sequence, reference_points(sequence, np.linspace(0, 1, 2000), w))
        assert np.abs(strain(lengths(line), frame) - truth.strain[layer]).max() < 0.1
    assert np.abs(strain(thickness(sequence, middles(0, 1, 2000)), frame) - truth.radial_strain).max() < 0.1


def test_stated_strain_of_each_segment_is_that_of_the_dense_displacement(sequence):
    truth, frame = sequence.truth, sequence.reference_frame
    edges = sequence.recording.motion.segment_edges
    for name, low, high in zip(truth.segment_strain, edges[:-1], edges[1:], strict=True):
        for w, stated in ((0.5, truth.segment_strain), (0.0, truth.endocardial_segment_strain)):
            line = followed(sequence, reference_points(sequence, np.linspace(low, high, 400), w))
            assert np.abs(strain(lengths(line), frame) - stated[name]).max() < 0.1
        found = strain(thickness(sequence, middles(low, high)), frame)
        assert np.abs(found - truth.segment_radial_strain[name]).max() < 0.1


def test_the_area_of_the_wall_changes_as_the_stated_stretch_says(sequence):
    motion, truth = sequence.recording.motion, sequence.truth
    s = np.linspace(0, 1, 800)
    inner, outer = (followed(sequence, reference_points(sequence, s, w)) for w in (0.0, 1.0))
    if motion.wall.closed:
        areas = [polygon_area(outer[:, t]) - polygon_area(inner[:, t]) for t in range(motion.n_times)]
    else:
        # The ends of a wall that is sheared are curved.
        depth = np.linspace(0, 1, 40)[1:-1]
        ends = [
            followed(sequence, to_px(motion.wall.reference(np.full(38, k), depth), sequence.recording.picture))
            for k in (1.0, 0.0)
        ]
        outline = np.concatenate([inner, ends[0], outer[::-1], ends[1][::-1]])
        areas = [polygon_area(outline[:, t]) for t in range(motion.n_times)]
    areas = sequence.recording.picture.spacing_mm**2 * np.array(areas)
    assert np.allclose(areas, truth.wall_area_mm2, rtol=1e-3)
    assert np.allclose(areas, areas[sequence.reference_frame] / truth.out_of_plane_stretch, rtol=2e-3)


def borders(sequence):
    """Moved outlines (K, T, 2) in px of what the masks call cavity and, as one region, wall."""
    motion = sequence.recording.motion
    s = np.linspace(0, 1, 900)
    inner, outer = (followed(sequence, reference_points(sequence, s, w)) for w in (0.0, 1.0))
    if motion.wall.closed:
        return inner, outer
    return inner, np.concatenate([inner, outer[::-1]])


def signed_distance(shape, outline):
    """Distance of every pixel's centre to an outline (K, 2), positive inside."""
    contour = outline.astype(np.float32)[:, None]
    y, x = np.mgrid[: shape[0], : shape[1]]
    found = [cv2.pointPolygonTest(contour, (float(a), float(b)), True) for a, b in zip(x.flat, y.flat, strict=True)]
    return np.array(found).reshape(shape)


def test_masks_follow_the_displacement_within_half_a_pixel(sequence):
    recording, labels = sequence.recording, sequence.masks.labels
    cavity, wall = borders(sequence)
    fan = fan_mask(recording.probe, recording.picture).numpy().astype(bool)
    wall_labels = (2, 3) if sequence.clip.view is View.PLAX else (2,)
    for t in (0, recording.reference_frame, recording.motion.n_times - 3):
        inside = signed_distance(recording.picture.shape, cavity[:, t])
        assert np.array_equal(
            (labels[t] == 1)[fan & (np.abs(inside) > 0.5)], (inside > 0)[fan & (np.abs(inside) > 0.5)]
        )
        band = signed_distance(recording.picture.shape, wall[:, t])
        if recording.motion.wall.closed:
            band = np.minimum(band, -inside)
        clear = fan & (np.abs(band) > 0.5)
        assert np.array_equal(np.isin(labels[t], wall_labels)[clear], (band > 0)[clear])
        assert not labels[t][~fan].any()


def test_tracks_follow_the_displacement_and_stay_in_the_wall(sequence):
    recording, tracks = sequence.recording, sequence.tracks
    start = tracks.queries[:, 1:]
    assert np.abs(followed(sequence, start) - tracks.xy).max() < 1e-3
    assert np.all(tracks.queries[:, 0] == sequence.reference_frame)
    inner, outline = borders(sequence)
    in_wall = np.array(sequence.point_tissue) == "wall"
    fan = fan_mask(recording.probe, recording.picture).numpy().astype(bool)
    labels = sequence.masks.labels
    wall = np.isin(labels, (2, 3)) if sequence.clip.view is View.PLAX else labels == 2
    for t in range(recording.motion.n_times):
        y, x = np.nonzero(wall[t])
        for point, seen in zip(tracks.xy[:, t][in_wall].astype(float), tracks.visible[in_wall, t], strict=True):
            depth = cv2.pointPolygonTest(outline[:, t].astype(np.float32)[:, None], tuple(point), True)
            if recording.motion.wall.closed:
                depth = min(depth, -cv2.pointPolygonTest(inner[:, t].astype(np.float32)[:, None], tuple(point), True))
            assert depth > -0.02
            # A pixel has the label of its centre: its corner, 0.71 px away, may lie on the other side or in the fan.
            column, row = np.round(point).astype(int)
            seen = seen and fan[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2].all()
            gap = np.hypot(np.maximum(np.abs(x - point[0]) - 0.5, 0), np.maximum(np.abs(y - point[1]) - 0.5, 0))
            assert not seen or gap.min() < 0.71


def test_points_that_are_visible_lie_in_the_fan(sequence):
    recording = sequence.recording
    places = (sequence.tracks.xy - np.array(recording.picture.origin_px)) * recording.picture.spacing_mm
    seen = visible_points(places, recording.probe, recording.picture, None)
    assert np.mean(seen >= sequence.tracks.visible) > 0.999
