"""The classifier of views is trained, stopped and resumed, on simulated frames and pictures of no heart."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from echomotion.core import Clip, ModelError
from echomotion.models.run import guess_view
from echomotion.models.view_classifier import KINDS, ViewClassifierConfig
from echomotion.training import views
from echomotion.training.recipe import read_recipe, run_recipe


@pytest.fixture(autouse=True)
def stripes(monkeypatch):
    """In place of the simulator: every kind of view has stripes of its own."""

    def frames(folder, count, seed):
        y, x = np.mgrid[:64, :64]
        patterns = {"apical": x, "parasternal_long_axis": y, "short_axis": x + y}
        return {kind: [(100 + 90 * np.sin(at / 3)).astype(np.uint8)[None]] * 2 for kind, at in patterns.items()}

    monkeypatch.setattr(views, "_frames", frames)


def recipe(tmp_path, steps=4):
    values = read_recipe("view_classifier").model_dump()
    values["options"] = {"widths": [8, 16]}
    values["training"] = {"batch": 8}
    values["schedule"] = {"steps": steps, "validate_every": 2, "warmup": 1}
    path = tmp_path / f"views{steps}.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_a_run_that_was_stopped_goes_on_and_its_weights_load(tmp_path):
    run_recipe(recipe(tmp_path, 2), tmp_path, tmp_path / "run")
    figures = run_recipe(recipe(tmp_path), tmp_path, tmp_path / "run")
    assert set(KINDS) <= set(figures)
    assert (tmp_path / "run" / "curve.csv").read_text().splitlines()[-1].startswith("4,")
    guess = guess_view(Clip(np.zeros((3, 40, 50), np.uint8), np.arange(3) / 30), weights=str(tmp_path / "run"))
    assert guess.probability == max(guess.probabilities.values())
    assert sum(guess.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_pictures_of_no_heart_stay_in_range():
    rng = np.random.default_rng(0)
    image = rng.random((96, 96)).astype(np.float32)
    image[:20] = 0
    for _ in range(20):
        drawn = views.no_heart(image, rng)
        assert drawn.shape == image.shape
        assert drawn.dtype == np.float32
        assert 0 <= drawn.min() <= drawn.max() <= 1
        assert not np.array_equal(drawn, image)


def test_a_wrong_width_is_refused():
    with pytest.raises(ModelError, match="multiples of 8"):
        ViewClassifierConfig(widths=(12,))
