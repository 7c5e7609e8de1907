"""Tables and the figure of a study of few masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from echomotion.evaluation.comparison import paired_difference
from echomotion.io.write import atomic_path

CLASSES = ("lv_cavity", "lv_myocardium")
# Okabe and Ito: told apart by colour-blind people.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def study_rows(found: Mapping[tuple[str, float, str, int], pd.DataFrame]) -> list[dict[str, Any]]:
    """Mean Dice by method, share and phases; and each method's paired difference to every other, per class.

    Parameters
    ----------
    found : mapping of (method, share, phases, draw) to DataFrame
        Cases as :class:`echomotion.evaluation.segmentation.SegmentationReport` has them. Values of a patient are means
        over draws and frames, and pairs are patients.
    """
    table = pd.concat(
        [
            cases.assign(method=method, share=share, phases=phases, draw=draw)
            for (method, share, phases, draw), cases in found.items()
        ]
    )
    rows: list[dict[str, Any]] = []
    for (share, phases, klass), part in table.groupby(["share", "phases", "class"], sort=True):
        if klass not in CLASSES:
            continue
        patients = part.groupby(["method", "patient"])["dice"].mean().unstack("method")
        for method in patients:
            own = part[part["method"] == method]
            by_draw = own.groupby("draw")["dice"].mean()
            by_phase = own.groupby("phase")["dice"].mean()
            others = {
                str(other): asdict(paired_difference(patients[method], patients[other]))
                for other in patients
                if other != method
            }
            rows.append(
                {
                    "method": str(method),
                    "share": share,
                    "phases": str(phases),
                    "class": str(klass),
                    "draws": len(by_draw),
                    "patients": len(patients),
                    "dice": float(patients[method].mean()),
                    "dice_of_draws": [float(value) for value in by_draw],
                    **{f"dice_{phase}": float(value) for phase, value in by_phase.items()},
                    "less": others,
                }
            )
    return rows


def draw_study(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Dice against the share of patients with masks, a panel for each class; dots are single draws."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for panel, klass in zip(figure.subplots(1, len(CLASSES)), CLASSES, strict=True):
        own = [row for row in rows if row["class"] == klass and row["phases"] == "both"]
        for method, colour in zip(dict.fromkeys(row["method"] for row in own), _COLOURS, strict=False):
            line = sorted((row for row in own if row["method"] == method), key=lambda row: row["share"])
            shares = [100 * row["share"] for row in line]
            panel.plot(shares, [row["dice"] for row in line], "-", color=colour, label=method)
            for x, row in zip(shares, line, strict=True):
                panel.plot([x] * len(row["dice_of_draws"]), row["dice_of_draws"], ".", color=colour, ms=5)
        panel.set_xscale("log")
        panel.set_xticks([5, 10, 25, 100], ["5 %", "10 %", "25 %", "100 %"])
        panel.set_title(klass.replace("_", " "))
        panel.set_xlabel("patients with masks")
        panel.set_ylabel("Dice")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    target = Path(path)
    with atomic_path(target) as partial:
        figure.savefig(partial, format=target.suffix.lstrip(".") or "svg", dpi=150)
