"""Hearts of other shapes: frames and their labels bent smoothly, as no turn or stretch does it.

After Simard et al. (2003) and Ronneberger et al. (2015, arXiv 1505.04597), who train with random elastic deformations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# Knots of the displacement along a side, and the largest standard deviation of one at a knot, in parts of the side.
_KNOTS, _MOST = 5, 0.035
# Share of the clips that are bent.
_BENT = 0.5


class Bend(NamedTuple):
    """Where each pixel of a bent picture comes from: float32 (S, S) each."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]

    def image(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture (S, S), bent."""
        return cv2.remap(image, self.x, self.y, cv2.INTER_LINEAR)

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Labels (S, S), bent alike."""
        return cv2.remap(labels, self.x, self.y, cv2.INTER_NEAREST)


def draw_bend(size: int, rng: np.random.Generator) -> Bend:
    """A random smooth displacement of a square of so many px."""
    knots = rng.normal(0, rng.uniform(0, _MOST) * size, (2, _KNOTS, _KNOTS)).astype(np.float32)
    moved = [cv2.resize(knot, (size, size), interpolation=cv2.INTER_CUBIC) for knot in knots]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return Bend(x + moved[0], y + moved[1])


def perhaps_bent(
    pictures: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]], rng: np.random.Generator
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.uint8]]]:
    """Frames (S, S) of a clip and their labels, in half of the clips bent, all frames alike."""
    if rng.random() >= _BENT:
        return list(pictures), list(labels)
    bend = draw_bend(len(pictures[0]), rng)
    return [bend.image(picture) for picture in pictures], [bend.labels(one) for one in labels]
