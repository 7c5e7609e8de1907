"""NCM-Net: shapes, switches, and clips of any length labelled as a whole would be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echomotion.core import Clip, ModelError
from echomotion.models.registry import create_tracker
from echomotion.models.segmenters import wall_carrying
from echomotion.models.segmenters.ncmnet import NCMNetOptions, NCMSegmenter, ncm_network_of
from echomotion.models.segmenters.ncmnet_network import NCMNetConfig, NCMNetwork

SMALL = {
    "encoder": "residual",
    "encoder_widths": (8, 8, 16, 16, 16),
    "dim": 16,
    "fine": (16, 8),
    "kept": 6,
    "radius": 1,
}


def small(**changes) -> NCMNetwork:
    torch.manual_seed(0)
    return NCMNetwork(NCMNetConfig(**{**SMALL, **changes}))


def clip(frames: int) -> Clip:
    grey = np.random.default_rng(0).integers(0, 200, (frames, 50, 60)).astype(np.uint8)
    return Clip(grey, np.arange(frames) / 30)


def test_logits_have_the_frames_shape_and_every_parameter_a_gradient():
    network = small()
    found = network(torch.rand(2, 3, 1, 64, 64))
    assert found.logits.shape == (2, 3, 4, 64, 64)
    assert found.coarse.shape == (2, 3, 4, 16, 16)
    assert found.reliability.shape == (2, 3, 16, 16)
    (found.logits.square().mean() + found.coarse.square().mean()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("switch", ["mining", "cross_scale", "masked_attention"])
def test_every_part_can_be_switched_off_and_matters(switch):
    frames = torch.rand(1, 3, 1, 64, 64)
    whole, without = small(), small(**{switch: False})
    kept = whole.state_dict()
    without.load_state_dict({key: value for key, value in kept.items() if key in without.state_dict()})
    assert len(without.state_dict()) < len(kept)
    with torch.inference_mode():
        assert (whole(frames).logits - without(frames).logits).abs().max() > 1e-5


def test_neighbouring_frames_count_only_through_mining():
    frames = torch.rand(1, 3, 1, 64, 64)
    changed = frames.clone()
    changed[:, 2] = 0
    for mining in (True, False):
        network = small(mining=mining).eval()
        with torch.inference_mode():
            apart = (network(frames).logits - network(changed).logits)[:, 1].abs().max()
        assert (apart > 1e-5) == mining


@pytest.mark.parametrize("frames", [1, 5, 19])
def test_parts_of_a_clip_give_what_the_whole_does(frames):
    options = NCMNetOptions(mirror=False, scales=(), steady_s=0)
    segmenter = NCMSegmenter("ncmnet", small(), grid_shape=(64, 64), options=options)
    masks = segmenter.segment(clip(frames))
    assert masks.labels.shape == (frames, 50, 60)
    whole = segmenter._run(_on_grid(clip(frames))).logits[0].softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(masks.probability.astype(np.float32), whole, atol=2e-3)
    reliable = segmenter.reliability(clip(frames))
    assert reliable.shape == (frames, 16, 16)
    assert reliable.min() >= 0
    assert reliable.max() <= 1


def _on_grid(one: Clip) -> np.ndarray:
    from echomotion.preprocess.grid import to_model_grid

    return to_model_grid(one, (64, 64))[0]


def test_short_clips_are_seen_at_further_scales_unless_told_otherwise():
    network = small()

    def probability(frames, **options):
        segmenter = NCMSegmenter("ncmnet", network, grid_shape=(64, 64), options=NCMNetOptions(**options))
        return segmenter.segment(clip(frames)).probability

    assert not np.array_equal(probability(2), probability(2, scales=()))
    np.testing.assert_array_equal(probability(2), probability(2, scales=(0.85, 0.7)))
    np.testing.assert_array_equal(probability(9), probability(9, scales=()))
    with pytest.raises(ModelError, match="scales is"):
        NCMNetOptions(scales=(0.2,))


def test_masks_are_carried_along_the_wall_or_else_steadied(monkeypatch):
    network, tracker = small(), create_tracker("lucas_kanade")
    rng = np.random.default_rng(0)
    times = 0.03 * np.arange(7)
    cine = Clip(rng.integers(30, 90, (7, 50, 60), dtype=np.uint8), times)

    def probability(one, tracker=tracker, **options):
        own = NCMNetOptions(mirror=False, **options)
        return (
            NCMSegmenter("ncmnet", network, grid_shape=(64, 64), options=own, tracker=tracker).segment(one).probability
        )

    def some_wall(probability, classes, geometry):
        return np.array([[len(probability) // 2, x, y] for x in (10, 30, 50) for y in (10, 24, 38)], dtype=float)

    monkeypatch.setattr(wall_carrying, "wall_queries", some_wall)
    steadied = probability(cine, tracker=None)
    carried = probability(cine)
    assert not np.array_equal(carried, steadied)
    # What is carried is not steadied as well.
    np.testing.assert_array_equal(probability(cine, steady_s=0), carried)
    np.testing.assert_array_equal(probability(cine, carry_s=0), steadied)
    # Half a second apart none is within reach of another; and there are too few frames.
    for few in (Clip(cine.frames, 0.5 * np.arange(7)), Clip(cine.frames[:6], times[:6])):
        np.testing.assert_array_equal(probability(few), probability(few, tracker=None))
    # Where no wall is seen there is nothing to carry along.
    monkeypatch.setattr(wall_carrying, "wall_queries", lambda *_: np.empty((0, 3)))
    np.testing.assert_array_equal(probability(cine), steadied)


def test_wrong_options_are_named():
    with pytest.raises(ModelError, match="colour"):
        ncm_network_of({**SMALL, "colour": 1})
    with pytest.raises(ValueError, match="no encoder 'vgg'"):
        NCMNetwork(NCMNetConfig(encoder="vgg"))


def test_a_negative_time_is_refused():
    with pytest.raises(ModelError, match="steady_s"):
        NCMNetOptions(steady_s=-0.1)
    with pytest.raises(ModelError, match="carry_s"):
        NCMNetOptions(carry_s=-0.1)
