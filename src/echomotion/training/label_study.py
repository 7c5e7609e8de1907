"""How much a segmenter keeps of its accuracy when few masks are shown: methods, shares of patients and draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from echomotion.core import DataError
from echomotion.training.variants import Variant

# All see the same images and the same masks; what differs is what they learn from images without masks.
METHODS: dict[str, Variant] = {
    "unet": Variant("mean_teacher_unet", training={"unlabelled": 0.0}),
    "mean_teacher": Variant("mean_teacher_unet"),
    "pointseg_small": Variant("pointseg_small", training={"simulated": 0.0}),
    "ncmnet": Variant("ncmnet"),
}


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
                    changed = dict(base.training) | dict(training or {}) | hidden
                    out[Cell(method, share, phase, draw)] = Variant(base.recipe, base.options, changed)
    return out


def name_of(cell: Cell) -> str:
    """A run's folder."""
    return f"{cell.method}-{100 * cell.share:g}-{cell.phases}-{cell.draw}"
