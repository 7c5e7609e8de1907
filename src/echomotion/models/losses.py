"""Losses of segmenters that see several frames, of key-points and of flow; those of trackers are beside their training.

Masks come as logits of K classes that do not exclude each other, or of K + 1 that do, background first; labels as whole
numbers of which 0 is background.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from echomotion.models.layers.correlation import sample_points


def heatmap_loss(maps: Tensor, target: Tensor, gamma: float = 0.01) -> Tensor:
    """Mean squared error of maps in which a pixel weighs its target plus `gamma`.

    ``sum (I_GT + gamma) (I_GT - I)^2 / sum (I_GT + gamma)``. Equation 1 of SK-net as printed is no square and leaves
    what lies off the key-points free; this is its evident intent.

    Parameters
    ----------
    maps, target : float (..., h, w)
        The targets from 0 to 1.
    gamma : float
    """
    weight = target + gamma
    return (weight * (target - maps).square()).sum() / weight.sum()


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


def contraction_loss(probability: Tensor, inside: Tensor) -> Tensor:
    """How wrong the ratio of the cavity's area at end-systole to that at end-diastole is, as a logarithm.

    Dice of the two frames leaves it free: errors of opposite sign in both cost no more than errors of the same sign,
    but the ejection fraction feels the first alone. Ours.

    Parameters
    ----------
    probability : float (P, 2, h, w)
        Of the cavity on the two frames of P hearts, placed alike.
    inside : bool (P, 2, H, W)
        Where it truly is; hearts of which a frame shows none of it do not count.
    """
    true = inside.flatten(2).float().mean(dim=-1)
    found = probability.flatten(2).mean(dim=-1)
    whole = (true > 0).all(dim=1)
    if not bool(whole.any()):
        return probability.sum() * 0
    # An area of less than a pixel is as good as none.
    least = 1 / probability[0, 0].numel()
    ratio = (found.clamp(min=least).log() - true.clamp(min=least).log())[whole]
    return (ratio[:, 1] - ratio[:, 0]).abs().mean()


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


def pseudo_labels(taught: Tensor, least: float = 0.7) -> tuple[Tensor, Tensor]:
    """What a teacher says of each pixel, and how far it is listened to.

    The weight rises from 0 at a probability of `least` of the teacher's class to 1 at certainty.

    Parameters
    ----------
    taught : float (F, K + 1, h, w)
        The teacher's logits.
    least : float

    Returns
    -------
    labels : int (F, h, w)
    weight : float (F, h, w)
    """
    probability, label = taught.softmax(dim=1).max(dim=1)
    return label, ((probability - least) / (1 - least)).clamp(0, 1)


def believed_loss(logits: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy with labels that are believed as far as their weight says.

    The mean is over all pixels, so that a teacher who knows little teaches little.

    Parameters
    ----------
    logits : float (F, K + 1, h, w)
    labels : int (F, h, w)
    weight : float (F, h, w)
        0 to 1.
    """
    if not len(logits):
        return logits.sum()
    return (weight * functional.cross_entropy(logits, labels, reduction="none")).mean()


def boundary_constraint(probability: Tensor, near: Tensor) -> Tensor:
    """How unevenly boundaries move over three frames in a row.

    A wall moves from frame to frame as it did before; a contour that trembles goes back and forth. So the second
    difference in time of the probabilities, absolute, is averaged where one of the three frames has a boundary (a
    morphological gradient); at even speed it is nearly 0 as long as edges are wider than the way of a frame.

    Parameters
    ----------
    probability : float (B, T, K, h, w)
        Without the background.
    near : bool (B, T - 1)
        Whether two frames that follow each other are also close in time.
    """
    if probability.shape[1] < 3:
        return probability.new_zeros(())
    flat = probability.flatten(0, 1)
    edge = functional.max_pool2d(flat, 3, 1, 1) + functional.max_pool2d(-flat, 3, 1, 1)
    edge = edge.unflatten(0, probability.shape[:2])
    widest = torch.maximum(torch.maximum(edge[:, :-2], edge[:, 2:]), edge[:, 1:-1])
    weight = (near[:, 1:] & near[:, :-1])[..., None, None, None] * widest.detach()
    bent = (probability[:, 2:] - 2 * probability[:, 1:-1] + probability[:, :-2]).abs()
    return (weight * bent).sum() / weight.sum().clamp(min=1.0)


def warped(image: Tensor, flow: Tensor) -> Tensor:
    """An image (B, C, h, w) read where flow (B, 2, h, w), in its px, points to; beyond the border, the border."""
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=flow.dtype, device=flow.device),
        torch.arange(width, dtype=flow.dtype, device=flow.device),
        indexing="ij",
    )
    grid = torch.stack([(2 * (x + flow[:, 0]) + 1) / width - 1, (2 * (y + flow[:, 1]) + 1) / height - 1], dim=-1)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def occluded(forward: Tensor, backward: Tensor) -> Tensor:
    """1 where flow (B, 2, h, w) there and back does not return, (B, 1, h, w).

    ``|f + b(x + f)|^2 > 0.01 (|f|^2 + |b(x + f)|^2) + 0.5`` (Meister et al. 2018, arXiv 1711.07837).
    """
    back = warped(backward, forward)
    apart = (forward + back).square().sum(dim=1, keepdim=True)
    length = (forward.square() + back.square()).sum(dim=1, keepdim=True)
    return (apart > 0.01 * length + 0.5).to(forward)


def census_distance(first: Tensor, second: Tensor, side: int = 5) -> Tensor:
    """Soft Hamming distance (B, 1, h, w) of the census transforms of two images (B, 1, h, w), 0 to 1."""

    def transform(image: Tensor) -> Tensor:
        wide = functional.pad(image, (side // 2,) * 4, mode="replicate")
        around = functional.unfold(wide, side).view(len(image), side * side, *image.shape[-2:])
        steps = around - image
        return steps / torch.sqrt(1e-3 + steps.square())

    apart = (transform(first) - transform(second)).square()
    return (apart / (0.1 + apart)).mean(dim=1, keepdim=True)


def structural_distance(first: Tensor, second: Tensor) -> Tensor:
    """``(1 - SSIM) / 2`` over 3 x 3 px of two images (B, C, h, w) from 0 to 1 (Wang et al. 2004)."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)

    a, b = mean(first), mean(second)
    va, vb, vab = mean(first * first) - a * a, mean(second * second) - b * b, mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * a * b + c1) * (2 * vab + c2) / ((a * a + b * b + c1) * (va + vb + c2))
    return ((1 - score) / 2).clamp(0, 1)


def photometric_loss(first: Tensor, second: Tensor, flow: Tensor, seen: Tensor, weights: Sequence[float]) -> Tensor:
    """How unlike the first image (B, 1, h, w) the second is after warping, mean over what is seen in both.

    Parameters
    ----------
    first, second : float (B, 1, h, w)
    flow : float (B, 2, h, w)
    seen : float (B, 1, h, w)
        1 where a pixel counts.
    weights : (float, float, float)
        Of the absolute difference, of :func:`structural_distance` and of :func:`census_distance`.
    """
    back = warped(second, flow)
    distance = weights[0] * (first - back).abs()
    if weights[1]:
        distance = distance + weights[1] * structural_distance(first, back)
    if weights[2]:
        distance = distance + weights[2] * census_distance(first, back)
    return (distance * seen).sum() / seen.sum().clamp(min=1)


def smoothness_loss(flow: Tensor, image: Tensor, alpha: float = 10.0) -> Tensor:
    """Mean absolute gradient of flow (B, 2, h, w), less where the image (B, 1, h, w) has an edge."""
    total = flow.new_zeros(())
    for axis in (-1, -2):
        edge = torch.exp(-alpha * image.diff(dim=axis).abs())
        total = total + (edge * flow.diff(dim=axis).abs()).mean()
    return total / 2


def pseudo_flow_loss(xy: Tensor, pseudo: Tensor, counted: Tensor | None = None) -> Tensor:
    """Mean squared distance of trajectories (..., 2) from pseudo labels (..., 2): equation 3 of TR-net."""
    apart = (xy - pseudo).square().sum(dim=-1)
    return apart.mean() if counted is None else (apart * counted).sum() / counted.sum().clamp(min=1)


def patch_correlation_loss(patches: Tensor, decay: float = 0.9, frames: Tensor | None = None) -> Tensor:
    """One less the cosine of patches about a point on all pairs of frames, near pairs weighing more.

    ``sum w (1 - cos) / sum w`` with ``w = decay ** |k - j|``. Equation 4 of TR-net as printed is a similarity, which
    a minimiser would make small; here it is a distance, and a mean over the pairs. The mean of each patch is taken
    out, so that brightness alone is no likeness.

    Parameters
    ----------
    patches : float (..., T, P)
    decay : float
    frames : float (T,), optional
        Numbers of the frames; 0, 1, 2, ... without.
    """
    vectors = functional.normalize(patches - patches.mean(dim=-1, keepdim=True), dim=-1, eps=1e-4)
    alike = vectors @ vectors.transpose(-1, -2)
    count = patches.shape[-2]
    number = torch.arange(count, device=patches.device) if frames is None else frames
    weight = decay ** (number[:, None] - number[None]).abs().to(patches)
    weight = weight * (1 - torch.eye(count, device=patches.device))
    return ((1 - alike) * weight).sum(dim=(-1, -2)).mean() / weight.sum().clamp(min=1e-6)


def trajectory_loss(
    steps: Sequence[Tensor],
    pseudo: Tensor | None,
    patches: Sequence[Tensor] | None,
    *,
    alpha: float = 0.8,
    beta: float = 0.8,
    decay: float = 0.9,
    unit: float = 4.0,
) -> Tensor:
    """``sum_i alpha^(M - i) (L_pseudo + beta^(M - i) L_patch)`` over the refinements i = 1 to M: equation 5 of TR-net.

    Parameters
    ----------
    steps : sequence of float (T, K, 2)
        Trajectories after each refinement.
    pseudo : float (T, K, 2), optional
        Without, the pseudo-flow loss is left out.
    patches : sequence of float (K, T, P), optional
        About the points of each step; without, the patch correlation loss is left out.
    alpha, beta, decay : float
    unit : float
        Distances are taken in so many px, which balances the two losses.
    """
    total = steps[0].new_zeros(())
    last = len(steps)
    for i, xy in enumerate(steps, start=1):
        loss = xy.new_zeros(())
        if pseudo is not None:
            loss = loss + pseudo_flow_loss(xy / unit, pseudo / unit)
        if patches is not None:
            loss = loss + beta ** (last - i) * patch_correlation_loss(patches[i - 1], decay)
        total = total + alpha ** (last - i) * loss
    return total
