"""The U-Net as an encoder: maps that lie where their strides say, and the installed weights."""

from __future__ import annotations

import pytest
import torch

from echomotion.models.layers.unet_encoder import UNetEncoder
from echomotion.models.segmenters.pointseg_network import PointPaths, PointSegConfig, PointSegNetwork
from echomotion.models.segmenters.unet import UNet, UNetConfig


def test_maps_have_their_strides_and_frames_any_size():
    torch.manual_seed(0)
    encoder = UNetEncoder((8, 16, 24))
    assert encoder.strides == (2, 4, 8)
    maps = encoder(torch.rand(2, 1, 30, 41))
    assert [tuple(x.shape) for x in maps] == [(2, 8, 16, 24), (2, 16, 8, 12), (2, 24, 4, 6)]


def test_the_segmenter_is_the_encoder_with_a_head():
    torch.manual_seed(0)
    network = UNet(UNetConfig((8, 16, 24)))
    frames = torch.rand(1, 1, 32, 48)
    logits = network(frames)
    assert logits.shape == (1, 4, 32, 48)
    finest = UNetEncoder.forward(network, frames)[0]
    coarse = network.head(finest)
    torch.testing.assert_close(logits[..., ::2, ::2].mean(), coarse.mean(), atol=0.05, rtol=0)


def test_pointseg_takes_it_and_every_part_learns():
    torch.manual_seed(0)
    config = PointSegConfig(
        "unet", (8, 16, 24), 16, 2, 16, fused=2, attended=1, encoder_layers=1, encoder_points=2, up=(16, 8)
    )
    network = PointSegNetwork(config)
    seen = torch.ones(1, 5, 3)
    logits = network(torch.rand(1, 3, 1, 32, 32), PointPaths(32 * torch.rand(1, 5, 3, 2), seen, seen))[-1]
    assert logits.shape == (1, 3, 3, 32, 32)
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.encoder.parameters())
    with pytest.raises(ValueError, match="residual, unet, efficientnet_lite0, resnet50"):
        PointSegNetwork(PointSegConfig("vgg"))
