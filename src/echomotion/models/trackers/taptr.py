"""TAPTR: points as queries of a detection transformer, moved by where their attention falls.

After TAPTRv2 (Li et al. 2024, arXiv 2407.16291), the tracker inside PointSeg. Each point on each frame is a query with
a content (what it looks like) and a position. A decoder layer lets the points of a frame see each other, looks into
the frame around each position with key-aware deformable attention, moves the position by the attention-weighted
offsets, and lets each point see itself along the window.

Ours are: the light encoder (another can be handed over; the paper has a ResNet-50 and two deformable encoder layers);
normalisation before each part instead of after it; a likeness that compares contents alone, without the code of
the position; a small correction of the position from the content after each layer, as detection transformers have,
which `TAPTRConfig.correct` switches off; sampling places that surround the position at first, and contents that
resemble the features they were read from; and the head for confidence. The largest one is `TAPTRConfig.match`: before
each layer a square of grey levels and a few learned channels around the query are correlated with the surroundings of
the position, which moves to the expected place (a softmax over the correlations, also given to the loss as a volume),
and the content hears of the correlations (the cost volumes of TAPTR's first version, arXiv 2403.13042). The original
learns to match from hundreds of thousands of clips; so it matches from the first step on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.base import Tracker
from echomotion.models.layers.correlation import FeatureTable, local_windows, sample_points
from echomotion.models.layers.deformable_attention import DeformableEncoder, KeyAwareDeformableAttention
from echomotion.models.layers.embedding import sincos
from echomotion.models.layers.encoder import FrameEncoder, FrameNorm, Fusion, ResidualEncoder, padded
from echomotion.models.registry import register
from echomotion.models.trackers.expected_place import expected_shift, place_volume
from echomotion.models.trackers.learned import LearnedOptions, learned_tracker
from echomotion.models.trackers.network import Descriptors, Features, PointNetwork, PointOutput, Volume
from echomotion.models.weights import Weights

# Scales at which positions are matched.
_MATCHED = 3


@dataclass(frozen=True)
class TAPTRConfig:
    """Architecture of TAPTR; the default trains on two CPU cores.

    Attributes
    ----------
    window : int
        Frames looked at together.
    widths : tuple of int
        Channels of the light encoder at strides 2, 4, 8, …; not used where another encoder is handed over.
    blocks : int
        Residual blocks at each of its strides.
    levels : int
        Maps looked into: the coarsest ones of the encoder.
    dim : int
        Channels of contents and maps; a multiple of 8 and of `heads`.
    heads, points : int
        Attention heads, and the places that each samples on each level.
    layers : int
        Of the decoder.
    hidden : int
        Channels of the feed-forward parts.
    encoder_layers : int
        Deformable encoder layers after the encoder.
    correct : bool
        Whether the content corrects the position after each layer, beside the attention.
    match : bool
        Whether positions move to where correlation expects them before each layer.
    features, square, radius : int
        Of that correlation: learned channels; side of the square of grey levels, and how far is looked around the
        position, in cells. Cells are four times as wide for the first layer as for the third and later ones.
    """

    window: int = 24
    widths: tuple[int, ...] = (16, 32, 48, 64)
    blocks: int = 2
    levels: int = 3
    dim: int = 96
    heads: int = 4
    points: int = 8
    layers: int = 4
    hidden: int = 256
    encoder_layers: int = 0
    correct: bool = True
    match: bool = True
    features: int = 32
    square: int = 9
    radius: int = 4

    @classmethod
    def paper(cls) -> TAPTRConfig:
        """Sizes of the original decoder, to be used with a ResNet-50 that gives four maps."""
        return cls(window=8, levels=4, dim=256, heads=8, points=4, layers=6, hidden=1024, encoder_layers=2, match=False)


class TAPTRNetwork(PointNetwork):
    """Detection transformer for points; points of a frame see each other, so the answer depends on all of them.

    Features: `levels` maps (F, dim, h_l, w_l), then what is correlated, fine to coarse. Descriptors: contents (N, dim),
    query positions (N, 2), then what is correlated.

    Gradients end at the position that each layer starts from, as in Deformable DETR: a loss has to weigh
    `PointOutput.steps` for all layers to learn.

    Parameters
    ----------
    config : TAPTRConfig, optional
    encoder : FrameEncoder, optional
        In place of the light one; gives `config.levels` maps or more.
    """

    def __init__(self, config: TAPTRConfig | None = None, encoder: FrameEncoder | None = None) -> None:
        super().__init__()
        self.config = config = config or TAPTRConfig()
        self.window = config.window
        self.encoder = encoder or ResidualEncoder(config.widths, config.blocks)
        if len(self.encoder.strides) < config.levels:
            raise ValueError(
                f"the encoder gives {len(self.encoder.strides)} maps; levels={config.levels} asks for more"
            )
        self.strides = self.encoder.strides[-config.levels :]
        self.project = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, config.dim, 1), FrameNorm(config.dim))
            for width in self.encoder.widths[-config.levels :]
        )
        self.mix = DeformableEncoder(
            config.dim, config.encoder_layers, config.levels, config.heads, hidden=config.hidden
        ) if config.encoder_layers else None  # fmt: skip
        # At first the mean of the levels: a content lies where the maps' features lie, and resembles them.
        self.look = nn.Linear(config.levels * config.dim, config.dim)
        with torch.no_grad():
            self.look.weight.copy_(torch.eye(config.dim).repeat(1, config.levels) / config.levels)
            self.look.bias.zero_()
        self.match = Match(self.encoder, config) if config.match else None
        self.place = nn.Linear(config.dim, config.dim)
        self.layers = nn.ModuleList(_DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.judge = nn.Sequential(nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, 2))

    def encode(self, frames: Tensor) -> Features:
        """See :class:`PointNetwork`."""
        maps = self.encoder(frames)
        same = tuple(project(x) for project, x in zip(self.project, maps[-self.config.levels :], strict=True))
        same = same if self.mix is None else self.mix(same)
        return same if self.match is None else (*same, *self.match.looks(frames, maps))

    def describe(self, features: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """See :class:`PointNetwork`."""
        maps, looks = features[: self.config.levels], features[self.config.levels :]
        read = [sample_points(x, frame, xy, stride) for x, stride in zip(maps, self.strides, strict=True)]
        own = () if self.match is None else self.match.describe(looks, frame, xy)
        return self.look(torch.cat(read, dim=-1)), xy, *own

    def follow(self, features: Features, descriptors: Descriptors, start: Tensor) -> PointOutput:
        """See :class:`PointNetwork`."""
        maps, looks = features[: self.config.levels], features[self.config.levels :]
        content = descriptors[0][:, None].expand(-1, start.shape[1], -1)
        extent = self.strides[0] * start.new_tensor(maps[0].shape[:-3:-1])
        when = torch.arange(start.shape[1], dtype=start.dtype, device=start.device)[:, None]
        when = sincos(when, self.config.dim // 2, shortest=4.0, longest=4.0 * self.window)
        steps, volumes = [start], []
        for number, layer in enumerate(self.layers):
            xy = steps[-1].detach()
            if self.match is not None:
                volume, heard = self.match(number, looks, descriptors[2:], xy)
                volumes.append(volume)
                content, xy = content + heard, xy + expected_shift(volume)
            # Gradients of what attention sees end here; those of the position do not.
            seen = xy.detach()
            where = self.place(sincos(seen, self.config.dim // 4, shortest=8.0, longest=1024.0))
            content, shift, correction = layer(content, where, when, (seen + 0.5) / extent, maps)
            steps.append(xy + shift * extent + correction * self.strides[0])
        tokens = self.norm(content)
        visible, confident = self.judge(tokens).unbind(dim=-1)
        return PointOutput(steps[-1], visible, confident, tuple(steps[1:-1]), tokens, tuple(volumes))


class Match(nn.Module):
    """Correlation of what lies around a query with what lies around a position, by grey levels and learned channels."""

    def __init__(self, encoder: FrameEncoder, config: TAPTRConfig) -> None:
        super().__init__()
        self.square, self.radius = config.square, config.radius
        self.strides = [encoder.strides[0] * 2.0**level for level in range(_MATCHED)]
        self.coarsest = encoder.strides[-1]
        self.fuse = Fusion(encoder.widths, config.features, level=0)
        self.hear = nn.Linear((2 * config.radius + 1) ** 2, config.dim)
        # By layer; see place_volume. Believed distances are a part of what is looked at.
        reach = torch.tensor([self.strides[self._level(layer)] * config.radius / 2 for layer in range(config.layers)])
        self.sharpness = nn.Parameter(torch.full((config.layers,), math.log(10.0)))
        self.belief = nn.Parameter(reach.log())
        # Of the learned channels beside the grey levels.
        self.learned = nn.Parameter(torch.tensor(0.5))

    def looks(self, frames: Tensor, maps: Sequence[Tensor]) -> Features:
        """What is correlated, (F, C, h_l, w_l) of length about 1, at each stride."""
        learned = self.fuse(maps)
        grey = functional.avg_pool2d(padded(frames, self.coarsest), round(self.strides[0]))
        out = []
        for level in range(_MATCHED):
            if level:
                learned, grey = (functional.avg_pool2d(x, 2, ceil_mode=True) for x in (learned, grey))
            squares = functional.unfold(grey, self.square, padding=self.square // 2).unflatten(-1, grey.shape[-2:])
            squares = functional.normalize(squares - squares.mean(dim=1, keepdim=True), dim=1, eps=1e-3)
            out.append(torch.cat([squares, self.learned * functional.normalize(learned, dim=1)], dim=1))
        return tuple(out)

    def describe(self, looks: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """The looks (N, C) of queries at each stride."""
        return tuple(sample_points(x, frame, xy, stride) for x, stride in zip(looks, self.strides, strict=True))

    def forward(self, layer: int, looks: Features, own: Descriptors, xy: Tensor) -> tuple[Volume, Tensor]:
        """Scores of the places around the positions (N, T, 2), and what the contents (N, T, dim) hear of them."""
        level = self._level(layer)
        table = FeatureTable.of([looks[level]], self.strides[level])
        templates = own[level][:, None, None].expand(-1, xy.shape[1], -1, -1)
        cosines = local_windows(templates, table, xy, self.radius)[:, :, 0]
        grid = cosines.unflatten(-1, (2 * self.radius + 1,) * 2)
        stride = xy.new_full((2,), self.strides[level])
        return place_volume(grid, xy, stride, self.sharpness[layer], self.belief[layer]), self.hear(cosines)

    @staticmethod
    def _level(layer: int) -> int:
        return max(0, _MATCHED - 1 - layer)


class _DecoderLayer(nn.Module):
    """One layer of the decoder; the network moves the positions."""

    def __init__(self, config: TAPTRConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(4))
        self.neighbours = nn.MultiheadAttention(dim, config.heads, batch_first=True)
        self.frame = KeyAwareDeformableAttention(dim, config.heads, config.levels, config.points)
        self.history = nn.MultiheadAttention(dim, config.heads, batch_first=True)
        self.feed = nn.Sequential(nn.Linear(dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, dim))
        self.correct: nn.Linear | None = None
        if config.correct:
            self.correct = nn.Linear(dim, 2)
            nn.init.normal_(self.correct.weight, std=1e-3)
            nn.init.zeros_(self.correct.bias)

    def forward(
        self, content: Tensor, where: Tensor, when: Tensor, reference: Tensor, maps: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """New contents and by how much the positions move.

        Parameters
        ----------
        content, where : float (N, T, dim)
            Contents, and the code of the positions.
        when : float (T, dim)
            Code of the frames' order.
        reference : float (N, T, 2)
            Positions in ``0..1``.
        maps : sequence of float (T, dim, h_l, w_l)

        Returns
        -------
        content : float (N, T, dim)
        shift : float (N, T, 2)
            Where attention fell, in parts of the width and height.
        correction : float (N, T, 2)
            What the content adds, in px of the finest map.
        """
        x = self.norms[0](content)
        content = content + _attend(self.neighbours, x.transpose(0, 1), where.transpose(0, 1)).transpose(0, 1)
        x = self.norms[1](content)
        found = self.frame(x.transpose(0, 1), where.transpose(0, 1), reference.transpose(0, 1), maps)
        content = content + found.content.transpose(0, 1)
        content = content + _attend(self.history, self.norms[2](content), where + when)
        content = content + self.feed(self.norms[3](content))
        shift = found.shift.transpose(0, 1)
        correction = torch.zeros_like(shift) if self.correct is None else self.correct(content)
        return content, shift, correction


def _attend(attention: nn.MultiheadAttention, x: Tensor, code: Tensor) -> Tensor:
    """Attention whose queries and keys, not values, know the code."""
    key = x + code
    out: Tensor = attention(key, key, x, need_weights=False)[0]
    return out


@register("tracker", learned=True)
def taptr(options: LearnedOptions, *, weights: Weights) -> Tracker:
    """TAPTR: points as queries of a detection transformer, over windows."""
    return learned_tracker("taptr", TAPTRNetwork, TAPTRConfig, options, weights)
