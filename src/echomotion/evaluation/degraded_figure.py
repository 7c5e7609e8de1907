"""The curve of Dice against how much pictures are degraded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from echomotion.core.masks import LV_CAVITY, LV_MYOCARDIUM
from echomotion.evaluation.degraded import KINDS
from echomotion.io.write import atomic_path

_LINES = {LV_CAVITY: "-", LV_MYOCARDIUM: "--"}
# Okabe and Ito: told apart by colour-blind people.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def draw_degraded(rows: list[dict[str, Any]], path: str | Path) -> None:
    """One panel for each kind; a colour for each model, a solid line for the cavity, a broken one for the wall."""
    figure = Figure(figsize=(10, 3), layout="constrained")
    panels = figure.subplots(1, len(KINDS), sharey=True)
    models = list(dict.fromkeys(row["model"] for row in rows))
    for panel, kind in zip(panels, KINDS, strict=True):
        for model, colour in zip(models, _COLOURS, strict=False):
            own = [row for row in rows if row["model"] == model and row["kind"] in ("none", kind)]
            for klass, line in _LINES.items():
                told = f"{model}, {klass.removeprefix('lv_')}"
                strengths = [row["strength"] for row in own]
                panel.plot(strengths, [row[klass] for row in own], line, color=colour, marker="o", ms=3, label=told)
        panel.set_title(kind)
        panel.set_xlabel("strength")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("Dice")
    panels[0].legend(fontsize=7)
    target = Path(path)
    with atomic_path(target) as partial:
        figure.savefig(partial, format=target.suffix.lstrip(".") or "svg", dpi=150)
