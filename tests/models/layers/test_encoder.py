"""Sizes of feature maps, where their pixels lie, and that frames never mix."""

from __future__ import annotations

import pytest
import torch

from echomotion.models.layers.correlation import on_map
from echomotion.models.layers.encoder import Fusion, ResidualEncoder, padded


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ResidualEncoder((8, 16, 16, 24))


@pytest.mark.parametrize(("size", "full"), [((16, 16), (16, 16)), ((97, 131), (112, 144))])
def test_maps_of_every_stride_cover_the_frame(encoder, size, full):
    maps = encoder(torch.rand(1, 1, *size))
    assert encoder.strides == (2, 4, 8, 16)
    assert [x.shape for x in maps] == [
        (1, width, full[0] // stride, full[1] // stride)
        for width, stride in zip((8, 16, 16, 24), encoder.strides, strict=True)
    ]
    assert Fusion(encoder.widths, 16, level=2)(maps).shape == (1, 16, full[0] // 8, full[1] // 8)
    assert Fusion(encoder.widths, 16, level=0)(maps).shape == (1, 16, full[0] // 2, full[1] // 2)


@pytest.mark.parametrize("channels_per_group", [1, 8])
def test_a_frame_is_encoded_as_among_others_and_left_as_it_was(channels_per_group):
    encoder = ResidualEncoder((8, 8, 8, 16), channels_per_group=channels_per_group)
    frames = torch.rand(3, 1, 33, 40)
    before = frames.clone()
    for whole, alone in zip(encoder(frames), encoder(frames[1:2]), strict=True):
        torch.testing.assert_close(whole[1:2], alone, atol=1e-5, rtol=1e-4)
    assert torch.equal(frames, before)
    assert encoder(torch.rand(1, 1, 16, 16))[-1].isfinite().all()


def test_a_feature_lies_in_the_middle_of_its_pixels(encoder):
    # Mirroring the frame mirrors symmetric kernels' maps: true only if kernels stand in the middle of their pixels.
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = (module.weight.data + module.weight.data.flip(-1, -2)) / 2
    frame = torch.rand(1, 1, 64, 96)
    for stride, x, turned in zip(encoder.strides, encoder(frame), encoder(frame.flip(-1, -2)), strict=True):
        torch.testing.assert_close(turned.flip(-1, -2), x, atol=1e-4, rtol=1e-3)
        first, last = on_map(torch.tensor([0.0, 95.0]), stride)
        assert first + last == x.shape[-1] - 1


def test_the_border_is_repeated_to_the_right_and_below():
    frame = torch.arange(6.0).view(1, 1, 2, 3)
    assert padded(frame, 4)[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]
