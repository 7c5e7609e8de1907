"""Pictures made worse in four ways and by degrees, to see how much of its accuracy a segmenter keeps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError

KINDS = ("gain", "haze", "dropout", "resolution")
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
# At full strength: dB of gain lost on a grey map of 60 dB; grey levels of haze; share of the beams in shadow; pixels
# that are left along each axis.
_LOST_DB, _MAP_DB, _HAZE, _SHADOWED, _LEFT = 24.0, 60.0, 110.0, 0.5, 0.5


def degraded(clip: Clip, kind: str, strength: float, seed: int = 0) -> Clip:
    """The same clip, worse.

    Parameters
    ----------
    clip : Clip
    kind : {"gain", "haze", "dropout", "resolution"}
        Too little gain; a veil of clutter near the probe; beams in shadow; coarser pixels (half as many along each
        axis at full strength).
    strength : float
        0 (as it is) to 1.
    seed : int
        Of the places of shadows and haze.

    Raises
    ------
    DataError
        When there is no such kind, or the strength is outside its range.
    """
    if kind not in KINDS or not 0 <= strength <= 1:
        raise DataError(
            f"a clip is degraded by {', '.join(KINDS)} with a strength from 0 to 1, not {kind} {strength:g}"
        )
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    frames = clip.frames.astype(np.float32)
    lit = frames.max(axis=0) > 0
    if kind == "gain":
        out = frames - 255 * _LOST_DB / _MAP_DB * strength
    elif kind == "haze":
        out = frames + _veil(lit, rng) * (_HAZE * strength) * (1 - frames / 255)
    elif kind == "dropout":
        out = frames * _shadows(lit, strength * _SHADOWED, rng)
    else:
        share = 1 - (1 - _LEFT) * strength
        size = (frames.shape[2], frames.shape[1])
        small = [cv2.resize(frame, None, fx=share, fy=share, interpolation=cv2.INTER_AREA) for frame in frames]
        out = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in small])
    return clip.with_(frames=np.clip(np.round(out) * lit, 0, 255).astype(np.uint8))


def _veil(lit: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth haze (H, W), strongest near the probe, 0..1."""
    rows, columns = lit.shape
    coarse = rng.uniform(0.3, 1, (6, 6)).astype(np.float32)
    cloud = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((rows, columns)).astype(np.float32), (0, 0), 2)
    fall = np.linspace(1, 0.3, rows, dtype=np.float32)[:, None]
    return np.clip(cloud * fall * (1 + 0.5 * grain), 0, 1)


def _shadows(lit: NDArray[np.bool_], share: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Gain (H, W): beams, by angle from the top of the fan, of which a share lies in shadow."""
    rows, columns = lit.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    top = int(np.flatnonzero(lit.any(axis=1))[0]) if lit.any() else 0
    tip = float(np.flatnonzero(lit[top]).mean()) if lit.any() else columns / 2
    angle = np.rad2deg(np.arctan2(x - tip, y - top + 1))
    gain = np.ones((rows, columns), np.float32)
    width, left = 9.0, 80.0 * share
    while left > 0.1:
        wide = min(width, left)
        depth = 1 - np.exp(-0.5 * ((angle - rng.uniform(-38, 38)) / (wide / 2)) ** 2)
        gain *= np.where(y > top + rng.uniform(0, 0.3) * rows, np.maximum(depth, 0.05), 1).astype(np.float32)
        left -= wide
    return gain
