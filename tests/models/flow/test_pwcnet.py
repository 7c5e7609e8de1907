"""The flow network and the losses that it learns from, on motions that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echomotion.core import Clip, DataError
from echomotion.models.flow.pwcnet import PWCNetConfig, PWCNetEstimator, PWCNetwork, read_flow, window_correlation
from echomotion.models.losses import (
    census_distance,
    occluded,
    photometric_loss,
    smoothness_loss,
    structural_distance,
    warped,
)

SMALL = PWCNetConfig(widths=(8, 8, 8, 8), match=8, radius=1, estimator=(8,))


def texture(size=48):
    noise = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 5, 1, 2)


def blobs(size=128):
    """Noise of all sizes, so that it can be matched when it is reduced."""
    noise = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(3)) - 0.5
    parts = [torch.nn.functional.avg_pool2d(noise, side, 1, side // 2) for side in (5, 13, 33)]
    whole = sum(part / part.std() for part in parts)
    return (whole - whole.min()) / (whole.max() - whole.min())


def uniform(x, y, size=48):
    return torch.tensor([x, y]).view(1, 2, 1, 1).expand(1, 2, size, size)


def test_warping_by_whole_pixels_moves_the_picture():
    image = texture()
    back = warped(torch.roll(image, (2, 3), dims=(2, 3)), uniform(3.0, 2.0))
    assert (back - image)[..., 4:-4, 4:-4].abs().max() < 1e-5


def test_the_true_flow_costs_least():
    image = texture()
    moved, seen = torch.roll(image, (2, 3), dims=(2, 3)), torch.zeros_like(image)
    seen[..., 6:-6, 6:-6] = 1
    for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        costs = [
            float(photometric_loss(image, moved, uniform(x, y), seen, weights)) for x, y in ((3.0, 2.0), (2.0, 2.0))
        ]
        assert costs[0] == pytest.approx(0, abs=1e-3)
        assert costs[1] > 10 * max(costs[0], 1e-4)


def test_census_does_not_see_brightness():
    image = texture()
    assert float(census_distance(image, image + 0.2).max()) == pytest.approx(0, abs=1e-5)
    assert float(structural_distance(image, image).max()) == pytest.approx(0, abs=1e-5)


def test_what_does_not_return_is_occluded():
    forward = uniform(3.0, 0.0)
    assert float(occluded(forward, -forward).sum()) == 0
    assert float(occluded(forward, forward).min()) == 1


def test_a_plane_is_smooth_and_an_edge_frees():
    assert float(smoothness_loss(uniform(3.0, 1.0), texture())) == 0
    flow, flat, edge = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    flow[..., 4:], edge[..., 4:] = 1, 1
    assert float(smoothness_loss(flow, edge)) < 1e-3 * float(smoothness_loss(flow, flat))


def test_correlation_is_largest_at_the_shift():
    features = torch.nn.functional.normalize(
        torch.randn(1, 8, 20, 20, generator=torch.Generator().manual_seed(1)), dim=1
    )
    scores = window_correlation(features, torch.roll(features, (1, -1), dims=(2, 3)), 2)[0, :, 5:-5, 5:-5]
    # One down, one left, in a window of 5 x 5.
    assert set(scores.argmax(dim=0).flatten().tolist()) == {3 * 5 + 1}


def test_flow_is_read_between_pixels_and_in_native_px():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    flow = torch.stack([x, 2 * y])[None]
    assert read_flow(flow, torch.tensor([[4.25, 7.5]]))[0, 0].tolist() == pytest.approx([4.25, 15])


def test_an_untrained_network_finds_a_shift_and_learns_everywhere():
    torch.manual_seed(0)
    network = PWCNetwork(PWCNetConfig(widths=(8, 8, 8, 8), match=8, radius=2, estimator=(8,), pooled=5))
    first = blobs()
    flow = network(first, torch.roll(first, (4, -8), dims=(2, 3)))
    assert flow.shape == (1, 2, 128, 128)
    inside = flow.detach()[0, :, 32:-32, 32:-32]
    assert float((inside - torch.tensor([-8.0, 4.0])[:, None, None]).abs().median()) < 1
    assert float(network(first, first).detach().abs().median()) < 0.2
    torch.nn.init.normal_(network.estimator[-1].weight, std=0.1)
    network(first, torch.rand(1, 1, 128, 128)).square().mean().backward()
    assert all(part.grad is not None for name, part in network.named_parameters())


def test_dense_motion_of_a_clip():
    picture = (255 * blobs(96)[0, 0].numpy()).astype(np.uint8)
    clip = Clip(np.stack([np.roll(picture, 2 * t, axis=1) for t in range(3)]), np.arange(3) / 30)
    found = PWCNetEstimator(PWCNetwork(SMALL)).estimate(clip, 1)
    assert found.flow.shape == (3, 224, 224, 2)
    moved = found.at([[40, 50], [60, 45]])
    assert np.array_equal(moved[:, 1], np.zeros((2, 2)))
    assert moved[:, 2, 0] == pytest.approx([2, 2], abs=0.7)
    assert moved[:, 0, 0] == pytest.approx([-2, -2], abs=0.7)
    with pytest.raises(DataError, match="0 to 2"):
        PWCNetEstimator(PWCNetwork(SMALL)).estimate(clip, 3)
    with pytest.raises(DataError, match="points"):
        found.at([[1, 2, 3]])
