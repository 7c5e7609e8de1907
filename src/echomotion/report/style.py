"""Colours and lines that all pictures share, so that a segment looks the same in the video, curves and page.

Colours are from the palette of Okabe and Ito (2008), which colour-blind people tell apart. The two walls also differ
by warm and cool colours and by solid and dashed lines.
"""

from __future__ import annotations

from collections.abc import Iterable

BLUE, SKY, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILLION, PURPLE, YELLOW = "#E69F00", "#D55E00", "#CC79A7", "#F0E442"
# From the base on the image's left over the apex to the base on the right.
SEGMENT_COLOURS = (BLUE, SKY, GREEN, ORANGE, VERMILLION, PURPLE)
_LEFT_WALL = 3

ENDOCARDIUM, EPICARDIUM, ATRIUM = YELLOW, "#D8DDE3", "#8FA3B5"
# Parts of the moving pictures, which are dark in either scheme.
DARK, DARK_LINE, DARK_INK, DARK_MUTED = "#0E1116", "#2B323B", "#F2F4F7", "#9AA5B1"


def segment_colours(names: Iterable[str]) -> dict[str, str]:
    """Colour of each segment, in their order along the wall."""
    return {name: SEGMENT_COLOURS[k % len(SEGMENT_COLOURS)] for k, name in enumerate(names)}


def segment_dashes(names: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """Dash pattern of each segment in line widths, empty for a solid line: solid left of the apex, dashed right."""
    return {name: () if k % len(SEGMENT_COLOURS) < _LEFT_WALL else (4.0, 2.0) for k, name in enumerate(names)}


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of ``#RRGGBB``, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
