"""The curve of Dice against how much pictures are degraded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from echomotion.core.masks import LV_CAVITY, LV_MYOCARDIUM
from echomotion.evaluation.degraded import KINDS
from echomotion.io.write import atomic_path

_LINES = {LV_CAVITY: "-", LV_MYOCARDIUM: "--"}
# Okabe and Ito: told apart by colour-blind people.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def draw_degraded(curves: Mapping[str, list[dict[str, Any]]], path: str | Path) -> None:
    """Dice against strength: a row for what is shown, single frames or beats, a column for each kind.

    A colour for each model, a solid line for the cavity, a broken one for the wall.
    """
    figure = Figure(figsize=(10, 3 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), len(KINDS), sharey="row", squeeze=False)
    for row, (what, rows) in zip(panels, curves.items(), strict=True):
        models = list(dict.fromkeys(entry["model"] for entry in rows))
        for panel, kind in zip(row, KINDS, strict=True):
            for model, colour in zip(models, _COLOURS, strict=False):
                own = [entry for entry in rows if entry["model"] == model and entry["kind"] in ("none", kind)]
                for klass, line in _LINES.items():
                    told = f"{model}, {klass.removeprefix('lv_')}"
                    strengths = [entry["strength"] for entry in own]
                    panel.plot(
                        strengths, [entry[klass] for entry in own], line, color=colour, marker="o", ms=3, label=told
                    )
            panel.set_title(f"{what}: {kind}")
            panel.set_xlabel("strength")
            panel.grid(alpha=0.3)
        row[0].set_ylabel("Dice")
    panels[0][0].legend(fontsize=7)
    target = Path(path)
    with atomic_path(target) as partial:
        figure.savefig(partial, format=target.suffix.lstrip(".") or "svg", dpi=150)
