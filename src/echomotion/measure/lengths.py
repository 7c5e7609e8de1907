"""Length and strain of a line of points, of its segments, and the drift of a strain curve.

The Lagrangian strain of a line is ``100 * (L(t) / L(ED) - 1)`` %, its natural strain ``100 * ln(L(t) / L(ED))`` %,
both negative for shortening (Voigt et al. 2015, doi 10.1093/ehjci/jeu184).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.tracks import WallPoints
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.reading import checked_times, value_at


class StrainKind(StrEnum):
    """To which length a change is related: that at end-diastole, or the present one."""

    LAGRANGIAN = "Lagrangian"
    NATURAL = "natural"


def fill_single_gaps(xy: ArrayLike, reference: int) -> FloatArray:
    """Fill single missing points inside a line from their two neighbours.

    A point that is missing on a frame gets the mean displacement of its two neighbours since the reference
    frame, so the shape of the line is kept; where it is missing on the reference frame too, their midpoint.
    Two missing points in a row, and the ends, stay NaN.

    Parameters
    ----------
    xy : float (N, T, 2)
        Positions along the line; NaN where they are missing.
    reference : int
        Frame of the undeformed line.

    Returns
    -------
    float64 (N, T, 2)
    """
    out = np.array(xy, dtype=np.float64)
    known = np.isfinite(out[..., 0]) & np.isfinite(out[..., 1])
    out[~known] = np.nan
    lone = np.zeros(known.shape, dtype=bool)
    lone[1:-1] = ~known[1:-1] & known[:-2] & known[2:]
    midpoint = np.full_like(out, np.nan)
    midpoint[1:-1] = (out[:-2] + out[2:]) / 2
    start = out[:, reference].copy()
    start[lone[:, reference]] = midpoint[lone[:, reference], reference]
    moved = out - start[:, None]
    carried = np.full_like(out, np.nan)
    carried[1:-1] = start[1:-1, None] + (moved[:-2] + moved[2:]) / 2
    guess = np.where(np.isfinite(carried), carried, midpoint)
    out[lone] = guess[lone]
    return out


def line_length(xy: ArrayLike, spacing_mm: tuple[float, float] | None = None, *, ed_frame: int = 0) -> FloatArray:
    """Length of a line of points on every frame, (T,), in mm (px without spacing).

    Parameters
    ----------
    xy : float (N, T, 2)
        Positions ``(x, y)`` in native pixels, in order along the line. Single missing points inside the
        line are filled (:func:`fill_single_gaps`); a frame that misses more is NaN.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    ed_frame : int
        The frame of the undeformed line.
    """
    points = frozen_array(xy, "xy", shape=(None, None, 2), dtype=np.float64, finite=False)
    if len(points) < 2:
        raise DataError("a line needs at least two points")
    if not 0 <= ed_frame < points.shape[1]:
        raise DataError(f"there is no frame {ed_frame}; the tracks have frames 0 to {points.shape[1] - 1}")
    return _pieces(points, spacing_mm, ed_frame).sum(axis=0)


def line_strain(xy: ArrayLike, ed_frame: int, spacing_mm: tuple[float, float] | None = None) -> FloatArray:
    """Lagrangian strain of a line of points in % on every frame, (T,); 0 on the ED frame.

    See :func:`line_length` for the arguments and for missing points.
    """
    length = line_length(xy, spacing_mm, ed_frame=ed_frame)
    return strain_of_lengths(length, ed_frame)


def _pieces(xy: FloatArray, spacing_mm: tuple[float, float] | None, ed_frame: int) -> FloatArray:
    """Lengths (N - 1, T) of the pieces between neighbouring points."""
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    steps = np.diff(fill_single_gaps(xy, ed_frame), axis=0) * (sx, sy)
    return np.hypot(steps[..., 0], steps[..., 1])


def strain_of_lengths(length: FloatArray, ed_frame: int) -> FloatArray:
    """Lagrangian strain in % from lengths (T,); NaN throughout where the line is unknown or has no length at ED."""
    return relative_strain(length, float(length[ed_frame]))


def relative_strain(length: FloatArray, start: float, kind: StrainKind = StrainKind.LAGRANGIAN) -> FloatArray:
    """Strain in % from lengths (T,) relative to a length; NaN throughout where that is unknown or not positive."""
    if not start > 0:
        return np.full_like(length, np.nan)
    ratio = length / start
    return 100 * (np.log(ratio) if kind is StrainKind.NATURAL else ratio - 1)


def segment_lengths(
    xy: ArrayLike, wall: WallPoints, spacing_mm: tuple[float, float] | None = None, *, ed_frame: int = 0
) -> dict[str, FloatArray]:
    """Length of each segment on every frame, (T,) by name; the segments tile the line.

    The piece of line between the last point of a segment and the first of the next belongs to each by half,
    so that the lengths add up to :func:`line_length`.
    """
    points = frozen_array(xy, "xy", shape=(len(wall.segment), None, 2), dtype=np.float64, finite=False)
    pieces = _pieces(points, spacing_mm, ed_frame)
    owner = np.asarray(wall.segment)
    lengths = {}
    for name in wall.segment_names():
        share = ((owner[:-1] == name).astype(float) + (owner[1:] == name)) / 2
        part = share > 0
        lengths[name] = share[part] @ pieces[part]
    return lengths


def compensate_drift(curve: ArrayLike, times_s: ArrayLike, ed_s: float, next_ed_s: float | None) -> FloatArray:
    """Take a linear drift out of a strain curve, so that it returns to 0 at the next end-diastole.

    Parameters
    ----------
    curve : float (T,)
        Strain in %, 0 at end-diastole.
    times_s : float (T,)
        Time of each frame.
    ed_s, next_ed_s : float
        The beat.

    Returns
    -------
    float64 (T,)
        The curve less a line from 0 at the first end-diastole to what it is off by at the next; NaN outside.

    Raises
    ------
    DataError
        Without a whole beat, or where the curve is not known at its end: the drift is then unknown.
    """
    times = checked_times(times_s)
    values = frozen_array(curve, "curve", shape=(len(times),), dtype=np.float64, finite=False)
    if next_ed_s is None:
        raise DataError("drift can be compensated over a whole beat only; this one has no next end-diastole")
    start, stop = (value_at(times, values, float(np.clip(t, times[0], times[-1]))) for t in (ed_s, next_ed_s))
    if next_ed_s <= ed_s or not np.isfinite(stop - start):
        raise DataError("drift cannot be compensated: the strain at the ends of the beat is unknown")
    out = values - (stop - start) * (times - ed_s) / (next_ed_s - ed_s)
    first, last = frame_at(times, ed_s), frame_at(times, next_ed_s)
    out[:first] = out[last + 1 :] = np.nan
    return out
