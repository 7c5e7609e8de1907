"""Points round the left ventricle in the short axis, for circumferential strain.

The line is closed: its last point repeats the first. Segments are sectors of 60 degrees (90 at the apex) about the
cavity's centre; the border between inferoseptal and anteroseptal lies in the middle of the septum (Lang et al. 2015,
doi 10.1016/j.echo.2014.10.003).
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.masks import LV_CAVITY, LV_MYOCARDIUM, Masks
from echomotion.core.tracks import Layer, WallPoints
from echomotion.core.views import SegmentModel, View, short_axis_names
from echomotion.measure.contours import BoolArray, FloatArray, largest_component, level_contour, resample
from echomotion.measure.wall import WallNotFoundError

RIGHT_VENTRICLE = "right_ventricle"
# Middle of the septum in the standard display, nine o'clock, in degrees clockwise from twelve.
SEPTUM_DEG = 270.0
_RAYS = 720


def ring_points(
    masks: Masks,
    *,
    frame: int,
    layer: Layer | str = Layer.MID_WALL,
    count: int = 64,
    level: str = "mid",
    spacing_mm: tuple[float, float] | None = None,
    model: SegmentModel | str | int = SegmentModel.SIXTEEN,
    septum_deg: float | None = None,
) -> WallPoints:
    """Points equally spaced round the wall on one frame of a short-axis view, clockwise as displayed.

    Parameters
    ----------
    masks : Masks
        With the cavity and, except for the endocardial layer, the myocardium; the right ventricle where it is seen.
    frame : int
        As a rule end-diastole.
    layer : Layer
        ``endocardial``, ``mid_wall`` or ``epicardial``.
    count : int
        Number of different points, at least 12; one more comes back, since the last repeats the first.
    level : str
        ``basal``, ``mid`` or ``apical``.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    septum_deg : float, optional
        Direction from the centre to the middle of the septum, degrees clockwise from twelve o'clock. Found from the
        right ventricle where that is segmented; else nine o'clock, where the standard display has it.

    Raises
    ------
    WallNotFoundError
        A :class:`DataError` with the reason, where the wall is not a ring.
    """
    if count < 12:
        raise DataError(f"count is {count}; at least 12 points are needed for six segments")
    if not 0 <= frame < masks.n_frames:
        raise DataError(f"there is no frame {frame}; the masks have frames 0 to {masks.n_frames - 1}")
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    step = np.array([sx, sy])
    cavity, wall, right = _parts(masks, frame)
    centre, inner, outer = _radii(cavity, wall, step, frame)
    depth = {Layer.ENDOCARDIAL: 0.0, Layer.MID_WALL: 0.5, Layer.EPICARDIAL: 1.0}[Layer(layer)]
    if depth and not wall.any():
        raise WallNotFoundError("no myocardium is segmented", frame)
    middle = septum_deg if septum_deg is not None else _septum(right, centre, outer, step)
    names = short_axis_names(level, model)
    # The first name's sector begins one sector before the middle of the septum; four sectors have one septum.
    sector = 360 / len(names)
    first = middle - (sector if len(names) == 6 else sector / 2)
    angle = np.deg2rad(first + 360 * np.arange(_RAYS) / _RAYS)
    radius = np.interp(np.rad2deg(angle) % 360, np.arange(361), np.append(inner, inner[0]))
    thick = np.interp(np.rad2deg(angle) % 360, np.arange(361), np.append(outer - inner, outer[0] - inner[0]))
    line = centre + (radius + depth * thick)[:, None] * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
    ring = resample(line, count, closed=True)
    ring = np.concatenate([ring, ring[:1]])
    away = ring - centre
    turn = (np.rad2deg(np.arctan2(away[:, 0], -away[:, 1])) - first + 1e-9) % 360
    turn[-1] = 360.0 - 1e-9
    owner = np.minimum((turn / sector).astype(int), len(names) - 1)
    queries = np.column_stack([np.full(count + 1, float(frame)), ring / step])
    return WallPoints(
        queries, Layer(layer), tuple(names[k] for k in owner), np.linspace(0.0, 1.0, count + 1), View.PSAX
    )


def _parts(masks: Masks, frame: int) -> tuple[BoolArray, BoolArray, BoolArray]:
    labels = masks.labels[frame]

    def part(name: str) -> BoolArray:
        return labels == masks.label_of(name) if masks.has(name) else np.zeros(labels.shape, dtype=bool)

    return largest_component(part(LV_CAVITY)), part(LV_MYOCARDIUM), part(RIGHT_VENTRICLE)


def _radii(
    cavity: BoolArray, wall: BoolArray, step: FloatArray, frame: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Centre of the cavity in mm, and the distance of the wall's two edges from it in each degree, clockwise."""
    if np.count_nonzero(cavity) < 64:
        raise WallNotFoundError("the cavity of the left ventricle is missing or too small", frame)
    rows, columns = np.nonzero(cavity)
    if min(rows.min(), columns.min()) == 0 or rows.max() == len(cavity) - 1 or columns.max() == cavity.shape[1] - 1:
        raise WallNotFoundError("the cavity reaches the border of the image, a part of it is not seen", frame)
    centre = np.array([columns.mean(), rows.mean()]) * step
    inner = _distances(cavity, centre, step)
    outer = _distances(largest_component(cavity | wall), centre, step)
    return centre, inner, np.maximum(outer, inner)


def _distances(mask: BoolArray, centre: FloatArray, step: FloatArray) -> FloatArray:
    """Distance of a mask's border from a point inside it, in each of 360 degrees clockwise from twelve o'clock."""
    sigma = 0.01 * float(np.sqrt(np.count_nonzero(mask) * step.prod())) / step[::-1]
    soft = ndimage.gaussian_filter(mask.astype(np.float64), np.maximum(sigma, 0.7))
    border = resample(level_contour(soft) * step, 4 * _RAYS, closed=True) - centre
    angle = np.rad2deg(np.arctan2(border[:, 0], -border[:, 1])) % 360
    order = np.argsort(angle)
    return np.interp(np.arange(360), angle[order], np.hypot(*border[order].T), period=360)


def _septum(right: BoolArray, centre: FloatArray, outer: FloatArray, step: FloatArray) -> float:
    """Direction of the middle of the septum: of the stretch of wall on which the right ventricle lies."""
    rows, columns = np.nonzero(right)
    if len(rows) == 0:
        return SEPTUM_DEG
    away = np.column_stack([columns, rows]) * step - centre
    angle = np.rad2deg(np.arctan2(away[:, 0], -away[:, 1])) % 360
    beyond = np.hypot(*away.T) - np.interp(angle, np.arange(360), outer, period=360)
    touching = angle[beyond < max(3.0 * float(step.max()), 0.1 * float(outer.mean()))]
    if len(touching) == 0:
        return SEPTUM_DEG
    seen = np.zeros(360, dtype=bool)
    seen[touching.astype(int) % 360] = True
    # The insertions are the ends of the stretch that leaves the widest gap round the rest of the ring.
    marks = np.flatnonzero(seen)
    gaps = np.diff(np.append(marks, marks[0] + 360))
    widest = int(np.argmax(gaps))
    start, stop = marks[(widest + 1) % len(marks)], marks[widest]
    return float((start + ((stop - start) % 360) / 2 + 0.5) % 360)
