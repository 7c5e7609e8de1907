"""Placements of a clip, there and back."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.models.segmenters.placements import averaged, placement_matrices
from echomotion.models.segmenters.point_cues import Cues

SHAPE = (40, 56)


def blob():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (255 * np.exp(-((x - 20) ** 2 / 60 + (y - 24) ** 2 / 30)))[None].astype(np.uint8)


def grey(frames, matrix):
    """A network that says of each place how bright it is."""
    bright = frames.astype(np.float32) / 255
    return np.stack([1 - bright, bright], axis=1)


@pytest.mark.parametrize(("mirror", "scales", "count"), [(False, (), 1), (True, (), 2), (True, (0.9, 1.2), 6)])
def test_what_depends_on_the_picture_alone_comes_back_to_its_place(mirror, scales, count):
    looks = placement_matrices(SHAPE, mirror=mirror, scales=scales)
    assert len(looks) == count
    found = averaged(blob(), looks, grey)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found, grey(blob(), None), atol=0.03 if scales else 1e-6)


def test_places_beyond_an_enlarged_frame_are_those_of_the_others():
    looks = placement_matrices(SHAPE, mirror=False, scales=(1.5,))
    found = averaged(blob(), looks, lambda frames, matrix: np.full((1, 1, *SHAPE), matrix[0, 0], np.float32))
    assert found[0, 0, 0, 0] == 1
    assert found[0, 0, 20, 28] == pytest.approx(1.25)


def test_points_go_with_the_picture():
    xy = np.array([[[20.0, 24.0]]], np.float32)
    cues = Cues(xy, np.ones((1, 1), bool), np.ones((1, 1), np.float32))
    for matrix in placement_matrices(SHAPE, mirror=True, scales=(0.8,)):
        seen = []
        averaged(blob(), [matrix, np.eye(2, 3)], lambda frames, m, seen=seen: seen.append(frames) or grey(frames, m))
        x, y = cues.placed(matrix).xy[0, 0]
        top = np.unravel_index(seen[0][0].argmax(), SHAPE)
        assert np.hypot(top[1] - x, top[0] - y) < 1
