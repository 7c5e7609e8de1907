"""What a clip shows at all: beyond the fan's edge there is nothing, and that edge stands still.

A square of the picture that reaches over the edge matches best where the edge is, not where the tissue is, so points
of a wall that runs along the fan seem to stand still. The dark outside is therefore painted with what lies next to
it, and a square counts by the part of it that shows tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolImage = NDArray[np.bool_]

# Grey level above which a pixel shows something; compression leaves a rim of less around the fan.
_LIT = 6
# Letters and ticks are thinner than this.
_THIN_PX = 5
# Pixels next to the edge are part of it.
_EDGE_PX = 2
# Gaussian in px over what is painted outside: less than the grain of speckle.
_PAINT_PX = 2.0
# OpenCV's remap takes maps of fewer than 32,767 rows.
_ROWS = 8192


@dataclass(frozen=True)
class FieldOfView:
    """Where the frames of a window show something.

    Attributes
    ----------
    seen : bool (h, w)
    nearest : int (2, K)
        Row and column of the seen pixel nearest to each of the K others, in the order of ``~seen``.
    """

    seen: BoolImage
    nearest: NDArray[np.int64]

    def painted(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of a frame (h, w) whose outside goes on as the nearest tissue does."""
        if not self.nearest.size:
            return frame
        weight = self.seen.astype(np.float32)
        smooth, share = (cv2.GaussianBlur(field, (0, 0), _PAINT_PX) for field in (frame * weight, weight))
        out = frame.copy()
        # The pixel itself is seen, so its share is never 0.
        values = smooth[tuple(self.nearest)] / share[tuple(self.nearest)]
        out[~self.seen] = np.clip(values + 0.5, 0, 255).astype(np.uint8)
        return out


def field_of_view(frames: Sequence[NDArray[np.uint8]]) -> FieldOfView:
    """The convex outline of the largest part of the picture that is ever lit, without its rim; all where none is."""
    brightest = np.max(np.stack(frames), axis=0)
    lit = cv2.morphologyEx((brightest > _LIT).astype(np.uint8), cv2.MORPH_OPEN, np.ones((_THIN_PX, _THIN_PX), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    whole = np.ones(lit.shape, bool)
    if count < 2:
        return FieldOfView(whole, np.zeros((2, 0), dtype=np.int64))
    largest = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    outline, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.fillConvexPoly(np.zeros_like(lit), cv2.convexHull(np.vstack(outline)), 1)
    # The frame's own border is no edge of the fan.
    rim = np.ones((2 * _EDGE_PX + 1, 2 * _EDGE_PX + 1), np.uint8)
    seen = cv2.erode(filled, rim, borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(bool)
    if not seen.any():
        return FieldOfView(whole, np.zeros((2, 0), dtype=np.int64))
    indices = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return FieldOfView(seen, indices[:, ~seen].astype(np.int64))


def seen_share(seen: BoolImage, xy: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """How much of the squares of `size` px round points (..., 2) of a picture (h, w) is seen, 0 to 1."""
    share = cv2.blur(seen.astype(np.float32), (size, size), borderType=cv2.BORDER_CONSTANT)
    x, y = np.moveaxis(xy.reshape(-1, 1, 2).astype(np.float32), -1, 0)
    read = [
        cv2.remap(share, x[i : i + _ROWS], y[i : i + _ROWS], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        for i in range(0, len(x), _ROWS)
    ]
    return np.concatenate(read).reshape(xy.shape[:-1]).astype(np.float32)
