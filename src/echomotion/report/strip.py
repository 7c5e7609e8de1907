"""The curves under the moving picture: drawn once, with a cursor that runs along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from echomotion.analysis_types import Analysis, Curve
from echomotion.measure.dimensions import CAVITY
from echomotion.report.calipers import COLOURS, WALLS, draw_lengths
from echomotion.report.curves import STRAIN, Palette, draw_size, draw_strain, has_values, segment_curves
from echomotion.report.picture import Picture
from echomotion.report.style import (
    DARK,
    DARK_INK,
    DARK_LINE,
    DARK_MUTED,
    rgb,
    segment_colours,
    segment_dashes,
)
from echomotion.report.words import SHORT, plain_name

_DPI = 100
_PALETTE = Palette(DARK_INK, DARK_MUTED, DARK_LINE)
_SHIFT = 4
# Axes with the curves on them and their colours.
_Drawn = tuple[Axes, tuple[tuple[Curve, tuple[int, int, int]], ...]]


@dataclass(frozen=True)
class _Panel:
    """One pair of axes in pixels: where a time and a value lie, its top and bottom, and the curves on it."""

    place: Callable[[float, float], tuple[float, float]]
    top: float
    bottom: float
    curves: tuple[tuple[Curve, tuple[int, int, int]], ...]


class _Layout:
    """Two pairs of axes side by side with a key between them; distances in px, so that text fits at every width."""

    _LEFT, _RIGHT, _TOP, _BOTTOM, _KEY = 52, 22, 40, 26, 168

    def __init__(self, figure: Figure, width: int, height: int) -> None:
        self.figure, self._width, self._height = figure, width, height
        self._plot = (width - 2 * self._LEFT - self._RIGHT - self._KEY) / 2
        middle = self._LEFT + self._plot / 2
        self.key = ((self._LEFT + self._plot + 14) / width, 0.5)
        self.first, self.second = (middle / width, 0.5), (1 - (self._RIGHT + self._plot / 2) / width, 0.5)

    def axes(self, place: int) -> Axes:
        """The first (0) or second (1) pair of axes, made now."""
        x = self._LEFT + place * (self._LEFT + self._plot + self._KEY)
        high = self._height - self._TOP - self._BOTTOM
        box = (x / self._width, self._BOTTOM / self._height, self._plot / self._width, high / self._height)
        return self.figure.add_axes(box)


class Strip:
    """Curves of an analysis as a picture of `width` x `height` pixels."""

    def __init__(self, analysis: Analysis, width: int, height: int) -> None:
        figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=DARK)
        canvas = FigureCanvasAgg(figure)
        draw = _apical if analysis.keypoints is None else _parasternal
        panels = draw(analysis, _Layout(figure, width, height))
        canvas.draw()
        self._picture: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        rows = self._picture.shape[0]
        self._panels_px = [self._measured(axes, shown, rows) for axes, shown in panels]

    def at(self, time_s: float) -> Picture:
        """The curves with the cursor at a time, uint8 (height, width, 3)."""
        picture = self._picture.copy()
        for panel in self._panels_px:
            x, _ = panel.place(time_s, 0.0)
            top, bottom = ((_fixed(x), _fixed(y)) for y in (panel.top, panel.bottom))
            cv2.line(picture, top, bottom, rgb(DARK_INK), 1, cv2.LINE_AA, _SHIFT)
            for curve, colour in panel.curves:
                value = float(curve.values[int(np.argmin(np.abs(curve.times_s - time_s)))])
                if np.isfinite(value):
                    centre = tuple(_fixed(v) for v in panel.place(time_s, value))
                    cv2.circle(picture, centre, _fixed(4.2), rgb(DARK), -1, cv2.LINE_AA, _SHIFT)
                    cv2.circle(picture, centre, _fixed(3.2), colour, -1, cv2.LINE_AA, _SHIFT)
        return picture

    @staticmethod
    def _measured(axes: Axes, curves: tuple[tuple[Curve, tuple[int, int, int]], ...], rows: int) -> _Panel:
        # Taken after drawing, when the limits of the axes are final; a picture's rows run downwards.
        transform = axes.transData
        box: Any = axes.get_window_extent()

        def place(time_s: float, value: float) -> tuple[float, float]:
            x, y = transform.transform((time_s, value))
            return float(x) - 0.5, rows - float(y) - 0.5

        return _Panel(place, rows - box.y1, rows - box.y0, curves)


def _apical(analysis: Analysis, layout: _Layout) -> list[_Drawn]:
    """Strain, and the size of the cavity."""
    panels: list[_Drawn] = []
    if has_values(analysis, STRAIN):
        axes = layout.axes(0)
        draw_strain(axes, analysis, _PALETTE)
        segments = segment_curves(analysis)
        colours = segment_colours(segments)
        shown = [(curve, rgb(colours[name])) for name, curve in segments.items()]
        shown.append((analysis.curves[STRAIN], rgb(DARK_INK)))
        _key(layout, *_segment_key(list(segments)))
        panels.append((axes, tuple(shown)))
    else:
        _note(layout.figure, layout.first, "no strain: the wall was not tracked")
    size = "volume" if has_values(analysis, "volume") else "cavity_area"
    if has_values(analysis, size):
        axes = layout.axes(1)
        draw_size(axes, analysis, _PALETTE, size)
        panels.append((axes, ((analysis.curves[size], rgb(DARK_INK)),)))
    else:
        _note(layout.figure, layout.second, "no volume: no ventricle was found")
    return panels


def _parasternal(analysis: Analysis, layout: _Layout) -> list[_Drawn]:
    """Thickness of the walls, and the diameter of the cavity."""
    panels: list[_Drawn] = []
    for place, (names, label) in enumerate(((WALLS, "Walls"), ((CAVITY,), f"Cavity, {SHORT[CAVITY]}"))):
        axes = layout.axes(place)
        draw_lengths(axes, analysis, _PALETTE, names, label)
        panels.append((axes, tuple((analysis.curves[name], rgb(COLOURS[name])) for name in names)))
    lines = [Line2D([], [], color=COLOURS[name], linewidth=2.4) for name in WALLS]
    _key(layout, lines, [SHORT[name] for name in WALLS])
    return panels


def _segment_key(names: list[str]) -> tuple[list[Line2D], list[str]]:
    colours, dashes = segment_colours(names), segment_dashes(names)
    handles = [Line2D([], [], color=DARK_INK, linewidth=2.4)]
    handles += [
        Line2D([], [], color=colours[name], linewidth=1.6, linestyle=(0, dashes[name]) if dashes[name] else "solid")
        for name in names
    ]
    return handles, ["whole wall", *map(plain_name, names)]


def _key(layout: _Layout, handles: list[Line2D], labels: list[str]) -> None:
    legend = layout.figure.legend(
        handles,
        labels,
        loc="center left",
        bbox_to_anchor=layout.key,
        frameon=False,
        fontsize=8.5,
        handlelength=1.8,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.55,
    )
    for text in legend.get_texts():
        text.set(color=DARK_INK, parse_math=False)


def _note(figure: Figure, place: tuple[float, float], text: str) -> None:
    figure.text(*place, text, color=DARK_MUTED, fontsize=9.5, ha="center", va="center")


def _fixed(value: float) -> int:
    return round(value * (1 << _SHIFT))
