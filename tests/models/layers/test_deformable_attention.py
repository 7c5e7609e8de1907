"""Deformable attention reads the right places, weighs them as stated and keeps frames apart."""

from __future__ import annotations

import pytest
import torch

from echomotion.models.layers.deformable_attention import (
    DeformableAttention,
    DeformableEncoder,
    KeyAwareDeformableAttention,
    pixel_centres,
    sample_heads,
)


def maps(frames=2, dim=8):
    torch.manual_seed(0)
    return [torch.randn(frames, dim, 9, 12), torch.randn(frames, dim, 5, 6)]


def test_each_head_reads_its_channels_at_its_offsets():
    x = torch.zeros(1, 2, 4, 8)
    x[0, 0], x[0, 1] = torch.arange(8.0), torch.arange(4.0)[:, None]
    reference = (torch.tensor([[[2.0, 1.0]]]) + 0.5) / torch.tensor([8, 4])
    offset = torch.tensor([[1.0, 0.0], [0.5, 1.5], [0.0, -1.0], [2.0, 0.25]]).view(1, 1, 2, 1, 2, 2)
    read = sample_heads([x], reference, offset)
    assert read.shape == (1, 1, 2, 2, 1)
    assert read.flatten().tolist() == pytest.approx([3.0, 2.5, 0.0, 1.25])


def test_pixels_read_at_their_centres_are_the_map():
    x = maps()[0]
    reference = pixel_centres(x).expand(2, -1, -1)
    read = sample_heads([x], reference, torch.zeros(2, reference.shape[1], 2, 1, 1, 2))
    torch.testing.assert_close(read.flatten(2).transpose(1, 2).reshape(x.shape), x, atol=1e-5, rtol=1e-5)


def test_constant_maps_give_constant_content_and_no_shift():
    attention = KeyAwareDeformableAttention(8, heads=2, levels=2, points=4)
    flat = [torch.ones(1, 8, 20, 20), torch.ones(1, 8, 10, 10)]
    found = attention(torch.randn(1, 3, 8), torch.zeros(1, 3, 8), torch.full((1, 3, 2), 0.5), flat)
    assert found.shift.abs().max() < 1e-3
    torch.testing.assert_close(found.content, found.content[:, :1].expand(-1, 3, -1), atol=1e-5, rtol=1e-5)


def test_likeness_to_the_keys_moves_the_position():
    attention = KeyAwareDeformableAttention(4, heads=1, levels=1, points=4)
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(4))
        attention.query.bias.zero_()
        attention.key_value.weight.zero_()
        attention.key_value.weight[:4, :, 0, 0] = torch.eye(4)
        attention.key_value.bias.zero_()
        # A disentangler that lets likeness through.
        first, last = attention.disentangle[0], attention.disentangle[2]
        first.weight.zero_()
        first.weight[:4] = torch.eye(4)
        first.bias.zero_()
        last.weight.zero_()
        last.weight[:, :4] = torch.eye(4)
    x = torch.zeros(1, 4, 16, 16)
    x[0, 2, 8, 9:] = 100
    content = torch.tensor([[[0.0, 0, 1, 0]]])
    reference = (torch.tensor([[[8.0, 8.0]]]) + 0.5) / 16
    shift = attention(content, torch.zeros_like(content), reference, [x]).shift * 16
    torch.testing.assert_close(shift, torch.tensor([[[1.0, 0.0]]]), atol=1e-3, rtol=1e-3)
    # Another content does not see it.
    assert attention(content.roll(1, -1), torch.zeros_like(content), reference, [x]).shift.abs().max() < 1e-3


@pytest.mark.parametrize("kind", [DeformableAttention, KeyAwareDeformableAttention])
def test_every_parameter_has_a_gradient(kind):
    torch.manual_seed(0)
    attention = kind(8, heads=2, levels=2, points=3)
    query, reference = torch.randn(2, 5, 8), torch.rand(2, 5, 2)
    if kind is DeformableAttention:
        attention(query, reference, maps()).square().sum().backward()
    else:
        found = attention(query, torch.zeros_like(query), reference, maps())
        (found.content.square().sum() + found.shift.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in attention.parameters())


def test_the_encoder_keeps_shapes_and_frames_apart():
    encoder = DeformableEncoder(8, layers=2, levels=2, heads=2)
    together = encoder(maps())
    alone = encoder([x[1:] for x in maps()])
    for x, whole, one in zip(maps(), together, alone, strict=True):
        assert whole.shape == x.shape
        torch.testing.assert_close(whole[1:], one, atol=1e-5, rtol=1e-4)
    sum(x.square().sum() for x in together).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())
