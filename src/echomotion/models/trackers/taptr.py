"""TAPTR: points as queries of a detection transformer, moved by where their attention falls.

After TAPTRv2 (Li et al. 2024, arXiv 2407.16291), the tracker inside PointSeg. Each point on each frame is a query with
a content (what it looks like) and a position. A decoder layer lets the points of a frame see each other, looks into
the frame around each position with key-aware deformable attention, moves the position by the attention-weighted
offsets, and lets each point see itself along the window.

Ours are: the light encoder (another can be handed over; the paper has a ResNet-50 and two deformable encoder layers);
normalisation before each part instead of after it; a likeness that compares contents alone, without the code of
the position; a small correction of the position from the content after each layer, as detection transformers have,
which `TAPTRConfig.correct` switches off; sampling places that surround the position at first, and contents that
resemble the features they were read from; and the head for confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from echomotion.models.base import Tracker
from echomotion.models.layers.correlation import sample_points
from echomotion.models.layers.deformable_attention import DeformableEncoder, KeyAwareDeformableAttention
from echomotion.models.layers.embedding import sincos
from echomotion.models.layers.encoder import FrameEncoder, FrameNorm, ResidualEncoder
from echomotion.models.registry import register
from echomotion.models.trackers.learned import LearnedOptions, learned_tracker
from echomotion.models.trackers.network import Descriptors, Features, PointNetwork, PointOutput
from echomotion.models.weights import Weights


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

    @classmethod
    def paper(cls) -> TAPTRConfig:
        """Sizes of the original decoder, to be used with a ResNet-50 that gives four maps."""
        return cls(window=8, levels=4, dim=256, heads=8, points=4, layers=6, hidden=1024, encoder_layers=2)


class TAPTRNetwork(PointNetwork):
    """Detection transformer for points; points of a frame see each other, so the answer depends on all of them.

    Features: `levels` maps (F, dim, h_l, w_l). Descriptors: contents (N, dim), query positions (N, 2).

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
        self.place = nn.Linear(config.dim, config.dim)
        self.layers = nn.ModuleList(_DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.judge = nn.Sequential(nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, 2))

    def encode(self, frames: Tensor) -> Features:
        """See :class:`PointNetwork`."""
        maps = self.encoder(frames)[-self.config.levels :]
        same = tuple(project(x) for project, x in zip(self.project, maps, strict=True))
        return same if self.mix is None else self.mix(same)

    def describe(self, features: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """See :class:`PointNetwork`."""
        read = [sample_points(x, frame, xy, stride) for x, stride in zip(features, self.strides, strict=True)]
        return self.look(torch.cat(read, dim=-1)), xy

    def follow(self, features: Features, descriptors: Descriptors, start: Tensor) -> PointOutput:
        """See :class:`PointNetwork`."""
        content = descriptors[0][:, None].expand(-1, start.shape[1], -1)
        extent = self.strides[0] * start.new_tensor(features[0].shape[:-3:-1])
        when = torch.arange(start.shape[1], dtype=start.dtype, device=start.device)[:, None]
        when = sincos(when, self.config.dim // 2, shortest=4.0, longest=4.0 * self.window)
        steps = [start]
        for layer in self.layers:
            xy = steps[-1].detach()
            where = self.place(sincos(xy, self.config.dim // 4, shortest=8.0, longest=1024.0))
            content, shift, correction = layer(content, where, when, (xy + 0.5) / extent, features)
            steps.append(xy + shift * extent + correction * self.strides[0])
        tokens = self.norm(content)
        visible, confident = self.judge(tokens).unbind(dim=-1)
        return PointOutput(steps[-1], visible, confident, tuple(steps[1:-1]), tokens)


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
