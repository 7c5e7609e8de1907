"""The measuring line of a parasternal long-axis view, from masks of the cavity, the septum and the posterior wall."""

from __future__ import annotations

import numpy as np
from scipy import ndimage, stats

from echomotion.core.clip import checked_spacing
from echomotion.core.masks import (
    LEFT_ATRIUM,
    LV_CAVITY,
    PARASTERNAL_POINTS,
    POSTERIOR_WALL,
    SEPTUM,
    Keypoints,
    Masks,
)
from echomotion.measure.contours import BoolArray, FloatArray, largest_component

# Where the tips of the mitral leaflets are on the cavity's long axis, from the apex (0) to the annulus (1).
LEAFLET_TIPS = 0.7
_CLASSES = (LV_CAVITY, SEPTUM, POSTERIOR_WALL)
# Lines over this share of the long axis, either side of the level, are read and smoothed by a parabola.
_BAND = 0.06
_LINES = 21
# The direction of the long axis is read over this share of it, either side, and settles in a few turns.
_LONG_BAND = 0.12
_TURNS = 3
METHOD = "measuring line square to the cavity's long axis, at the assumed level of the mitral leaflet tips, from masks"


def measuring_line(
    masks: Masks, spacing_mm: tuple[float, float] | None = None, *, level: float = LEAFLET_TIPS
) -> tuple[Keypoints, tuple[str, ...]]:
    """The four points of :data:`~echomotion.core.masks.PARASTERNAL_POINTS` on every frame.

    The long axis halves the angle between the two borders of the cavity about the level; the base is at its end next
    to the atrium, or on the image's right, as in the standard display, where no atrium is labelled. At `level` a line
    square to the axis meets the borders of the walls; each border is read on lines to either side too and smoothed by
    a parabola, so that a pixel's edge does not decide it.

    Parameters
    ----------
    masks : Masks
        With the classes ``lv_cavity``, ``septum`` and ``posterior_wall``, and ``left_atrium`` where it is seen.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    level : float
        Place on the long axis, from the apex (0) to the base (1) of the cavity.

    Returns
    -------
    keypoints : Keypoints
        NaN, of confidence 0, on frames without a line.
    reasons : tuple of str, T
        Why a frame has no line; empty where it has one.
    """
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    xy = np.full((len(PARASTERNAL_POINTS), masks.n_frames, 2), np.nan)
    absent = [name for name in _CLASSES if not masks.has(name)]
    reasons = [f"the segmentation has no class {absent[0]}" if absent else ""] * masks.n_frames
    for t in range(masks.n_frames) if not absent else ():
        labels = masks.labels[t]
        cavity, septum, posterior = (largest_component(labels == masks.label_of(name)) for name in _CLASSES)
        atrium = labels == masks.label_of(LEFT_ATRIUM) if masks.has(LEFT_ATRIUM) else np.zeros(labels.shape, dtype=bool)
        empty = [name for name, part in zip(_CLASSES, (cavity, septum, posterior), strict=True) if not part.any()]
        points = None if empty else _line(cavity, septum, posterior, atrium, (sy, sx), level)
        if points is None:
            reasons[t] = f"no {empty[0]} is seen" if empty else "the line through the cavity does not cross both walls"
        else:
            xy[:, t] = points
    confidence = np.isfinite(xy[..., 0]).astype(np.float32)
    return Keypoints(xy, confidence, PARASTERNAL_POINTS), tuple(reasons)


def _line(
    cavity: BoolArray,
    septum: BoolArray,
    posterior: BoolArray,
    atrium: BoolArray,
    sampling: tuple[float, float],
    level: float,
) -> FloatArray | None:
    """The four points (4, 2) in native pixels, or None where a wall is not met."""
    step = np.array(sampling[::-1])
    inside, upper, lower = (_places(part, step) for part in (cavity, septum, posterior))
    centre = inside.mean(axis=0)
    axis = np.linalg.eigh(np.cov(inside.T))[1][:, 1]
    basal = _places(atrium, step).mean(axis=0) - centre if atrium.any() else np.array([1.0, 0.0])
    axis = axis if axis @ basal > 0 else -axis
    # Soft borders, so that a level of one half is met between pixels.
    sigma = 0.7 * max(sampling) / np.array(sampling)
    soft = [
        ndimage.gaussian_filter(part.astype(np.float64), sigma)
        for part in (cavity, cavity | septum, cavity | posterior)
    ]
    reach = np.arange(0.0, np.ptp((inside - centre) @ axis), 0.5 * min(sampling))
    turn = _square_to(axis, lower.mean(axis=0) - upper.mean(axis=0))
    for _ in range(_TURNS):
        foot, offsets = _level(inside, upper, lower, centre, axis, level, _LONG_BAND)
        across = turn @ axis
        slopes = [_fit(offsets, border, 1) for border in _borders(soft, foot, axis, across, offsets, reach, step)[1:3]]
        if any(slope is None for slope in slopes):
            return None
        # The fan may cut the cavity askew, so its principal axis is turned until it halves the angle of the borders.
        angle = np.mean([np.arctan(slope[1]) for slope in slopes if slope is not None])
        axis = np.cos(angle) * axis + np.sin(angle) * across
    foot, offsets = _level(inside, upper, lower, centre, axis, level, _BAND)
    across = turn @ axis
    fits = [_fit(offsets, border, 2) for border in _borders(soft, foot, axis, across, offsets, reach, step)]
    places = np.array([np.nan if fit is None else fit[0] for fit in fits])
    # A wall of no thickness is a wall that the line does not meet; so is one whose border is not read.
    if not np.all(places[[1, 3]] - places[[0, 2]] > max(sampling) / 2):
        return None
    return np.asarray((foot + places[:, None] * across) / step)


def _square_to(axis: FloatArray, downward: FloatArray) -> FloatArray:
    """The quarter turn (2, 2) that takes an axis to its square on the side of the posterior wall."""
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    return turn if (turn @ axis) @ downward > 0 else -turn


def _level(
    inside: FloatArray,
    upper: FloatArray,
    lower: FloatArray,
    centre: FloatArray,
    axis: FloatArray,
    level: float,
    band: float,
) -> tuple[FloatArray, FloatArray]:
    """The place (2,) on the axis where the line crosses it, and offsets (K,) along the axis to either side.

    Where the fan cuts a wall short of the level, the place is the nearest that has both walls on either side.
    """
    heights, *walls = ((points - centre) @ axis for points in (inside, upper, lower))
    margin = band * np.ptp(heights)
    first, last = max(wall.min() for wall in walls) + margin, min(wall.max() for wall in walls) - margin
    at = heights.min() + level * np.ptp(heights)
    at = min(max(at, first), last) if first < last else (first + last) / 2
    return centre + at * axis, np.linspace(-margin, margin, _LINES)


def _borders(
    soft: list[FloatArray],
    foot: FloatArray,
    axis: FloatArray,
    across: FloatArray,
    offsets: FloatArray,
    reach: FloatArray,
    step: FloatArray,
) -> FloatArray:
    """Where the four borders are on lines square to the axis, (4, K), from the axis; NaN where they are not met."""
    along = np.concatenate([-reach[:0:-1], reach])
    lines = foot + offsets[:, None, None] * axis + along[:, None] * across
    x, y = np.moveaxis(lines / step, -1, 0)
    cavity, upper, lower = (
        ndimage.map_coordinates(field, [y, x], order=1, mode="constant", cval=np.nan) for field in soft
    )
    out = np.full((4, len(offsets)), np.nan)
    for j in range(len(offsets)):
        inside = np.flatnonzero(cavity[j] > 0.5)
        if not len(inside):
            continue
        # The axis may run outside a bent cavity; the walk starts in the middle of what the line crosses.
        start = int(inside[len(inside) // 2])
        for point, values, way in ((0, upper[j], -1), (1, cavity[j], -1), (2, cavity[j], 1), (3, lower[j], 1)):
            out[point, j] = _exit(values, along, start, way)
    return out


def _exit(values: FloatArray, along: FloatArray, start: int, way: int) -> float:
    """Where values on a line, walked from `start` one way, fall to one half; NaN where the image ends before."""
    walked = values[start::way]
    low = np.flatnonzero(~(walked > 0.5))
    if not len(low) or not np.isfinite(walked[low[0]]):
        return float("nan")
    k = int(low[0])
    share = (walked[k - 1] - 0.5) / (walked[k - 1] - walked[k])
    return float(along[start] + way * (k - 1 + share) * (along[1] - along[0]))


def _fit(offsets: FloatArray, border: FloatArray, degree: int) -> FloatArray | None:
    """Coefficients of a border as a polynomial of the offset, constant first; None where too little of it is read."""
    good = np.isfinite(border)
    if good.sum() < 0.6 * len(border):
        return None
    if degree == 1:
        # A line that leaves the cavity through its base does not turn the others.
        slope, constant = stats.theilslopes(border[good], offsets[good])[:2]
        return np.array([constant, slope])
    return np.asarray(np.polynomial.polynomial.polyfit(offsets[good], border[good], degree))


def _places(part: BoolArray, step: FloatArray) -> FloatArray:
    """Centres (K, 2) of a mask's pixels, ``(x, y)`` times `step`."""
    return np.argwhere(part)[:, ::-1] * step
