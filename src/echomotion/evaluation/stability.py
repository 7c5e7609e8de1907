"""How steady masks are over time: area curves, contours, and what tracked tissue says of them.

What a beat does smoothly over time is no unsteadiness. It is taken for a parabola over a fifth of a second around each
frame; what departs from it counts. All of this asks a mask only to agree with itself, so it says nothing without the
excursion of the area beside it: a mask that never moves is perfectly steady.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.signal import savgol_filter

from echomotion.core import Clip, Masks, Tracks

FloatArray = NDArray[np.float64]

# Over which time motion is taken for a parabola.
_SPAN_S = 0.2
_FEWEST_FRAMES = 5
# Contours are compared on images of at most so many rows.
_MARGIN_PX = 12
_FEWEST_POINTS = 4


@dataclass(frozen=True)
class Stability:
    """Steadiness of one class over a clip; NaN where it cannot be said.

    Attributes
    ----------
    name : str
        The class.
    area_roughness : float
        Root mean square of what the area departs from its parabolas, % of the mean area.
    area_excursion : float
        Range of the parabolas, % of their maximum: fractional area change, which smoothing must not make smaller.
    contour_jitter : float
        Root mean square distance of contours from where they are over time, along the normal; mm, or px without
        calibration.
    unit : str
        Of the jitter.
    carried_dice : float
        Dice of each mask with that of the middle frame carried there by the tracks, mean over frames.
    temporal_loss : float
        Mean squared difference of the class's probability at tracked points over all pairs of frames.
    """

    name: str
    area_roughness: float
    area_excursion: float
    contour_jitter: float
    unit: str
    carried_dice: float
    temporal_loss: float

    def as_dict(self) -> dict[str, float | str | None]:
        """Plain values for JSON; NaN becomes None."""
        values = asdict(self).items()
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values}


def stability(clip: Clip, masks: Masks, name: str, tracks: Tracks | None = None) -> Stability:
    """Steadiness of a class.

    Parameters
    ----------
    clip : Clip
    masks : Masks
    name : str
    tracks : Tracks, optional
        Of points over the whole frame; those that steered the masks where none are given.
    """
    mask = masks.mask(name)
    spacing = clip.spacing_mm or (1.0, 1.0)
    paths = tracks or masks.tracks
    area = mask.sum(axis=(1, 2)).astype(np.float64)
    return Stability(
        name,
        area_roughness(area, clip.times_s),
        area_excursion(area, clip.times_s),
        contour_jitter(mask, clip.times_s, spacing),
        "px" if clip.spacing_mm is None else "mm",
        math.nan if paths is None else carried_dice(mask, paths),
        math.nan if paths is None else temporal_loss(masks, name, paths),
    )


def smooth_motion(values: FloatArray, times_s: FloatArray) -> FloatArray:
    """Values (T, ...) with each frame replaced by the parabola through its surroundings in time.

    The width is a fifth of a second, five frames at least; frames are taken for evenly spaced.
    """
    interval = float(np.median(np.diff(times_s)))
    width = max(_FEWEST_FRAMES, 2 * round(_SPAN_S / interval / 2) + 1)
    width = min(width, len(values) - (1 - len(values) % 2))
    return np.asarray(savgol_filter(values, width, 2, axis=0, mode="interp"), dtype=np.float64)


def area_roughness(area: FloatArray, times_s: FloatArray) -> float:
    """Root mean square departure of an area curve (T,) from smooth motion, % of its mean; NaN under five frames."""
    if len(area) < _FEWEST_FRAMES or not area.any():
        return math.nan
    return float(100 * np.sqrt(np.mean((area - smooth_motion(area, times_s)) ** 2)) / area.mean())


def area_excursion(area: FloatArray, times_s: FloatArray) -> float:
    """Range of the smooth area curve, % of its maximum; NaN under five frames."""
    if len(area) < _FEWEST_FRAMES or not area.any():
        return math.nan
    smooth = smooth_motion(area, times_s)
    return float(100 * (smooth.max() - smooth.min()) / smooth.max())


def contour_jitter(mask: NDArray[np.bool_], times_s: FloatArray, spacing_mm: tuple[float, float]) -> float:
    """Root mean square distance along the normal between contours (of masks (T, H, W)) and their smooth motion.

    The signed distance to a contour changes at a place on it by as much as the contour moves along its normal. So the
    distances are smoothed over time, and read on each frame's own contour. Unit of the spacing; NaN under five frames,
    or where a mask is empty.
    """
    if len(mask) < _FEWEST_FRAMES or not mask.any(axis=(1, 2)).all():
        return math.nan
    rows, columns = (np.flatnonzero(mask.any(axis=(0, axis))) for axis in (2, 1))
    top, left = max(0, rows[0] - _MARGIN_PX), max(0, columns[0] - _MARGIN_PX)
    part = mask[:, top : rows[-1] + _MARGIN_PX + 1, left : columns[-1] + _MARGIN_PX + 1]
    # Square pixels of the finer spacing, so that one distance transform serves.
    fine = min(spacing_mm)
    size = (round(part.shape[2] * spacing_mm[1] / fine), round(part.shape[1] * spacing_mm[0] / fine))
    depth = np.stack([_depth(cv2.resize(one.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)) for one in part])
    apart = depth - smooth_motion(depth, times_s)
    near = np.abs(depth) < 1.0
    # Where the image ends, a mask's edge is no contour.
    near[:, [0, -1]] = near[:, :, [0, -1]] = False
    return float(np.sqrt(np.mean(apart[near] ** 2)) * fine)


def carried_dice(mask: NDArray[np.bool_], tracks: Tracks) -> float:
    """Dice of the masks (T, H, W) with the middle frame's, carried to every other frame by tracked points."""
    middle = len(mask) // 2
    rows, columns = np.mgrid[: mask.shape[1], : mask.shape[2]]
    scores = []
    for t in range(len(mask)):
        seen = tracks.visible[:, t] & tracks.visible[:, middle]
        if t == middle or seen.sum() < _FEWEST_POINTS or not (mask[t].any() or mask[middle].any()):
            continue
        here, there = (tracks.xy[seen, k].astype(np.float64) for k in (t, middle))
        spots = np.column_stack([columns.ravel(), rows.ravel()])
        coarse = spots.reshape(*mask.shape[1:], 2)[::4, ::4].reshape(-1, 2).astype(np.float64)
        shift = LinearNDInterpolator(here, there - here)(coarse)
        lost = np.isnan(shift[:, 0])
        shift[lost] = NearestNDInterpolator(here, there - here)(coarse[lost])
        field = shift.reshape(*rows[::4, ::4].shape, 2).astype(np.float32)
        x, y = (axis.astype(np.float32) / 4 for axis in (columns, rows))
        fine = cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        source = mask[middle].astype(np.uint8)
        carried = cv2.remap(source, 4 * x + fine[..., 0], 4 * y + fine[..., 1], cv2.INTER_NEAREST) > 0
        scores.append(2 * (carried & mask[t]).sum() / max(1, carried.sum() + mask[t].sum()))
    return float(np.mean(scores)) if scores else math.nan


def temporal_loss(masks: Masks, name: str, tracks: Tracks) -> float:
    """What the temporal loss of PointSeg says of a class (:func:`echomotion.models.losses.temporal_smoothing`).

    From probabilities where the masks have them, from the labels otherwise; NaN where no point is seen twice.
    """
    number = list(masks.classes).index(masks.label_of(name))
    n, t = tracks.visible.shape
    values = np.zeros((n, t))
    counted = tracks.visible & np.isfinite(tracks.xy).all(axis=-1)
    for k in range(t):
        xy = np.nan_to_num(tracks.xy[:, k].astype(np.float64))
        if masks.probability is not None and masks.geometry is not None:
            image = masks.probability[k, number].astype(np.float32)
            xy = masks.geometry.to_grid(xy)
        else:
            image = (masks.labels[k] == masks.label_of(name)).astype(np.float32)
        place = xy.astype(np.float32)[None]
        values[:, k] = cv2.remap(image, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    count = counted.sum(axis=1)
    pairs = float((count * (count - 1) / 2).sum())
    if not pairs:
        return math.nan
    mean = (values * counted).sum(axis=1) / np.maximum(count, 1)
    return float((count * (((values - mean[:, None]) ** 2) * counted).sum(axis=1)).sum() / pairs)


def _depth(mask: NDArray[np.uint8]) -> FloatArray:
    """Signed distance (H, W) in px to the contour, positive inside; the contour runs between pixels."""
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.where(mask > 0, inside - 0.5, 0.5 - outside).astype(np.float64)
