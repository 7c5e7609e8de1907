"""Sequences and lines that several tests of the simulator share."""

from __future__ import annotations

from typing import Any

import numpy as np

from echomotion.core import View
from echomotion.simulate.acquisition import to_px
from echomotion.simulate.heart import HeartParameters, Shape
from echomotion.simulate.recording import plan_recording
from echomotion.simulate.sequence import Sequence, finish


def usual(view: View) -> HeartParameters:
    """A healthy heart of ordinary size."""
    if view is View.RV_FOCUSED:
        return HeartParameters(view, shape=Shape(75, 17, 115, 0.12, 0, 4.5, 4.5, 9))
    return HeartParameters(view)


def without_picture(*args: Any, **options: Any) -> Sequence:
    """A sequence with everything that is known, its frames left black."""
    recording = plan_recording(*args, **options)
    return finish(recording, np.zeros((recording.motion.n_times, *recording.picture.shape), dtype=np.uint8))


def reference_points(sequence: Sequence, s: np.ndarray, w: float) -> np.ndarray:
    """Places (N, 2) on the reference frame, in px, of material coordinates of the wall."""
    motion = sequence.recording.motion
    return to_px(motion.wall.reference(s, np.full(len(s), w)), sequence.recording.picture)


def followed(sequence: Sequence, points: np.ndarray) -> np.ndarray:
    """Places (N, T, 2) in px of material points, by the dense displacement alone."""
    return points[:, None] + sequence.displacement(points)


def lengths(lines: np.ndarray) -> np.ndarray:
    """Length (T,) of a line (N, T, 2) on every frame."""
    return np.hypot(*np.moveaxis(np.diff(lines, axis=0), -1, 0)).sum(axis=0)
