"""How well a frame can be used: simple terms of the picture, not a calibrated probability.

The quality of a frame is the geometric mean of four terms, each in 0..1 and measured inside the fan:

range
    The spread of grey levels (95th less 5th percentile) over 80 levels, at most 1: a picture without contrast has 0.
exposure
    1 less the share of saturated pixels (at least 250) beyond 5 %, and less the share of black pixels (at most 2)
    beyond 60 %, both scaled to reach 0 when every pixel is so.
sharpness
    The root mean square of the finest detail (the picture less its blurred copy) over that of the clip's median
    frame, at most 1: a frame blurred by motion or by focus falls below.
continuity
    The correlation with the neighbouring frames over that of the clip's median frame, at most 1: a frame from
    another place (a jump, a dropout) falls below. A repeated frame, equal to its predecessor, counts 0.5, because it
    holds no new motion.

The levels above were set by eye; the number ranks frames of a clip and marks broken ones, and nothing more.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip
from echomotion.preprocess.sector import Sector

_FULL_RANGE = 80.0
_SATURATED, _MAY_BE_SATURATED = 250, 0.05
_BLACK, _MAY_BE_BLACK = 2, 0.60
_REPEATED = 0.5
# Standard deviation in px of the blur that separates fine detail.
_DETAIL_PX = 1.5
# Longer side in px on which neighbouring frames are compared.
_COMPARE_SIDE = 128


def frame_quality(clip: Clip, sector: Sector | None = None) -> NDArray[np.float64]:
    """Quality of every frame, 0 (useless) to 1.

    Parameters
    ----------
    clip : Clip
        At least one frame.
    sector : Sector, optional
        Where the picture is; the whole frame without it.

    Returns
    -------
    float64 (T,)
        Geometric mean of range, exposure, sharpness and continuity; see the head of this module.
    """
    inside = np.ones(clip.shape, bool) if sector is None else sector.mask()
    if not inside.any():
        return np.zeros(clip.n_frames)
    terms = np.stack(
        [
            _range(clip.frames, inside),
            _exposure(clip.frames, inside),
            _relative(_sharpness(clip.frames, inside)),
            _continuity(clip.frames, inside),
        ]
    )
    return np.prod(terms, axis=0) ** (1 / len(terms))


def _range(frames: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    spread = [np.subtract(*np.percentile(frame[inside], [95, 5])) for frame in frames]
    return np.clip(np.array(spread) / _FULL_RANGE, 0, 1)


def _exposure(frames: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    white = np.array([(frame[inside] >= _SATURATED).mean() for frame in frames])
    black = np.array([(frame[inside] <= _BLACK).mean() for frame in frames])
    too_white = np.clip((white - _MAY_BE_SATURATED) / (1 - _MAY_BE_SATURATED), 0, 1)
    too_black = np.clip((black - _MAY_BE_BLACK) / (1 - _MAY_BE_BLACK), 0, 1)
    return np.clip(1 - too_white - too_black, 0, 1)


def _sharpness(frames: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    detail = []
    for frame in frames:
        fine = frame.astype(np.float32)
        fine -= cv2.GaussianBlur(fine, (0, 0), _DETAIL_PX)
        detail.append(float(np.sqrt(np.mean(fine[inside] ** 2))))
    return np.array(detail)


def _continuity(frames: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    if len(frames) < 2:
        return np.ones(len(frames))
    scale = min(1.0, _COMPARE_SIDE / max(inside.shape))
    size = (max(1, round(inside.shape[1] * scale)), max(1, round(inside.shape[0] * scale)))
    mask = cv2.resize(inside.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[mask].astype(np.float64) for frame in frames]
    pairs = np.array([_correlation(a, b) for a, b in pairwise(small)])
    # A frame is as continuous as its better neighbour lets it be: both neighbours of a broken frame stay good.
    best = np.maximum(np.append(pairs, -1), np.append(-1, pairs))
    quality = _relative(np.clip(best, 0, 1))
    repeated = [np.array_equal(a[inside], b[inside]) for a, b in pairwise(frames)]
    quality[1:][np.array(repeated)] = _REPEATED
    return quality


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _relative(values: NDArray[np.float64]) -> NDArray[np.float64]:
    typical = float(np.median(values))
    return np.clip(values / typical, 0, 1) if typical > 0 else np.zeros_like(values)
