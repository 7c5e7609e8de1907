"""The page's figures as files of their own, PNG and SVG, with their data as csv."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from echomotion.analysis_types import Analysis
from echomotion.io.write import atomic_path, write_table
from echomotion.report.calipers import dimension_figure
from echomotion.report.curves import STRAIN, Palette, has_values, size_figure, strain_figure, svg_text, write_svg
from echomotion.report.thickness import thickness_figure, thickness_table, wall_thickness

_NAMES = ("strain", "volume", "wall_thickness", "dimensions")
FIGURES = (*(f"{name}.{kind}" for name in _NAMES for kind in ("svg", "png")), "curves.csv", "wall_thickness.csv")
# On white paper.
_PRINT = Palette("#17212B", "#5A6672", "#DDE3E8")
_DPI = 200


def vector_figures(analysis: Analysis) -> dict[str, str]:
    """The figures that there are as SVG text, whose colours follow the page around them; by file name."""
    return {name: svg_text(make(Palette()), name, title) for name, (make, title) in _made(analysis).items()}


def write_figures(folder: Path, analysis: Analysis, vectors: Mapping[str, str]) -> None:
    """Write the figures that there are, ``curves.csv`` and ``wall_thickness.csv``.

    Parameters
    ----------
    folder : path
    analysis : Analysis
    vectors : mapping of str to str
        From :func:`vector_figures`.
    """
    write_table(folder / "curves.csv", curve_table(analysis))
    thickness = wall_thickness(analysis)
    if thickness is not None:
        write_table(folder / "wall_thickness.csv", thickness_table(analysis, thickness))
    for name, (make, _) in _made(analysis).items():
        write_svg(folder / f"{name}.svg", vectors[name])
        with atomic_path(folder / f"{name}.png") as unfinished:
            make(_PRINT).savefig(unfinished, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})


def curve_table(analysis: Analysis) -> pd.DataFrame:
    """All curves, one column each with its unit in the name, one row a frame."""
    columns = {f"{name} ({curve.unit})": curve.values for name, curve in analysis.curves.items()}
    return pd.DataFrame({"time_s": analysis.clip.times_s, **columns})


def _made(analysis: Analysis) -> dict[str, tuple[Callable[[Palette], Figure], str]]:
    """How each figure that there is comes about, and its title."""
    found: dict[str, tuple[Callable[[Palette], Figure], str]] = {}
    if has_values(analysis, STRAIN):
        found["strain"] = partial(strain_figure, analysis), "Longitudinal strain over time"
    if has_values(analysis, "cavity_area") or has_values(analysis, "volume"):
        found["volume"] = partial(size_figure, analysis), "Volume and area of the cavity over time"
    if analysis.keypoints is not None:
        found["dimensions"] = partial(dimension_figure, analysis), "Septum, cavity and posterior wall over time"
    thickness = wall_thickness(analysis)
    if thickness is not None and np.isfinite(thickness).any():
        found["wall_thickness"] = partial(thickness_figure, analysis, thickness), "Thickness of the wall over time"
    return found
