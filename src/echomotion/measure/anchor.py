"""Tracked lines of the wall held on the segmented wall: speckle tells the motion along it, the outline that across it.

Across the wall, near the apex above all, a picture has few echoes that move and many that stand still, so trackers
stay behind there: a line that is left outside shortens too little. The outline of the cavity is seen just there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from echomotion.core.clip import checked_spacing
from echomotion.core.tracks import Tracks
from echomotion.measure.contours import FloatArray, resample
from echomotion.measure.wall import WallLines

# Outlines of single frames flicker: widths of the Gaussians over time (s) and along the line (share of its length).
SMOOTH_S = 0.03
SMOOTH_ALONG = 0.04
# An outline farther from the tracked line than this share of its length, at the median, is another structure.
FARTHEST = 0.08
# Corrections are made where at least this share of the frames has an outline that can be used.
LEAST_KNOWN = 0.7
_FINE = 1001


def anchored(
    tracks: Tracks,
    walls: Sequence[WallLines | None],
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
) -> Tracks:
    """Tracks of a line of the wall, moved across it onto the segmented line of the same layer.

    On every frame each point goes to its nearest place on the outline as far as that lies across the wall; its place
    along the wall stays. What is added is smoothed along the wall and over time, and is 0 on the query frame.

    Parameters
    ----------
    tracks : Tracks
        With their wall.
    walls : sequence of WallLines or None, T
        Of every frame; None where no wall is found.
    times_s : float (T,)
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.

    Returns
    -------
    Tracks
        As they came where too few frames have an outline near the line.
    """
    if tracks.wall is None or len(walls) != tracks.n_frames:
        return tracks
    step = np.array([1.0, 1.0] if spacing_mm is None else checked_spacing(spacing_mm)[::-1])
    layer = str(tracks.wall.layer)
    shift = np.full((tracks.n_frames, tracks.n_points, 2), np.nan)
    for frame, wall in enumerate(walls):
        line: NDArray[np.float64] | None = None if wall is None else getattr(wall, layer)
        if line is not None:
            shift[frame] = _across(tracks.xy[:, frame].astype(np.float64) * step, line * step)
    known = np.isfinite(shift).all(axis=2).mean(axis=1) > 0.5
    if known.mean() < LEAST_KNOWN:
        return tracks
    full = _filled(shift, known, np.asarray(times_s, dtype=np.float64))
    interval = float(np.median(np.diff(times_s)))
    full = ndimage.gaussian_filter1d(full, SMOOTH_S / interval, axis=0, mode="nearest")
    full = ndimage.gaussian_filter1d(full, SMOOTH_ALONG * tracks.n_points, axis=1, mode="nearest")
    start = np.round(tracks.queries[:, 0]).astype(int)
    full -= full[start, np.arange(tracks.n_points)]
    xy = (tracks.xy + np.moveaxis(full / step, 0, 1)).astype(np.float32)
    xy[np.arange(tracks.n_points), start] = tracks.xy[np.arange(tracks.n_points), start]
    return Tracks(xy, tracks.visible, tracks.confidence, tracks.queries, tracks.wall, tracks.model)


def _across(points: FloatArray, line: FloatArray) -> FloatArray:
    """Way (N, 2) from points to a line (M, 2), only across it; NaN where a point is unknown or the line far."""
    fine = resample(line, _FINE)
    tangent = np.gradient(fine, axis=0)
    tangent /= np.hypot(*tangent.T)[:, None]
    way = np.full(points.shape, np.nan)
    seen = np.isfinite(points).all(axis=1)
    if not seen.any():
        return way
    nearest = cKDTree(fine).query(points[seen])[1]
    straight = fine[nearest] - points[seen]
    along = tangent[nearest]
    way[seen] = straight - np.sum(straight * along, axis=1, keepdims=True) * along
    length = float(np.hypot(*np.diff(fine, axis=0).T).sum())
    if np.median(np.hypot(*way[seen].T)) > FARTHEST * length:
        way[:] = np.nan
    return way


def _filled(shift: FloatArray, known: NDArray[np.bool_], times_s: FloatArray) -> FloatArray:
    """The shifts (T, N, 2) with unknown frames and points bridged in time; 0 where a point is never known."""
    full = np.zeros_like(shift)
    for point in range(shift.shape[1]):
        good = known & np.isfinite(shift[:, point]).all(axis=1)
        if good.any():
            for axis in range(2):
                full[:, point, axis] = np.interp(times_s, times_s[good], shift[good, point, axis])
    return full
