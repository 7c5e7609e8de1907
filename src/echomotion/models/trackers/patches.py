"""Small squares of a picture around points, read between pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

# Standard deviation in grey levels below which a patch shows nothing that could be followed.
MIN_CONTRAST = 1.0


def patches_at(
    frame: NDArray[np.number], xy: NDArray[np.floating], size: int, gradient: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Grey levels (N, size * size) of squares of `size` px centred on points (N, 2); bilinear.

    Off the picture's border the outermost pixels are repeated. With deformation gradients (N, 2, 2), offsets from
    the centre are deformed before they are read.
    """
    frames = frame[None]
    return patches_on(frames, xy[:, None], size, None if gradient is None else gradient[:, None])[0]


def patches_on(
    frames: NDArray[np.number], xy: NDArray[np.floating], size: int, gradient: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """The same on F frames at once: (F, N, size * size) of points (N, F, 2) with gradients (N, F, 2, 2)."""
    offset = (np.arange(size) - (size - 1) / 2).astype(np.float32)
    dy, dx = (grid.ravel() for grid in np.meshgrid(offset, offset, indexing="ij"))
    places = torch.from_numpy(np.stack([dx, dy, np.ones_like(dx)]))
    turn = np.broadcast_to(np.eye(2), (*xy.shape, 2)) if gradient is None else gradient
    # The sampler counts from -1 to 1 between the outermost pixels.
    half = np.maximum(np.array(frames.shape[:0:-1]) - 1, 1)[:, None] / 2
    maps = np.concatenate([turn, xy[..., None]], axis=-1) / half
    maps[..., 2] -= 1
    count, number = xy.shape[:2]
    by_frame = torch.from_numpy(np.ascontiguousarray(maps.swapaxes(0, 1), dtype=np.float32)).view(-1, 3)
    grid = (by_frame @ places).view(number, count, 2, size * size).movedim(2, 3)
    images = torch.from_numpy(frames.astype(np.float32, copy=False))[:, None]
    return grid_sample(images, grid, padding_mode="border", align_corners=True)[:, 0].numpy()


def normalised(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Patches (..., K) with mean 0 and length 1; NaN where there is no contrast to speak of."""
    squares = torch.from_numpy(patches)
    centred = squares - squares.mean(dim=-1, keepdim=True)
    length = centred.norm(dim=-1, keepdim=True)
    flat = length < MIN_CONTRAST * patches.shape[-1] ** 0.5
    return centred.div_(length.masked_fill_(flat, torch.nan)).numpy()
