"""Table and figure of a study of few key-points: what TR-net gains over SK-net with each share of the labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from echomotion.evaluation.comparison import paired_difference
from echomotion.evaluation.keypoints import DIMENSIONS, KeypointReport
from echomotion.io.write import atomic_path

# Figures of the study and whether more is better; those in mm are means over septum, cavity and posterior wall.
FIGURES = {"share_within": True, "mae_mm": False, "sd_mm": False, "vector_error_px": False}
_TITLES = {
    "share_within": "share within thresholds",
    "mae_mm": "mean absolute error (mm)",
    "sd_mm": "SD over time (mm)",
    "vector_error_px": "average vector error (px)",
}
# Okabe and Ito: told apart by colour-blind people.
_COLOURS = {"sknet": "#0072B2", "trnet": "#D55E00"}


def keypoint_study_rows(
    found: Mapping[float, tuple[KeypointReport, KeypointReport]],
) -> list[dict[str, Any]]:
    """What TR-net gains with each share of labels, one row a share and figure.

    Parameters
    ----------
    found : mapping of float to (KeypointReport, KeypointReport)
        By share of labels, SK-net's and TR-net's on the same clips.

    Returns
    -------
    list of dict
        ``share, figure, sknet, trnet``; ``gain``, positive where TR-net is better, with ``low, high, p_t`` as in
        :class:`~echomotion.evaluation.comparison.Paired`; and ``kept``, the gain in parts of the gain with the largest
        share, NaN where that is no gain.
    """
    rows: list[dict[str, Any]] = []
    for share in sorted(found, reverse=True):
        for figure, more in FIGURES.items():
            static, temporal = (_values(report, figure) for report in found[share])
            gain = paired_difference(temporal, static) if more else paired_difference(static, temporal)
            whole = next((row["gain"] for row in rows if row["figure"] == figure), gain.difference)
            rows.append(
                {
                    "share": share,
                    "figure": figure,
                    "sknet": float(np.nanmean(static)),
                    "trnet": float(np.nanmean(temporal)),
                    "gain": gain.difference,
                    "low": gain.low,
                    "high": gain.high,
                    "p_t": gain.p_t,
                    "kept": gain.difference / whole if whole > 0 else math.nan,
                }
            )
    return rows


def draw_keypoint_study(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Each figure against the share of labels, SK-net's and TR-net's."""
    figure = Figure(figsize=(12, 3), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(FIGURES)), FIGURES, strict=True):
        own = sorted((row for row in rows if row["figure"] == name), key=lambda row: row["share"])
        shares = [100 * row["share"] for row in own]
        for method, colour in _COLOURS.items():
            panel.plot(shares, [row[method] for row in own], "o-", color=colour, label=method)
        panel.set_xscale("log")
        panel.set_xticks(shares, [f"{share:g} %" for share in shares])
        panel.minorticks_off()
        panel.set_xlabel("cines with key-points")
        panel.set_title(_TITLES[name], fontsize=10)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    target = Path(path)
    with atomic_path(target) as partial:
        figure.savefig(partial, format=target.suffix.lstrip(".") or "svg", dpi=150)


def _values(report: KeypointReport, figure: str) -> list[float]:
    """One value a clip; NaN where a clip has none."""
    part = figure.removesuffix("_mm")
    keys = [f"{name}_{part}_mm" for name in DIMENSIONS] if part != figure else [figure]
    return [float(np.mean([row[key] for key in keys])) for row in report.rows]
