"""Tracked lines of the wall held on the segmented wall: speckle tells the motion along it, the outline that across it.

Across the wall, near the apex above all, a picture has few echoes that move and many that stand still, so trackers
stay behind there: a line that is left outside shortens too little. The outline of the cavity is seen just there.

Both err, each in its own way, so that their middle is nearer to the truth than either where both have seen the beat:
where they have not, one of them is lost, and as a rule it is the outline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from echomotion.core.clip import checked_spacing
from echomotion.core.tracks import Layer, Tracks
from echomotion.measure.contours import FloatArray, resample
from echomotion.measure.lengths import line_length
from echomotion.measure.wall import WallLines

# Outlines of single frames flicker: widths of the Gaussians over time (s) and along the line (share of its length).
SMOOTH_S = 0.03
SMOOTH_ALONG = 0.04
# An outline farther from the tracked line than this share of its length, at the median, is another structure.
FARTHEST = 0.08
# Corrections are made where at least this share of the frames has an outline that can be used.
LEAST_KNOWN = 0.7
_FINE = 1001
# By how much lines are held where the size of the cavity and the length of the tracked wall go together over the
# recording, and the correlations from which on they do not at all, and do wholly.
MOST_HELD = 0.5
APART, TOGETHER = 0.9, 0.96


def agreed_share(area: FloatArray, length: FloatArray) -> float:
    """How far tracked lines are to be held on outlines, 0 to :data:`MOST_HELD`.

    Parameters
    ----------
    area : float (T,)
        Of the cavity between its outlines; NaN where unknown.
    length : float (T,)
        Of the tracked line (:func:`~echomotion.measure.lengths.line_length`); NaN where unknown.
    """
    together = agreement(area, length)
    return MOST_HELD * float(np.clip((together - APART) / (TOGETHER - APART), 0.0, 1.0))


def agreement(area: FloatArray, length: FloatArray) -> float:
    """Correlation of the cavity's area (T,) with the length of the wall (T,); 0 where either is unknown or at rest."""
    known = np.isfinite(area) & np.isfinite(length)
    if known.sum() < 3 or min(np.ptp(area[known]), np.ptp(length[known])) == 0:
        return 0.0
    return float(np.corrcoef(area[known], length[known])[0, 1])


def held_lines(
    tracks: Mapping[Layer, Tracks],
    walls: Sequence[WallLines | None],
    area: FloatArray,
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
    *,
    share: float | None = None,
) -> tuple[dict[Layer, Tracks], float]:
    """Tracked lines of one wall held on its outlines, all by the same share; see :func:`anchored`.

    Parameters
    ----------
    tracks : mapping of Layer to Tracks
        The length of the first line is what is compared with the area.
    walls, times_s, spacing_mm
        As for :func:`anchored`.
    area : float (T,)
        Of the cavity between the outlines.
    share : float, optional
        Of the way; without it, :func:`agreed_share`.

    Returns
    -------
    dict of Layer to Tracks
    float
        By how much they are held; 0 where they are as they came.
    """
    line = next(iter(tracks.values()), None)
    if line is None:
        return {}, 0.0
    if share is None:
        share = agreed_share(area, line_length(line.xy, spacing_mm, ed_frame=int(line.queries[0, 0])))
    held = {layer: anchored(one, walls, times_s, spacing_mm, share=share) for layer, one in tracks.items()}
    return held, share if any(held[layer] is not tracks[layer] for layer in tracks) else 0.0


def anchored(
    tracks: Tracks,
    walls: Sequence[WallLines | None],
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
    *,
    share: float = 1.0,
) -> Tracks:
    """Tracks of a line of the wall, moved across it towards the segmented line of the same layer.

    On every frame each point goes to its nearest place on the outline, or a share of the way, as far as that lies
    across the wall; its place along the wall stays. What is added is smoothed along the wall and over time, and is 0 on
    the query frame.

    Parameters
    ----------
    tracks : Tracks
        With their wall.
    walls : sequence of WallLines or None, T
        Of every frame; None where no wall is found.
    times_s : float (T,)
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    share : float
        Of the way to the outline, 0 to 1.

    Returns
    -------
    Tracks
        As they came where too few frames have an outline near the line, or `share` is 0.
    """
    if tracks.wall is None or len(walls) != tracks.n_frames or share == 0:
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
    xy = (tracks.xy + share * np.moveaxis(full / step, 0, 1)).astype(np.float32)
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
