"""Maps of key-points and the way back, on Gaussians whose place is known."""

from __future__ import annotations

import pytest
import torch

from echomotion.models.keypoints.heatmaps import gaussian_maps, read_maps


@pytest.mark.parametrize("stride", [1, 4])
def test_a_gaussian_is_read_where_it_was_put(stride):
    xy = torch.rand(50, 4, 2, generator=torch.Generator().manual_seed(0)) * 70 + 12
    found, confidence = read_maps(gaussian_maps(xy, (96 // stride, 96 // stride), stride, 7.0), stride)
    assert (found - xy).abs().max() < 0.01
    assert confidence.min() > 0.9
    assert confidence.max() <= 1


def test_a_peak_at_the_border_stays_inside():
    maps = gaussian_maps(torch.tensor([[-0.4, 95.2]]), (24, 24), 4, 7.0)
    found, _ = read_maps(maps, 4)
    assert found.tolist() == [[1.5, 93.5]]


def test_an_empty_map_has_no_confidence():
    found, confidence = read_maps(torch.zeros(2, 8, 8), 4)
    assert confidence.tolist() == [0, 0]
    assert torch.isfinite(found).all()
