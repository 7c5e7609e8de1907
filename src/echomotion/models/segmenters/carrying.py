"""Masks that follow the tissue: what a network says of each frame, and of those around it, carried there by tracks.

A piece of tissue has the same class on all frames. So the log-probabilities of the frames around are brought to where
tracked points say that the tissue has gone, and each frame gets the value there of the parabola through them in time.
What is carried hardly changes along a track, where at a fixed pixel a contour passes by; so it may be looked at over a
longer time than in :mod:`.steadying` before motion is lost. That points steer masks is PointSeg's idea; this way of
doing so, with no weights to learn, is ours.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import ModelError
from echomotion.models.segmenters.steadying import FLOOR

# Standard deviation of the Gaussian by which frames around count, s, unless told otherwise: on simulated beats of
# patients who choose checkpoints the excursion of the area stays within 1 % of what it was (0.12 s: 2 %).
CARRY_S = 0.08
# Frames further away than so many standard deviations do not count.
_REACH = 2.5
# Fewest frames within reach that a parabola is drawn through.
_FEWEST = 5
# Standard deviation of the Gaussian by which points around a place count for its motion, px of the grid.
_NEAR_PX = 10.0
# Motion is asked for at places so far apart, px, and interpolated in between.
_STEP = 8
# Of the sum of weights: how strongly the motion's gradient is held at none where few points tell it.
_FLAT = 0.3
# Standard deviation of a Gaussian over the outcome, px: where frames disagree by more than a contour is wide their sum
# may be nearly level, and small differences would cut notches into it.
_LEVEL_PX = 1.5
# Frames whose logarithms are held at once.
_BLOCK = 32


def check_carry(carry_s: float) -> None:
    """Raise ModelError where the time is none."""
    if not carry_s >= 0:
        raise ModelError(f"carry_s is {carry_s:g}; it is 0 or more seconds")


def carried_in_time(
    probability: NDArray[np.float32],
    times_s: NDArray[np.float64],
    xy: NDArray[np.floating],
    weight: NDArray[np.floating],
    carry_s: float,
) -> NDArray[np.float32]:
    """Each frame's log-probabilities replaced by the parabola in time through those that its tissue has had.

    Parameters
    ----------
    probability : float32 (T, K + 1, h, w)
        Background first; sums to 1 over the classes.
    times_s : float64 (T,)
    xy : float (N, T, 2)
        Where points are on each frame, px of the grid; finite.
    weight : float (N, T)
        How much each of them is believed, 0 or more.
    carry_s : float
        Standard deviation of the Gaussian by which frames count. A frame with fewer than five within reach of it
        keeps what it says, evened over a pixel and a half like all others.

    Returns
    -------
    float32 (T, K + 1, h, w)
    """
    parts = [_parabola(times_s, t, carry_s) for t in range(len(times_s))]
    if not len(xy):
        return probability
    out = np.empty_like(probability)
    # OpenCV lets go of Python's lock, so threads share this work.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for first in range(0, len(parts), _BLOCK):
            block = range(first, min(first + _BLOCK, len(parts)))
            used = np.flatnonzero(np.any([parts[t] != 0 for t in block], axis=0))
            logs = {int(s): _logs(probability[s]) for s in used}
            jobs = [pool.submit(_carried, logs, xy, weight[:, t], t, parts[t]) for t in block]
            out[block.start : block.stop] = [job.result() for job in jobs]
    return out


def can_carry(times_s: NDArray[np.float64], carry_s: float) -> bool:
    """Whether any frame has enough others within reach."""
    return any(np.count_nonzero(_parabola(times_s, t, carry_s)) > 1 for t in range(len(times_s)))


def _parabola(times_s: NDArray[np.float64], t: int, carry_s: float) -> NDArray[np.float64]:
    """Weights (T,) by which frames make the value on frame `t` of the parabola through them."""
    away = (np.asarray(times_s) - times_s[t]) / max(carry_s, 1e-9)
    near = np.where(np.abs(away) <= _REACH, np.exp(-0.5 * away**2), 0.0)
    if np.count_nonzero(near) < _FEWEST:
        return (np.arange(len(away)) == t).astype(np.float64)
    powers = away[:, None] ** np.arange(3)
    solved = np.linalg.solve(powers.T @ (near[:, None] * powers), np.array([1.0, 0.0, 0.0]))
    return np.asarray(near * (powers @ solved))


def _logs(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities (h, w, K + 1) of (K + 1, h, w)."""
    return np.log(np.maximum(np.ascontiguousarray(probability.transpose(1, 2, 0)), FLOOR))


def _carried(
    logs: dict[int, NDArray[np.float32]],
    xy: NDArray[np.floating],
    weight: NDArray[np.floating],
    t: int,
    parts: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Probabilities (K + 1, h, w) of frame `t`."""
    rows, columns = logs[t].shape[:2]
    y, x = np.mgrid[0:rows:_STEP, 0:columns:_STEP]
    means = local_means(np.column_stack([x.ravel(), y.ravel()]), xy[:, t], weight)
    across, down = (np.arange(size, dtype=np.float32) for size in (columns, rows))
    nodes = np.meshgrid(across / _STEP, down / _STEP)
    here = np.stack(np.meshgrid(across, down), axis=-1)
    total = np.zeros_like(logs[t])
    for s in np.flatnonzero(parts):
        said = logs[int(s)]
        if s != t:
            moved = (means @ (xy[:, s] - xy[:, t])).reshape(*x.shape, 2).astype(np.float32)
            there = here + cv2.remap(moved, *nodes, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            said = cv2.remap(said, there, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        total += np.float32(parts[s]) * said
    total = cv2.GaussianBlur(total, (0, 0), _LEVEL_PX, borderType=cv2.BORDER_REPLICATE)
    likely = np.exp(total - total.max(axis=-1, keepdims=True))
    return np.asarray((likely / likely.sum(axis=-1, keepdims=True)).transpose(2, 0, 1))


def local_means(
    places: NDArray[np.floating], points: NDArray[np.floating], weight: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Weights (M, N) by which N points (N, 2) tell what happens at M places (M, 2).

    The plane through what the points say, fitted by least squares in which near points count most, has that value at
    the place (local linear regression; Cleveland and Devlin 1988). Far from all points it is nearly their mean.
    """
    away = (places[:, None] - points[None]) / _NEAR_PX
    near = weight * np.exp(-0.5 * np.square(away).sum(axis=-1)) + 1e-9
    terms = np.concatenate([np.ones_like(away[..., :1]), away], axis=-1)
    weighed = near[..., None] * terms
    products = weighed.transpose(0, 2, 1) @ terms
    held = products[:, 0, 0, None, None] * np.diag([1e-6, _FLAT, _FLAT])
    solved = np.linalg.solve(products + held, np.broadcast_to(np.array([[1.0], [0.0], [0.0]]), (len(places), 3, 1)))
    return np.asarray((weighed @ solved)[..., 0])
