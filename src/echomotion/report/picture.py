"""One frame as a colour picture: the image, the outlines, the wall points and their trails."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.analysis_types import Analysis
from echomotion.core import Clip, Geometry, Tracks
from echomotion.measure.contours import arc_length, resample
from echomotion.measure.strain import MIN_CONFIDENCE
from echomotion.report.calipers import draw_calipers
from echomotion.report.outlines import outlines
from echomotion.report.style import ATRIUM, DARK_INK, ENDOCARDIUM, EPICARDIUM, rgb, segment_colours
from echomotion.wall_tracking import LAYERS

Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]

TRAIL_S = 0.25
_COLOURS = {"atrium": ATRIUM, "epicardium": EPICARDIUM, "endocardium": ENDOCARDIUM}
# Bits of sub-pixel position that OpenCV draws with.
_SHIFT = 4
# Length of the straight pieces of an outline in picture pixels.
_PIECE = 7
# Share of a box's size that is kept around it.
_MARGIN = 0.22
_CALIPER_MARGIN = 0.35


def fit(clip: Clip, limit: tuple[int, int], box: Box | None = None) -> Geometry:
    """The map from native pixels to a picture with square pixels, as large as `limit` (columns, rows) allows.

    Parameters
    ----------
    clip : Clip
    limit : (int, int)
        Columns and rows that the picture must not exceed. Its sides are even, as videos need.
    box : (x0, y0, x1, y1), optional
        Outer edges of the part to show in native pixels; the whole frame by default.
    """
    rows, columns = clip.shape
    x0, y0, x1, y1 = box or (-0.5, -0.5, columns - 0.5, rows - 0.5)
    width, height = x1 - x0, (y1 - y0) * clip.pixel_aspect
    scale = min(limit[0] / width, limit[1] / height)
    shape = (max(2, 2 * int(height * scale / 2)), max(2, 2 * int(width * scale / 2)))
    return Geometry.letterbox(clip.shape, (x0, y0, x1, y1), shape, clip.pixel_aspect)


def region_of_interest(analysis: Analysis) -> Box | None:
    """The part of the frame that holds the outlines and points of all frames, with a margin; None where none are."""
    x, y, margin = [], [], _MARGIN
    if analysis.keypoints is not None:
        # Calipers are read with the heart around them.
        x, y = ([part.ravel()] for part in np.moveaxis(analysis.keypoints.xy, -1, 0))
        margin = _CALIPER_MARGIN
    for tracks in analysis.tracks.values():
        x.append(tracks.xy[..., 0].ravel())
        y.append(tracks.xy[..., 1].ravel())
    seen = (analysis.masks.labels > 0).any(axis=0)
    rows, columns = np.nonzero(seen)
    every_x, every_y = np.concatenate([*x, columns]), np.concatenate([*y, rows])
    if not np.isfinite(every_x).any():
        return None
    x0, x1, y0, y1 = np.nanmin(every_x), np.nanmax(every_x), np.nanmin(every_y), np.nanmax(every_y)
    margin_x, margin_y = margin * max(x1 - x0, 1), margin * max(y1 - y0, 1)
    if analysis.keypoints is not None:
        # A line across the heart is long and thin; what lies beside it counts as much.
        margin_x = max(margin_x, margin_y + (y1 - y0 - x1 + x0) / 2)
    height, width = analysis.clip.shape
    box = (
        max(float(x0 - margin_x), -0.5),
        max(float(y0 - margin_y), -0.5),
        min(float(x1 + margin_x), width - 0.5),
        min(float(y1 + margin_y), height - 0.5),
    )
    return box if box[2] - box[0] > 1 and box[3] - box[1] > 1 else None


def draw_frame(analysis: Analysis, frame: int, geometry: Geometry, *, trails: bool = True) -> Picture:
    """A frame on the grid of `geometry` with everything that was found on it.

    Parameters
    ----------
    analysis : Analysis
    frame : int
    geometry : Geometry
        From :func:`fit`.
    trails : bool
        Draw where each point was in the last quarter of a second.

    Returns
    -------
    uint8 (H, W, 3)
        Red, green, blue. Points that are hidden or of low confidence are hollow.
    """
    picture = cv2.cvtColor(_enlarged(analysis.clip.frames[frame], geometry), cv2.COLOR_GRAY2RGB)
    unit = max(picture.shape[:2]) / 800
    for name, contour in outlines(analysis.masks, frame).items():
        width = 2 if name == "endocardium" and unit >= 0.6 else 1
        # Many short pieces would show as beads.
        line = geometry.to_grid(contour)
        line = resample(line, max(8, round(arc_length(line)[-1] / _PIECE)), closed=True)
        cv2.polylines(picture, [_fixed(line)], True, rgb(_COLOURS[name]), width, cv2.LINE_AA, _SHIFT)
    draw_calipers(picture, analysis, frame, geometry)
    tracks = analysis.tracks.get(LAYERS[0])
    if tracks is None or tracks.n_points == 0:
        return picture
    colours = _point_colours(tracks)
    if trails:
        picture = _with_trails(picture, analysis.clip.times_s, tracks, frame, geometry, colours, unit)
    _draw_points(picture, tracks, frame, geometry, colours, unit)
    return picture


def _enlarged(image: NDArray[np.uint8], geometry: Geometry) -> Picture:
    if min(geometry.scale) < 1:
        return geometry.warp(image)
    (sx, sy), (ox, oy) = geometry.scale, geometry.offset
    size = geometry.grid_shape[::-1]
    matrix = np.array([[sx, 0, ox], [0, sy, oy]])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points as OpenCV's fixed-point numbers."""
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _point_colours(tracks: Tracks) -> list[tuple[int, int, int]]:
    if tracks.wall is None:
        return [rgb(DARK_INK)] * tracks.n_points
    of_segment = {name: rgb(colour) for name, colour in segment_colours(tracks.wall.segment_names()).items()}
    return [of_segment[name] for name in tracks.wall.segment]


def _with_trails(
    picture: Picture,
    times_s: NDArray[np.float64],
    tracks: Tracks,
    frame: int,
    geometry: Geometry,
    colours: list[tuple[int, int, int]],
    unit: float,
) -> Picture:
    """The picture with the recent way of each point, older parts fainter."""
    first = int(np.searchsorted(times_s, times_s[frame] - TRAIL_S))
    if first >= frame:
        return picture
    way = geometry.to_grid(tracks.xy[:, first : frame + 1])
    opacity = np.zeros(picture.shape[:2], dtype=np.uint8)
    paint = picture.copy()
    width = max(1, round(2 * unit))
    for k in range(way.shape[1] - 1):
        share = 1 - (times_s[frame] - times_s[first + k + 1]) / TRAIL_S
        known = np.isfinite(way[:, k : k + 2]).all(axis=(1, 2))
        pieces = _fixed(way[known, k : k + 2])
        cv2.polylines(opacity, list(pieces), False, int(40 + 170 * share), width, cv2.LINE_AA, _SHIFT)
        for piece, index in zip(pieces, np.flatnonzero(known), strict=True):
            # A wider line, so that the soft edge of the opacity falls on the full colour.
            cv2.polylines(paint, [piece], False, colours[index], width + 2, cv2.LINE_8, _SHIFT)
    x, y, columns, rows = cv2.boundingRect(opacity)
    part = np.s_[y : y + rows, x : x + columns]
    weight = opacity[part].astype(np.float32) / 255
    picture[part] = cv2.blendLinear(paint[part], picture[part], weight, 1 - weight)
    return picture


def _draw_points(
    picture: Picture,
    tracks: Tracks,
    frame: int,
    geometry: Geometry,
    colours: list[tuple[int, int, int]],
    unit: float,
) -> None:
    radius = max(2.0, 3.6 * unit)
    known = np.isfinite(tracks.xy[:, frame]).all(axis=1)
    sure = tracks.visible[:, frame] & (tracks.confidence[:, frame] >= MIN_CONFIDENCE)
    where = geometry.to_grid(tracks.xy[:, frame])
    size = round(radius * (1 << _SHIFT))
    for index in np.flatnonzero(known):
        centre = tuple(int(v) for v in _fixed(where[index]))
        if sure[index]:
            cv2.circle(picture, centre, size + (1 << _SHIFT), (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(picture, centre, size, colours[index], -1, cv2.LINE_AA, _SHIFT)
        else:
            dimmed = tuple(int(0.75 * v + 30) for v in colours[index])
            cv2.circle(picture, centre, size, (0, 0, 0), 2, cv2.LINE_AA, _SHIFT)
            cv2.circle(picture, centre, size, dimmed, 1, cv2.LINE_AA, _SHIFT)
