"""The fan's edge is no tissue: where it is, what is painted beyond it, and that points beside it are followed."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

import echomotion as em
from echomotion.models.trackers import multilag_matching
from echomotion.models.trackers.field_of_view import FieldOfView, field_of_view, seen_share

ROWS, COLUMNS = 120, 160


def fan(edge=0.55):
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return (np.abs(x - COLUMNS / 2) < edge * y + 6) & (y < 112)


def speckle(seed=0, columns=COLUMNS):
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(ROWS, columns)), 1.2)
    return 110 + 45 * field / field.std()


def moving(inside, shifts, renewed=0.0):
    """Speckle that moves by `shifts` in x behind a hole of this shape; a share of it is new in every frame."""
    wide = speckle(columns=COLUMNS + 80)
    frames = []
    for number, shift in enumerate(shifts):
        seen = ndimage.shift(wide, (0, shift), order=3, mode="nearest")[:, 40 : 40 + COLUMNS]
        seen = 110 + np.sqrt(1 - renewed) * (seen - 110) + np.sqrt(renewed) * (speckle(number + 1) - 110)
        frames.append(np.where(inside, np.clip(seen, 20, 255), 0))
    return np.stack(frames).astype(np.uint8)


def test_the_fan_is_found_without_its_rim_and_without_letters():
    frames = moving(fan(), [0.0, 2.0, 4.0])
    frames[:, 4:12, 4:6] = 255
    frames[:, 60:68, 2:4] = 255
    seen = field_of_view(list(frames)).seen
    assert not (seen & ~fan()).any()
    assert seen.sum() > 0.85 * fan().sum()
    inner = cv2.erode(fan().astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1).astype(bool)
    assert seen[inner].all()


def test_dark_chambers_are_part_of_the_fan():
    frames = moving(fan(), [0.0])
    frames[:, 50:90, 60:100] = 0
    assert field_of_view(list(frames)).seen[50:90, 60:100].all()


@pytest.mark.parametrize("level", [0, 120])
def test_a_picture_that_is_all_dark_or_all_lit_is_seen_whole(level):
    frame = np.full((40, 50), level, np.uint8)
    view = field_of_view([frame])
    assert view.seen.all()
    assert view.painted(frame) is frame


def test_the_outside_goes_on_as_the_nearest_tissue_and_the_inside_stays():
    frame = moving(fan(), [0.0])[0]
    before = frame.copy()
    view = field_of_view([frame])
    painted = view.painted(frame)
    assert (frame == before).all()
    assert (painted[view.seen] == frame[view.seen]).all()
    assert painted[~view.seen].min() > 20
    even = np.where(fan(), 90, 0).astype(np.uint8)
    assert (field_of_view([even]).painted(even) == 90).all()


def test_a_square_counts_by_the_part_of_it_that_is_seen():
    seen = np.zeros((60, 60), bool)
    seen[:, 30:] = True
    xy = np.array([[[45.0, 30.0], [29.5, 30.0]], [[10.0, 30.0], [59.0, 59.0]]])
    share = seen_share(seen, xy, 11)
    assert share.shape == (2, 2)
    assert share == pytest.approx(np.array([[1.0, 0.5], [0.0, (6 / 11) ** 2]]), abs=1e-5)
    assert (seen_share(seen, np.tile(xy[:1], (20_000, 1, 1)), 11) == share[:1]).all()


def test_points_beside_the_edge_move_with_the_tissue(monkeypatch):
    shifts = 7 * np.sin(np.linspace(0, np.pi, 13))
    frames = moving(fan(), shifts, renewed=0.3)
    clip = em.Clip(frames, np.arange(13) / 30)
    # Along the right edge, so that half of their squares lies beyond it.
    y = np.arange(35.0, 100.0, 5.0)
    queries = np.column_stack([np.zeros_like(y), COLUMNS / 2 + 0.55 * y + 1, y])

    def largest_error():
        found = em.track(clip, queries, model="multilag_matching", warn=False)
        true = queries[:, None, 1:] + np.stack([shifts, np.zeros_like(shifts)], axis=-1)
        return np.abs(found.xy - true).max()

    assert largest_error() < 1.5
    whole = FieldOfView(np.ones((ROWS, COLUMNS), bool), np.zeros((2, 0), np.int64))
    monkeypatch.setattr(multilag_matching, "field_of_view", lambda frames: whole)
    assert largest_error() > 2
