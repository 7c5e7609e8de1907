"""What each part of PointSeg, NCM-Net or TR-net adds: the same recipe with parts switched off, one after the other."""

from __future__ import annotations

from collections.abc import Mapping

from echomotion.core import DataError
from echomotion.training.recipe import read_recipe
from echomotion.training.variants import Variant

WHOLE = "whole"


def ablation_of(recipe: str, *, training: Mapping[str, object] | None = None) -> dict[str, Variant]:
    """Variants of a recipe by name; the last is the whole. Fields in `training` are changed in each.

    For PointSeg the rows of the paper's Table 3: without trajectories, then parts added one by one. For NCM-Net each
    part of its abstract is taken away. For TR-net the rows of its Tables 3 and 4.

    Raises
    ------
    DataError
        When the recipe is of another model.
    """
    changed = dict(training or {})
    return {
        name: Variant(one.recipe, one.options, dict(one.training) | changed) for name, one in _parts_of(recipe).items()
    }


def _parts_of(recipe: str) -> dict[str, Variant]:
    model = read_recipe(recipe).model
    if model.startswith("pointseg"):
        return {
            "no_trajectories": Variant(recipe, {"trajectories": False}),
            "point_to_patch": Variant(recipe, {"mlp": False, "point_self": False, "point_temporal": False}),
            "with_mlp": Variant(recipe, {"point_self": False, "point_temporal": False}),
            "with_point_self": Variant(recipe, {"point_temporal": False}),
            WHOLE: Variant(recipe),
        }
    if model == "ncmnet":
        return {
            "no_mining": Variant(recipe, {"mining": False}),
            "no_cross_scale": Variant(recipe, {"cross_scale": False}),
            "no_masked_attention": Variant(recipe, {"masked_attention": False}),
            "no_boundary_constraint": Variant(recipe, training={"boundary": 0.0}),
            "supervised_only": Variant(recipe, training={"unlabelled": 0.0}),
            WHOLE: Variant(recipe),
        }
    if model == "trnet":
        # Tables 3 and 4; Table 5 and the iterations need no training of their own. First with the paper's teacher,
        # whose labels start from the reference frame alone, then with ours.
        flow = {"teacher": "pwcnet", "held": False}
        return {
            "flow_network_alone": Variant(recipe, training=flow | {"patch": False}),
            "flow_network_and_patches": Variant(recipe, training=flow),
            "pseudo_flow_alone": Variant(recipe, training={"patch": False}),
            "patches_alone": Variant(recipe, training={"pseudo": False}),
            "no_semantic_input": Variant(recipe, {"semantic": False}),
            WHOLE: Variant(recipe),
        }
    raise DataError(f"recipe {recipe} trains {model}; the ablation is of pointseg, pointseg_small, ncmnet and trnet")
