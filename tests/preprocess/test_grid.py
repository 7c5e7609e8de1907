"""What a model is shown of a frame: the whole fan, also where a part of it is too dark to be found."""

import gc

import numpy as np
import pytest

from echomotion.core import Clip
from echomotion.preprocess import grid
from echomotion.preprocess.grid import Fan, fan_of, to_model_grid, whole_fan
from echomotion.preprocess.sector import Sector, find_sector

FAN = Sector((220.0, 8.0), (-0.65, 0.65), 4.0, 330.0, (350, 440))


def _clip(rng, dark=None):
    """A fan full of speckle, black where `dark` says so by angle and radius."""
    grey = rng.uniform(40, 200, FAN.shape)
    y, x = np.ogrid[: FAN.shape[0], : FAN.shape[1]]
    angle, radius = np.arctan2(x - FAN.apex[0], y - FAN.apex[1]), np.hypot(x - FAN.apex[0], y - FAN.apex[1])
    lit = FAN.mask() if dark is None else FAN.mask() & ~dark(angle, radius)
    return Clip((grey * lit).astype(np.uint8)[None], (0.0,))


@pytest.mark.parametrize(
    "dark",
    [
        pytest.param(lambda angle, radius: radius < 120, id="near field"),
        pytest.param(lambda angle, radius: angle < -0.35, id="left flank"),
        pytest.param(lambda angle, radius: angle > 0.4, id="right flank"),
    ],
)
def test_a_part_too_dark_to_be_found_does_not_move_the_heart(rng, dark):
    """The frame lies on the grid where it would lie if all of it could be seen, to a hundredth of the grid."""
    _, whole = to_model_grid(_clip(rng), (256, 256))
    clip = _clip(rng, dark)
    found = find_sector(clip.frames)
    assert found is not None
    assert found.r_min > 80 or abs(sum(found.angles)) > 0.1
    _, geometry = to_model_grid(clip, (256, 256))
    corners = np.array([[100.0, 30.0], [340.0, 300.0]])
    assert np.abs(geometry.to_grid(corners) - whole.to_grid(corners)).max() < 2.6


def test_a_fan_that_hangs_upside_down_is_turned_over(rng):
    """Models see the same frames, and what they find lies where it is in the picture."""
    clip = _clip(rng)
    upright, geometry = to_model_grid(clip, (256, 256))
    turned, there = to_model_grid(clip.with_(frames=np.ascontiguousarray(clip.frames[:, ::-1])), (256, 256))
    np.testing.assert_array_equal(turned, upright)
    points = np.array([[100.0, 30.0], [340.0, 300.0]])
    mirrored = points * [1, -1] + [0, FAN.shape[0] - 1]
    np.testing.assert_allclose(there.to_grid(mirrored), geometry.to_grid(points))


def test_the_fan_of_a_clip_is_found_once_and_forgotten_with_it(rng, monkeypatch):
    asked = []
    monkeypatch.setattr(grid, "find_sector", lambda *given, **options: asked.append(1))
    clip = _clip(rng)
    assert fan_of(clip) == fan_of(clip) == Fan(None, False)
    # Upright, and turned over.
    assert len(asked) == 2
    kept = len(grid._fans)
    del clip
    gc.collect()
    assert len(grid._fans) == kept - 1


def test_a_fan_that_is_whole_stays_as_it_was_found():
    """Neither a margin before the probe nor a trace of tilt changes anything."""
    fan = Sector((220.0, 8.0), (-0.65, 0.655), 30.0, 330.0, (350, 440))
    assert whole_fan(fan) == fan


def test_the_wider_side_is_kept():
    """The narrower one is made as wide, whichever it is."""
    fan = Sector((220.0, 8.0), (-0.65, 0.2), 4.0, 330.0, (350, 440))
    assert whole_fan(fan).angles == (-0.65, 0.65)
