"""Frames bent smoothly: pictures and labels go together, and no fold appears."""

from __future__ import annotations

import numpy as np

from echomotion.training.bending import draw_bend, perhaps_bent


def disc(size: int = 96) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return (np.hypot(y - size / 2, x - size / 2) < size / 4).astype(np.uint8)


def test_labels_go_where_the_picture_goes(rng):
    labels = disc()
    moved = 0
    for _ in range(12):
        bend = draw_bend(96, rng)
        picture, bent = bend.image(labels.astype(np.float32)), bend.labels(labels)
        assert np.mean((picture > 0.5) != bent) < 0.01
        moved += np.count_nonzero(bent != labels)
        # One disc stays one disc: the displacement does not fold.
        assert (np.diff(bend.x, axis=1) > 0).all()
        assert (np.diff(bend.y, axis=0) > 0).all()
    assert moved > 12 * 50


def test_about_half_of_the_clips_are_bent_all_frames_alike(rng):
    labels = disc()
    pictures = [labels.astype(np.float32), labels.astype(np.float32)]
    bent = 0
    for _ in range(60):
        frames, masks = perhaps_bent(pictures, [labels, labels], rng)
        np.testing.assert_array_equal(frames[0], frames[1])
        np.testing.assert_array_equal(masks[0], masks[1])
        bent += not np.array_equal(masks[0], labels)
    assert 15 < bent < 45
