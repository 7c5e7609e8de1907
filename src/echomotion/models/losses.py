"""Losses of segmenters that see several frames; those of trackers lie beside their training.

Masks come as logits of K classes that do not exclude each other, or of K + 1 that do, background first; labels as whole
numbers of which 0 is background.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from echomotion.models.layers.correlation import sample_points


def class_shares(labels: Tensor, classes: int, size: tuple[int, int]) -> Tensor:
    """Labels (F, H, W) as shares (F, K, h, w) of the classes 1 to K in each pixel of a grid of that size."""
    whole = torch.stack([labels == k for k in range(1, classes + 1)], dim=1).float()
    if whole.shape[-2:] == size:
        return whole
    return functional.adaptive_avg_pool2d(whole, size)


def dice_loss(probability: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One less Dice of each frame and class, mean over both.

    Parameters
    ----------
    probability, target : float (F, K, h, w)
        0..1.
    smooth : float
        Pixels added above and below, so that a class that is absent and not found costs nothing.

    Notes
    -----
    The overlap of Sudre et al. 2017 (arXiv 1707.03237) for one class; classes weigh the same.
    """
    overlap = (probability * target).sum(dim=(-2, -1))
    total = probability.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()


def mask_loss(logits: Tensor, labels: Tensor, cross_entropy: float = 0.0) -> Tensor:
    """Dice loss of labelled frames, and `cross_entropy` times the binary cross-entropy, mean over pixels and classes.

    Parameters
    ----------
    logits : float (F, K, h, w)
    labels : int (F, H, W)
        Of the same frames, the size of the logits or finer.
    cross_entropy : float
    """
    if not len(logits):
        return logits.sum()
    target = class_shares(labels, logits.shape[1], (logits.shape[-2], logits.shape[-1]))
    loss = dice_loss(logits.sigmoid(), target)
    if cross_entropy:
        loss = loss + cross_entropy * functional.binary_cross_entropy_with_logits(logits, target)
    return loss


def temporal_smoothing(values: Tensor, counted: Tensor) -> Tensor:
    """Mean squared difference of what masks say at the same points on two frames, over all pairs of frames.

    Equation 4 of PointSeg, as a mean over the pairs on which a point counts twice, so that it grows neither with the
    length of a clip nor with the number of points; 0 where there are none.

    Parameters
    ----------
    values : float (..., T, K)
        Probabilities at N points.
    counted : float (..., T)
        1 where a point counts, 0 elsewhere.
    """
    weight = counted[..., None]
    number = weight.sum(dim=-2)
    first = (weight * values).sum(dim=-2)
    # The sum over pairs of (a - b)^2 is n * sum(a^2) - sum(a)^2; about the mean, so that it is no small difference.
    mean = first / number.clamp(min=1)
    spread = number * (weight * (values - mean[..., None, :]).square()).sum(dim=-2)
    pairs = (number * (number - 1) / 2).sum() * values.shape[-1]
    return spread.sum() / pairs.clamp(min=1)


def masks_at_points(logits: Tensor, xy: Tensor, stride: float) -> Tensor:
    """Probabilities (B, N, T, K) of logits (B, T, K, h, w) at points (B, N, T, 2) in px of the frame."""
    b, n, t, _ = xy.shape
    frame = torch.arange(b * t, device=xy.device).view(b, 1, t).expand(b, n, t)
    return sample_points(logits.sigmoid().flatten(0, 1), frame, xy, stride)


def pointseg_loss(
    layers: Sequence[Tensor],
    labels: Tensor,
    labelled: Tensor,
    xy: Tensor,
    counted: Tensor,
    *,
    weights: Sequence[float],
    temporal: float,
    cross_entropy: float = 0.0,
) -> Tensor:
    """Losses of all layers: masks of labelled frames, and smoothness along trajectories.

    Parameters
    ----------
    layers : sequence of float (B, T, K, h, w)
        Logits, coarse first; the last as fine as the frames.
    labels : int (B, T, H, W)
    labelled : bool (B, T)
        Other frames have no mask and give the temporal loss alone.
    xy : float (B, N, T, 2)
        Trajectories in px of the frame.
    counted : float (B, N, T)
        Where a point counts for smoothness.
    weights : sequence of float
        Of the layers.
    temporal, cross_entropy : float
        Weights relative to the Dice loss.
    """
    total = xy.new_zeros(())
    for weight, logits in zip(weights, layers, strict=True):
        loss = mask_loss(logits[labelled], labels[labelled], cross_entropy)
        if temporal:
            stride = labels.shape[-1] / logits.shape[-1]
            loss = loss + temporal * temporal_smoothing(masks_at_points(logits, xy, stride), counted)
        total = total + weight * loss
    return total


def exclusive_mask_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice loss of the classes but the background, and cross-entropy, of labelled frames.

    Parameters
    ----------
    logits : float (F, K + 1, h, w)
    labels : int (F, H, W)
        Of the same frames, the size of the logits or finer.
    """
    if not len(logits):
        return logits.sum()
    target = class_shares(labels, logits.shape[1] - 1, (logits.shape[-2], logits.shape[-1]))
    whole = torch.cat([1 - target.sum(dim=1, keepdim=True), target], dim=1)
    log = logits.log_softmax(dim=1)
    return dice_loss(log[:, 1:].exp(), target) - (whole * log).sum(dim=1).mean()


def pseudo_label_loss(logits: Tensor, taught: Tensor, least: float = 0.7) -> Tensor:
    """Cross-entropy with what a teacher says, each pixel weighted by how sure the teacher is.

    The weight rises from 0 at a probability of `least` of the teacher's class to 1 at certainty; the mean is over all
    pixels, so that a teacher who knows little teaches little.

    Parameters
    ----------
    logits, taught : float (F, K + 1, h, w)
        The pupil's, and the teacher's logits of the same frames.
    least : float
    """
    if not len(logits):
        return logits.sum()
    probability, label = taught.softmax(dim=1).max(dim=1)
    weight = ((probability - least) / (1 - least)).clamp(0, 1)
    return (weight * functional.cross_entropy(logits, label, reduction="none")).mean()


def boundary_constraint(probability: Tensor, near: Tensor, radius: int) -> Tensor:
    """How much of the boundaries of a frame has no boundary within `radius` px on the frames beside it.

    Boundaries are the morphological gradients of the probabilities; mean over pixels that are boundary, both ways.

    Parameters
    ----------
    probability : float (B, T, K, h, w)
        Without the background.
    near : bool (B, T - 1)
        Whether two frames that follow each other are also close in time.
    radius : int
        As far as a wall moves from one frame to the next.
    """
    flat = probability.flatten(0, 1)
    edge = functional.max_pool2d(flat, 3, 1, 1) + functional.max_pool2d(-flat, 3, 1, 1)
    wide = functional.max_pool2d(edge, 2 * radius + 1, 1, radius)
    edge, wide = (x.unflatten(0, probability.shape[:2]) for x in (edge, wide))
    weight = near[..., None, None, None].to(edge.dtype)
    lost = functional.relu(edge[:, 1:] - wide[:, :-1]) + functional.relu(edge[:, :-1] - wide[:, 1:])
    total = (weight * (edge[:, 1:] + edge[:, :-1])).sum()
    return (weight * lost).sum() / total.clamp(min=1.0)
