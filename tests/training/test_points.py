"""Training of point trackers: batches, the loss, and short runs that stop and go on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from echomotion.core import DataError
from echomotion.models.registry import create_tracker
from echomotion.models.trackers.network import PointOutput, Volume
from echomotion.models.trackers.specknet import SpeckNetConfig, SpeckNetNetwork
from echomotion.training import points as module
from echomotion.training.cines import Cine, ImpartialMotion
from echomotion.training.engine import Schedule, fit
from echomotion.training.points import PointTask, PointTraining, figures, point_loss, selection_samples, volume_loss
from echomotion.training.recipe import read_recipe, run_recipe


class DriftingCines:
    """Speckle that drifts over the frames, in place of the simulator."""

    def __init__(self, folder, views, count, seed, **_):
        rng = np.random.default_rng(seed)
        texture = rng.integers(0, 255, (160, 160), dtype=np.uint8)
        frames = np.stack([np.roll(texture, (t, 2 * t), (0, 1)) for t in range(10)])
        start = rng.uniform(40, 110, (20, 1, 2))
        xy = (start + np.arange(10)[None, :, None] * [2, 1]).astype(np.float32)
        self.cines = [Cine(frames, xy, np.ones((20, 10), bool), np.array(["wall"] * 20), (0, 9), "A4C")] * 2

    def __len__(self):
        return len(self.cines)

    def __getitem__(self, number):
        return self.cines[number]


SMALL = {
    "batch": 2, "frames": 3, "points": 4, "crop": 96, "selection_frames": 3, "selection_points": 3, "sequences": 1,
    "selection": 1,
}  # fmt: skip


@pytest.fixture
def drifting(monkeypatch):
    monkeypatch.setattr(module, "SimulatedCines", DriftingCines)


def task(**changes):
    torch.manual_seed(0)
    network = SpeckNetNetwork(SpeckNetConfig(hidden=8, width=8))
    return PointTask("", PointTraining(**{**SMALL, **changes}), network)


def test_a_batch_has_the_promised_shapes_and_depends_on_its_generator_alone(drifting):
    own = task(full_every=1)
    frames, xy, visible, query = own.batch(0.0, np.random.default_rng(0))
    assert frames.shape == (1, 3, 1, 256, 256)
    frames, xy, visible, query = task().batch(0.0, np.random.default_rng(3))
    assert frames.shape == (2, 3, 1, 96, 96)
    assert xy.shape == (2, 4, 3, 2)
    assert visible.shape == (2, 4, 3)
    assert query.shape == (2, 4)
    for one, other in zip((frames, xy, visible, query), task().batch(0.9, np.random.default_rng(3)), strict=True):
        assert torch.equal(one, other)


def test_the_untrained_network_scores_high_on_a_drift(drifting):
    figures = task().validate(task().network)
    assert figures["score"] > 0.95
    assert figures["median_px"] < 0.5


def test_five_steps_run_and_a_stopped_run_goes_on(drifting, tmp_path):
    schedule = {"validate_every": 2, "warmup": 1}
    whole, broken = task(), task()
    fit(whole, Schedule(5, **schedule), tmp_path / "whole")
    fit(broken, Schedule(5, **schedule), tmp_path / "broken", max_minutes=1e-9)
    assert not (tmp_path / "broken" / "state.pt").exists()
    fit(broken, Schedule(5, **schedule), tmp_path / "broken")
    state = torch.load(tmp_path / "broken" / "state.pt", weights_only=True)
    assert state["step"] == 5
    again = task()
    figures = fit(again, Schedule(7, **schedule), tmp_path / "broken")
    assert torch.load(tmp_path / "broken" / "state.pt", weights_only=True)["step"] == 7
    assert set(figures) == {"step", "score", "within_2_px", "median_px"}


def output(xy, volumes=()):
    logits = torch.zeros(xy.shape[:2])
    return PointOutput(xy, logits, logits, (xy + 1,), volumes=volumes)


def test_what_is_hidden_or_asked_for_does_not_count():
    truth, query = torch.zeros(2, 3, 2), torch.tensor([0, 1])
    visible = torch.tensor([[True, True, False], [True, True, True]])
    training = PointTraining(judgement=0.0)
    wrong = truth.clone()
    wrong[0, 0] = wrong[1, 1] = 50.0
    wrong[0, 2] = -70.0
    exact = point_loss(output(truth), truth, visible, query, training)
    assert point_loss(output(wrong), truth, visible, query, training) == pytest.approx(float(exact))
    wrong[0, 1] = 5.0
    assert point_loss(output(wrong), truth, visible, query, training) > exact + 1


def test_later_steps_weigh_more():
    truth, query = torch.zeros(1, 2, 2), torch.tensor([0])
    visible = torch.ones(1, 2, dtype=torch.bool)
    training = PointTraining(judgement=0.0)
    logits = torch.zeros(1, 2)
    early = PointOutput(truth, logits, logits, (truth + 5,))
    late = PointOutput(truth + 5, logits, logits, (truth,))
    losses = [float(point_loss(out, truth, visible, query, training)) for out in (early, late)]
    assert losses[0] == pytest.approx(0.8 * losses[1])


def test_confidence_means_within_two_px():
    truth, query = torch.zeros(1, 3, 2), torch.tensor([0])
    visible = torch.ones(1, 3, dtype=torch.bool)
    training = PointTraining(positions=0.0)
    xy = truth.clone()
    xy[0, 1, 0], xy[0, 2, 0] = 1.9, 2.1

    def loss(confident):
        confident = torch.tensor([confident])
        return float(point_loss(PointOutput(xy, torch.full((1, 3), 9.0), confident), truth, visible, query, training))

    assert loss([0.0, 9.0, -9.0]) < 0.01
    assert loss([0.0, -9.0, 9.0]) > 2


def test_volume_loss_is_least_at_the_true_place_and_ignores_what_lies_outside():
    xy = torch.tensor([[[14.0, 8.0]]])
    seen = torch.ones(1, 1, dtype=torch.bool)

    def loss(x, y, place=(10.0, 10.0)):
        scores = torch.zeros(1, 1, 7, 7)
        scores[0, 0, y, x] = 10
        return float(volume_loss(Volume(scores, torch.tensor([[place]]), 2.0), xy, seen))

    # Two places of 2 px to the right of the middle, one up.
    assert loss(5, 2) < 0.01
    assert loss(2, 5) > 5
    assert loss(2, 5, (30.0, 10.0)) == 0


def test_figures():
    found = figures([np.array([0.5, 3.0]), np.array([20.0]), np.array([])])
    assert found["score"] == pytest.approx((0.5 * 2 + 3) / 5 / 2)
    assert found["within_2_px"] == pytest.approx(0.25)
    assert found["median_px"] == pytest.approx((1.75 + 20) / 2)


def test_selection_is_fixed_and_asks_both_at_end_diastole_and_anywhere():
    cines = DriftingCines("", (), 1, 0).cines
    first, second = (selection_samples(cines, 4, 6, 96) for _ in range(2))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(first, second, strict=True))
    assert not first[0].query.any()
    assert first[1].query.any()


RECIPES = ["specknet", "specknet_partial", "echotracker", "echotracker_partial", "taptr"]


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_parse(name, drifting, tmp_path):
    recipe = read_recipe(name).model_dump()
    recipe["schedule"] = {"steps": 1}
    recipe["training"] |= {"selection_cines": 1}
    path = tmp_path / "none.yaml"
    path.write_text(yaml.safe_dump(recipe))
    motion = recipe["training"].get("motion", {})
    assert ("partial" in name) == (ImpartialMotion(**motion) == ImpartialMotion.none())
    assert run_recipe(str(path), tmp_path, tmp_path / "run", max_minutes=1e-9) == {}
    assert create_tracker(recipe["model"], weights=str(tmp_path / "run")).name == recipe["model"]


@pytest.mark.parametrize("model", ["specknet", "echotracker"])
def test_partial_recipes_differ_in_motion_alone(model):
    whole, partial = read_recipe(model).model_dump(), read_recipe(f"{model}_partial").model_dump()
    assert whole["training"] == {key: value for key, value in partial["training"].items() if key != "motion"}
    assert (whole["schedule"], whole["options"]) == (partial["schedule"], partial["options"])


def test_a_wrong_field_of_the_motion_names_itself(drifting, tmp_path):
    recipe = read_recipe("specknet").model_dump()
    recipe["training"]["motion"] = {"speed": True}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(DataError, match="speed"):
        run_recipe(str(path), tmp_path, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["specknet", "echotracker", "taptr"])
def test_a_short_run_on_simulated_cines(model, tmp_path):
    recipe = read_recipe(model).model_dump()
    recipe["schedule"] = {"steps": 2, "validate_every": 1, "warmup": 1}
    recipe["training"] |= {**SMALL, "selection_cines": 1}
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(recipe))
    figures = run_recipe(str(path), tmp_path / "cines", tmp_path / "run")
    assert 0 <= figures["score"] <= 1
    assert create_tracker(model, weights=str(tmp_path / "run")).name == model
