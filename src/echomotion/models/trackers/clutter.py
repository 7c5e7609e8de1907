"""Echoes that stand still while the heart moves: side lobes and reverberation of the chest wall and the lung."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def without_clutter(frames: NDArray[np.uint8], share: float) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Frames (T, h, w) less a share, from 0 to 1, of their mean over time, and what was taken out (h, w).

    The mean grey level stays. What stands still loses that share of its contrast, what moves by more than its own
    grain hardly any; a share of 1 would erase tissue that does not move. Nothing is taken out with a share of 0.
    """
    if share == 0:
        return frames, None
    mean = frames.mean(axis=0, dtype=np.float32)
    still = share * (mean - mean.mean())
    return np.stack([np.clip(frame - still, 0, 255) for frame in frames]).astype(np.uint8), still
