"""What every reader returns, before user overrides: grey frames with time, scale and where both came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import ClipError, View


@dataclass
class Content:
    """Raw content of a recording.

    Attributes
    ----------
    frames : uint8 (T, H, W)
    format : str
    times_s : float (T,) or None
        None where the file has no clock.
    times_origin : str
        Where the clock came from; where there is none, why.
    spacing_mm : (float, float) or None
        As the file has it; it is checked once it is known whether the caller gives another.
    spacing_origin : str
    view : View
    view_origin : str
    r_wave_times_s : float (B,) or None
    warnings : list of str
    """

    frames: NDArray[np.uint8]
    format: str
    times_s: NDArray[np.float64] | None = None
    times_origin: str = "the file has no frame rate"
    spacing_mm: tuple[float, float] | None = None
    spacing_origin: str = "none"
    view: View = View.UNKNOWN
    view_origin: str = "none"
    r_wave_times_s: NDArray[np.float64] | None = None
    warnings: list[str] | None = None


def grey_bytes(name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers of any shape as grey levels 0..255.

    uint8 is taken as it is; booleans become 0 and 255; floating point may hold 0..1 or 0..255; other types are
    refused, since nobody says which part of their range is grey.

    Raises
    ------
    ClipError
        On NaN, on a wider integer type, or on values out of range.
    """
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind in "iu":
        raise ClipError(
            f"{name}: pixels are {array.dtype}, {8 * array.dtype.itemsize} bits each; convert them to 8-bit grey "
            "levels (0..255) first"
        )
    if array.dtype.kind != "f":
        raise ClipError(f"{name}: pixels are {array.dtype}; 8-bit grey levels (0..255) are needed")
    if not np.isfinite(array).all():
        raise ClipError(f"{name}: the array contains NaN or infinite values; replace them first")
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > 255:
        raise ClipError(f"{name}: values from {low:g} to {high:g}; grey levels must lie in 0..1 or 0..255")
    scale = 255.0 if high <= 1 else 1.0
    return np.round(array * scale).astype(np.uint8)
