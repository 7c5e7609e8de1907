"""A small PWC-Net that is trained without labels, and dense motion of a clip with it.

After Sun et al. 2018 (arXiv 1709.02371): features at several strides, warped by the flow so far, correlated within a
window, and a flow estimator that refines from coarse to fine. As in ARFlow (Liu et al. 2020, arXiv 2003.13045) one
estimator serves all strides. Ours is that a match that needs no learning is built in: features have length 1, and the
picture's own pixels are among them, so that correlations are cosines from the start; each step begins where they are
highest, averaged over a neighbourhood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import Clip, DataError, Geometry
from echomotion.core.arrays import frozen_array
from echomotion.models.base import FlowEstimator, Progress
from echomotion.models.layers.encoder import ResidualEncoder
from echomotion.models.losses import warped
from echomotion.models.registry import register
from echomotion.models.weights import Weights
from echomotion.preprocess.grid import to_model_grid

GRID = (224, 224)
_BATCH = 8
# How much likelier a place with a higher cosine is, before anything is learned.
_SHARPNESS = 40.0
# Side in px of the patch whose pixels are compared, on the picture reduced so far that it is one px of the features;
# and the weight of learned features beside them, before anything is learned.
_PIXELS, _TRUST = 4, 0.3


@dataclass(frozen=True)
class PWCNetConfig:
    """Architecture of the flow network.

    Attributes
    ----------
    widths : tuple of int
        Channels of the features at strides 2, 4, 8, ...; multiples of 8.
    match : int
        Channels that are compared.
    radius : int
        Of the windows, in px of each stride.
    estimator : tuple of int
        Channels of the estimator's layers.
    pooled : int
        Side in px of each stride, odd, over which correlations are averaged for the first guess of a step.
    """

    widths: tuple[int, ...] = (16, 24, 32, 48)
    match: int = 24
    radius: int = 3
    estimator: tuple[int, ...] = (64, 48, 32)
    pooled: int = 13


class PWCNetwork(nn.Module):
    """Two frames (B, 1, H, W), 0..1, to flow from the first to the second, (B, 2, H, W) in px, x first.

    H and W are multiples of the coarsest stride. Flow is estimated at every stride but the finest and enlarged.
    """

    def __init__(self, config: PWCNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResidualEncoder(config.widths, blocks=1)
        self.match = nn.ModuleList(nn.Conv2d(width, config.match, 1) for width in config.widths[1:])
        self.sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
        self.trust = nn.Parameter(torch.tensor(_TRUST))
        before = (2 * config.radius + 1) ** 2 + _PIXELS**2 + config.match + 4
        layers: list[nn.Module] = []
        for width in config.estimator:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)]
            before = width
        last = nn.Conv2d(before, 2, 3, padding=1)
        # At first the match alone decides.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.estimator = nn.Sequential(*layers, last)

    def features(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Features of length 1 at strides 4, 8, ..., finest first: the picture's own pixels, and what is learned."""
        maps = [_unit(match(x)) for match, x in zip(self.match, self.encoder(frames)[1:], strict=True)]
        sizes = [(_PIXELS * x.shape[-2], _PIXELS * x.shape[-1]) for x in maps]
        own = [pixel_vectors(functional.interpolate(frames, size=size, mode="area")) for size in sizes]
        return tuple(
            functional.normalize(torch.cat([pixels, self.trust * learned], dim=1), dim=1)
            for pixels, learned in zip(own, maps, strict=True)
        )

    def between(self, first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> Tensor:
        """Flow at stride 4, (B, 2, H / 4, W / 4) in px of the frames, from features."""
        coarse = first[-1]
        flow = coarse.new_zeros(len(coarse), 2, *coarse.shape[-2:])
        for level in range(len(first) - 1, -1, -1):
            here, there, stride = first[level], second[level], 4 * 2**level
            if flow.shape[-2:] != here.shape[-2:]:
                flow = functional.interpolate(flow, size=here.shape[-2:], mode="bilinear", align_corners=False)
            moved = warped(there, flow / stride)
            scores = window_correlation(here, moved, self.config.radius)
            guess = likeliest_shift(scores, self.config.pooled, self.sharpness)
            step = guess + self.estimator(torch.cat([scores, here, flow / stride, guess], dim=1))
            flow = flow + step * stride
        return flow

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See the class for shapes."""
        flow = self.between(self.features(first), self.features(second))
        return functional.interpolate(flow, size=first.shape[-2:], mode="bilinear", align_corners=False)


def window_correlation(first: Tensor, second: Tensor, radius: int) -> Tensor:
    """Dot products (B, k * k, h, w) of each pixel of one map (B, C, h, w) with a window about it in another."""
    height, width = first.shape[-2:]
    wide = functional.pad(second, (radius,) * 4)
    side = range(2 * radius + 1)
    return torch.stack(
        [(first * wide[..., y : y + height, x : x + width]).sum(dim=1) for y in side for x in side], dim=1
    )


def pixel_vectors(frames: Tensor) -> Tensor:
    """Patches of ``_PIXELS`` px without their surroundings' mean (B, 16, h, w) of frames (B, 1, 4 h, 4 w), length 1."""
    local = frames - functional.avg_pool2d(frames, 9, 1, 4, count_include_pad=False)
    patches = functional.pixel_unshuffle(local, _PIXELS)
    return patches / (patches.square().sum(dim=1, keepdim=True) + 1e-3).sqrt()


def likeliest_shift(scores: Tensor, pooled: int, sharpness: Tensor) -> Tensor:
    """Mean shift (B, 2, h, w), x first, of a window's scores (B, k * k, h, w), averaged over places and weighed."""
    even = functional.avg_pool2d(scores, pooled, 1, pooled // 2, count_include_pad=False)
    weight = (sharpness * even).softmax(dim=1)
    side = round(math.sqrt(scores.shape[1]))
    steps = torch.arange(side, dtype=scores.dtype, device=scores.device) - side // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([torch.einsum("bkhw,k->bhw", weight, part.flatten()) for part in (x, y)], dim=1)


def _unit(x: Tensor) -> Tensor:
    return functional.normalize(x - x.mean(dim=(-2, -1), keepdim=True), dim=1)


@dataclass(frozen=True)
class DenseMotion:
    """Where every pixel of one frame goes.

    Attributes
    ----------
    flow : float32 (T, h, w, 2)
        Displacement ``(x, y)`` from the reference frame to each frame, in px of the model's grid.
    geometry : Geometry
        From native pixels to that grid.
    reference : int
        The frame on which pixels are named.
    """

    flow: NDArray[np.float32]
    geometry: Geometry
    reference: int

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """Displacement (N, T, 2) in native pixels of points (N, 2) of the reference frame, in native pixels.

        Raises
        ------
        DataError
            When `points` are not finite pairs.
        """
        places = frozen_array(points, "points", shape=(None, 2), dtype=np.float64)
        on_grid = self.geometry.to_grid(places)
        read = read_flow(torch.from_numpy(np.moveaxis(self.flow, -1, 1).copy()), torch.from_numpy(on_grid).float())
        return read.numpy().astype(np.float64).swapaxes(0, 1) / self.geometry.scale


def read_flow(flow: Tensor, points: Tensor) -> Tensor:
    """Flow (T, 2, h, w) at points (N, 2) in px of its grid, (T, N, 2); beyond the border, that of the border."""
    size = points.new_tensor([flow.shape[-1], flow.shape[-2]])
    grid = ((2 * points + 1) / size - 1)[None, None].expand(len(flow), 1, -1, 2)
    found = functional.grid_sample(flow, grid, padding_mode="border", align_corners=False)
    return found[:, :, 0].transpose(1, 2)


@dataclass(frozen=True)
class PWCNetOptions:
    """The flow network has no options."""


class PWCNetEstimator:
    """Runs the flow network from one frame of a clip to all others."""

    def __init__(self, network: PWCNetwork, weights: Weights | None = None) -> None:
        self.name = "pwcnet"
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.weights = weights

    def estimate(self, clip: Clip, reference: int = 0, *, progress: Progress | None = None) -> DenseMotion:
        """Displacement from one frame to every frame; see :class:`echomotion.models.base.FlowEstimator`."""
        if not 0 <= reference < clip.n_frames:
            raise DataError(f"the reference frame is {reference}; it goes from 0 to {clip.n_frames - 1}")
        frames, geometry = to_model_grid(clip, GRID)
        flow = self.on_grid(frames, reference, progress)
        flow[reference] = 0
        full = functional.interpolate(torch.from_numpy(flow), size=GRID, mode="bilinear", align_corners=False)
        return DenseMotion(np.moveaxis(full.numpy(), 1, -1), geometry, reference)

    @torch.inference_mode()
    def on_grid(
        self, frames: NDArray[np.uint8], reference: int, progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Flow (T, 2, h / 4, w / 4) in px of the grid from the reference to each of the frames (T, h, w)."""
        device = next(self.network.parameters()).device
        stack = torch.from_numpy(np.ascontiguousarray(frames)).to(device)[:, None].float() / 255
        first = self.network.features(stack[reference : reference + 1])
        found = []
        for start in range(0, len(stack), _BATCH):
            second = self.network.features(stack[start : start + _BATCH])
            same = tuple(x.expand(len(second[0]), -1, -1, -1) for x in first)
            found.append(self.network.between(same, second).cpu().numpy())
            if progress is not None:
                progress(min(start + _BATCH, len(stack)), len(stack))
        return np.concatenate(found)


def pwcnet_network(weights: Weights) -> PWCNetwork:
    """The network that weights belong to, with them."""
    options: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in weights.card["options"].items()
    }
    network = PWCNetwork(PWCNetConfig(**options))
    weights.load_into(network)
    return network


@register("flow", learned=True)
def pwcnet(options: PWCNetOptions, *, weights: Weights) -> FlowEstimator:
    """A small PWC-Net: dense motion from one frame to any other, learned without labels."""
    return PWCNetEstimator(pwcnet_network(weights), weights)
