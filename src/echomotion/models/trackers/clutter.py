"""Echoes that stand still while the heart moves: side lobes and reverberation of the chest wall and the lung."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def without_clutter(frames: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Frames (T, h, w) less a share, from 0 to 1, of their mean over time; the mean grey level stays.

    What stands still loses that share of its contrast, what moves by more than its own grain hardly any. A share of 1
    would erase tissue that does not move.
    """
    if share == 0:
        return frames
    mean = frames.mean(axis=0, dtype=np.float32)
    return np.stack([np.clip(frame - share * (mean - mean.mean()), 0, 255) for frame in frames]).astype(np.uint8)
