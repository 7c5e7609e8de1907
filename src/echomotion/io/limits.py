"""How large a recording may be: checked from its header, before anything is allocated."""

from __future__ import annotations

from echomotion.core import ClipError

MAX_FRAME_PIXELS = 64_000_000
MAX_TOTAL_PIXELS = 4_000_000_000


def check_size(name: str, rows: int, columns: int, n_frames: int = 1) -> None:
    """Refuse a recording that is empty or larger than the limits.

    Raises
    ------
    ClipError
        Names the size and the limit.
    """
    if min(rows, columns, n_frames) < 1:
        raise ClipError(f"{name}: {n_frames} frames of {columns} x {rows} px hold no picture; export the file again")
    if rows * columns > MAX_FRAME_PIXELS:
        raise ClipError(
            f"{name}: a frame of {columns} x {rows} px is over the limit of {MAX_FRAME_PIXELS // 10**6} million "
            "pixels; crop or shrink the recording"
        )
    if rows * columns * n_frames > MAX_TOTAL_PIXELS:
        raise ClipError(
            f"{name}: {n_frames} frames of {columns} x {rows} px are over the limit of "
            f"{MAX_TOTAL_PIXELS // 10**9} thousand million pixels in all; cut the recording into shorter clips"
        )
