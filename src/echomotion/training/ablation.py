"""What each part of PointSeg or of TR-net adds: the same recipe with parts switched off, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from echomotion.core import DataError
from echomotion.training.recipe import read_recipe, run_recipe


class Variant(NamedTuple):
    """What a variant changes in the options and in the training of a recipe."""

    options: dict[str, bool]
    training: dict[str, bool]


# Rows of PointSeg's Table 3: without trajectories, then parts added one by one; the last is the whole.
_POINTSEG = {
    "no_trajectories": Variant({"trajectories": False}, {}),
    "point_to_patch": Variant({"mlp": False, "point_self": False, "point_temporal": False}, {}),
    "with_mlp": Variant({"point_self": False, "point_temporal": False}, {}),
    "with_point_self": Variant({"point_temporal": False}, {}),
    "whole": Variant({}, {}),
}
# TR-net's Table 3 and 4; its Table 5 and iterations need no training of their own.
_TRNET = {
    "pseudo_flow_alone": Variant({}, {"patch": False}),
    "patches_alone": Variant({}, {"pseudo": False}),
    "no_semantic_input": Variant({"semantic": False}, {}),
    "whole": Variant({}, {}),
}
VARIANTS = {"pointseg_small": _POINTSEG, "pointseg": _POINTSEG, "trnet": _TRNET}


def train_variants(
    recipe: str,
    data: str | Path,
    folder: str | Path,
    *,
    max_minutes: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Path]:
    """Train all variants with the same seed and data; runs that were stopped go on.

    Parameters
    ----------
    recipe : str
        Of PointSeg or TR-net; see :func:`echomotion.training.recipe.read_recipe`.
    data, folder : path
        Variants get a folder each; those of PointSeg share trajectories and simulated sequences.
    max_minutes : float, optional
        Of each variant: a reduced budget, which the result must state.
    progress : callable, optional
        Called with (variant, done, total).

    Returns
    -------
    dict of str to Path
        Folders of weights.

    Raises
    ------
    DataError
        When the recipe is of another model.
    """
    whole = read_recipe(recipe)
    if whole.model not in VARIANTS:
        raise DataError(f"recipe {recipe} trains {whole.model}; the ablation is of {', '.join(VARIANTS)}")
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    shared = {} if whole.model == "trnet" else {"cache": whole.training.get("cache") or str(base / "cache")}
    out = {}
    for name, off in VARIANTS[whole.model].items():
        changed = whole.model_copy(
            update={"options": whole.options | off.options, "training": whole.training | shared | off.training}
        )
        path = base / f"{name}.yaml"
        path.write_text(yaml.safe_dump(changed.model_dump()))

        def step(done: int, total: int, variant: str = name) -> None:
            if progress is not None:
                progress(variant, done, total)

        run_recipe(str(path), data, base / name, max_minutes=max_minutes, progress=step)
        out[name] = base / name
    return out
