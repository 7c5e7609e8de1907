"""What each part of PointSeg adds: the same recipe trained with parts switched off, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from echomotion.core import DataError
from echomotion.training.recipe import read_recipe, run_recipe

# Rows of the paper's Table 3: without trajectories, then parts added one by one; the last is the whole.
VARIANTS: dict[str, dict[str, bool]] = {
    "no_trajectories": {"trajectories": False},
    "point_to_patch": {"mlp": False, "point_self": False, "point_temporal": False},
    "with_mlp": {"point_self": False, "point_temporal": False},
    "with_point_self": {"point_temporal": False},
    "whole": {},
}


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
        Of PointSeg; see :func:`echomotion.training.recipe.read_recipe`.
    data, folder : path
        Variants get a folder each, and share trajectories and simulated sequences.
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
        When the recipe is not of PointSeg.
    """
    whole = read_recipe(recipe)
    if not whole.model.startswith("pointseg"):
        raise DataError(f"recipe {recipe} trains {whole.model}; the ablation is of pointseg and pointseg_small")
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    shared = whole.training.get("cache") or str(base / "cache")
    out = {}
    for name, off in VARIANTS.items():
        changed = whole.model_copy(
            update={"options": whole.options | off, "training": whole.training | {"cache": shared}}
        )
        path = base / f"{name}.yaml"
        path.write_text(yaml.safe_dump(changed.model_dump()))

        def step(done: int, total: int, variant: str = name) -> None:
            if progress is not None:
                progress(variant, done, total)

        run_recipe(str(path), data, base / name, max_minutes=max_minutes, progress=step)
        out[name] = base / name
    return out
