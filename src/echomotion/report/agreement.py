"""Agreement of two cohort tables as figures and files: Bland-Altman and identity plots, a table, JSON, the pairs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echomotion.core import OutputError
from echomotion.io.cohort import PairedValues
from echomotion.io.write import atomic_path, write_json, write_table
from echomotion.measure.agreement import Agreement, Estimate
from echomotion.report.style import BLUE, VERMILLION
from echomotion.report.words import number, unit_sign

_INK, _MUTED = "#1B1F24", "#5B6570"
# What a folder of results holds, beside the figures.
SUMMARY, PAIRS, VALUES = "agreement.json", "pairs.csv", "agreement.csv"


def agreement_figure(pair: PairedValues, found: Agreement, labels: tuple[str, str]) -> Figure:
    """Difference over mean with bias and limits (left), and second over first with the line of identity (right).

    Parameters
    ----------
    pair : PairedValues
        The values.
    found : Agreement
        From :func:`echomotion.measure.agreement.agreement` of the same values.
    labels : (str, str)
        What the two tables are called.
    """
    figure = Figure(figsize=(9.0, 4.2), dpi=150, facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    known = np.isfinite(pair.first) & np.isfinite(pair.second)
    a, b = pair.first[known], pair.second[known]
    unit = f" ({unit_sign(pair.unit)})" if pair.unit not in ("", "1") else ""
    left.scatter((a + b) / 2, a - b, s=18, color=BLUE, alpha=0.7, linewidths=0)
    _limits(left, found, pair.unit)
    left.set_xlabel(f"Mean of both{unit}", color=_MUTED)
    left.set_ylabel(f"{labels[0]} − {labels[1]}{unit}", color=_MUTED, parse_math=False)
    right.scatter(a, b, s=18, color=BLUE, alpha=0.7, linewidths=0)
    if len(a):
        low, high = float(min(a.min(), b.min())), float(max(a.max(), b.max()))
        margin = 0.05 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        right.plot(ends, ends, color=_MUTED, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        right.set(xlim=ends, ylim=ends)
    right.set_aspect("equal")
    right.set_xlabel(f"{labels[0]}{unit}", color=_MUTED, parse_math=False)
    right.set_ylabel(f"{labels[1]}{unit}", color=_MUTED, parse_math=False)
    if math.isfinite(found.icc_agreement.value):
        right.set_title(f"ICC(A,1) {_with_interval(found.icc_agreement, '1')}", fontsize=9, color=_INK, loc="left")
    for axes in (left, right):
        axes.tick_params(colors=_MUTED, labelsize=8.5)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_MUTED)
    title = pair.name.replace("_", " ")
    figure.suptitle(f"{title[:1].upper()}{title[1:]}, n = {found.n}", x=0.02, ha="left", color=_INK, fontsize=11.5)
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    return figure


def _limits(axes: Axes, found: Agreement, unit: str) -> None:
    """Bias and limits of agreement as lines with the bands of their intervals, each with its value beside it."""
    if found.reason:
        axes.text(0.5, 0.5, found.reason, transform=axes.transAxes, ha="center", color=_MUTED, fontsize=9, wrap=True)
        return
    limits = found.bland_altman
    lines = (
        ("mean", limits.bias, BLUE),
        ("+1.96 SD", limits.upper, VERMILLION),
        ("−1.96 SD", limits.lower, VERMILLION),
    )
    for _, estimate, colour in lines:
        axes.axhspan(estimate.low, estimate.high, color=colour, alpha=0.12, linewidth=0, zorder=0)
        axes.axhline(estimate.value, color=colour, linewidth=1.2, linestyle="solid" if colour == BLUE else (0, (5, 3)))
    axes.axhline(0, color=_MUTED, linewidth=0.7, zorder=0)
    # Limits that fall together, where nothing differs, are named once.
    shown = lines if limits.sd > 0 else lines[:1]
    for name, estimate, colour in shown:
        axes.annotate(
            f"{name}\n{number(estimate.value, unit, decimals=_decimals(unit))}",
            (1, estimate.value),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=8.5,
            annotation_clip=False,
        )


def save_agreement(
    pairs: Sequence[PairedValues],
    found: Sequence[Agreement],
    folder: str | Path,
    labels: tuple[str, str],
    *,
    source: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write ``agreement.json``, ``agreement.csv``, ``pairs.csv`` and a figure of each measurement as PNG and SVG.

    Parameters
    ----------
    pairs, found : sequences of the same length
        Values and their agreement.
    folder : str or Path
        Made where it does not exist.
    labels : (str, str)
        What the two tables are called.
    source : mapping, optional
        What else the JSON should say, such as file names.
    overwrite : bool
        Replace earlier results.

    Raises
    ------
    OutputError
        When the folder holds earlier results, or cannot be written to.
    """
    target = Path(folder)
    if (target / SUMMARY).exists() and not overwrite:
        raise OutputError(f"{target}: holds earlier results; choose another folder or give --overwrite")
    names = _file_names([pair.name for pair in pairs])
    for pair, result, name in zip(pairs, found, names, strict=True):
        figure = agreement_figure(pair, result, labels)
        for ending in ("png", "svg"):
            with atomic_path(target / f"{name}.{ending}") as partial, mpl.rc_context({"svg.hashsalt": name}):
                figure.savefig(partial, format=ending, metadata={"Date": None} if ending == "svg" else None)
    write_table(target / PAIRS, _pairs_table(pairs, labels))
    write_table(target / VALUES, pd.DataFrame([_flat(p, r) for p, r in zip(pairs, found, strict=True)]))
    rows = [
        {
            "name": pair.name,
            "unit": pair.unit,
            "only_first": pair.only_first,
            "only_second": pair.only_second,
            "figure": name,
            **result.as_dict(),
        }
        for pair, result, name in zip(pairs, found, names, strict=True)
    ]
    write_json(target / SUMMARY, {"first": labels[0], "second": labels[1], **(source or {}), "measurements": rows})
    return target


def agreement_rows(pairs: Sequence[PairedValues], found: Sequence[Agreement]) -> list[dict[str, str]]:
    """What the command line shows: a row for each measurement; the intervals are in the files."""
    rows = []
    for pair, result in zip(pairs, found, strict=True):
        limits = result.bland_altman
        bias, low, high, mae = (
            number(estimate.value, pair.unit, decimals=_decimals(pair.unit))
            for estimate in (limits.bias, limits.lower, limits.upper, result.mae)
        )
        rows.append(
            {
                "measurement": pair.name + (f" ({pair.unit})" if pair.unit not in ("", "1") else ""),
                "n": str(result.n),
                "bias": bias,
                "limits": f"{low} to {high}",
                "ICC": number(result.icc_agreement.value, "1", decimals=2),
                "CV %": number(result.cv.value, "%"),
                "MAE": mae,
            }
        )
    return rows


def _decimals(unit: str) -> int:
    return 0 if unit in ("px2", "px3") else 2


def _with_interval(estimate: Estimate, unit: str) -> str:
    value, low, high = (
        number(v, unit, decimals=_decimals(unit)) for v in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})" if math.isfinite(estimate.low) else value


def _flat(pair: PairedValues, result: Agreement) -> dict[str, Any]:
    """One row of numbers: every estimate with its interval beside it."""
    row: dict[str, Any] = {"name": pair.name, "unit": pair.unit, "n": result.n, "left_out": result.left_out}
    row |= {"mean_first": result.means[0], "mean_second": result.means[1], "sd_difference": result.bland_altman.sd}
    limits = result.bland_altman
    estimates = {
        "bias": limits.bias,
        "lower_limit": limits.lower,
        "upper_limit": limits.upper,
        "icc_agreement": result.icc_agreement,
        "icc_consistency": result.icc_consistency,
        "cv_percent": result.cv,
        "mae": result.mae,
        "rmse": result.rmse,
        "correlation": result.correlation,
    }
    for name, estimate in estimates.items():
        row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return row | {"slope": limits.slope, "slope_p": limits.slope_p, "reason": result.reason}


def _pairs_table(pairs: Sequence[PairedValues], labels: tuple[str, str]) -> pd.DataFrame:
    """What the figures show, long: a row for each measurement and case."""
    first, second = labels if labels[0] != labels[1] else (f"{labels[0]} (1)", f"{labels[1]} (2)")
    tables = [
        pd.DataFrame({"case": p.cases, "name": p.name, "unit": p.unit, first: p.first, second: p.second}) for p in pairs
    ]
    return pd.concat(tables, ignore_index=True)


def _file_names(names: Sequence[str]) -> list[str]:
    """A file name for each measurement, all different, of letters, digits and underscores."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower() or "measurement"
        taken = sum(re.fullmatch(rf"{re.escape(plain)}(-\d+)?", other) is not None for other in found)
        found.append(f"{plain}-{taken + 1}" if taken else plain)
    return found
