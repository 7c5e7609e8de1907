"""Training of SK-net, of the flow network and of TR-net: batches, short runs that stop and go on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from echomotion.core import Clip, DataError
from echomotion.models.keypoints.echoglad import EchoGLADConfig, EchoGLADNetwork
from echomotion.models.keypoints.trnet import Seen, make_teacher, pseudo_labels
from echomotion.models.registry import create_keypoint_detector
from echomotion.training import pwcnet, sknet, trnet
from echomotion.training.ablation import ablation_of
from echomotion.training.keypoint_study import train_few_keypoints
from echomotion.training.parasternal_cines import ParasternalCine
from echomotion.training.recipe import read_recipe, run_recipe
from echomotion.training.sknet import augmented
from echomotion.training.variants import train_variants
from tests.models.keypoints.networks import write_all

SMALL_NETWORKS = {
    "sknet": {"width": 8, "blocks": 1, "modules": [1, 1, 1], "stride": 4},
    "echoglad": {"widths": [8, 8, 16, 16], "hidden": 16, "layers": 1},
    "pwcnet": {"widths": [8, 8, 8, 8], "match": 8, "radius": 1, "estimator": [8]},
    "trnet": {
        "window": 6, "widths": [8, 16, 32, 64], "embed": 8, "width": 16, "hidden": 16, "depth": 1, "iterations": 2,
    },
}  # fmt: skip
SMALL_TRAINING = {
    "sknet": {"batch": 2, "early_grid": 64, "early_share": 2.0},
    "echoglad": {"batch": 2, "early_grid": 64, "early_share": 2.0},
    "pwcnet": {"batch": 2, "size": 64, "apical": 1},
    "trnet": {"batch": 1, "references": 2},
}


def cines(folder, count, seed, *, side, every=1, progress=None):
    """Four spots that move down together, in place of the simulator."""
    side = min(side, 64)
    depth = np.array([14.0, 22, 40, 48])[:, None] * side / 64 + np.arange(6) * 0.5
    xy = np.stack([np.full_like(depth, side / 2), depth], axis=-1).astype(np.float32)
    y, x = np.mgrid[:side, :side]
    frames = [sum(200 * np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / 8) for p in xy[:, t]) + 20 for t in range(6)]
    noise = np.random.default_rng(seed).integers(0, 20, (6, side, side))
    return [ParasternalCine("spots", (np.stack(frames) + noise).clip(0, 255).astype(np.uint8), xy, xy, 0.5, 1 / 30)] * 2


@pytest.fixture(autouse=True)
def spots(monkeypatch):
    for module in (sknet, pwcnet, trnet):
        monkeypatch.setattr(module, "parasternal_cines", cines)
    monkeypatch.setattr(pwcnet, "simulated_frames", lambda view, *place, side: [cines(*place, side=side)[0].frames])


def recipe(tmp_path, name, weights=None):
    values = read_recipe(name).model_dump()
    values["options"] = SMALL_NETWORKS[name]
    values["training"] = {**SMALL_TRAINING[name]}
    if name == "trnet" and weights is not None:
        values["training"] |= {"sknet": weights["sknet"], "teacher": "pwcnet", "teacher_weights": weights["pwcnet"]}
    values["schedule"] = {"steps": 4, "validate_every": 2, "warmup": 1}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize("name", ["sknet", "echoglad", "pwcnet", "trnet"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path, name):
    weights = write_all(tmp_path / "weights")
    path = recipe(tmp_path, name, weights)
    whole = run_recipe(str(path), tmp_path, tmp_path / "whole")
    assert np.isfinite(list(whole.values())).all()
    short = yaml.safe_load(path.read_text())
    short["schedule"]["steps"] = 2
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(short))
    run_recipe(str(tmp_path / "short.yaml"), tmp_path, tmp_path / "parts")
    run_recipe(str(path), tmp_path, tmp_path / "parts")
    lines = [(tmp_path / run / "curve.csv").read_text().splitlines()[0] for run in ("whole", "parts")]
    assert lines[0] == lines[1]
    state = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)
    assert state["step"] == 4


def test_trained_weights_make_detectors(tmp_path):
    weights = write_all(tmp_path / "weights")
    run_recipe(str(recipe(tmp_path, "sknet")), tmp_path, tmp_path / "sknet")
    assert create_keypoint_detector("sknet", weights=str(tmp_path / "sknet")).name == "sknet"
    run_recipe(str(recipe(tmp_path, "echoglad")), tmp_path, tmp_path / "echoglad")
    assert create_keypoint_detector("echoglad", weights=str(tmp_path / "echoglad")).name == "echoglad"
    run_recipe(str(recipe(tmp_path, "trnet", weights)), tmp_path, tmp_path / "trnet")
    detector = create_keypoint_detector("trnet", weights=str(tmp_path / "trnet"), sknet=weights["sknet"])
    assert detector.weights.card["sknet"]


def test_pseudo_labels_of_a_tracker_may_be_held_on_what_is_seen_on_all_frames():
    cine = cines("", 1, 0, side=64)[0]
    true = torch.from_numpy(cine.xy.swapaxes(0, 1).copy())
    # The reference frame, which carries everything, is seen 2 px off; the others are seen where they are.
    xy = true.clone()
    xy[2, :, 0] += 2
    seen = Seen(torch.empty(0), (), torch.empty(0), xy, torch.ones(xy.shape[:2]))
    teacher = make_teacher("lucas_kanade")
    carried = pseudo_labels(teacher, cine.frames, 2, xy, seen, None)
    assert torch.equal(carried[2], xy[2])
    held = pseudo_labels(teacher, cine.frames, 2, xy, seen, 2.0)
    off = [float((labels - true).norm(dim=-1).mean()) for labels in (carried, held)]
    assert off[0] > 1
    assert off[1] < off[0] / 2


def test_key_points_go_where_the_picture_goes():
    cine = cines("", 1, 0, side=64)[0]
    for seed in range(10):
        image, xy = augmented(cine, 0, 64, np.random.default_rng(seed), mirror=0.5, plain=1.0)
        for x, y in xy:
            window = image[max(int(y) - 2, 0) : int(y) + 4, max(int(x) - 2, 0) : int(x) + 4]
            assert window.max() > 0.6 * image.max()


def test_a_recipe_with_an_unknown_field_is_refused(tmp_path):
    path = recipe(tmp_path, "sknet")
    values = yaml.safe_load(path.read_text())
    values["training"]["speed"] = 1
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(DataError, match="speed"):
        run_recipe(str(path), tmp_path, tmp_path / "run")


def test_few_key_points_train_both_networks_for_each_share(tmp_path):
    weights = write_all(tmp_path / "weights")
    recipes = {name: str(recipe(tmp_path, name, weights)) for name in ("sknet", "trnet")}
    shares = (0.5, 1.0)
    runs = train_few_keypoints(
        shares, tmp_path, tmp_path / "study", static=recipes["sknet"], temporal=recipes["trnet"], static_steps=2
    )
    assert list(runs) == list(shares)
    for run in runs.values():
        detector = create_keypoint_detector("trnet", weights=str(run.trnet), sknet=str(run.sknet))
        assert len(detector.detect(Clip(np.zeros((4, 64, 64), np.uint8), np.arange(4) / 30)).names) == 4
    curve = (runs[0.5].sknet / "curve.csv").read_text().splitlines()
    assert curve[-1].startswith("2,")


def test_parts_of_trnet_are_switched_off_one_by_one(tmp_path):
    weights = write_all(tmp_path / "weights")
    runs = train_variants(ablation_of(str(recipe(tmp_path, "trnet", weights))), tmp_path, tmp_path / "ablation")
    flow = ["flow_network_alone", "flow_network_and_patches"]
    assert list(runs) == [*flow, "pseudo_flow_alone", "patches_alone", "no_semantic_input", "whole"]
    detector = create_keypoint_detector("trnet", weights=str(runs["no_semantic_input"]), sknet=weights["sknet"])
    assert detector.network.config.semantic is False
    with pytest.raises(DataError, match="trains sknet"):
        ablation_of(str(recipe(tmp_path, "sknet")))


class Wrapped(torch.nn.Module):
    """As the engine hands a network in."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *given, **named):
        return self.inner(*given, **named)


def test_every_grid_of_echoglad_is_taught(tmp_path):
    network = EchoGLADNetwork(EchoGLADConfig(widths=(8, 8, 16, 16), hidden=16, layers=1))
    task = sknet.SKNetTask(tmp_path, sknet.SKNetTraining(batch=2, early_grid=64, early_share=2.0), network)
    task.loss(Wrapped(network), task.batch(0.0, np.random.default_rng(0))).backward()
    assert all(head.weight.grad is not None and head.weight.grad.abs().sum() > 0 for head in network.heads)
