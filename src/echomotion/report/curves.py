"""Strain, area and volume over time as vector pictures (SVG), with end-diastole and end-systole marked."""

from __future__ import annotations

import io
import re

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from echomotion.analysis import Analysis, Curve
from echomotion.report.style import SEGMENT_INKS, in_words, unit_words

_SIZE_IN = (6.4, 3.3)
# Colour of axes and the whole-wall line; the page replaces it, so that curves follow its light or dark scheme.
_INK = "#012345"


def strain_svg(analysis: Analysis) -> str:
    """Longitudinal strain of the whole line and its segments."""
    curves = [c for c in analysis.curves.values() if c.name == "longitudinal_strain"]
    segments = [c for c in curves if c.segment is not None]
    figure, axes = _figure(analysis)
    for k, curve in enumerate(segments):
        colour = SEGMENT_INKS[k % len(SEGMENT_INKS)]
        axes.plot(curve.times_s, curve.values, color=colour, lw=1.3, label=in_words(curve.segment or ""))
    for curve in curves:
        if curve.segment is None:
            axes.plot(curve.times_s, curve.values, color=_INK, lw=2.6, label="Whole wall")
    axes.axhline(0, color=_INK, lw=0.6, alpha=0.5)
    axes.set_ylabel("longitudinal strain (%)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=4, frameon=False, fontsize=8, labelcolor=_INK)
    return _svg(figure)


def size_svg(analysis: Analysis, name: str) -> str:
    """Cavity area (``cavity_area``) or volume (``volume``) over time."""
    curve: Curve = analysis.curves[name]
    figure, axes = _figure(analysis)
    axes.plot(curve.times_s, curve.values, color=SEGMENT_INKS[0], lw=2.2)
    words = {"cavity_area": "cavity area", "volume": "volume"}[name]
    axes.set_ylabel(f"{words} ({unit_words(curve.unit)})")
    return _svg(figure)


def _figure(analysis: Analysis) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_IN, layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.set_xlabel("time (s)")
    axes.margins(x=0.01)
    for beat in analysis.phases.beats:
        for text, time in (("ED", beat.ed_s), ("ES", beat.es_s), ("ED", beat.next_ed_s)):
            if time is not None:
                axes.axvline(time, color=_INK, lw=0.9, ls=(0, (4, 3)), alpha=0.7)
                axes.annotate(text, (time, 1.01), xycoords=("data", "axes fraction"), ha="center", fontsize=8, color=_INK)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The drawing alone, without the XML head, its ink following the page's text colour."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    drawing = text[text.index("<svg") :].replace(_INK, "currentColor")
    # A fixed size in points would not fit a phone; the viewBox keeps the proportions.
    return re.sub(r'(<svg[^>]*?) height="[^"]*"([^>]*?) width="[^"]*"|(<svg[^>]*?) width="[^"]*"([^>]*?) height="[^"]*"',
                  lambda m: "".join(part or "" for part in m.groups()), drawing, count=1)
