"""Losses of masks whose value is known on paper."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn import functional

from echomotion.models.losses import (
    believed_loss,
    boundary_constraint,
    class_shares,
    contraction_loss,
    dice_loss,
    exclusive_mask_loss,
    heatmap_loss,
    mask_loss,
    masks_at_points,
    patch_correlation_loss,
    pointseg_loss,
    pseudo_labels,
    temporal_smoothing,
    trajectory_loss,
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


def test_contraction_is_the_ratio_of_two_areas():
    inside = torch.zeros(2, 2, 8, 8, dtype=torch.bool)
    inside[0, 0, :4], inside[0, 1, :2] = True, True  # Half of the cavity's area is left.
    found = inside.float()
    assert contraction_loss(found, inside).item() == pytest.approx(0)
    # Too small by the same share in both is no error of contraction; too large at end-systole alone is one.
    assert contraction_loss(0.9 * found, inside).item() == pytest.approx(0, abs=1e-6)
    found[0, 1, :4] = 1
    found.requires_grad_()
    loss = contraction_loss(found, inside)
    assert loss.item() == pytest.approx(math.log(2))
    (gradient,) = torch.autograd.grad(loss, found)
    assert gradient[0, 0].max() < 0 < gradient[0, 1].min()
    # The second heart shows no cavity, and so says nothing; with it alone there is nothing to lose.
    assert not gradient[1].any()
    assert contraction_loss(found[1:], inside[1:]).item() == 0


# ----------------------------------------------------------------- semi-supervised
def test_exclusive_classes_that_are_right_cost_nothing():
    labels = torch.tensor([[[0, 1], [2, 2]]])
    right = 40 * functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert float(exclusive_mask_loss(right, labels)) == pytest.approx(0, abs=1e-4)
    assert float(exclusive_mask_loss(torch.zeros_like(right), labels)) > 1
    assert float(exclusive_mask_loss(right[:0], labels[:0])) == 0


def test_a_teacher_counts_as_far_as_it_is_sure():
    pupil = torch.zeros(1, 2, 1, 1)
    probabilities = {0.6: 0.0, 0.85: 0.5, 1 - 1e-6: 1.0}
    for sure, weight in probabilities.items():
        taught = torch.tensor([0.0, math.log(sure / (1 - sure))]).view(1, 2, 1, 1)
        assert float(believed_loss(pupil, *pseudo_labels(taught))) == pytest.approx(weight * math.log(2), abs=1e-4)


def test_a_boundary_may_move_evenly_but_not_tremble():
    x = torch.arange(32.0)

    def wall(*places):
        """A soft edge at these places on frames in a row."""
        return torch.stack([torch.sigmoid(x - place).expand(1, 8, 32) for place in places])[None]

    near = torch.ones(1, 3, dtype=torch.bool)
    still = float(boundary_constraint(wall(12, 12, 12, 12), near))
    even = float(boundary_constraint(wall(12, 12.5, 13, 13.5), near))
    trembling = float(boundary_constraint(wall(12, 12.5, 12, 12.5), near))
    assert still == 0
    assert trembling > 5 * even
    # Frames that are far apart in time have nothing to do with each other.
    assert float(boundary_constraint(wall(12, 20, 12, 20), torch.tensor([[True, False, True]]))) == 0
    assert float(boundary_constraint(wall(12, 20), near[:, :1])) == 0


def test_a_heat_map_that_is_right_costs_nothing_and_peaks_weigh_most():
    target = torch.zeros(1, 1, 4, 4)
    target[..., 1, 1] = 1
    assert float(heatmap_loss(target, target)) == 0
    weights = 1.01 + 15 * 0.01
    assert float(heatmap_loss(torch.zeros_like(target), target)) == pytest.approx(1.01 / weights)
    wrong = target.clone()
    wrong[..., 3, 3] = 1
    assert float(heatmap_loss(wrong, target)) == pytest.approx(0.01 / weights)


def test_equal_patches_cost_nothing_whatever_their_brightness():
    patch = torch.rand(1, 1, 30)
    same = torch.cat([patch, 2 * patch + 1, 0.1 * patch - 3], dim=1)
    assert float(patch_correlation_loss(same)) == pytest.approx(0, abs=1e-4)
    opposite = torch.cat([patch, -patch], dim=1)
    assert float(patch_correlation_loss(opposite)) == pytest.approx(2, abs=1e-4)


def test_near_frames_weigh_more():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 1, 1, 30, generator=generator)
    # The odd one out stands at an end: it has one near pair, in the middle two.
    end, middle = torch.cat([a, a, b], dim=1), torch.cat([a, b, a], dim=1)
    apart = float(patch_correlation_loss(torch.cat([a, b], dim=1)))
    total = 2 * 0.9 + 0.81
    assert float(patch_correlation_loss(end)) == pytest.approx(apart * (0.9 + 0.81) / total, rel=1e-4)
    assert float(patch_correlation_loss(middle)) == pytest.approx(apart * 1.8 / total, rel=1e-4)


def test_later_refinements_weigh_more_and_patches_come_late():
    truth = torch.zeros(3, 4, 2)
    off = truth + torch.tensor([4.0, 0.0])
    assert float(trajectory_loss([off, truth], truth, None)) == pytest.approx(0.8)
    assert float(trajectory_loss([truth, off], truth, None)) == pytest.approx(1.0)
    generator = torch.Generator().manual_seed(0)
    rough, same = torch.rand(4, 3, 30, generator=generator), torch.ones(4, 3, 1) * torch.rand(30, generator=generator)
    cost = float(patch_correlation_loss(rough))
    early = float(trajectory_loss([truth, truth], truth, [rough, same]))
    late = float(trajectory_loss([truth, truth], truth, [same, rough]))
    assert early == pytest.approx(0.8 * 0.8 * cost, rel=1e-3)
    assert late == pytest.approx(cost, rel=1e-3)
    assert float(trajectory_loss([off], None, [same], alpha=0.5)) == pytest.approx(0, abs=1e-4)
