"""How long trackers take for given numbers of points and frames, whatever is to be seen."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from echomotion.core import Clip
from echomotion.evaluation.resources import Use, measured
from echomotion.models.base import Tracker

SIDE = 256
# Points and frames; the last takes long and is asked for.
LOADS = ((64, 64), (1024, 64))
FULL_LOADS = (*LOADS, (1024, 300))

_PERIOD = 36
_SHIFT_PX = 6.0
# What takes less is measured three times, for the middle one.
_SHORT_S = 2.0


def speckle_clip(n_frames: int, side: int = SIDE) -> Clip:
    """Speckle that is carried up and down as a whole, 36 frames to a period: uint8 (T, side, side)."""
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=(2, side, side)), (0, 1.5, 2.5), mode="wrap")
    echo = np.hypot(*field)
    grey = np.clip(40 * echo / echo.mean() + 20, 0, 255)
    shifts = _SHIFT_PX * np.sin(2 * np.pi * np.arange(n_frames) / _PERIOD)
    frames = [ndimage.shift(grey, (shift, 0.0), order=1, mode="grid-wrap") for shift in shifts]
    return Clip(np.round(frames).astype(np.uint8), np.arange(n_frames) / _PERIOD)


def even_queries(count: int, side: int = SIDE) -> NDArray[np.float64]:
    """`count` queries (N, 3) on the first frame, spread evenly over its middle three quarters."""
    per_row = int(np.ceil(np.sqrt(count)))
    line = np.linspace(side / 8, side * 7 / 8, per_row)
    x, y = np.meshgrid(line, line)
    return np.column_stack([np.zeros(count), x.ravel()[:count], y.ravel()[:count]])


def measure_speed(tracker: Tracker, points: int, frames: int, yardstick_s: float) -> dict[str, Any]:
    """Seconds and memory for one load, after a first small run.

    Returns
    -------
    dict
        ``tracker, points, frames, seconds, of_yardstick, peak_memory_mb, peak_gpu_memory_mb``; `of_yardstick` is
        seconds divided by those of the yardstick.
    """
    clip, queries = speckle_clip(frames), even_queries(points)
    tracker.track(speckle_clip(4), queries[:4])
    runs: list[Use[Any]] = [measured(lambda: tracker.track(clip, queries))]
    if runs[0].seconds < _SHORT_S:
        runs += [measured(lambda: tracker.track(clip, queries)) for _ in range(2)]
    seconds = statistics.median(run.seconds for run in runs)
    return {
        "tracker": tracker.name,
        "points": points,
        "frames": frames,
        "seconds": seconds,
        "of_yardstick": seconds / yardstick_s,
        "peak_memory_mb": max(run.peak_memory_mb for run in runs),
        "peak_gpu_memory_mb": max(run.peak_gpu_memory_mb for run in runs),
    }
