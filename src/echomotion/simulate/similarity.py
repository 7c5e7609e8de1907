"""How alike the picture stays along a track: the correlation of patches that are some frames apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import DataError
from echomotion.core.arrays import frozen_array
from echomotion.simulate.checks import check_range

LAGS = (1, 2, 4, 8, 12)
PATCH_PX, HEIGHT_PX = 15, 256


def patch_correlation(
    frames: ArrayLike,
    xy: ArrayLike,
    lags: Sequence[int] = LAGS,
    *,
    visible: ArrayLike | None = None,
    size: int = PATCH_PX,
    height: int = HEIGHT_PX,
) -> NDArray[np.float64]:
    """Median correlation of patches along true tracks, one value a lag.

    Every pair of frames of a lag counts, on every track; pairs with a patch without contrast, or one that reaches
    over the border, are left out.

    Parameters
    ----------
    frames : uint8 (T, H, W)
        Resized to `height` rows, keeping their shape, if they have another number.
    xy : float (N, T, 2)
        True positions in native pixels.
    lags : sequence of int
        Frames between the two patches.
    visible : bool (N, T), optional
        Only pairs that are visible at both ends count.
    size : int
        Rows and columns of the patch.
    height : int

    Returns
    -------
    float64 (len(lags),)
        NaN where no pair is left.
    """
    clip = frozen_array(frames, "frames", shape=(None, None, None), dtype=np.float32)
    tracks = frozen_array(xy, "xy", shape=(None, len(clip), 2), dtype=np.float64, finite=False)
    seen = np.isfinite(tracks).all(-1)
    if visible is not None:
        seen = seen & frozen_array(visible, "visible", shape=seen.shape, dtype=np.bool_)
    check_range("size", size, 3, height)
    if any(lag < 1 for lag in lags):
        raise DataError("a lag must be 1 frame or more")
    scale = height / clip.shape[1]
    width = max(1, round(clip.shape[2] * scale))
    scales = np.array([width / clip.shape[2], scale])
    tracks = (tracks + 0.5) * scales - 0.5
    if clip.shape[1] != height:
        clip = np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in clip])
    reach = (size - 1) / 2
    with np.errstate(invalid="ignore"):
        seen &= ((tracks >= reach) & (tracks <= np.array([width, height]) - 1 - reach)).all(-1)

    patches = np.zeros((*seen.shape, size * size), dtype=np.float32)
    for point, t in zip(*np.nonzero(seen), strict=True):
        centre = (float(tracks[point, t, 0]), float(tracks[point, t, 1]))
        patches[point, t] = cv2.getRectSubPix(clip[t], (size, size), centre).ravel()
    patches -= patches.mean(-1, keepdims=True)
    norm = np.linalg.norm(patches, axis=-1)
    patches /= np.maximum(norm, 1e-6)[..., None]
    seen &= norm > 1e-3

    out = np.full(len(lags), np.nan)
    for i, lag in enumerate(lags):
        pairs = seen[:, :-lag] & seen[:, lag:]
        if lag < len(clip) and pairs.any():
            out[i] = np.median(np.einsum("ntk,ntk->nt", patches[:, :-lag], patches[:, lag:])[pairs])
    return out
