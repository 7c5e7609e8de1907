"""Pieces of other clips pasted into clips without masks, so that a pupil has to find walls without their usual place.

After CutMix (Yun et al. 2019, arXiv 1905.04899) as French et al. (2020, arXiv 1906.01916) use it to learn from images
without masks: pictures are pasted together, and so is what is known or believed of their pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Sides of a pasted rectangle, in parts of the grid's.
_SIDES = (0.3, 0.7)


class Pastes(NamedTuple):
    """What is pasted into each clip of a batch.

    Attributes
    ----------
    source : int (B,)
        Clip that the piece comes from, another one of the batch.
    where : bool (B, S, S)
        The piece, in all frames alike; nothing is pasted where it is empty.
    """

    source: NDArray[np.int64]
    where: NDArray[np.bool_]


def draw_pastes(into: NDArray[np.bool_], size: int, share: float, rng: np.random.Generator) -> Pastes:
    """A rectangle of another clip for a share of the clips that may receive one.

    Parameters
    ----------
    into : bool (B,)
        Clips that may receive a piece.
    size : int
        Side of the grid, px.
    share : float
        0 to 1.
    rng : numpy.random.Generator
    """
    count = len(into)
    source = np.arange(count)
    where = np.zeros((count, size, size), bool)
    for clip in np.flatnonzero(into):
        if count < 2 or rng.random() >= share:
            continue
        source[clip] = (clip + rng.integers(1, count)) % count
        high, wide = (round(size * side) for side in rng.uniform(*_SIDES, 2))
        top, left = rng.integers(size - high + 1), rng.integers(size - wide + 1)
        where[clip, top : top + high, left : left + wide] = True
    return Pastes(source, where)


def pasted(values: Tensor, source: Tensor, where: Tensor) -> Tensor:
    """Values (B, T, S, S) of clips, with those of their sources where pieces are pasted."""
    return torch.where(where[:, None], values[source], values)
