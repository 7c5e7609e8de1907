"""Points along the wall to be tracked, and the segment that each belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.masks import Masks
from echomotion.core.tracks import Layer, WallPoints
from echomotion.core.views import SegmentModel, View, segment_names
from echomotion.measure.contours import arc_length, points_at
from echomotion.measure.wall import WallLines, find_wall


def wall_points(
    masks: Masks,
    *,
    frame: int,
    layer: Layer | str = Layer.MID_WALL,
    count: int = 64,
    view: View = View.UNKNOWN,
    spacing_mm: tuple[float, float] | None = None,
    mirrored: bool = False,
    model: SegmentModel | str | int = SegmentModel.SIXTEEN,
) -> WallPoints:
    """Points equally spaced by arc length along a line of the wall on one frame.

    Parameters
    ----------
    masks : Masks
        Segmentation with the left-ventricular cavity and, except for the endocardial layer, the myocardium.
    frame : int
        The frame on which the points are placed, as a rule end-diastole.
    layer : Layer
        ``endocardial``, ``mid_wall`` or ``epicardial``.
    count : int
        Number of points, at least 12.
    view : View
        Gives the segments their names.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    mirrored : bool
        The image is displayed left for right, so the two walls' names change sides. Never guessed.
    model : SegmentModel
        16, 17 or 18 segments.

    Returns
    -------
    WallPoints
        From the base on the image's left over the apex to the base on the right. A segment is an equal
        third of its wall's arc from annulus to apex; with the cap of the 17-segment model
        two sevenths, and the cap what remains on both sides of the apex.

    Raises
    ------
    WallNotFoundError
        A :class:`DataError` with the reason, where the wall cannot be outlined.
    """
    if count < 12:
        raise DataError(f"count is {count}; at least 12 points are needed for six segments")
    lines = find_wall(masks, frame, spacing_mm)
    return points_on_line(
        lines, frame=frame, layer=layer, count=count, view=view, spacing_mm=spacing_mm, mirrored=mirrored, model=model
    )


def points_on_line(
    lines: WallLines,
    *,
    frame: int,
    layer: Layer | str = Layer.MID_WALL,
    count: int = 64,
    view: View = View.UNKNOWN,
    spacing_mm: tuple[float, float] | None = None,
    mirrored: bool = False,
    model: SegmentModel | str | int = SegmentModel.SIXTEEN,
) -> WallPoints:
    """The same as :func:`wall_points` for a wall that was outlined before."""
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    step = np.array([sx, sy])
    line = lines.line(layer) * step
    along = arc_length(line)
    total, to_apex = along[-1], along[lines.apex_index]
    lengths = np.linspace(0.0, total, count)
    xy = points_at(line, lengths) / step
    names = segment_names(View(view), model)
    if mirrored:
        names = names[::-1]
    # A tiny tolerance keeps a point that lies on a boundary up to rounding on a fixed side of it.
    which = np.searchsorted(segment_borders(to_apex / total, model) * total + 1e-9 * total, lengths)
    queries = np.column_stack([np.full(count, float(frame)), xy])
    return WallPoints(queries, Layer(layer), tuple(names[k] for k in which), lengths / total, View(view))


def segment_borders(apex_s: float, model: SegmentModel | str | int = SegmentModel.SIXTEEN) -> NDArray[np.float64]:
    """Where segments meet along the wall, as shares of its whole arc, from the first base to the second.

    Parameters
    ----------
    apex_s : float
        Where the apex lies, as a share of the arc.
    """
    which = SegmentModel.of(model)
    shares = np.asarray(which.borders)
    middle = [] if which is SegmentModel.SEVENTEEN else [apex_s]
    return np.concatenate([shares * apex_s, middle, 1 - shares[::-1] * (1 - apex_s)])
