"""Changes of a clip that no fair tracker should notice: mirrored, turned, played backward; and the way back."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, DataError

CHANGES = ("flip_left_right", "flip_up_down", "rotate_90", "reverse_time")

FloatArray = NDArray[np.float64]


def changed_clip(clip: Clip, change: str) -> Clip:
    """The clip after a change of :data:`CHANGES`; ``rotate_90`` turns it a quarter counter-clockwise.

    R waves are dropped when time runs backward.
    """
    _check(change)
    if change == "reverse_time":
        times = clip.times_s[0] + clip.times_s[-1] - clip.times_s[::-1]
        return clip.with_(frames=np.ascontiguousarray(clip.frames[::-1]), times_s=times, r_wave_times_s=None)
    if change == "rotate_90":
        spacing = None if clip.spacing_mm is None else clip.spacing_mm[::-1]
        return clip.with_(frames=np.ascontiguousarray(np.rot90(clip.frames, axes=(1, 2))), spacing_mm=spacing)
    axis = 2 if change == "flip_left_right" else 1
    return clip.with_(frames=np.ascontiguousarray(np.flip(clip.frames, axis=axis)))


def changed_queries(queries: ArrayLike, clip: Clip, change: str) -> FloatArray:
    """The same material points, (N, 3), asked for on the changed clip: on the mirrored frame when time is reversed."""
    _check(change)
    out = np.array(queries, dtype=np.float64)
    rows, columns = clip.shape
    x, y = out[:, 1].copy(), out[:, 2].copy()
    if change == "reverse_time":
        out[:, 0] = clip.n_frames - 1 - out[:, 0]
    elif change == "flip_left_right":
        out[:, 1] = columns - 1 - x
    elif change == "flip_up_down":
        out[:, 2] = rows - 1 - y
    else:
        out[:, 1], out[:, 2] = y, columns - 1 - x
    return out


def original_xy(xy: ArrayLike, clip: Clip, change: str) -> FloatArray:
    """Tracks (N, T, 2) found on the changed clip, in pixels and frames of the original `clip`."""
    _check(change)
    out = np.array(xy, dtype=np.float64)
    rows, columns = clip.shape
    if change == "reverse_time":
        return out[:, ::-1]
    x, y = out[..., 0].copy(), out[..., 1].copy()
    if change == "flip_left_right":
        out[..., 0] = columns - 1 - x
    elif change == "flip_up_down":
        out[..., 1] = rows - 1 - y
    else:
        out[..., 0], out[..., 1] = columns - 1 - y, x
    return out


def _check(change: str) -> None:
    if change not in CHANGES:
        raise DataError(f"unknown change {change!r}; known are {', '.join(CHANGES)}")
