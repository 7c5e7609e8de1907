"""SpeckNet: a light tracker that finds each point on each frame by itself, from correlation volumes at three scales.

After the description of SpeckNet in Azad et al. 2025 (arXiv 2507.10127): "lightweight network leveraging multi-scale
cost volumes from spatial context alone". All else is ours. What is correlated are squares around the query, not single
feature vectors: of grey levels, and of a few learned channels. They are looked for over the whole neighbourhood at a
quarter of the resolution, then around the estimate so far at half of it, then at full resolution. Scores are a
weighted sum of the correlations, of those of eight squares around the point, each of which may lie one pixel off (so
that the neighbourhood may deform), and of the scores of the scale above; a small 2-D network that reads all of them
adds to that sum. At first it adds nothing, and the weights are set by hand: the untrained network is conventional
block matching.

Volumes know displacements, not places, and the network sees no direction except through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.base import Tracker
from echomotion.models.layers.correlation import on_map
from echomotion.models.layers.encoder import padded
from echomotion.models.layers.template_matching import Field, Square, compare, crop, peak
from echomotion.models.registry import register
from echomotion.models.trackers.learned import LearnedOptions, learned_tracker
from echomotion.models.trackers.network import Descriptors, Features, PointNetwork, PointOutput, Volume
from echomotion.models.weights import Weights

# Contrast beneath which a square resembles nothing: one grey level, and as much for learned channels.
_FLOOR = 1 / 255


@dataclass(frozen=True)
class SpeckNetConfig:
    """Architecture of SpeckNet; each tuple has one entry a scale, coarse to fine.

    Attributes
    ----------
    scales : tuple of int
        Grid px per map px; powers of 2.
    reach : tuple of int
        How far around the estimate is looked, in px of the map.
    squares : tuple of tuple of int
        Sides of the squares of grey levels.
    parts : tuple of (int, int)
        Side of the squares around the point, and how far their centres lie from it; a distance of 0 leaves them out.
        Each is compared at its own displacement, so that a neighbourhood may deform.
    channels : tuple of int
        Learned channels; 0 leaves them out.
    learned_side : tuple of int
        Side of the square of learned channels.
    spread : tuple of int
        The estimate is the mean of the places up to so many px of the map from the best one, by their scores: where
        speckle has changed the best place is one of many, and their mean is nearer to the truth.
    width : int
        Channels of the encoder of a scale.
    hidden : int
        Channels of the networks that read the volumes.
    gain : float
        By which the sum of correlations is multiplied before a softmax, at first.
    """

    scales: tuple[int, ...] = (4, 2, 1)
    reach: tuple[int, ...] = (6, 4, 3)
    squares: tuple[tuple[int, ...], ...] = ((5, 9, 13), (9, 15, 21), (11, 21, 31))
    parts: tuple[tuple[int, int], ...] = ((5, 5), (9, 9), (11, 11))
    channels: tuple[int, ...] = (8, 0, 0)
    learned_side: tuple[int, ...] = (7, 0, 0)
    spread: tuple[int, ...] = (2, 3, 3)
    width: int = 24
    hidden: int = 16
    gain: float = 12.0


class SpeckNetNetwork(PointNetwork):
    """Spatial tracker: every point on every frame is found on its own.

    Features: grey levels (F, 1, h, w) and learned channels (F, C, h, w) of each scale in turn. Descriptors: squares of
    them (N, 1, k, k) and (N, C, l, l), and the query positions (N, 2).

    Gradients end at the estimate that a scale starts from: a loss has to weigh `PointOutput.steps` or `volumes` for
    all scales to learn.
    """

    window = 1

    def __init__(self, config: SpeckNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpeckNetConfig()
        self.encoder = _Encoder(config)
        readers = [_Reader(config, level) for level in range(len(config.scales))]
        self.readers = nn.ModuleList(readers)
        # How far the squares of grey levels and of learned channels reach at each scale.
        self.extents = [(reader.extent, reader.learned_extent) for reader in readers]
        self.judge = nn.Sequential(
            nn.Linear(len(config.scales) * (config.hidden + _FACTS), 64), nn.ReLU(), nn.Linear(64, 2)
        )

    def encode(self, frames: Tensor) -> Features:
        """See :class:`PointNetwork`."""
        return self.encoder(frames)

    def describe(self, features: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """See :class:`PointNetwork`."""
        squares = []
        for level, (scale, extents) in enumerate(zip(self.config.scales, self.extents, strict=True)):
            place = _pixel(xy, scale)
            pair = features[2 * level : 2 * level + 2]
            squares += [crop(maps, frame, place, extent) for maps, extent in zip(pair, extents, strict=True)]
        return *squares, xy

    def follow(self, features: Features, descriptors: Descriptors, start: Tensor) -> PointOutput:
        """See :class:`PointNetwork`; the start is not used."""
        *squares, query = descriptors
        n, t = start.shape[:2]
        flow = torch.zeros_like(start)
        frame = torch.arange(t, device=start.device).expand(n, -1)
        steps, volumes, facts = [], [], []
        above: Volume | None = None
        for level, (scale, reader) in enumerate(zip(self.config.scales, self.readers, strict=True)):
            # Both squares stand at whole pixels, and so does the displacement that the map is centred on.
            middle = (flow.detach() / scale).round()
            place = _pixel(query, scale)[:, None] + middle.long()
            pair = slice(2 * level, 2 * level + 2)
            grey, learned = (
                crop(maps, frame, place, extent + self.config.reach[level])
                for maps, extent in zip(features[pair], self.extents[level], strict=True)
            )
            scores, offset, fact = reader(squares[pair], (grey, learned), middle * scale, above)
            flow = (middle + offset) * scale
            steps.append(query[:, None] + flow)
            facts.append(fact)
            above = Volume(scores, query[:, None] + middle * scale, float(scale))
            volumes.append(above)
            above = Volume(scores.detach(), middle * scale, float(scale))
        visible, confident = self.judge(torch.cat(facts, dim=-1)).unbind(dim=-1)
        return PointOutput(steps[-1], visible, confident, tuple(steps[:-1]), volumes=tuple(volumes))


# What the judge is told of each scale beside the hidden channels.
_FACTS = 3


class _Reader(nn.Module):
    """Compares squares at one scale and finds the displacement."""

    def __init__(self, config: SpeckNetConfig, level: int) -> None:
        super().__init__()
        self.reach = config.reach[level]
        self.scale = config.scales[level]
        self.spread = config.spread[level]
        self.grey = [Square(side) for side in config.squares[level]]
        self.learned = [Square(config.learned_side[level])] if config.channels[level] else []
        side, far = config.parts[level]
        ring = [(x, y) for y in (-far, 0, far) for x in (-far, 0, far) if x or y] if far else []
        self.parts = [Square(side, x, y) for x, y in ring]
        self.extent = max(square.extent for square in (*self.grey, *self.parts))
        self.learned_extent = max((square.extent for square in self.learned), default=0)
        hidden = config.hidden
        volumes = len(self.grey) + len(self.parts) + len(self.learned)
        # All of them, the scores of the scale above, and the length of the displacement.
        self.body = nn.Sequential(
            nn.Conv2d(volumes + 2, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=2, dilation=2),
            nn.ReLU(inplace=True),
        )
        self.score = nn.Conv2d(hidden, 1, 1, bias=False)
        nn.init.zeros_(self.score.weight)
        # Of the squares, the mean of the parts, and the scores of the scale above.
        parts = [1.0] if self.parts else []
        self.weights = nn.Parameter(torch.tensor([0.3] * len(self.grey) + [0.0] * len(self.learned) + parts + [1.0]))
        self.gain = config.gain

    def forward(
        self, squares: Sequence[Tensor], regions: Sequence[Tensor], middle: Tensor, above: Volume | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N, T, d, d), displacement from the middle (N, T, 2) in map px, facts (N, T, hidden + 3).

        Parameters
        ----------
        squares : float (N, 1, k, k) and (N, C, l, l)
            Grey levels and learned channels around the query.
        regions : float (N, T, 1, s, s) and (N, T, C, r, r)
            Those around the middle.
        middle : float (N, T, 2)
            Displacement in grid px on which the map is centred.
        above : Volume or None
            Of the scale above, its place as a displacement.
        """
        n, t = middle.shape[:2]
        side = 2 * self.reach + 1
        field = Field.of(regions[0])
        maps = [compare(s, squares[0], field, self.reach, _FLOOR) for s in self.grey]
        for square in self.learned:
            maps.append(compare(square, squares[1], Field.of(regions[1]), self.reach, _FLOOR))
        plain = maps[len(self.grey) - 1]
        parts = [compare(s, squares[0], field, self.reach, _FLOOR) for s in self.parts]
        loose = [torch.stack([functional.max_pool2d(x, 3, 1, 1) for x in parts]).mean(dim=0)] if parts else []
        steps = torch.arange(-self.reach, self.reach + 1, dtype=middle.dtype, device=middle.device)
        steps = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
        flow = middle[..., None, None, :] + steps * self.scale
        before = torch.zeros_like(plain) if above is None else _read(above, flow)
        scores = torch.einsum(
            "vntyx,v->ntyx", torch.stack([*maps, *loose, before / self.gain]), self.weights * self.gain
        )
        length = torch.linalg.vector_norm(flow, dim=-1) / 24
        hidden = self.body(torch.stack([*maps, *parts, before / 8, length], dim=2).flatten(0, 1))
        scores = scores + self.score(hidden).view(n, t, side, side)
        offset, weight = peak(scores, self.spread)
        seen = (hidden.view(n, t, -1, side, side) * weight.detach()[:, :, None]).sum(dim=(-2, -1))
        alike = (plain * weight.detach()).sum(dim=(-2, -1))
        flat = scores.detach().flatten(-2)
        sure = (flat.amax(dim=-1) - flat.logsumexp(dim=-1)) / 8
        edge = offset.detach().abs().amax(-1) / self.reach
        return scores, offset, torch.cat([seen, torch.stack([alike, sure, edge], dim=-1)], dim=-1)


class _Encoder(nn.Module):
    """Grey levels and learned channels at each scale, the latter from all pixels of the frame."""

    def __init__(self, config: SpeckNetConfig) -> None:
        super().__init__()
        self.scales = config.scales
        self.learn = nn.ModuleDict(
            {
                str(scale): nn.Sequential(
                    nn.PixelUnshuffle(scale),
                    nn.Conv2d(scale**2, config.width, 3, padding=1),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(config.width, config.width, 3, padding=1),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(config.width, channels, 1),
                )
                for scale, channels in zip(config.scales, config.channels, strict=True)
                if channels
            }
        )

    def forward(self, frames: Tensor) -> Features:
        """Frames (F, 1, H, W) to grey levels and learned channels of each scale in turn."""
        frames = padded(frames, max(self.scales))
        out = []
        for scale in self.scales:
            grey = functional.avg_pool2d(frames, scale) if scale > 1 else frames
            out += [grey, self.learn[str(scale)](frames) if str(scale) in self.learn else grey[:, :0]]
        return tuple(out)


def _pixel(xy: Tensor, scale: int) -> Tensor:
    return on_map(xy, scale).round().long()


def _read(volume: Volume, flow: Tensor) -> Tensor:
    """Scores of a volume at displacements (N, T, d, d, 2), between its places by bilinear interpolation."""
    n, t, side = volume.scores.shape[:3]
    place = (flow - volume.xy[..., None, None, :]) / volume.stride
    grid = (place / (side // 2)).flatten(0, 1)
    read = functional.grid_sample(
        volume.scores.reshape(n * t, 1, side, side), grid, padding_mode="border", align_corners=True
    )
    # A softmax over the volume would leave no more than differences.
    top = volume.scores.flatten(-2).amax(dim=-1)[..., None, None]
    return read.view(n, t, *grid.shape[1:3]) - top


@register("tracker", learned=True)
def specknet(options: LearnedOptions, *, weights: Weights) -> Tracker:
    """SpeckNet: each frame by itself, from correlation volumes at three scales."""
    return learned_tracker("specknet", SpeckNetNetwork, SpeckNetConfig, options, weights)
