"""Several runs of one study: recipes changed in a few fields, trained one after the other, each resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from echomotion.training.recipe import read_recipe, run_recipe


@dataclass(frozen=True)
class Variant:
    """A recipe with other values in some of its fields.

    Attributes
    ----------
    recipe : str
        See :func:`echomotion.training.recipe.read_recipe`.
    options, training : mapping
        Fields of the recipe's parts of those names.
    """

    recipe: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def train_variants(
    variants: Mapping[str, Variant],
    data: str | Path,
    folder: str | Path,
    *,
    max_minutes: float | None = None,
    steps: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Path]:
    """Train all variants on the same data; runs that were stopped go on.

    Parameters
    ----------
    variants : mapping of str to Variant
    data, folder : path
        Variants get a folder each; where the recipe has a `cache`, they share one in the study's folder.
    max_minutes, steps : optional
        Of each variant: a reduced budget, which the result must state. Steps are the same wherever it runs; minutes
        are fewer steps on a machine that does other work.
    progress : callable, optional
        Called with (variant, done, total).

    Returns
    -------
    dict of str to Path
        Folders of weights.
    """
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    out = {}
    for name, variant in variants.items():
        whole = read_recipe(variant.recipe)
        shared = {"cache": whole.training["cache"] or str(base / "cache")} if "cache" in whole.training else {}
        changed = whole.model_copy(
            update={
                "options": whole.options | dict(variant.options),
                "training": whole.training | shared | dict(variant.training),
            }
        )
        if steps is not None:
            changed = changed.model_copy(update={"schedule": whole.schedule | {"steps": steps}})
        path = base / f"{name}.yaml"
        path.write_text(yaml.safe_dump(changed.model_dump()))

        def step(done: int, total: int, variant: str = name) -> None:
            if progress is not None:
                progress(variant, done, total)

        run_recipe(str(path), data, base / name, max_minutes=max_minutes, progress=step)
        out[name] = base / name
    return out
