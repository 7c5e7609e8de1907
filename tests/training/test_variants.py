"""Studies of several runs: what is changed in each, and that all of them run on one cache."""

from __future__ import annotations

import pytest
import yaml

from echomotion.core import DataError
from echomotion.training.ablation import WHOLE, ablation_of
from echomotion.training.label_study import Cell, begun_as, first_unet, name_of, study_of
from echomotion.training.recipe import read_recipe
from echomotion.training.variants import Variant, train_variants


@pytest.mark.parametrize("recipe", ["pointseg_small", "pointseg", "ncmnet"])
def test_an_ablation_switches_parts_off_that_the_whole_has(recipe):
    variants = ablation_of(recipe)
    whole = read_recipe(recipe)
    assert list(variants)[-1] == WHOLE
    assert not variants[WHOLE].options
    for name, variant in variants.items():
        assert name == WHOLE or not any([*variant.options.values(), *variant.training.values()])
        assert set(variant.training) <= set(whole.training)
    smaller = ablation_of(recipe, training={"grid": 96})
    assert all(variant.training["grid"] == 96 for variant in smaller.values())
    assert {name: variant.options for name, variant in smaller.items()} == {k: v.options for k, v in variants.items()}
    with pytest.raises(DataError, match="trains unet"):
        ablation_of("unet")


def test_a_study_has_a_run_for_each_method_share_and_draw():
    study = study_of(["unet", "ncmnet"], [0.1, 1.0], 3, phases=["both", "ED"])
    # Where all masks are shown there is nothing to draw.
    assert len(study) == 2 * 2 * (3 + 1)
    assert len({name_of(cell) for cell in study}) == len(study)
    cell = study[Cell("unet", 0.1, "ED", 2)]
    assert dict(cell.training) == {
        "unlabelled": 0.0, "labels": 0.1, "label_seed": 2, "phases": "ED", "frames": 16,
        "plain": 0.9, "late_plain": 0.9,
    }  # fmt: skip
    with pytest.raises(DataError, match="no method 'vnet'"):
        study_of(["vnet"], [0.1], 1)
    with pytest.raises(DataError, match="both phases"):
        study_of(["pointseg_small"], [0.1], 1, phases=["ES"])


def test_steps_of_a_study_show_all_methods_as_many_masks():
    study = study_of(["unet", "mean_teacher", "ncmnet"], [0.1, 1.0], 1, phases=["both", "ED"])
    frames = {(c.method, c.share, c.phases): v.training.get("frames", 8) for c, v in study.items()}
    for method in ("mean_teacher", "ncmnet"):
        # Half of the clips have no mask, or half of the frames, or both.
        own = {key[1:]: count for key, count in frames.items() if key[0] == method}
        assert own == {(0.1, "both"): 16, (1.0, "both"): 8, (0.1, "ED"): 32, (1.0, "ED"): 16}
    assert frames["unet", 0.1, "both"] == 8
    assert frames["unet", 0.1, "ED"] == 16


def test_runs_can_begin_as_the_unet_of_their_own_masks():
    study = study_of(["mean_teacher", "ncmnet"], [0.1], 2)
    cell = Cell("ncmnet", 0.1, "both", 1)
    name, unet = first_unet(cell, {"grid": 96})
    assert name == "first-10-both-1"
    assert unet.recipe == study[cell._replace(method="mean_teacher")].recipe
    shown = {"unlabelled": 0.0, "grid": 96, "labels": 0.1, "label_seed": 1}
    assert shown.items() <= dict(unet.training).items()
    assert first_unet(cell._replace(method="mean_teacher"), {"grid": 96}) == (name, unet)
    begun = begun_as(study[cell], "first")
    assert dict(begun.training) == dict(study[cell].training) | {"start": "first"}


def test_variants_are_trained_and_go_on_where_they_ended(hearts, tmp_path):
    recipe = read_recipe("mean_teacher_unet").model_dump()
    recipe["options"] = {"widths": [8, 16], "stem": 2}
    recipe["training"] |= {"grid": 32, "early_grid": 32, "frames": 4}
    recipe["schedule"] = {"steps": 2, "validate_every": 1, "warmup": 1}
    path = tmp_path / "base.yaml"
    path.write_text(yaml.safe_dump(recipe))
    variants = {
        "few": Variant(str(path), training={"labels": 0.4}),
        "narrow": Variant(str(path), {"widths": [8, 8]}, {"labels": 0.4}),
    }
    told = []
    runs = train_variants(variants, hearts, tmp_path / "study", progress=lambda *what: told.append(what[0]))
    assert set(told) == {"few", "narrow"}
    before = {name: (run / "model.safetensors").read_bytes() for name, run in runs.items()}
    again = train_variants(variants, hearts, tmp_path / "study")
    assert {name: (run / "model.safetensors").read_bytes() for name, run in again.items()} == before
    assert yaml.safe_load((tmp_path / "study" / "few.yaml").read_text())["training"]["labels"] == 0.4
