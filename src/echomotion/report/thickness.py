"""Thickness of the wall over time and along the wall, as a strip like an M-mode."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from echomotion.analysis_types import Analysis
from echomotion.core import Layer, View
from echomotion.measure.contours import FloatArray
from echomotion.measure.radial import thickness_of_tracks
from echomotion.report.curves import Palette, finish_axes
from echomotion.report.words import plain_name


def wall_thickness(analysis: Analysis) -> FloatArray | None:
    """Thickness (N, T) at each point of the endocardial line, in mm (px without calibration); None without lines."""
    lines = analysis.tracks
    if Layer.ENDOCARDIAL not in lines or Layer.EPICARDIAL not in lines or analysis.clip.view is View.PLAX:
        return None
    return thickness_of_tracks(lines[Layer.ENDOCARDIAL], lines[Layer.EPICARDIAL], analysis.clip.spacing_mm)


def thickness_table(analysis: Analysis, thickness: FloatArray) -> pd.DataFrame:
    """The strip as data: one row a frame, one column a point, named by its number and segment."""
    wall = analysis.tracks[Layer.ENDOCARDIAL].wall
    names = ("",) * len(thickness) if wall is None else wall.segment
    columns = [f"{k}_{name}" for k, name in enumerate(names)]
    table = pd.DataFrame(thickness.T, columns=columns)
    table.insert(0, "time_s", analysis.clip.times_s)
    return table


def thickness_figure(analysis: Analysis, thickness: FloatArray, palette: Palette) -> Figure:
    """The strip: time to the right, the wall from its left end (top) to its right, thickness as blue to yellow."""
    times = analysis.clip.times_s
    unit = "px" if analysis.clip.spacing_mm is None else "mm"
    figure = Figure(figsize=(5.2, 3.0))
    axes = figure.subplots()
    finish_axes(axes, analysis, palette, f"Wall thickness ({unit})")
    axes.grid(visible=False)
    low, high = np.nanquantile(thickness, (0.02, 0.98))
    image = axes.pcolormesh(
        times, np.arange(len(thickness)), thickness, cmap="cividis", vmin=low, vmax=high, rasterized=True, zorder=-1
    )
    axes.invert_yaxis()
    wall = analysis.tracks[Layer.ENDOCARDIAL].wall
    if wall is not None:
        owner = np.asarray(wall.segment)
        middles = [float(np.flatnonzero(owner == name).mean()) for name in wall.segment_names()]
        axes.set_yticks(middles, [plain_name(name) for name in wall.segment_names()], fontsize=7.5)
        for border in np.flatnonzero(owner[1:] != owner[:-1]) + 0.5:
            axes.axhline(border, color="#FFFFFF", linewidth=0.6)
    axes.set_xlabel("Time (s)", color=palette.muted, fontsize=8.5)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=palette.muted, length=0, labelsize=8)
    figure.subplots_adjust(left=0.26, right=0.97, top=0.86, bottom=0.15)
    return figure
