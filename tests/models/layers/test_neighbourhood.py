"""Mining of neighbours, and attention of what is unreliable, on maps whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from echomotion.models.layers.neighbourhood import (
    CrossScaleCorrelation,
    NeighbourhoodCorrelation,
    UnreliableAttention,
    reliability_of,
)


def copying(dim: int, **options) -> NeighbourhoodCorrelation:
    """A module that looks for what is alike and copies it: queries, keys and values are the map itself."""
    module = NeighbourhoodCorrelation(dim, heads=1, **options)
    module.norm = nn.Identity()
    with torch.no_grad():
        module.look.weight.copy_(torch.cat([20 * torch.eye(dim), torch.eye(dim), torch.eye(dim)])[..., None, None])
        module.look.bias.zero_()
        module.out.weight.copy_(torch.eye(dim)[..., None, None])
        module.out.bias.zero_()
    return module


def test_a_pixel_finds_its_like_on_the_next_frame_and_not_beyond_its_neighbourhood():
    x = torch.zeros(1, 2, 2, 9, 9)
    x[:, 0, 0, 4, 4] = 1
    for shift, reached in ((2, True), (3, False)):
        moved = x.clone()
        moved[:, 1, 0, 4, 4 + shift] = 1
        # The second channel marks the twin: does the first frame get to know it?
        moved[:, 1, 1, 4, 4 + shift] = 0.5
        found = copying(2, radius=2, kept=2)(moved) - moved
        assert (found[0, 0, 1, 4, 4].item() > 0.1) == reached


def test_only_the_most_alike_are_mined():
    x = torch.randn(1, 1, 4, 7, 7)
    one = copying(4, radius=1, kept=1)(x) - x
    # The best match of a pixel's neighbourhood is one of the neighbours, itself unless another correlates more.
    candidates = torch.stack([x[0, 0, :, i, j] for i in range(2, 5) for j in range(2, 5)])
    best = candidates[(candidates @ x[0, 0, :, 3, 3]).argmax()]
    torch.testing.assert_close(one[0, 0, :, 3, 3], best)


def test_frames_beyond_the_ends_count_for_nothing():
    module = NeighbourhoodCorrelation(16, kept=12).eval()
    x = torch.randn(1, 1, 16, 6, 6)
    assert torch.isfinite(module(x)).all()
    longer = torch.cat([torch.randn(1, 3, 16, 6, 6), x, torch.randn(1, 1, 16, 6, 6)], dim=1)
    far = longer.clone()
    far[:, 0] += 5
    # Frame 3 looks at frames 2 and 4 alone.
    torch.testing.assert_close(module(longer)[:, 3], module(far)[:, 3])


def test_coarser_maps_are_looked_at():
    module = CrossScaleCorrelation(16, 2, 2)
    fine, coarse = torch.randn(2, 16, 8, 8), [torch.randn(2, 16, 4, 4), torch.randn(2, 16, 2, 2)]
    found = module(fine, coarse)
    assert found.shape == fine.shape
    assert not torch.allclose(found, module(fine, [coarse[0], coarse[1] + 1]))


def test_reliable_pixels_stay_as_they_are():
    module = UnreliableAttention(16, 8, share=0.25)
    pixels, context, sure = torch.randn(2, 16, 6, 6), torch.randn(2, 8, 3, 3), torch.ones(2, 6, 6)
    sure[:, :3, :3] = 0.1
    found = module(pixels, context, sure)
    changed = (found != pixels).any(dim=1)
    assert changed[:, :3, :3].all()
    assert not changed[sure == 1].any()


def test_unreliable_context_is_not_listened_to():
    module = UnreliableAttention(16, 8, share=0.25)
    pixels, context, sure = torch.randn(1, 16, 6, 6), torch.randn(1, 8, 3, 3), torch.ones(1, 6, 6)
    sure[:, :3, :3] = 0.0

    def change(at: int) -> float:
        other = context.clone()
        other[..., at, at] += 3
        return (module(pixels, other, sure) - module(pixels, context, sure)).abs().max().item()

    assert change(0) < 0.2 * change(2)


def test_reliability_is_one_when_certain_and_zero_when_guessing():
    logits = torch.zeros(1, 4, 1, 2)
    logits[0, 1, 0, 1] = 50
    assert reliability_of(logits).flatten().tolist() == pytest.approx([0, 1], abs=1e-5)
