"""From colour frames to grey ones: overlays (Doppler, ECG, text) are separated from the grey picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Difference between the largest and smallest channel over which a pixel counts as coloured; video coding
# leaves up to about 30 in grey pictures.
_COLOURED = 48
# A tinted grey map (sepia, blue): this share of the lit pixels is coloured, in one hue (length of the mean hue vector).
_TINTED_SHARE, _ONE_HUE = 0.6, 0.9
# Fewer coloured pixels than this do not decide about a tint.
_MIN_PIXELS = 50
_WORTH_A_WARNING = 0.005


class GreyMaker:
    """Turns colour frames into grey ones, one at a time, and remembers how much was coloured.

    Coloured pixels become black, so that flow, a coloured trace or coloured text is not taken for tissue. A picture
    in which most of what is lit carries one hue is a tinted grey map instead: its brightest channel is the grey
    level. That is decided on the first frame that is lit, for the whole clip.
    """

    def __init__(self) -> None:
        self._coloured = 0
        self._pixels = 0
        self._tinted: bool | None = None

    def __call__(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Grey frame (H, W) of a frame (H, W), or (H, W, 3) in red, green, blue."""
        if frame.ndim == 2:
            return frame
        red, green, blue = cv2.split(frame)
        high, low = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
        coloured = high - low > _COLOURED
        if self._tinted is None and (high > _COLOURED).sum() > _MIN_PIXELS:
            self._tinted = _is_tinted(frame, coloured, high > _COLOURED)
        if self._tinted:
            return high
        self._coloured += int(coloured.sum())
        self._pixels += coloured.size
        # Channels of a grey pixel differ by the rounding of the coding only, which the mean takes out.
        grey = ((red.astype(np.uint16) + green + blue + 1) // 3).astype(np.uint8)
        grey[coloured] = 0
        return grey

    @property
    def warnings(self) -> list[str]:
        """What a reader of the results should know about colour."""
        if self._tinted:
            return ["the picture is tinted; its brightest channel was taken as the grey level"]
        share = self._coloured / self._pixels if self._pixels else 0.0
        if share <= _WORTH_A_WARNING:
            return []
        return [
            f"a coloured overlay (colour Doppler, ECG or text) covers {100 * share:.1f} % of the picture; "
            "it was blackened, and what lies under it is lost"
        ]


def _is_tinted(frame: NDArray[np.uint8], coloured: NDArray[np.bool_], lit: NDArray[np.bool_]) -> bool:
    if coloured.sum() <= _TINTED_SHARE * lit.sum():
        return False
    # Hue as the direction of a colour seen along the grey diagonal; flow has two opposite ones.
    red, green, blue = frame[coloured].astype(np.float64).T
    direction = (red - (green + blue) / 2) + 1j * (green - blue) * np.sqrt(3) / 2
    return float(np.abs((direction / np.abs(direction)).mean())) > _ONE_HUE
