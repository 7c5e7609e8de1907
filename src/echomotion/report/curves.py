"""Curves over time as figures: strain of the wall, volume and area of the cavity, with the heart phases marked."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from echomotion.analysis_types import Analysis, Curve
from echomotion.io.write import atomic_path
from echomotion.report.style import BLUE, VERMILLION, segment_colours, segment_dashes
from echomotion.report.words import closure_times, phase_times, plain_name, unit_sign

STRAIN = "longitudinal_strain"
# Placeholders that a vector figure carries for colours that the page's scheme decides.
_INK, _MUTED, _RULE = "#010203", "#020304", "#030405"
# Beside the page, where its colours are not known, greys that can be read on white and on black stand in.
_VARIABLES = {_INK: "var(--ink, #767676)", _MUTED: "var(--muted, #767676)", _RULE: "var(--rule, #9a9a9a66)"}
# From here on an axis counts in thousands or millions.
_MANY = 10_000
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Palette:
    """Colours of a figure's own parts: the main curve and text, labels, and thin lines."""

    ink: str = _INK
    muted: str = _MUTED
    rule: str = _RULE


def segment_curves(analysis: Analysis) -> dict[str, Curve]:
    """Strain curves of the segments by segment name, in their order along the wall."""
    return {curve.segment: curve for curve in analysis.curves.values() if curve.name == STRAIN and curve.segment}


def draw_strain(axes: Axes, analysis: Analysis, palette: Palette) -> None:
    """Strain of the whole line (thick) and of the segments (thin; solid left of the apex, dashed right of it)."""
    segments = segment_curves(analysis)
    colours, dashes = segment_colours(segments), segment_dashes(segments)
    for name, curve in segments.items():
        style = (0, dashes[name]) if dashes[name] else "solid"
        axes.plot(
            curve.times_s, curve.values, color=colours[name], linestyle=style, linewidth=1.3, label=plain_name(name)
        )
    whole = analysis.curves.get(STRAIN)
    if whole is not None:
        axes.plot(whole.times_s, whole.values, color=palette.ink, linewidth=2.4, label="whole wall")
    axes.axhline(0, color=palette.rule, linewidth=0.8, zorder=0)
    finish_axes(axes, analysis, palette, "Strain (%)")


def draw_size(axes: Axes, analysis: Analysis, palette: Palette, name: str) -> None:
    """The curve ``cavity_area`` or ``volume``, from zero."""
    curve = analysis.curves[name]
    title = {"cavity_area": "Cavity area", "volume": "Volume"}.get(name, name)
    axes.plot(curve.times_s, curve.values, color=BLUE if name == "volume" else VERMILLION, linewidth=2.0)
    axes.set_ylim(bottom=0)
    if np.isfinite(curve.values).any():
        axes.set_ylim(top=float(np.nanmax(curve.values)) * 1.12)
    unit, power = unit_sign(curve.unit), power_of_thousand(curve.values)
    if power:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 10**power:g}")
        unit = f"10{str(power).translate(_RAISED)} {unit}"
    finish_axes(axes, analysis, palette, f"{title} ({unit})")


def power_of_thousand(values: NDArray[np.float64]) -> int:
    """The power of ten, a multiple of 3, that an axis of these values counts in; 0 where they have few digits."""
    largest = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    return 3 * int(np.log10(largest) // 3) if largest >= _MANY else 0


def finish_axes(axes: Axes, analysis: Analysis, palette: Palette, label: str) -> None:
    """Times of end-diastole and end-systole, labels, and axes reduced to what is read."""
    times = analysis.clip.times_s
    axes.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1)
    ed, es = phase_times(analysis)
    closures = closure_times(analysis)
    for name, marks, style in (("ED", ed, (0, (1, 2))), ("ES", es, "solid"), ("AVC", closures, (0, (5, 2)))):
        for time in marks:
            axes.axvline(time, color=palette.muted, linewidth=0.9, linestyle=style, zorder=0)
            axes.annotate(
                name,
                (time, 1),
                (0, 3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha=_side(name, time, es, closures),
                color=palette.muted,
                fontsize=8.5,
            )
    # The unit stands above the axis, where it reads without turning the head.
    axes.annotate(
        label, (0, 1), (-30, 16), xycoords="axes fraction", textcoords="offset points", color=palette.ink, fontsize=9.5
    )
    axes.set_facecolor("none")
    axes.grid(axis="y", color=palette.rule, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=palette.muted, length=0, pad=5, labelsize=8.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.muted)


def _side(name: str, time: float, es: list[float], closures: list[float]) -> str:
    """Where a mark's name stands: end-systole and valve closure are close, so theirs turn away from each other."""
    if name == "ED" or not es or not closures:
        return "center"
    other = min(closures if name == "ES" else es, key=lambda value: abs(value - time))
    before = time < other or (time == other and name == "ES")
    return "right" if before else "left"


def has_values(analysis: Analysis, name: str) -> bool:
    """Whether a curve exists and is known somewhere."""
    curve = analysis.curves.get(name)
    return curve is not None and bool(np.isfinite(curve.values).any())


def strain_svg(analysis: Analysis, *, legend: bool = True) -> str:
    """The strain curves as SVG text.

    Parameters
    ----------
    analysis : Analysis
    legend : bool
        Name the segments under the curves.

    Returns
    -------
    str
        Colours of text and lines are the CSS variables ``--ink``, ``--muted`` and ``--rule`` of the page around it,
        with greys that suit light and dark where there is none. No script, no outside resource.
    """
    return svg_text(strain_figure(analysis, Palette(), legend=legend), "strain", "Longitudinal strain over time")


def strain_figure(analysis: Analysis, palette: Palette, *, legend: bool = True) -> Figure:
    """The strain curves as a figure."""
    figure = Figure(figsize=(5.2, 3.9 if legend else 3.0))
    axes = figure.subplots()
    draw_strain(axes, analysis, palette)
    axes.set_xlabel("Time (s)", color=palette.muted, fontsize=8.5)
    bottom = 0.33 if legend else 0.15
    # Without a curve there is nothing to name.
    if legend and axes.get_legend_handles_labels()[0]:
        key = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False, fontsize=8.5)
        for text in key.get_texts():
            text.set(color=palette.ink, parse_math=False)
    figure.subplots_adjust(left=0.09, right=0.97, top=0.86 if not legend else 0.89, bottom=bottom)
    return figure


def size_figure(analysis: Analysis, palette: Palette) -> Figure:
    """Volume and cavity area over time as a figure."""
    shown = [name for name in ("volume", "cavity_area") if has_values(analysis, name)] or ["cavity_area"]
    figure = Figure(figsize=(5.2, 3.0))
    every = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(every, shown, strict=True):
        draw_size(axes, analysis, palette, name)
    every[-1].set_xlabel("Time (s)", color=palette.muted, fontsize=8.5)
    figure.subplots_adjust(left=0.09, right=0.97, top=0.86, bottom=0.15, hspace=0.75)
    return figure


def write_svg(path: str | Path, text: str) -> None:
    """SVG text of this module as a file of its own."""
    with atomic_path(path) as partial:
        partial.write_text('<?xml version="1.0" encoding="utf-8"?>\n' + text, encoding="utf-8")


def svg_text(figure: Figure, name: str, title: str) -> str:
    """A figure as SVG text whose colours of text and lines follow the page; `name` keeps its ids apart."""
    buffer = io.StringIO()
    # Text stays text, and the ids depend on nothing but the content.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "axes.unicode_minus": True}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several figures share a page, so their ids must differ.
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", text)
    for placeholder, variable in _VARIABLES.items():
        text = text.replace(placeholder, variable)
    size = _view_box(text)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{size}" '
    head += f'role="img" aria-label="{title}" class="figure" font-family="system-ui, sans-serif">'
    return re.sub(r"<svg[^>]*>", head, text, count=1)


def _view_box(text: str) -> str:
    found = re.search(r'viewBox="([^"]+)"', text)
    return found.group(1) if found else "0 0 374 216"
