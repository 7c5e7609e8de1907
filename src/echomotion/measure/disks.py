"""What one view shows of a chamber (diameters across its long axis, length, area) and the sum of disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import numpy as np

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.core.errors import DataError
from echomotion.measure.contours import FloatArray, polygon_area

DISKS = 20


class Technique(StrEnum):
    """How a volume is made from outlines."""

    DISKS = "disks"
    AREA_LENGTH = "area_length"


class Convention(StrEnum):
    """Which height the disks have.

    ``ase``: at each phase, the length of the chamber at that phase over the number of disks (Lang et al. 2015,
    doi 10.1016/j.echo.2014.10.003). ``camus``: the greatest height over both phases and all views, for both phases,
    as in the published ejection fractions of the CAMUS dataset (Leclerc et al. 2019, doi 10.1109/TMI.2019.2900516).
    """

    ASE = "ase"
    CAMUS = "camus"


_Choice = TypeVar("_Choice", bound=StrEnum)


def chosen(kind: type[_Choice], value: str) -> _Choice:
    """A member of an enumeration, such as a technique, by its name, or :class:`DataError` that lists the names."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(str(member) for member in kind)
        raise DataError(f"unknown {kind.__name__.lower()} {value!r}; there are {names}") from None


def check_convention(technique: Technique, convention: Convention) -> None:
    """Refuse the camus convention, which is about the height of disks, for volumes that are made of none."""
    if convention is Convention.CAMUS and technique is not Technique.DISKS:
        raise DataError("the camus convention is about the height of disks; it needs the technique disks")


@dataclass(frozen=True)
class ChamberPlane:
    """What one view shows of a chamber on one frame, in mm (px where the view is not calibrated).

    Attributes
    ----------
    diameters : float64 (n,)
        Width across the long axis at the middle of each of n slices of equal height, base first.
    length : float
        Of the long axis.
    area : float
        Within the outline.
    """

    diameters: FloatArray
    length: float
    area: float

    def __post_init__(self) -> None:
        set_field(self, "diameters", frozen_array(self.diameters, "diameters", shape=(None,), dtype=np.float64))
        if not (self.length > 0 and self.area > 0):
            raise DataError(f"a chamber of length {self.length:g} and area {self.area:g} has no volume")


def chamber_plane(contour: FloatArray, annulus: FloatArray, apex: FloatArray, disks: int = DISKS) -> ChamberPlane:
    """Slice the outline of a chamber across its long axis.

    The axis runs from the middle of the annulus to the apex and is cut into slices of equal height. Each has the
    width of the chamber across the axis at the middle of the slice; where the border is indented, the summed length
    of the chords.

    Parameters
    ----------
    contour : float (M, 2)
        Border of the chamber, closed between its last and first point, in a unit that is the same along x and y.
    annulus : float (2, 2)
        The two annulus points.
    apex : float (2,)
        Far end of the long axis.
    disks : int
        Number of slices n.

    Raises
    ------
    DataError
        When the axis or the outline has no extent.
    """
    if disks < 1:
        raise DataError(f"{disks} disks have no volume; one or more are needed")
    middle = np.asarray(annulus, dtype=np.float64).mean(axis=0)
    length = float(np.hypot(*(apex - middle)))
    if not length > 0:
        raise DataError("the apex lies on the annulus: the chamber has no long axis")
    along = (apex - middle) / length
    across = np.array([-along[1], along[0]])
    local = (np.concatenate([contour, contour[:1]]) - middle) @ np.stack([across, along], axis=1)
    (u0, v0), (u1, v1) = local[:-1].T, local[1:].T
    levels = (np.arange(disks)[:, None] + 0.5) * length / disks
    crosses = (v0 > levels) != (v1 > levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = np.where(crosses, u0 + (levels - v0) / (v1 - v0) * (u1 - u0), np.nan)
    diameters = np.zeros(disks)
    for k in range(disks):
        ends = np.sort(u[k][crosses[k]])
        diameters[k] = np.sum(ends[1::2] - ends[::2])
    return ChamberPlane(diameters, length, polygon_area(np.asarray(contour, dtype=np.float64)))


def sum_of_disks(first: ChamberPlane, second: ChamberPlane | None = None, *, length: float | None = None) -> float:
    """Volume by the summation of disks, ``pi / 4 * sum(a_i * b_i) * L / n``.

    (Modified Simpson's rule: Schiller et al. 1979, doi 10.1161/01.CIR.60.3.547; Lang et al. 2015,
    doi 10.1016/j.echo.2014.10.003.)

    Parameters
    ----------
    first, second : ChamberPlane
        Two views at right angles, with diameters ``a`` and ``b``; disks are round where there is only one.
    length : float, optional
        L; the longer of the two views' lengths where it is not given.

    Returns
    -------
    float
        Volume in the cube of the planes' unit.
    """
    other = first if second is None else second
    if len(first.diameters) != len(other.diameters):
        raise DataError(f"the views are cut into {len(first.diameters)} and {len(other.diameters)} disks")
    height = (max(first.length, other.length) if length is None else length) / len(first.diameters)
    return float(np.pi / 4 * np.sum(first.diameters * other.diameters) * height)


def disk_volume(contour: FloatArray, annulus: FloatArray, apex: FloatArray, disks: int = DISKS) -> float:
    """Volume of a chamber from its outline in one view; see :func:`chamber_plane` and :func:`sum_of_disks`."""
    return sum_of_disks(chamber_plane(contour, annulus, apex, disks))


def shared_length(planes: Sequence[ChamberPlane], convention: Convention) -> float | None:
    """The length that all volumes made from these planes share; None where each phase has its own."""
    return None if convention is Convention.ASE else max(plane.length for plane in planes)
