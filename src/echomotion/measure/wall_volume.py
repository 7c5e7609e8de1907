"""Thickening against shortening: the wall keeps its volume.

Tissue hardly changes its volume, so the stretches along, across and around the wall multiply to one. In systole the
wall does not grow around the cavity; so one that shortens by a share e thickens by 1 / (1 - e) - 1 at least. Lines at
the edges of the wall that are followed too little show less.
"""

from __future__ import annotations

from collections.abc import Sequence

from echomotion.core.measurement import Measurement
from echomotion.measure.rows import doubted
from echomotion.measure.strain_types import LONGITUDINAL, RADIAL

# Points of strain: blood pressed out of the wall, and shortening that is itself a little off.
_TOLERANCE = 5.0


def least_thickening(longitudinal: float) -> float:
    """Radial strain (%) that a wall of constant volume has at least, given its longitudinal strain (%)."""
    return 100 * (100 / (100 + longitudinal) - 1)


def doubt_thickening(thickening: Sequence[Measurement], strain: Sequence[Measurement]) -> list[Measurement]:
    """Radial strain of the whole wall with low confidence where its longitudinal strain asks for more.

    Parameters
    ----------
    thickening, strain : sequence of Measurement
        Radial and longitudinal rows of the same beats; others stay as they are.
    """
    along = {(row.name, row.beat): row.value for row in strain if row.segment is None}
    out = []
    for row in thickening:
        shortening = 0.0
        if row.segment is None:
            shortening = along.get((row.name.replace(RADIAL, LONGITUDINAL), row.beat), 0.0)
        # Not so where either is missing: a comparison with NaN is false.
        if -100 < shortening < 0 and row.value < least_thickening(shortening) - _TOLERANCE:
            doubt = (
                f"a wall that keeps its volume and shortens by {-shortening:.0f} % thickens by "
                f"{least_thickening(shortening):.0f} % at least"
            )
            row = doubted(row, [doubt])
        out.append(row)
    return out
