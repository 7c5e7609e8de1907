"""Volumes where the wall is not seen: there the border of the cavity is guessed, by people and by networks.

Lang et al. 2015 (doi 10.1016/j.echo.2014.10.003) ask for contrast where two or more neighbouring segments of an apical
view are poorly seen. A segment counts as that where its tracking was rejected, or where the inner half of the wall is
no brighter than the blood beside it. Two neighbours are so on none of 60 recorded frames of CAMUS, and on 27 and 33 %
of these with a quarter and half of the beams in shadow (`evaluation/degraded.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from echomotion.core.measurement import Measurement, Phases
from echomotion.core.tracks import Tracks
from echomotion.core.views import View, segment_names
from echomotion.measure.anchor import APART, agreement
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import line_length
from echomotion.measure.rows import doubted, phase_frame
from echomotion.measure.strain_types import StrainCurves
from echomotion.measure.volumes import NAMES
from echomotion.measure.wall import WallLines

# Volumes and ejection fraction; the heart rate needs no wall.
_VOLUMES = NAMES[:4]
# Where grey levels are read, in parts of the wall's thickness outwards from the endocardial border, and as far inwards.
_DEPTHS = np.array([0.15, 0.3, 0.45, 0.6])


def segment_contrast(picture: NDArray[np.uint8], wall: WallLines) -> FloatArray:
    """Mean grey level of the inner half of the wall less that of the blood beside it, for the thirds of each side (6,).

    In the order of the segments along the wall, and NaN where its outer border is not known.
    """
    if wall.epicardial is None:
        return np.full(6, np.nan)
    across = wall.epicardial - wall.endocardial

    def grey(depths: FloatArray) -> FloatArray:
        x, y = np.moveaxis(wall.endocardial + depths[:, None, None] * across, -1, 0)
        return ndimage.map_coordinates(picture.astype(np.float64), [y, x], order=1, mode="nearest").mean(axis=0)

    brighter = grey(_DEPTHS) - grey(-_DEPTHS)
    left, right = np.split(brighter, [wall.apex_index])
    return np.array([part.mean() for side in (left, right) for part in np.array_split(side, 3)])


def neighbours(names: Sequence[str], lost: Sequence[bool]) -> list[str]:
    """Of segments in their order along the wall those that are lost beside a lost one."""
    pairs = [pair for pair, both in zip(pairwise(names), pairwise(lost), strict=True) if all(both)]
    return list(dict.fromkeys(name for pair in pairs for name in pair))


def wall_doubts(
    phases: Phases,
    times_s: FloatArray,
    view: View,
    beats: Sequence[StrainCurves],
    walls: Sequence[WallLines | None],
    frames: NDArray[np.uint8] | None,
    *,
    mirrored: bool = False,
) -> dict[int, list[str]]:
    """What speaks against the volumes of each beat, by its number.

    Parameters
    ----------
    phases, times_s, view
        Of one clip.
    beats : sequence of StrainCurves
        Of one line of the wall; none where it was not tracked.
    walls : sequence of WallLines or None, T
        Outlines; none at all where there are none.
    frames : uint8 (T, H, W), optional
        The pictures; without them contrast is not asked for.
    mirrored : bool
        See :func:`echomotion.measure.wall_points.wall_points`.
    """
    names = segment_names(view)[:: -1 if mirrored else 1]
    found: dict[int, list[str]] = {k: [] for k in range(len(phases.beats))}
    for curves in beats:
        quality = curves.quality
        gap = neighbours(list(quality), [one.rejected for one in quality.values()])
        if gap:
            found[curves.beat].append(f"the wall could not be followed at {_listed(gap)}")
    for k, beat in enumerate(phases.beats):
        hidden: list[str] = []
        for time in (beat.ed_s, beat.es_s):
            frame, _ = phase_frame(times_s, time, "phase")
            wall = walls[frame] if walls and frame is not None else None
            if wall is not None and frames is not None:
                hidden += neighbours(names, (segment_contrast(frames[frame], wall) <= 0).tolist())
        if hidden:
            places = _listed([name for name in names if name in hidden])
            found[k].append(f"the wall is no brighter than the blood at {places}: its border is guessed there")
    return found


def size_doubt(area: FloatArray, tracks: Tracks, spacing_mm: tuple[float, float] | None = None) -> str:
    """What speaks against all volumes of a recording: the cavity's size does not go with the tracked wall's length.

    Parameters
    ----------
    area : float (T,)
    tracks : Tracks
        Of a line of the wall.
    spacing_mm : (float, float), optional

    Notes
    -----
    Of 72 simulated recordings 13 are marked so: their ejection fractions are off by 14 points in the mean, those of the
    others by 7 (docs/measurements/volumes.md).
    """
    length = line_length(tracks.xy, spacing_mm, ed_frame=int(tracks.queries[0, 0]))
    together = agreement(area, length)
    if together >= APART:
        return ""
    return f"the size of the cavity does not go with the length of the tracked wall (correlation {together:.2f})"


def doubt_volumes(rows: Sequence[Measurement], doubts: Mapping[int, Sequence[str]]) -> list[Measurement]:
    """Volumes and ejection fraction with low confidence where their beat is doubted.

    A mean over beats (``beat`` None) is doubted where any beat is; the heart rate stays as it is.
    """
    every = list(dict.fromkeys(reason for reasons in doubts.values() for reason in reasons))
    out = []
    for row in rows:
        reasons = every if row.beat is None else doubts.get(row.beat, ())
        out.append(doubted(row, reasons) if row.name in _VOLUMES else row)
    return out


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names).replace("_", " ")
