"""The page's figures as files of their own, PNG and SVG, with their data as csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from echomotion.analysis import Analysis
from echomotion.io.write import atomic_path, write_table
from echomotion.report.curves import STRAIN, Palette, has_values, size_figure, strain_figure, svg_text, write_svg
from echomotion.report.thickness import thickness_figure, thickness_table, wall_thickness

_NAMES = ("strain", "volume", "wall_thickness")
FIGURES = (*(f"{name}.{kind}" for name in _NAMES for kind in ("svg", "png")), "curves.csv", "wall_thickness.csv")
# On white paper.
_PRINT = Palette("#17212B", "#5A6672", "#DDE3E8")
_DPI = 200


def write_figures(folder: Path, analysis: Analysis) -> None:
    """Write the figures that there are, ``curves.csv`` and ``wall_thickness.csv``."""
    write_table(folder / "curves.csv", curve_table(analysis))
    if has_values(analysis, STRAIN):
        _write(folder, "strain", lambda palette: strain_figure(analysis, palette), "Longitudinal strain over time")
    if has_values(analysis, "cavity_area") or has_values(analysis, "volume"):
        _write(folder, "volume", lambda palette: size_figure(analysis, palette), "Volume and area of the cavity")
    thickness = wall_thickness(analysis)
    if thickness is not None:
        write_table(folder / "wall_thickness.csv", thickness_table(analysis, thickness))
        _write(
            folder,
            "wall_thickness",
            lambda palette: thickness_figure(analysis, thickness, palette),
            "Thickness of the wall over time",
        )


def curve_table(analysis: Analysis) -> pd.DataFrame:
    """All curves, one column each with its unit in the name, one row a frame."""
    columns = {f"{name} ({curve.unit})": curve.values for name, curve in analysis.curves.items()}
    return pd.DataFrame({"time_s": analysis.clip.times_s, **columns})


def _write(folder: Path, name: str, make: Callable[[Palette], Figure], title: str) -> None:
    write_svg(folder / f"{name}.svg", svg_text(make(Palette()), name, title))
    with atomic_path(folder / f"{name}.png") as partial:
        make(_PRINT).savefig(partial, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
