"""From colour frames to grey ones: overlays (Doppler, ECG, text) are separated from the grey picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Difference between the largest and smallest channel over which a pixel counts as coloured; video coding
# leaves up to about 30 in grey pictures.
_COLOURED = 48
# Share of lit pixels that are coloured over which the picture is taken for a tinted grey map.
_TINTED = 0.6
_WORTH_A_WARNING = 0.005


class GreyMaker:
    """Turns colour frames into grey ones, one at a time, and remembers how much was coloured."""

    def __init__(self) -> None:
        self._coloured = 0
        self._pixels = 0
        self._tinted = False

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Grey frame (H, W) of a frame (H, W) or (H, W, 3) in red, green, blue.

        Coloured pixels become black, except in a picture whose lit pixels nearly all are coloured: that is a
        tinted grey map, whose brightest channel is the grey level.
        """
        if frame.ndim == 2:
            return frame
        high, low = frame.max(axis=2), frame.min(axis=2)
        coloured = high - low > _COLOURED
        lit = high > _COLOURED
        if lit.any() and coloured.sum() > _TINTED * lit.sum():
            self._tinted = True
            return high
        self._coloured += int(coloured.sum())
        self._pixels += coloured.size
        # The green channel of grey pixels equals the others; rounding of colour coding averages out.
        grey = np.round(frame.mean(axis=2)).astype(np.uint8)
        grey[coloured] = 0
        return grey

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results should know about colour."""
        found = []
        if self._tinted:
            found.append("the picture is tinted; its brightest channel was taken as the grey level")
        share = self._coloured / self._pixels if self._pixels else 0.0
        if share > _WORTH_A_WARNING:
            found.append(
                f"a coloured overlay (colour Doppler, ECG or text) covers {100 * share:.1f} % of the picture; "
                "it was blackened, and what lies under it is lost"
            )
        return found
