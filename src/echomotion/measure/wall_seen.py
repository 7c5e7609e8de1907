"""Volumes where the wall cannot be followed: a border that is not seen there is guessed by the masks too.

Lang et al. 2015 (doi 10.1016/j.echo.2014.10.003) do not measure volumes from a view in which two or more neighbouring
segments are poorly seen, unless contrast shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from echomotion.core.measurement import Measurement, Status
from echomotion.measure.strain_types import StrainCurves
from echomotion.measure.volumes import NAMES

# Volumes and ejection fraction; the heart rate needs no wall.
_VOLUMES = NAMES[:4]


def unseen_segments(curves: StrainCurves) -> list[str]:
    """Segments that were rejected and have a rejected neighbour, in their order along the wall."""
    lost = {
        name
        for one, other in pairwise(curves.quality.values())
        if one.rejected and other.rejected
        for name in (one.segment, other.segment)
    }
    return [name for name in curves.quality if name in lost]


def doubt_volumes(rows: Sequence[Measurement], beats: Sequence[StrainCurves]) -> list[Measurement]:
    """Volumes and ejection fraction with low confidence where neighbouring segments of the wall cannot be followed.

    Parameters
    ----------
    rows : sequence of Measurement
        Those of :func:`.volumes.volume_measurements`; a mean over beats (``beat`` None) is doubted where any beat is.
        The heart rate stays as it is.
    beats : sequence of StrainCurves
        Of one line of the wall, a beat each.
    """
    unseen: dict[int | None, list[str]] = {curves.beat: unseen_segments(curves) for curves in beats}
    unseen[None] = list(dict.fromkeys(name for names in unseen.values() for name in names))
    out = []
    for row in rows:
        names = unseen.get(row.beat, []) if row.name in _VOLUMES else []
        if names and row.status is not Status.NOT_MEASURABLE:
            doubt = f"the wall could not be followed at {', '.join(names).replace('_', ' ')}: its border may be unseen"
            row = replace(row, status=Status.LOW_CONFIDENCE, reason="; ".join(filter(None, (row.reason, doubt))))
        out.append(row)
    return out
