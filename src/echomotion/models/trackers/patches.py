"""Small squares of a picture around points, read between pixels."""

from __future__ import annotations

import cv2
import numpy as np
import torch
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
    frames = frame[None]
    return patches_on(frames, xy[:, None], size, None if gradient is None else gradient[:, None])[0]


def patches_on(
    frames: NDArray[np.uint8], xy: NDArray[np.floating], size: int, gradient: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """The same on F frames at once: (F, N, size * size) of points (N, F, 2) with gradients (N, F, 2, 2)."""
    offset = (np.arange(size) - (size - 1) / 2).astype(np.float32)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    places = torch.from_numpy(np.stack([dx, dy, np.ones_like(dx)]))
    turn = np.broadcast_to(np.eye(2), (*xy.shape, 2)) if gradient is None else gradient
    maps = np.concatenate([turn, xy[..., None]], axis=-1).astype(np.float32).transpose(1, 2, 0, 3)
    out = np.empty((len(frames), len(xy), size * size), dtype=np.float32)
    for number, frame in enumerate(frames):
        image = frame.astype(np.float32)
        x, y = (torch.from_numpy(np.ascontiguousarray(maps[number])) @ places).numpy()
        for i in range(0, len(xy), _CHUNK):
            part = slice(i, i + _CHUNK)
            read = cv2.remap(image, x[part], y[part], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            out[number, part] = read
    return out


def normalised(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches (..., K) with mean 0 and length 1; NaN where there is no contrast to speak of."""
    centred = patches - patches.mean(axis=-1, keepdims=True)
    length = np.sqrt(np.sum(centred**2, axis=-1, keepdims=True))
    flat = length < MIN_CONTRAST * np.sqrt(patches.shape[-1])
    return np.where(flat, np.nan, centred / np.where(flat, 1, length)).astype(np.float32)
