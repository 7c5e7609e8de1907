"""Small squares of a picture around points, read between pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Standard deviation in grey levels below which a patch shows nothing that could be followed.
MIN_CONTRAST = 1.0

# OpenCV's remap takes maps of fewer than 32,767 rows.
_CHUNK = 8192


def patches_at(
    frame: NDArray[np.uint8], xy: NDArray[np.floating], size: int, gradient: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Grey levels (N, size * size) of squares of `size` px centred on points (N, 2); bilinear.

    Off the picture's border the outermost pixels are repeated. With deformation gradients (N, 2, 2), offsets from
    the centre are deformed before they are read.
    """
    offset = (np.arange(size) - (size - 1) / 2).astype(np.float32)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    points = np.asarray(xy, dtype=np.float32)
    image = frame.astype(np.float32)
    parts = []
    for i in range(0, len(points), _CHUNK):
        part = points[i : i + _CHUNK]
        x, y = part[:, :1] + dx, part[:, 1:] + dy
        if gradient is not None:
            (ax, bx), (ay, by) = np.moveaxis(gradient[i : i + _CHUNK].astype(np.float32), 0, -1)[..., None]
            x, y = part[:, :1] + ax * dx + bx * dy, part[:, 1:] + ay * dx + by * dy
        parts.append(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.concatenate(parts) if parts else np.zeros((0, size * size), np.float32)


def normalised(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches (..., K) with mean 0 and length 1; NaN where there is no contrast to speak of."""
    centred = patches - patches.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.sum(centred**2, axis=-1, keepdims=True))
    flat = length < MIN_CONTRAST * np.sqrt(patches.shape[-1])
    return np.where(flat, np.nan, centred / np.where(flat, 1, length)).astype(np.float32)
