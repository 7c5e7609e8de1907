"""Masks that do not tremble: what a network says of each frame made to vary smoothly over time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from echomotion.core import ModelError

# What the networks that see several frames take unless told otherwise, s; longer takes motion away.
STEADY_S = 0.2
# Fewest frames that say more than a parabola through all of them.
_FEWEST = 5
# A class is never less likely than this, so that one frame that is sure of itself does not outweigh all others.
FLOOR = 1e-3
# Rows that are worked on at a time, so that memory does not grow by copies of the whole.
_ROWS = 32


def check_steady(steady_s: float) -> None:
    """Raise ModelError where the time is none."""
    if not steady_s >= 0:
        raise ModelError(f"steady_s is {steady_s:g}; it is 0 or more seconds")


def steady_in_time(probability: NDArray[np.float32], frames: float) -> NDArray[np.float32]:
    """Each frame's log-probabilities replaced by the parabola through those of its surroundings in time.

    Around a contour they change about evenly with the distance from it, so a contour that moves as a parabola does
    stays where it is, and what goes back and forth from frame to frame is lost (Savitzky and Golay 1964). A mean of
    probabilities would take some of the motion away as well.

    Parameters
    ----------
    probability : float32 (T, K + 1, h, w)
        Background first; sums to 1 over the classes.
    frames : float
        Width of the surroundings; five at least, and an odd number. Clips of fewer frames stay as they are.

    Returns
    -------
    float32 (T, K + 1, h, w)
    """
    longest = len(probability) - (1 - len(probability) % 2)
    width = min(max(2 * round((frames - 1) / 2) + 1, _FEWEST), longest)
    if frames <= 0 or width < _FEWEST:
        return probability
    out = np.empty_like(probability)
    for first in range(0, probability.shape[2], _ROWS):
        rows = slice(first, first + _ROWS)
        even = np.exp(savgol_filter(np.log(np.maximum(probability[:, :, rows], FLOOR)), width, 2, axis=0))
        out[:, :, rows] = even / even.sum(axis=1, keepdims=True)
    return out
