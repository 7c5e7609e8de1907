"""Recipes are checked before anything is trained, and a short run gives weights that load."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from echomotion.core import DataError, ModelError
from echomotion.models.registry import create_segmenter
from echomotion.training.recipe import RELEASED, read_recipe, run_recipe


@pytest.fixture
def camus_like(tmp_path):
    """Eight tiny patients in the layout of CAMUS."""
    root = tmp_path / "camus"
    rng = np.random.default_rng(0)
    names = [f"patient{i:04d}" for i in range(8)]
    for name in names:
        folder = root / "database_nifti" / name
        folder.mkdir(parents=True)
        for phase in ("ED", "ES"):
            labels = np.zeros((40, 48), np.uint8)
            labels[10:30, 15:33] = 2
            labels[14:30, 18:30] = 1
            labels[30:38, 18:30] = 3
            image = (40 * labels + rng.integers(0, 30, labels.shape)).astype(np.uint8)
            for end, array in (("", image), ("_gt", labels)):
                volume = nib.Nifti1Image(array.T, np.diag([0.5, 0.5, 1, 1]))
                volume.to_filename(folder / f"{name}_4CH_{phase}{end}.nii.gz")
    (root / "database_split").mkdir()
    (root / "database_split" / "subgroup_training.txt").write_text("\n".join(names))
    return root


def small_recipe(tmp_path, **changes):
    recipe = read_recipe("unet").model_dump()
    recipe["options"] = {"widths": [8, 16], "stem": 2}
    recipe["training"] = {"grid": 32, "early_grid": 24, "early_share": 0.5, "batch": 2}
    recipe["schedule"] = {"steps": 4, "validate_every": 2, "warmup": 1}
    recipe.update(changes)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def test_a_short_run_gives_weights_that_load(camus_like, tmp_path):
    figures = run_recipe(small_recipe(tmp_path), camus_like, tmp_path / "run")
    assert 0 <= figures["score"] <= 1
    segmenter = create_segmenter("unet", weights=str(tmp_path / "run"))
    assert segmenter.grid_shape == (32, 32)
    assert segmenter.weights.card["recipe"]["schedule"]["steps"] == 4


def test_a_run_begins_with_the_weights_that_it_is_given(camus_like, tmp_path):
    run_recipe(small_recipe(tmp_path), camus_like, tmp_path / "first")
    before = create_segmenter("unet", weights=str(tmp_path / "first"))
    # No step to speak of: what comes out is what went in.
    still = small_recipe(tmp_path, schedule={"steps": 1, "learning_rate": 1e-9, "weight_decay": 0.0})
    run_recipe(still, camus_like, tmp_path / "second", start=str(tmp_path / "first"))
    after = create_segmenter("unet", weights=str(tmp_path / "second"))
    assert after.weights.card["start"] == {"tag": "camus-1", "sha256": before.weights.sha256}
    for old, new in zip(before.network.parameters(), after.network.parameters(), strict=True):
        assert torch.allclose(old, new, atol=2e-3)


def test_weights_that_do_not_fit_are_refused(camus_like, tmp_path):
    with pytest.raises(ModelError, match="do not fit"):
        run_recipe(small_recipe(tmp_path), camus_like, tmp_path / "run", start=RELEASED)
    with pytest.raises(ModelError, match=r"no model\.json"):
        run_recipe(small_recipe(tmp_path), camus_like, tmp_path / "run", start=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": {"steps": 4, "speed": 1}}, "speed"),
        ({"schedule": {"steps": "many"}}, "steps"),
        ({"training": {"grid": 32, "gird": 3}}, "gird"),
        ({"model": "magic"}, "unet"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_names_itself(camus_like, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        run_recipe(small_recipe(tmp_path, **changes), camus_like, tmp_path / "run")


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(DataError, match="unet"):
        read_recipe("magic")
