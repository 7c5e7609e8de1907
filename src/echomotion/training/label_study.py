"""How much a segmenter keeps of its accuracy when few masks are shown: methods, shares of patients and draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from echomotion.core import DataError
from echomotion.training.recipe import read_recipe
from echomotion.training.variants import Variant

# All see the same masks of patients; what differs is what they learn from images without, and NCM-Net's drawn hearts.
METHODS: dict[str, Variant] = {
    "unet": Variant("mean_teacher_unet", training={"unlabelled": 0.0}),
    "mean_teacher": Variant("mean_teacher_unet"),
    "pointseg_small": Variant("pointseg_small", training={"simulated": 0.0, "pretrained": False}),
    # Drawn hearts have masks that nobody had to draw.
    "ncmnet": Variant(
        "ncmnet", training={"pairs": 0.65, "joined": 0.15, "simulated": 0.2, "parametric": 64, "pretrained": False}
    ),
}
# A study is short, and networks learn sooner from frames placed about as they were recorded: with a tenth of the masks
# (96 px, 2,000 steps) the U-Net had 0.869 on the patients who choose with these, 0.863 with the recipe's.
_PLACED = {"plain": 0.9, "late_plain": 0.9}
# Of a step's clips these give half to patients without masks, as long as there are some.
_LEARN_WITHOUT = ("mean_teacher", "ncmnet")


class Cell(NamedTuple):
    """One run of the study."""

    method: str
    share: float
    phases: str
    draw: int


def study_of(
    methods: Iterable[str],
    shares: Iterable[float],
    draws: int,
    *,
    phases: Iterable[str] = ("both",),
    training: Mapping[str, object] | None = None,
) -> dict[Cell, Variant]:
    """All runs; fields in `training` are changed in each, a smaller grid for all alike, say.

    Steps have as many more frames as it takes to show all methods the same number of masks.

    Raises
    ------
    DataError
        When a method is not known, or cannot hide the masks of one phase.
    """
    out: dict[Cell, Variant] = {}
    for method in methods:
        if method not in METHODS:
            raise DataError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
        base = METHODS[method]
        for share in shares:
            for phase in phases:
                if phase != "both" and method == "pointseg_small":
                    raise DataError("pointseg_small learns from both phases; leave it out where one is hidden")
                for draw in range(draws if share < 1 else 1):
                    # With all masks there is nothing left that a teacher of the U-Net could tell.
                    alone = {"unlabelled": 0.0} if method == "mean_teacher" and share == 1 and phase == "both" else {}
                    hidden = (
                        alone | {"labels": share, "label_seed": draw} | ({} if phase == "both" else {"phases": phase})
                    )
                    changed = shown_more(base, method, share, phase) | _PLACED | dict(training or {}) | hidden
                    out[Cell(method, share, phase, draw)] = Variant(base.recipe, base.options, changed)
    return out


def first_unet(cell: Cell, training: Mapping[str, object] | None = None) -> tuple[str, Variant]:
    """The supervised U-Net that a run can begin as, on its very masks, and the name of that run's folder."""
    same = study_of(["unet"], [cell.share], cell.draw + 1, phases=[cell.phases], training=training)
    return name_of(cell._replace(method="first")), same[cell._replace(method="unet")]


def begun_as(variant: Variant, unet: str | Path) -> Variant:
    """A run of the study that begins as a trained U-Net."""
    return Variant(variant.recipe, variant.options, dict(variant.training) | {"start": str(unet)})


def shown_more(base: Variant, method: str, share: float, phase: str) -> dict[str, object]:
    """The fields of a method, with twice the frames for each reason why half of them have no mask."""
    times = (2 if phase != "both" else 1) * (2 if share < 1 and method in _LEARN_WITHOUT else 1)
    frames = int(read_recipe(base.recipe).training["frames"])
    return dict(base.training) | ({"frames": times * frames} if times > 1 else {})


def name_of(cell: Cell) -> str:
    """A run's folder."""
    return f"{cell.method}-{100 * cell.share:g}-{cell.phases}-{cell.draw}"
