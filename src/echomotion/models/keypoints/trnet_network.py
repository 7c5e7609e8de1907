"""The network of TR-net: trajectories of key-points, refined again and again by what is seen about them.

After Oh et al.: relative vectors, patches of the image and of SK-net's features, and the correlation of patches of the
reference frame with those of every frame are embedded, concatenated and mixed by an MLP-Mixer (Tolstikhin et al. 2021,
arXiv 2105.01601) over frames and key-points, which gives a step for every point; then everything is read anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.correlation import on_map

POINTS = 4
# Steps and relative vectors are in so many px of the grid.
UNIT_PX = 4.0
_WAVES = 4


@dataclass(frozen=True)
class TRNetConfig:
    """Architecture of TR-net.

    Attributes
    ----------
    window : int
        Frames that are refined together.
    patch : int
        Side P of the image patches in px of the grid, a multiple of 4.
    context : int
        Side of the patches of SK-net's features in px of their maps, odd.
    reach : int
        Largest offset of the correlations, in px of each map.
    widths : tuple of int
        Channels of SK-net's four branches.
    strides : tuple of int
        Of these branches.
    embed, width, hidden, depth : int
        Channels of an embedded input and of a token, of a token's inner layer, and the number of mixer layers.
    iterations : int
        Refinements M.
    semantic : bool
        Whether SK-net's features are an input, by themselves and in the correlations.
    """

    window: int = 24
    patch: int = 24
    context: int = 3
    reach: int = 3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    strides: tuple[int, ...] = (4, 8, 16, 32)
    embed: int = 64
    width: int = 128
    hidden: int = 256
    depth: int = 4
    iterations: int = 5
    semantic: bool = True


class TRNetwork(nn.Module):
    """Frames of a window and first trajectories to trajectories after each refinement."""

    def __init__(self, config: TRNetConfig) -> None:
        super().__init__()
        self.config = config
        offsets = (2 * config.reach + 1) ** 2
        maps = len(_image_sides(config)) + (len(config.widths) if config.semantic else 0)
        self.image = nn.Linear(config.patch**2, config.embed)
        self.correlation = nn.Linear(maps * offsets, 2 * config.embed)
        total = 2 * config.embed + 2 * config.embed + 3 + 4 * _WAVES
        if config.semantic:
            self.context = nn.Linear(sum(config.widths) * config.context**2, config.embed)
            total += 2 * config.embed
        self.join = nn.Linear(total, config.width)
        tokens = config.window * POINTS
        self.layers = nn.ModuleList(_Mixer(tokens, config.width, config.hidden) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.step = nn.Linear(config.width, 2)
        nn.init.zeros_(self.step.weight)
        nn.init.zeros_(self.step.bias)

    def forward(
        self,
        frames: Tensor,
        features: Sequence[Tensor],
        reference: tuple[Tensor, Sequence[Tensor]],
        k_ref: Tensor,
        initial: Tensor,
        away: Tensor,
    ) -> list[Tensor]:
        """Trajectories (T, 4, 2) after each refinement, T the window.

        Parameters
        ----------
        frames : float (T, 1, H, W)
            0..1.
        features : sequence of float (T, C, h, w)
            SK-net's four branches of them.
        reference : (float (1, 1, H, W), sequence of float (1, C, h, w))
            The same of the reference frame.
        k_ref : float (4, 2)
            Key-points there, in px of the grid.
        initial : float (T, 4, 2)
            First trajectories; those on the reference frame itself are replaced by `k_ref`.
        away : float (T,)
            Frames since the reference frame; 0 where a frame is that.
        """
        config = self.config
        still = (away == 0)[:, None, None]
        pyramid, pattern = _image_pyramid(frames, config), _image_pyramid(reference[0], config)
        features = [_centred(x.float()) for x in features] if config.semantic else []
        known = [_centred(x.float()) for x in reference[1]] if config.semantic else []
        first = self._patches(pattern[0], known, k_ref[None])
        xy = torch.where(still, k_ref, initial)
        steps = []
        for _ in range(config.iterations):
            # What was found before is where the next step starts, not a way for its gradient to go.
            xy = xy.detach()
            scores = self._correlations(pyramid, pattern, features, known, k_ref, xy)
            here = self._patches(pyramid[0], features, xy)
            parts = [
                self.correlation(scores),
                *here,
                *(x.expand_as(y) for x, y in zip(first, here, strict=True)),
                _relative(xy - k_ref, away, config.window),
            ]
            tokens = self.join(torch.cat(parts, dim=-1)).flatten(0, 1)
            for layer in self.layers:
                tokens = layer(tokens)
            step = UNIT_PX * self.step(self.norm(tokens)).view_as(xy)
            xy = torch.where(still, k_ref, xy + step)
            steps.append(xy)
        return steps

    def _patches(self, image: Tensor, features: Sequence[Tensor], xy: Tensor) -> list[Tensor]:
        """Embedded patches (T, 4, E) of the image and, where they are an input, of the features."""
        patch = windows(image, xy, self.config.patch, 1).flatten(2)
        patch = patch - patch.mean(dim=-1, keepdim=True)
        found = [self.image(functional.normalize(patch, dim=-1, eps=1e-3) * math.sqrt(patch.shape[-1]))]
        if self.config.semantic:
            read = [
                windows(x, xy, self.config.context, stride).flatten(2)
                for x, stride in zip(features, self.config.strides, strict=True)
            ]
            found.append(self.context(torch.cat(read, dim=-1)))
        return found

    def _correlations(
        self,
        pyramid: Sequence[Tensor],
        pattern: Sequence[Tensor],
        features: Sequence[Tensor],
        known: Sequence[Tensor],
        k_ref: Tensor,
        xy: Tensor,
    ) -> Tensor:
        """Cosines (T, 4, maps * offsets) of the reference's patches with shifted ones of every frame."""
        config = self.config
        found = []
        for level, side in enumerate(_image_sides(config)):
            stride = 2**level
            template = windows(pattern[level], k_ref[None], side, stride)[0]
            found.append(shifted_cosines(template, pyramid[level], xy, side, stride, config.reach, centre=True))
        if config.semantic:
            for x, y, stride in zip(features, known, config.strides, strict=True):
                template = windows(y, k_ref[None], config.context, stride)[0]
                found.append(shifted_cosines(template, x, xy, config.context, stride, config.reach, centre=False))
        return torch.cat(found, dim=-1)


def windows(maps: Tensor, xy: Tensor, side: int, stride: float) -> Tensor:
    """Windows (T, K, C, side, side) of maps (T, C, h, w) about points (T, K, 2) in px of the grid.

    Neighbours are a px of the map apart; between its pixels values are interpolated, beyond its border they are 0.
    """
    t, k, _ = xy.shape
    steps = torch.arange(side, dtype=xy.dtype, device=xy.device) - (side - 1) / 2
    offset = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    place = on_map(xy, stride)[:, :, None, None] + offset
    size = xy.new_tensor([maps.shape[-1], maps.shape[-2]])
    grid = (2 * place + 1) / size - 1
    found = functional.grid_sample(maps, grid.view(t, k * side, side, 2), align_corners=False)
    return found.view(t, maps.shape[1], k, side, side).transpose(1, 2)


def shifted_cosines(
    template: Tensor, maps: Tensor, xy: Tensor, side: int, stride: float, reach: int, *, centre: bool
) -> Tensor:
    """Cosine (T, K, (2 * reach + 1)^2) of templates (K, C, side, side) with patches about shifted points.

    These are the sums along equal offsets of the product of each pixel of the one patch with each of the other. With
    `centre` the mean of each channel over the patch is taken out of both.
    """
    around = windows(maps, xy, side + 2 * reach, stride)
    t, k, c = around.shape[:3]
    count = side * side
    if centre:
        template = template - template.mean(dim=(-1, -2), keepdim=True)
    flat = around.reshape(t, k * c, *around.shape[-2:])
    product = functional.conv2d(flat, template, groups=k)
    power = functional.avg_pool2d(around.square().flatten(0, 1), side, 1) * count
    if centre:
        power = power - functional.avg_pool2d(around.flatten(0, 1), side, 1).square() * count
    length = power.clamp(min=0).sum(dim=1).view(t, k, *product.shape[-2:]).add(1e-4).sqrt()
    norm = template.square().sum(dim=(-1, -2, -3)).add(1e-4).sqrt()
    return (product / (length * norm[:, None, None])).flatten(2)


class _Mixer(nn.Module):
    """One layer of an MLP-Mixer: (N, C) to the same, first over the tokens N, then over their channels C."""

    def __init__(self, tokens: int, width: int, hidden: int) -> None:
        super().__init__()
        self.norm_tokens, self.norm_channels = nn.LayerNorm(width), nn.LayerNorm(width)
        self.over_tokens = nn.Sequential(nn.Linear(tokens, tokens), nn.GELU(), nn.Linear(tokens, tokens))
        self.over_channels = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.over_tokens(self.norm_tokens(x).T).T
        return x + self.over_channels(self.norm_channels(x))


def _image_sides(config: TRNetConfig) -> tuple[int, ...]:
    """Sides of the image patches at strides 1, 2 and 4."""
    return config.patch, config.patch // 2, config.patch // 4


def _image_pyramid(frames: Tensor, config: TRNetConfig) -> list[Tensor]:
    maps = [frames]
    for _ in _image_sides(config)[1:]:
        maps.append(functional.avg_pool2d(maps[-1], 2))
    return maps


def _centred(x: Tensor) -> Tensor:
    """Features (T, C, h, w) without each channel's mean over the frame, and of mean square 1."""
    x = x - x.mean(dim=(-1, -2), keepdim=True)
    return x / x.square().mean(dim=(1, 2, 3), keepdim=True).add(1e-6).sqrt()


def _relative(delta: Tensor, away: Tensor, window: int) -> Tensor:
    """Relative vectors (T, 4, 2) with their waves, and how far the frame is from the reference, (T, 4, D)."""
    scaled = delta / UNIT_PX
    angles = scaled[..., None] * (math.pi / 2 ** torch.arange(1, _WAVES + 1, device=delta.device))
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
    time = (away / window)[:, None, None].expand(*delta.shape[:2], 1)
    return torch.cat([scaled, waves, time], dim=-1)
