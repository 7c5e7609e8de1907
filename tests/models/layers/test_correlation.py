"""Sampling and correlation against sums done the slow way."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from echomotion.models.layers.correlation import (
    FeatureTable,
    in_blocks,
    local_windows,
    on_map,
    pyramid,
    sample_points,
    whole_maps,
)


def ramp(stride, height=6, width=9):
    """Features that hold their own grid x and y, on 2 frames."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    own = torch.stack([x, y]).float() * stride + (stride - 1) / 2
    return torch.stack([own, own + 1000])


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_a_point_reads_its_own_place_on_its_own_frame(stride):
    xy = torch.tensor([[3.3, 2.7], [stride * 4.0, stride * 2.5]]) + stride
    read = sample_points(ramp(stride), torch.tensor([0, 1]), xy, stride)
    torch.testing.assert_close(read, xy + torch.tensor([[0.0], [1000.0]]))


def test_beyond_the_border_the_border_is_read():
    xy = torch.tensor([[-50.0, 3.0], [500.0, 500.0], [8.0, 5.0]])
    read = sample_points(ramp(1), torch.zeros(3, dtype=torch.long), xy, 1)
    assert read.tolist() == [[0, 3], [8, 5], [8, 5]]
    one = sample_points(torch.ones(1, 4, 1, 1), torch.zeros(3, dtype=torch.long), xy, 16)
    assert torch.equal(one, torch.ones(3, 4))


def test_pyramids_of_odd_maps_keep_their_border():
    levels = pyramid(torch.ones(1, 2, 5, 3), 4)
    assert [tuple(x.shape[-2:]) for x in levels] == [(5, 3), (3, 2), (2, 1), (1, 1)]
    assert all(torch.equal(x, torch.ones_like(x)) for x in levels)


def test_local_windows_equal_products_with_sampled_features():
    torch.manual_seed(0)
    n, t, s, c, radius = 3, 2, 2, 5, 2
    maps = pyramid(torch.randn(t, c, 11, 14), 2)
    templates, xy = torch.randn(n, t, s, c), torch.rand(n, t, 2) * 30 - 3
    found = local_windows(templates, FeatureTable.of(maps, 2), xy, radius).view(n, t, s, 2, 5, 5)
    reach = torch.arange(-radius, radius + 1.0)
    offset = torch.stack(torch.meshgrid(reach, reach, indexing="xy"), dim=-1)
    for level, x in enumerate(maps):
        place = on_map(xy, 2 * 2**level)[:, :, None, None] + offset
        size = torch.tensor([x.shape[-1], x.shape[-2]])
        grid = (2 * (place + 0.5) / size - 1).transpose(0, 1).reshape(t, n * 5, 5, 2)
        read = functional.grid_sample(x, grid, align_corners=False).view(t, c, n, 5, 5)
        expected = torch.einsum("tcnij,ntsc->ntsij", read, templates)
        torch.testing.assert_close(found[:, :, :, level], expected, atol=1e-4, rtol=1e-4)


def test_a_whole_map_peaks_where_the_point_is():
    features = torch.zeros(1, 3, 14, 28)
    features[0, :, 5, 9] = 1
    volume = whole_maps(torch.ones(1, 3), [features], 14).view(14, 14)
    assert divmod(int(volume.argmax()), 14) == (5, 4)
    centre = torch.tensor([[[(9 + 1) / 28, (5 + 0.5) / 14]]])
    about = whole_maps(torch.ones(1, 3), [features], 7, centre).view(7, 7)
    assert divmod(int(about.argmax()), 7) == (3, 3)
    assert whole_maps(torch.ones(2, 3), pyramid(features, 4), 14).shape == (2, 1, 196)


def test_blocks_of_points_give_the_same_values_and_gradients():
    torch.manual_seed(0)
    maps = [x.requires_grad_() for x in pyramid(torch.randn(2, 4, 8, 8), 2)]
    templates, xy = torch.randn(7, 2, 1, 4), torch.rand(7, 2, 2) * 16
    gradients = []
    for block in (3, 100):
        out = local_windows(templates, FeatureTable.of(maps, 2), xy, 1, block=block)
        out = out.sum() + whole_maps(templates[:, 0, 0], maps, 5, block=block).square().sum()
        gradients.append((out.detach(), *torch.autograd.grad(out, maps)))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        assert in_blocks(lambda x: 2 * x, 2, torch.arange(5)).tolist() == [0, 2, 4, 6, 8]


def test_far_away_and_huge_places_are_zero():
    table = FeatureTable.of(pyramid(torch.randn(1, 4, 8, 8), 2), 2)
    out = local_windows(torch.randn(1, 1, 1, 4), table, torch.full((1, 1, 2), 1e12), 3)
    assert torch.equal(out, torch.zeros_like(out))
