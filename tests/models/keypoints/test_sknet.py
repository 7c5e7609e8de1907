"""SK-net: what its maps are made of, and that native pixels come back exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from echomotion.core import Clip, ModelError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.keypoints.echonet_lvh import EchoNetLVHConfig, EchoNetLVHNetwork
from echomotion.models.keypoints.heatmaps import gaussian_maps
from echomotion.models.keypoints.sknet import SKNetConfig, SKNetDetector
from echomotion.models.layers.fixed_norm import measured_statistics
from echomotion.models.registry import create_keypoint_detector, list_models
from echomotion.models.run import detect_keypoints
from echomotion.preprocess.grid import to_model_grid
from echomotion.simulate.sequence import simulate
from echomotion.simulate.store import stored_calipers
from tests.models.keypoints.networks import STATIC, static_network, write_all


@pytest.mark.parametrize("stride", [1, 4])
def test_maps_have_the_stride_asked_for_and_every_part_learns(stride):
    network = static_network(SKNetConfig(8, 1, (1, 1, 1), stride))
    frames = torch.rand(2, 1, 64, 32 * max(1, stride // 2))
    maps = network(frames)
    assert maps.shape == (2, 4, 64 // stride, frames.shape[-1] // stride)
    maps.square().mean().backward()
    still = [name for name, part in network.named_parameters() if part.grad is None or not part.grad.abs().sum() > 0]
    # What the coarsest branches send to maps that nobody reads is the only thing that may stand still.
    assert all(part.grad is not None for part in network.parameters()), still


def test_a_frame_is_judged_by_itself():
    network = static_network()
    frames = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        assert (network(frames)[1:2] - network(frames[1:2])).abs().max() < 1e-4


class Pointing(nn.Module):
    """Says the same places for every frame."""

    def __init__(self, xy):
        super().__init__()
        self.config = STATIC
        self.xy = nn.Parameter(torch.tensor(xy))

    def forward(self, frames):
        return gaussian_maps(self.xy, (56, 56), 4, 7.0).expand(len(frames), -1, -1, -1)


def test_native_pixels_come_back_through_stretched_pixels():
    frames = np.random.default_rng(0).integers(0, 255, (10, 120, 90), dtype=np.uint8)
    clip = Clip(frames, np.arange(10) / 30, (0.4, 0.7))
    on_grid = [[100.0, 60.25], [101.5, 80], [103, 140], [104, 160.5]]
    found = SKNetDetector(Pointing(on_grid)).detect(clip)
    _, geometry = to_model_grid(clip, (224, 224))
    assert found.names == PARASTERNAL_POINTS
    assert found.xy.shape == (4, 10, 2)
    assert np.abs(found.xy - geometry.to_native(on_grid)[:, None]).max() < 0.02
    assert found.confidence.min() > 0.85


def test_a_detector_is_made_by_name_and_says_what_is_wrong(tmp_path):
    weights = write_all(tmp_path)["sknet"]
    clip = Clip(np.zeros((1, 40, 50), np.uint8), np.zeros(1), view="A4C")
    with pytest.warns(UserWarning, match="this clip shows A4C"):
        found = detect_keypoints(clip, model="sknet", weights=weights)
    assert found.xy.shape == (4, 1, 2)
    assert "sknet" in [info.name for info in list_models("keypoint_detector")]
    with pytest.raises(ModelError, match="no keypoint detector 'unet'"):
        create_keypoint_detector("unet")
    with pytest.raises(ModelError, match="no option 'speed'"):
        create_keypoint_detector("sknet", weights=weights, speed=2)


def test_the_detector_of_echonet_lvh_draws_maps_of_the_same_stride():
    torch.manual_seed(0)
    network = EchoNetLVHNetwork(EchoNetLVHConfig(head=8)).eval()
    with measured_statistics(network):
        maps = network(torch.rand(2, 1, 64, 96))
    assert maps.shape == (2, 4, 16, 24)
    network(torch.rand(1, 1, 64, 96)).square().mean().backward()
    assert all(part.grad is not None for part in network.parameters())
    clip = Clip(np.zeros((1, 40, 50), np.uint8), np.zeros(1))
    detector = SKNetDetector(network, name="echonet_lvh")
    assert (detector.name, detector.detect(clip).xy.shape) == ("echonet_lvh", (4, 1, 2))


def test_the_installed_detectors_find_the_calipers_of_a_simulated_heart():
    sequence = simulate("PLAX", 31, difficulty=0.2, shape=(240, 320), n_frames=10, n_tracks=16)
    true = stored_calipers(sequence.parameters())
    for model in ("sknet", "tracked"):
        found = detect_keypoints(sequence.clip, model=model)
        assert found.names == PARASTERNAL_POINTS
        apart = np.linalg.norm(found.xy - true.xy, axis=-1) * sequence.clip.spacing_mm[0]
        assert np.median(apart) < 5
        assert found.confidence.mean() > 0.3
    default = detect_keypoints(sequence.clip)
    assert np.array_equal(default.xy, found.xy)
