"""The wall of the left ventricle in one label image: endocardium, mid-wall line, epicardium, annulus, apex."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing, set_field
from echomotion.core.errors import DataError
from echomotion.core.masks import LEFT_ATRIUM, LV_CAVITY, LV_MYOCARDIUM, Masks
from echomotion.core.tracks import Layer
from echomotion.measure.contours import (
    BoolArray,
    FloatArray,
    arc_length,
    largest_component,
    level_contour,
    polygon_area,
    resample,
    smooth_open,
    without_specks,
)

CONTOUR_POINTS = 720
LINE_POINTS = 241


class WallNotFoundError(DataError):
    """No ventricular wall can be outlined on a frame; `reason` says why, without naming the frame."""

    def __init__(self, reason: str, frame: int | None = None) -> None:
        self.reason = reason
        super().__init__(reason if frame is None else f"no ventricular wall on frame {frame}: {reason}")


@dataclass(frozen=True)
class WallLines:
    """The wall of the left ventricle on one frame, in native pixels ``(x, y)``.

    The lines run from the base on the image's left over the apex to the base on the right. Points of the
    same index lie opposite each other across the wall.

    Attributes
    ----------
    endocardial : float64 (M, 2)
        Border of the cavity between the two annulus points, equally spaced.
    mid_wall, epicardial : float64 (M, 2) or None
        Half-way through and at the outside of the myocardium; None where too little of it is seen.
    annulus : float64 (2, 2)
        Left and right end of the mitral annulus: the ends of `endocardial`.
    apex : float64 (2,)
        The endocardial point farthest from the middle of the annulus.
    apex_index : int
        Its index along the lines.
    """

    endocardial: FloatArray
    mid_wall: FloatArray | None
    epicardial: FloatArray | None
    annulus: FloatArray
    apex: FloatArray
    apex_index: int

    def __post_init__(self) -> None:
        set_field(self, "endocardial", frozen_array(self.endocardial, "endocardial", shape=(None, 2), dtype=np.float64))
        for name in ("mid_wall", "epicardial"):
            line = getattr(self, name)
            if line is not None:
                set_field(self, name, frozen_array(line, name, shape=self.endocardial.shape, dtype=np.float64))
        set_field(self, "annulus", frozen_array(self.annulus, "annulus", shape=(2, 2), dtype=np.float64))
        set_field(self, "apex", frozen_array(self.apex, "apex", shape=(2,), dtype=np.float64))
        if not 0 < self.apex_index < len(self.endocardial) - 1:
            raise DataError("the apex must lie between the ends of the endocardial line")

    def line(self, layer: Layer | str) -> FloatArray:
        """The line of a layer, or :class:`WallNotFoundError` where the myocardium shows too little of it."""
        line: FloatArray | None = getattr(self, str(Layer(layer)))
        if line is None:
            raise WallNotFoundError(f"too little myocardium is seen for the {Layer(layer)} line")
        return line


def find_wall(masks: Masks, frame: int, spacing_mm: tuple[float, float] | None = None) -> WallLines:
    """Outline the wall of the left ventricle on one frame of a segmentation.

    Parameters
    ----------
    masks : Masks
        With a class ``lv_cavity`` and, where they exist, ``lv_myocardium`` and ``left_atrium``.
    frame : int
        Frame index.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.

    Raises
    ------
    WallNotFoundError
        With the reason, where the cavity or its base cannot be found.
    """
    if not 0 <= frame < masks.n_frames:
        raise DataError(f"there is no frame {frame}; the masks have frames 0 to {masks.n_frames - 1}")
    labels = masks.labels[frame]

    def part(name: str) -> BoolArray:
        return labels == masks.label_of(name) if masks.has(name) else np.zeros(labels.shape, dtype=bool)

    try:
        return outline(part(LV_CAVITY), part(LV_MYOCARDIUM), part(LEFT_ATRIUM), spacing_mm)
    except WallNotFoundError as error:
        raise WallNotFoundError(error.reason, frame) from None


def outline(
    cavity: BoolArray,
    myocardium: BoolArray,
    atrium: BoolArray,
    spacing_mm: tuple[float, float] | None = None,
) -> WallLines:
    """Outline the wall from masks (H, W) of the cavity, the myocardium and the left atrium.

    The cavity's largest part, holes filled, is smoothed by 1 % of its size and outlined at one half. Its
    basal border is the stretch of the outline that is nearer to the atrium than to the myocardium or,
    without an atrium, the stretch that no myocardium covers, opposite the bulk of the myocardium. The
    ends of that stretch are the annulus points. The thickness of the wall is read along the outward
    normals; where myocardium is missing it is interpolated along the wall.

    Myocardium and atrium may be empty, but not both. See :func:`find_wall`.
    """
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    step = np.array([sx, sy])
    full = largest_component(np.asarray(cavity, dtype=bool))
    if np.count_nonzero(full) < max(64, 0.0005 * full.size):
        raise WallNotFoundError("the cavity of the left ventricle is missing or too small")
    size = float(np.sqrt(np.count_nonzero(full) * sx * sy))
    window, origin = _window(full, size / np.array([sy, sx]))
    # From here on everything lies in the window, and points are in mm (px without spacing).
    inside = full[window]
    wall = without_specks(np.asarray(myocardium, dtype=bool)[window] & ~inside, 0.05)
    if np.count_nonzero(wall) < 0.05 * np.count_nonzero(inside):
        wall = np.zeros_like(wall)
    upper = largest_component(np.asarray(atrium, dtype=bool)[window] & ~inside)

    sigma = max(0.01 * size, 0.7 * max(sx, sy)) / np.array([sy, sx])
    contour = level_contour(_blur(inside, sigma)) * step
    contour = resample(contour, CONTOUR_POINTS, closed=True)
    if is_cut(contour / step + origin, full.shape):
        raise WallNotFoundError("the cavity reaches the border of the image, a part of it is not seen")
    start, length = _basal_stretch(contour, inside, wall, upper, (sy, sx), size)

    endo = np.roll(contour, -(start + length - 1), axis=0)[: CONTOUR_POINTS - length + 2]
    base = np.roll(contour, -start, axis=0)[:length]
    endo = _with_corners(endo, base, 2.5 * float(np.max(sigma * (sy, sx))))
    if tuple(endo[0]) > tuple(endo[-1]):
        endo = endo[::-1]
    endo = resample(smooth_open(resample(endo, LINE_POINTS), 0.01), LINE_POINTS)
    middle = (endo[0] + endo[-1]) / 2
    apex_index = int(np.argmax(np.hypot(*(endo - middle).T)))
    height = float(np.hypot(*(endo[apex_index] - middle)))
    if not LINE_POINTS // 8 < apex_index < LINE_POINTS - LINE_POINTS // 8 or height < 0.4 * size:
        raise WallNotFoundError("the cavity's border does not run from the annulus over an apex and back")

    mid = epi = None
    normals, thickness = _thickness(endo, inside, wall, sigma, step, size)
    limit = np.array([full.shape[1] - 1, full.shape[0] - 1])
    if thickness is not None:
        mid, epi = (
            np.clip(_parallel(endo, share * thickness[:, None] * normals) / step + origin, 0, limit)
            for share in (0.5, 1.0)
        )
    native = np.clip(endo / step + origin, 0, limit)
    return WallLines(native, mid, epi, native[[0, -1]], native[apex_index], apex_index)


def _window(mask: BoolArray, margin: FloatArray) -> tuple[tuple[slice, slice], NDArray[np.float64]]:
    """A window round a mask with half its size (the given margin) to spare, and the (x, y) of its first pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top = max(0, int(rows[0] - margin[0] / 2))
    left = max(0, int(columns[0] - margin[1] / 2))
    window = slice(top, int(rows[-1] + margin[0] / 2) + 2), slice(left, int(columns[-1] + margin[1] / 2) + 2)
    return window, np.array([left, top], dtype=np.float64)


def _blur(mask: BoolArray, sigma: FloatArray) -> FloatArray:
    """A mask smoothed by `sigma` (rows, columns) in pixels; outside the window there is nothing."""
    down, across = (cv2.getGaussianKernel(2 * round(3 * float(width)) + 1, float(width)) for width in sigma)
    return np.asarray(cv2.sepFilter2D(mask.astype(np.float64), -1, across, down, borderType=cv2.BORDER_CONSTANT))


def is_cut(contour: FloatArray, shape: tuple[int, int]) -> bool:
    """Whether an outline (M, 2) in native pixels runs along the border of the image (rows, columns)."""
    x, y = contour.T
    at_border = (x < 0.5) | (y < 0.5) | (x > shape[1] - 1.5) | (y > shape[0] - 1.5)
    return bool(at_border.mean() > 0.05)


def _sample(field: FloatArray, points: FloatArray, step: FloatArray) -> FloatArray:
    """Values of a field at points (..., 2) in mm, linear between pixels."""
    x, y = np.moveaxis(points / step, -1, 0)
    return ndimage.map_coordinates(field, [y, x], order=1, mode="nearest")


def _distance(part: BoolArray, points: FloatArray, step: FloatArray) -> FloatArray:
    """Distance in mm of points (M, 2) from the nearest pixel of a part, linear between pixels."""
    # Asked for beside the points only: the distance of every pixel would take most of the time of an outline.
    first = np.floor(points / step).astype(int)
    corners = (first[:, None] + np.array([[0, 0], [1, 0], [0, 1], [1, 1]])).reshape(-1, 2)
    columns, rows = np.clip(corners, 0, np.array(part.shape[::-1]) - 1).T
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    solid = part.astype(np.uint8)
    border = solid > cv2.erode(solid, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    nearest = cKDTree(np.argwhere(border) * step[::-1])
    field = np.zeros(part.shape)
    field[rows, columns] = nearest.query(np.column_stack([rows, columns]) * step[::-1])[0]
    field[part] = 0.0
    return _sample(field, points, step)


def _basal_stretch(
    contour: FloatArray,
    inside: BoolArray,
    wall: BoolArray,
    upper: BoolArray,
    sampling: tuple[float, float],
    size: float,
) -> tuple[int, int]:
    """First index and number of points of the outline's stretch across the mitral annulus."""
    step = np.array(sampling[::-1])
    pixel = max(sampling)
    touch = max(1.5 * pixel, 0.03 * size)
    far = np.full(len(contour), np.inf)
    to_wall, to_atrium = (_distance(part, contour, step) if part.any() else far for part in (wall, upper))
    # An island far from the cavity, or a crumb, is no atrium.
    if to_atrium.min() > 0.15 * size or upper.sum() < 0.02 * inside.sum():
        to_atrium = far
    if np.isfinite(to_atrium[0]):
        # Beside the annulus the wall may be missing: what is bare but far from the atrium is not the base.
        near = 1 - (to_atrium - to_atrium.min()) / (0.1 * size)
        weight = np.where(to_atrium < to_wall, np.maximum(near, -1.0), -1.0)
        if not wall.any():
            weight = np.where(to_atrium < touch, 1.0, -1.0)
    elif wall.any():
        rows, columns = np.nonzero(inside)
        centre = np.array([columns.mean(), rows.mean()]) * step
        rows, columns = np.nonzero(wall)
        bulk = np.array([columns.mean(), rows.mean()]) * step - centre
        rays = contour - centre
        cosine = rays @ bulk / (np.hypot(*rays.T) * np.hypot(*bulk) + 1e-12)
        # A gap in the wall weighs little unless it lies opposite the bulk of the myocardium.
        weight = np.where(to_wall > touch, ((1 - cosine) / 2) ** 4, -1.0)
    else:
        raise WallNotFoundError("neither myocardium nor left atrium is seen, so the annulus cannot be placed")
    start, length = _heaviest_stretch(weight)
    if not np.isfinite(to_atrium[0]):
        # The stretch began where the wall is `touch` away; its ends belong where the wall stops.
        count = len(contour)
        while length < count and to_wall[(start - 1) % count] > 1.2 * pixel:
            start, length = start - 1, length + 1
        while length < count and to_wall[(start + length) % count] > 1.2 * pixel:
            length += 1
    if length < 0.04 * len(contour):
        raise WallNotFoundError("the cavity has no open base: the myocardium closes it and no atrium borders on it")
    if length > 0.6 * len(contour):
        raise WallNotFoundError("too little of the cavity's border is covered by myocardium to place the annulus")
    return start % len(contour), length


def _heaviest_stretch(weight: FloatArray) -> tuple[int, int]:
    """Start and number of points of the stretch of a closed line with the largest sum; gaps may be bridged."""
    count = len(weight)
    total = np.concatenate([[0.0], np.cumsum(np.tile(weight, 2))])
    starts, lengths = np.arange(count)[:, None], np.arange(1, count + 1)[None, :]
    sums = total[starts + lengths] - total[starts]
    start, length = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(start), int(length) + 1


def _with_corners(endo: FloatArray, base: FloatArray, reach: float) -> FloatArray:
    """The endocardial line (M, 2) with the corners at the annulus that smoothing rounded off.

    `base` (K, 2) runs on from its last point to its first; `reach` mm is how far from a corner smoothing is felt. A
    corner is where the straight continuations of wall and base from beyond that meet; it is left alone where they do
    not meet near the end of the line.
    """
    width = arc_length(base)[-1]
    for _ in range(2):
        along = arc_length(endo)
        # Long enough to see past the steps that pixels make in a line that hardly crosses their rows.
        corner = _meeting(_part(base, reach, max(3 * reach, 0.7 * width)), _part(endo[::-1], reach, 4 * reach))
        if corner is not None and np.hypot(*(corner - endo[-1])) < reach:
            endo = np.concatenate([endo[along < along[-1] - reach], [corner]])
        endo, base = endo[::-1], base[::-1]
    return endo


def _part(line: FloatArray, begin: float, end: float) -> FloatArray:
    """The points (K, 2) of a line between two distances from its first point."""
    along = arc_length(line)
    return line[(along >= begin) & (along <= end)]


def _meeting(first: FloatArray, second: FloatArray) -> FloatArray | None:
    """Where the straight lines through two sets of points meet; None where they hardly do."""
    if min(len(first), len(second)) < 3:
        return None
    centres = first.mean(axis=0), second.mean(axis=0)
    along = [np.linalg.svd(part - centre)[2][0] for part, centre in zip((first, second), centres, strict=True)]
    matrix = np.column_stack([along[0], -along[1]])
    if abs(np.linalg.det(matrix)) < 0.5:
        return None
    return np.asarray(centres[0] + np.linalg.solve(matrix, centres[1] - centres[0])[0] * along[0])


def _thickness(
    endo: FloatArray, inside: BoolArray, wall: BoolArray, sigma: FloatArray, step: FloatArray, size: float
) -> tuple[FloatArray, FloatArray | None]:
    """Outward normals (M, 2) of the endocardial line and the thickness of the wall along them (M,)."""
    tangent = np.gradient(smooth_open(endo, 0.04), axis=0)
    # Smoothed, they do not meet behind a dent that a papillary muscle makes.
    tangent = ndimage.gaussian_filter1d(tangent, 0.04 * len(endo), axis=0, mode="nearest")
    normals = np.column_stack([tangent[:, 1], -tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    if np.sum((endo - endo.mean(axis=0)) * normals) < 0:
        normals = -normals
    if not wall.any():
        return normals, None
    # A ray that leaves the window has left the wall.
    solid = np.pad(_blur(wall | inside, sigma), 1)
    thickness = _first_below(solid, endo + step, normals, step, 0.6 * size)
    thickness[thickness == 0] = np.nan
    typical = np.nanmedian(thickness) if np.isfinite(thickness).any() else np.nan
    # Much thinner: the myocardium is missing there. Much thicker: the ray ran along the wall.
    with np.errstate(invalid="ignore"):
        good = (thickness > 0.3 * typical) & (thickness < 2.5 * typical)
    # Beside the annulus a ray may leave through the cut end of the wall instead of through its outside.
    good[: len(endo) // 20] = good[-(len(endo) // 20) :] = False
    # So it may beside a gap.
    inner = ndimage.binary_erosion(good, iterations=len(endo) // 50)
    good = inner if inner.mean() > 0.3 else good
    if good.mean() < 0.3:
        return normals, None
    index = np.arange(len(endo))
    filled = np.interp(index, index[good], thickness[good])
    filled = ndimage.median_filter(filled, size=2 * (len(endo) // 14) + 1, mode="nearest")
    return normals, ndimage.gaussian_filter1d(filled, 0.03 * len(endo), mode="nearest")


def _first_below(
    field: FloatArray, points: FloatArray, directions: FloatArray, step: FloatArray, reach: float
) -> FloatArray:
    """How far from each point (M, 2) a field falls below one half along its direction (M,); NaN where it does not.

    To a quarter of a pixel: found to a pixel first, since a smoothed field does not come back within one.
    """
    pixel = float(step.min())

    def below(depth: FloatArray) -> BoolArray:
        return _sample(field, points[:, None] + depth[..., None] * directions[:, None], step) < 0.5

    coarse = np.arange(0.0, reach, pixel)
    leaves = below(coarse[None])
    first = np.argmax(leaves, axis=1)
    quarters = coarse[first][:, None] + pixel * np.array([-0.75, -0.5, -0.25, 0.0])
    leaves_there = below(quarters) & (quarters >= 0)
    found = np.take_along_axis(quarters, np.argmax(leaves_there, axis=1)[:, None], axis=1)[:, 0]
    return np.where(leaves.any(axis=1), found, np.nan)


def _parallel(endo: FloatArray, offset: FloatArray) -> FloatArray:
    """The line at an offset (M, 2) from the endocardial line, smoothed until it nowhere turns back."""
    line = endo + offset
    along = np.diff(endo, axis=0)
    for share in (0.01, 0.02, 0.04, 0.08):
        smooth = smooth_open(line, share)
        if np.all(np.sum(np.diff(smooth, axis=0) * along, axis=1) > 0):
            break
    return smooth


def cavity_area_px(masks: Masks) -> FloatArray:
    """Area of the cavity's largest part, holes filled, per frame in pixels (T,); NaN where there is none."""
    counts = [np.count_nonzero(largest_component(frame)) for frame in masks.mask(LV_CAVITY)]
    area = np.asarray(counts, dtype=np.float64)
    area[area == 0] = np.nan
    return area


def enclosed_area(lines: WallLines, spacing_mm: tuple[float, float] | None = None) -> float:
    """Area within the endocardial line and the annulus, in mm2 (px2 without spacing)."""
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    return polygon_area(lines.endocardial * (sx, sy))
