"""Calipers of the parasternal view: on one line, square to the long axis, on the borders of the walls."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import DataError, View
from echomotion.simulate.keypoints import caliper_points
from echomotion.simulate.store import stored_calipers
from tests.simulate.hearts import without_picture


@pytest.fixture(scope="module", params=["healthy", "dyskinetic"])
def sequence(request):
    return without_picture(View.PLAX, 5, kind=request.param, reference_frame=2, n_frames=7, n_tracks=8, shape=(96, 96))


def test_the_line_is_straight_and_square_to_the_axis_of_its_moment(sequence):
    motion = sequence.recording.motion
    points = caliper_points(motion)
    ends = motion.wall_positions(np.array([0.0, 1.0, motion.apex_s]), np.zeros(3))
    axis = (ends[0] + ends[1]) / 2 - ends[2]
    length = np.linalg.norm(axis, axis=-1)
    along = np.sum((points - ends[2]) * axis, axis=-1) / length**2
    assert np.abs(along - 0.7).max() < 1e-6
    # From the septum through the cavity to the posterior wall.
    across = np.stack([-axis[:, 1], axis[:, 0]], axis=-1) / length[:, None]
    height = np.sum((points - ends[2]) * across, axis=-1)
    steps = np.diff(height, axis=0)
    assert np.all(np.sign(steps) == np.sign(steps[0, 0]))
    assert np.abs(steps).min() > 2


def test_the_points_lie_on_the_borders_of_the_walls(sequence):
    motion = sequence.recording.motion
    s = np.linspace(0, 1, 2001)
    for point, depth in zip(caliper_points(motion), (1.0, 0.0, 0.0, 1.0), strict=True):
        border = motion.wall_positions(s, np.full_like(s, depth))
        apart = np.linalg.norm(border - point[None], axis=-1).min(axis=0)
        assert apart.max() < 0.15


def test_what_is_stored_gives_them_again_in_px(sequence):
    found = stored_calipers(sequence.parameters())
    assert found.names == sequence.keypoints.names
    picture = sequence.recording.picture
    wanted = caliper_points(sequence.recording.motion) / picture.spacing_mm + np.asarray(picture.origin_px)
    assert np.abs(found.xy - wanted).max() < 1e-2


def test_another_view_has_no_calipers():
    sequence = without_picture(View.A4C, 1, n_frames=3, n_tracks=4, shape=(64, 64))
    with pytest.raises(DataError, match="PLAX"):
        caliper_points(sequence.recording.motion)
