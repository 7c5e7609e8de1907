"""Losses of masks whose value is known on paper."""

from __future__ import annotations

import itertools

import pytest
import torch

from echomotion.models.losses import (
    class_shares,
    dice_loss,
    mask_loss,
    masks_at_points,
    pointseg_loss,
    temporal_smoothing,
)


def test_dice_of_a_half_overlap():
    found, true = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    found[..., :2, :], true[..., 1:3, :] = 1, 1
    assert float(dice_loss(found, true, smooth=0)) == pytest.approx(0.5)
    assert float(dice_loss(true, true, smooth=0)) == pytest.approx(0)
    assert float(dice_loss(torch.zeros_like(true), torch.zeros_like(true))) == pytest.approx(0)


def test_shares_of_a_coarse_pixel():
    labels = torch.tensor([[[0, 1], [1, 2]]])
    assert class_shares(labels, 2, (1, 1)).flatten().tolist() == [0.5, 0.25]


def test_smoothing_is_the_mean_over_pairs_and_does_not_grow_with_length():
    torch.manual_seed(0)
    values, counted = torch.rand(4, 6, 2), (torch.rand(4, 6) < 0.7).float()
    pairs = [
        (values[n, a] - values[n, b]).square().mean()
        for n in range(4)
        for a, b in itertools.combinations(range(6), 2)
        if counted[n, a] and counted[n, b]
    ]
    assert float(temporal_smoothing(values, counted)) == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-4)
    assert float(temporal_smoothing(torch.full((3, 9, 1), 0.7), torch.ones(3, 9))) == pytest.approx(0, abs=1e-9)
    assert float(temporal_smoothing(values, torch.zeros(4, 6))) == 0


def test_a_mask_that_moves_with_its_points_is_smooth():
    logits = torch.full((1, 2, 1, 20, 20), -9.0)
    logits[0, 0, 0, 4:10, 4:10] = logits[0, 1, 0, 6:12, 9:15] = 9.0
    grid = torch.cartesian_prod(torch.arange(5, 9.0), torch.arange(5, 9.0))
    moving = torch.stack([grid, grid + torch.tensor([5.0, 2.0])], dim=1)[None]
    still = torch.stack([grid, grid], dim=1)[None]
    counted = torch.ones(1, 16, 2)
    assert float(temporal_smoothing(masks_at_points(logits, moving, 1.0), counted)) < 1e-6
    assert float(temporal_smoothing(masks_at_points(logits, still, 1.0), counted)) > 0.3


def test_frames_without_a_mask_give_the_temporal_loss_alone():
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 2, 8, 8, requires_grad=True)
    labels, xy, counted = torch.randint(0, 3, (1, 3, 8, 8)), torch.rand(1, 5, 3, 2) * 7, torch.ones(1, 5, 3)
    labelled = torch.tensor([[True, False, False]])
    only_masks = pointseg_loss([logits], labels, labelled, xy, counted, weights=[1.0], temporal=0, cross_entropy=1.0)
    assert only_masks.item() == pytest.approx(mask_loss(logits[:, 0], labels[:, 0], 1.0).item())
    (gradient,) = torch.autograd.grad(only_masks, logits)
    assert not gradient[:, 1:].any()
    smooth = pointseg_loss([logits], labels, torch.zeros_like(labelled), xy, counted, weights=[2.0], temporal=3.0)
    expected = 2 * 3 * temporal_smoothing(masks_at_points(logits, xy, 1.0), counted)
    assert smooth.item() == pytest.approx(expected.item())
