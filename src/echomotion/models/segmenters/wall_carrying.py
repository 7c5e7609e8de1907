"""Carrying masks along the wall that they show: its points are tracked, and :mod:`.carrying` does the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Geometry
from echomotion.models.base import Tracker
from echomotion.models.segmenters.carrying import can_carry, carried_in_time
from echomotion.models.segmenters.placements import SHORT
from echomotion.models.segmenters.point_cues import Cues, track_cues, wall_queries

# What a point of the grid over the fan counts beside one of the wall: it may follow blood, or what stands still.
_BESIDE_WALL = 0.03


def is_carried(clip: Clip, carry_s: float) -> bool:
    """Whether masks of a clip are carried over that time: not those of a few frames, nor of frames far apart."""
    return carry_s > 0 and clip.n_frames > SHORT and can_carry(clip.times_s, carry_s)


def carried_along_wall(
    tracker: Tracker,
    clip: Clip,
    probability: NDArray[np.float32],
    classes: Mapping[int, str],
    geometry: Geometry,
    cues: Cues,
    carry_s: float,
) -> NDArray[np.float32] | None:
    """Probabilities (T, K + 1, h, w) carried along the wall that they show; None where they show none.

    Parameters
    ----------
    tracker : Tracker
        Follows the points of the wall.
    clip, probability, classes, geometry
        What was labelled, what was found on the grid, what its channels are, and how the grid lies in the clip.
    cues : Cues
        Points over the whole fan, which tell the motion away from the wall.
    carry_s : float
        See :func:`~echomotion.models.segmenters.carrying.carried_in_time`.
    """
    queries = wall_queries(probability, classes, geometry)
    if not len(queries):
        return None
    _, wall = track_cues(tracker, clip, queries, geometry)
    xy = np.concatenate([wall.xy, cues.xy])
    weight = np.concatenate([wall.confidence, _BESIDE_WALL * cues.confidence])
    return carried_in_time(probability, clip.times_s, xy, weight, carry_s)
