"""What lies over tissue and does not move with it: echoes that stand still, and haze."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def still_echoes(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Side lobes and reverberation: what the mean over time of frames (T, h, w) has over its own mean, (h, w).

    Of what stands still nothing is left when all of it is taken out, of what moves by more than its own grain hardly
    anything is lost; tissue that does not move would be erased.
    """
    mean = frames.mean(axis=0, dtype=np.float32)
    return mean - mean.mean()


def without_haze(frames: NDArray[np.float32], share: float, size_px: int) -> NDArray[np.float32]:
    """Frames (T, h, w) less a share, from 0 to 1, of their means over squares of `size_px`.

    Speckle moves with the tissue; what is broader than its grain (haze, gain, the shadow of a rib) does so less.
    """
    out = np.empty_like(frames)
    for frame, clear in zip(frames, out, strict=True):
        cv2.scaleAdd(cv2.blur(frame, (size_px, size_px)), -share, frame, dst=clear)
    return out
