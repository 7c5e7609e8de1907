"""Comparison of squares against the definition, written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echomotion.models.layers.template_matching import Field, Square, compare, crop, peak


def test_crop_reads_whole_pixels_and_repeats_the_border():
    maps = torch.arange(2 * 2 * 5 * 6.0).view(2, 2, 5, 6)
    out = crop(maps, torch.tensor([1, 0]), torch.tensor([[3, 2], [0, 0]]), 1)
    assert torch.equal(out[0], maps[1, :, 1:4, 2:5])
    assert torch.equal(out[1, :, 1:, 1:], maps[0, :, :2, :2])
    assert torch.equal(out[1, :, 0], out[1, :, 1])


@pytest.mark.parametrize("square", [Square(5), Square(3, 2, -1), Square(1 + 2 * 3, -1, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_compare_is_normalised_cross_correlation(square, channels):
    generator = torch.Generator().manual_seed(0)
    reach, floor = 2, 0.01
    templates = torch.rand(2, channels, 13, 13, generator=generator)
    regions = torch.rand(2, 3, channels, 17, 17, generator=generator)
    found = compare(square, templates, Field.of(regions), reach, floor)
    assert found.shape == (2, 3, 5, 5)
    half = square.side // 2
    for n, t, dy, dx in np.ndindex(2, 3, 5, 5):
        top, left = 6 + square.y - half, 6 + square.x - half
        a = templates[n, :, top : top + square.side, left : left + square.side]
        region = regions[n, t] - regions[n, t].mean(dim=(-2, -1), keepdim=True)
        top, left = top + dy, left + dx
        b = region[:, top : top + square.side, left : left + square.side]
        a = a - a.mean(dim=(-2, -1), keepdim=True)
        spread = b.square().mean(dim=(-2, -1)).sum()
        if channels == 1:
            spread = b.var(unbiased=False)
        own = a.square().mean(dim=(-2, -1)).sum()
        true = (a * b).mean(dim=(-2, -1)).sum() / ((own + floor**2) * (spread + floor**2)).sqrt()
        assert found[n, t, dy, dx] == pytest.approx(float(true), abs=1e-4)


def test_a_flat_square_resembles_nothing():
    regions = torch.rand(1, 1, 1, 9, 9)
    assert compare(Square(5), torch.full((1, 1, 5, 5), 0.3), Field.of(regions), 2, 0.01).abs().max() < 1e-5
    assert (
        compare(Square(5), regions[:, 0, :, 2:7, 2:7], Field.of(torch.ones(1, 1, 1, 9, 9)), 2, 0.01).abs().max() < 1e-5
    )


def test_peak_is_the_highest_place_between_pixels():
    y, x = torch.meshgrid(torch.arange(-4.0, 5), torch.arange(-4.0, 5), indexing="ij")
    # Logits of a mirror image about 1.5 pull equally to both sides.
    scores = (-(x - 1.5).abs() * 9 - (y + 2).abs() * 9)[None, None]
    offset, weight = peak(scores)
    assert offset[0, 0].tolist() == pytest.approx([1.5, -2.0], abs=0.01)
    assert float(weight.sum()) == pytest.approx(1)
    assert int((weight > 0).sum()) == 9
