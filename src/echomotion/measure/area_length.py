"""Volume of a chamber by the area-length formula."""

from __future__ import annotations

import math

from echomotion.measure.disks import ChamberPlane, Technique, sum_of_disks


def area_length_volume(first: ChamberPlane, second: ChamberPlane | None = None) -> float:
    """Volume of the ellipsoid that has the planes' areas and length, ``8 / (3 * pi) * A1 * A2 / L``.

    L is the shorter of the two lengths: with the diameters ``4 A / (pi L)`` of either plane and the longer length,
    the ellipsoid's ``pi / 6 * D1 * D2 * L`` becomes this (Dodge et al., Am Heart J 1960;60:762; for
    the atrium Lang et al. 2015, doi 10.1016/j.echo.2014.10.003). One plane stands for both where there is no other.

    Returns
    -------
    float
        Volume in the cube of the planes' unit.
    """
    other = first if second is None else second
    return 8 / (3 * math.pi) * first.area * other.area / min(first.length, other.length)


def chamber_volume(
    technique: Technique, first: ChamberPlane, second: ChamberPlane | None = None, *, length: float | None = None
) -> float:
    """Volume by either technique; `length` is for disks alone (:func:`echomotion.measure.disks.sum_of_disks`)."""
    if technique is Technique.AREA_LENGTH:
        return area_length_volume(first, second)
    return sum_of_disks(first, second, length=length)
