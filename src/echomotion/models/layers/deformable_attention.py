"""Deformable attention over feature maps of several strides, in plain PyTorch.

After Deformable DETR (Zhu et al. 2021, arXiv 2010.04159): each query looks at a few places of each level around its
reference. In the original the weights of these places are foretold from the query alone; the key-aware kind compares
the query with the features that it finds there. TAPTRv2 (Li et al. 2024, arXiv 2407.16291) builds on the latter.

References lie in ``0..1`` of width and height, 0 the left (top) edge of the first pixel: on a map of stride s that
covers the frame, ``(x + 0.5) / (s * w)``. Offsets are in px of each level. Maps are zero beyond their border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.embedding import sincos


class DeformableAttention(nn.Module):
    """Multi-scale deformable attention, equation 3 of Deformable DETR.

    Parameters
    ----------
    dim : int
        Channels of queries, maps and output.
    heads, levels, points : int
        Each head samples `points` places on each of `levels` maps.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.value = nn.Conv2d(dim, dim, 1)
        self.offset = _offset_layer(dim, heads, levels, points)
        self.weight = nn.Linear(dim, heads * levels * points)
        nn.init.normal_(self.weight.weight, std=1e-3)
        nn.init.zeros_(self.weight.bias)
        self.out = nn.Linear(dim, dim)

    def forward(self, query: Tensor, reference: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Queries (B, Q, dim) at references (B, Q, 2) into maps (B, dim, h_l, w_l): (B, Q, dim)."""
        b, q, dim = query.shape
        offset = self.offset(query).view(b, q, self.heads, self.levels, self.points, 2)
        values = sample_heads([self.value(x) for x in maps], reference, offset)
        weight = self.weight(query).view(b, q, self.heads, -1).softmax(dim=-1)
        return self.out(torch.einsum("bqhk,bqhkc->bqhc", weight, values).reshape(b, q, dim))


class KeyAware(NamedTuple):
    """What key-aware attention finds.

    Attributes
    ----------
    content : float (B, Q, dim)
        Values combined by the weights, to be added to the queries.
    shift : float (B, Q, 2)
        Offsets combined by the weights for positions, mean over the heads, in parts of the width and height.
    """

    content: Tensor
    shift: Tensor


class KeyAwareDeformableAttention(nn.Module):
    """Deformable attention whose weights are the likeness of the query to the keys at the sampled places.

    The weights that combine values and those that combine offsets into a shift of the position are told apart by a
    small network on the likenesses of each head (TAPTRv2's disentangler), whose last layer is near zero at first: all
    places then weigh nearly the same, and since the first offsets of each head surround the reference evenly, nothing
    moves.

    Parameters
    ----------
    dim : int
    heads, levels, points : int
        As in :class:`DeformableAttention`.

    Notes
    -----
    Ours: the places of one head surround its reference (in Deformable DETR each head looks one way), so that a head's
    weights are a small correlation map at once; queries and keys are projected alike at first, so that likeness means
    something from the start; all heads share the disentangler.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        places = levels * points
        self.query = nn.Linear(dim, dim)
        # Keys and values of a map in one go.
        self.key_value = nn.Conv2d(dim, 2 * dim, 1)
        with torch.no_grad():
            own = self.query.weight.view(heads, -1, dim)
            own.copy_(self.key_value.weight.view(heads, -1, dim)[:, : dim // heads])
            self.query.bias.zero_()
        self.offset = _offset_layer(dim, heads, levels, points, around=True)
        last = nn.Linear(2 * places, places)
        nn.init.normal_(last.weight, std=1e-2)
        nn.init.zeros_(last.bias)
        self.disentangle = nn.Sequential(nn.Linear(places, 2 * places), nn.ReLU(), last)
        self.out = nn.Linear(dim, dim)

    def forward(self, content: Tensor, position: Tensor, reference: Tensor, maps: Sequence[Tensor]) -> KeyAware:
        """Look around references.

        Parameters
        ----------
        content : float (B, Q, dim)
            What is sought: compared with the keys.
        position : float (B, Q, dim)
            Code of the position, added to the content for the choice of places only.
        reference : float (B, Q, 2)
        maps : sequence of float (B, dim, h_l, w_l)
        """
        b, q, dim = content.shape
        offset = self.offset(content + position).view(b, q, self.heads, self.levels, self.points, 2)
        # The channels of a head are its keys, then its values.
        keys, values = sample_heads([self.key_value(x) for x in maps], reference, offset).chunk(2, dim=-1)
        sought = self.query(content).view(b, q, self.heads, -1)
        likeness = torch.einsum("bqhc,bqhkc->bqhk", sought, keys) / math.sqrt(sought.shape[-1])
        found = torch.einsum("bqhk,bqhkc->bqhc", likeness.softmax(dim=-1), values).reshape(b, q, dim)
        size = offset.new_tensor([x.shape[:-3:-1] for x in maps])
        parts = (offset / size[:, None]).flatten(3, 4)
        weight = self.disentangle(likeness).softmax(dim=-1)
        return KeyAware(self.out(found), torch.einsum("bqhk,bqhkd->bqhd", weight, parts).mean(dim=2))


class DeformableEncoderLayer(nn.Module):
    """Encoder layer of Deformable DETR: every feature pixel of every level looks at all levels around itself.

    Parameters
    ----------
    dim : int
    heads, levels, points : int
        As in :class:`DeformableAttention`.
    hidden : int
        Channels of the feed-forward part.
    """

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(dim, heads, levels, points)
        self.norms = nn.ModuleList([nn.LayerNorm(dim), nn.LayerNorm(dim)])
        self.feed = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, maps: Sequence[Tensor], codes: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (F, dim, h_l, w_l) with codes of their places (h_l * w_l, dim) to maps of the same shapes."""
        x = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)
        reference = torch.cat([pixel_centres(level) for level in maps])
        found = self.attention(x + torch.cat(list(codes)), reference.expand(len(x), -1, -1), maps)
        x = self.norms[0](x + found)
        x = self.norms[1](x + self.feed(x))
        parts = x.split([level.shape[-2] * level.shape[-1] for level in maps], dim=1)
        return tuple(part.transpose(1, 2).view_as(level) for part, level in zip(parts, maps, strict=True))


class DeformableEncoder(nn.Module):
    """Encoder layers with codes of place and level; frames never see each other.

    Parameters
    ----------
    dim : int
        A multiple of 4.
    layers : int
    heads, levels, points, hidden : int
        As in :class:`DeformableEncoderLayer`.
    """

    def __init__(
        self, dim: int, layers: int, levels: int, heads: int = 4, points: int = 4, hidden: int | None = None
    ) -> None:
        super().__init__()
        self.dim = dim
        self.level = nn.Parameter(torch.randn(levels, dim) * 0.02)
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(dim, heads, levels, points, hidden or 4 * dim) for _ in range(layers)
        )

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (F, dim, h_l, w_l) to maps of the same shapes."""
        codes = [
            sincos(pixel_centres(x), self.dim // 4, shortest=0.02, longest=4.0) + self.level[i]
            for i, x in enumerate(maps)
        ]
        out = tuple(maps)
        for layer in self.layers:
            out = layer(out, codes)
        return out


def pixel_centres(x: Tensor) -> Tensor:
    """Centres of the pixels of a map (..., h, w), row by row, in ``0..1``: (h * w, 2)."""
    height, width = x.shape[-2:]
    rows = (torch.arange(height, dtype=x.dtype, device=x.device) + 0.5) / height
    columns = (torch.arange(width, dtype=x.dtype, device=x.device) + 0.5) / width
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).flatten(0, 1)


def sample_heads(maps: Sequence[Tensor], reference: Tensor, offset: Tensor) -> Tensor:
    """Read each head's part of the channels at its own places, between pixels by bilinear interpolation.

    Parameters
    ----------
    maps : sequence of float (B, C, h_l, w_l)
        The channels of the first head come first, those of the last head last.
    reference : float (B, Q, 2)
        In ``0..1``.
    offset : float (B, Q, heads, levels, points, 2)
        In px of each level.

    Returns
    -------
    float (B, Q, heads, levels * points, C / heads)
    """
    b, q, heads, _, points, _ = offset.shape
    out = []
    for level, x in enumerate(maps):
        size = offset.new_tensor(x.shape[:-3:-1])
        place = reference[:, :, None, None] + offset[:, :, :, level] / size
        grid = (2 * place - 1).transpose(1, 2).reshape(b * heads, q, points, 2)
        split = x.reshape(b * heads, -1, *x.shape[-2:])
        read = functional.grid_sample(split, grid, align_corners=False)
        out.append(read.view(b, heads, -1, q, points).permute(0, 3, 1, 4, 2))
    return torch.cat(out, dim=3)


def _offset_layer(dim: int, heads: int, levels: int, points: int, around: bool = False) -> nn.Linear:
    """Offsets that hardly depend on the query at first (in the original not at all: codes of place then learn nothing).

    As in Deformable DETR each head looks one way, its points 1, 2, … px of the level away; with `around`, the points
    of a head lie evenly on a circle, 1, 2, … px for the first head, the second, ….
    """
    layer = nn.Linear(dim, heads * levels * points * 2)
    nn.init.normal_(layer.weight, std=1e-3)
    head, point = torch.meshgrid(torch.arange(heads).float(), torch.arange(points).float(), indexing="ij")
    turn, radius = (point / points + head / (2 * points), head + 1) if around else (head / heads, point + 1)
    angle = 2 * math.pi * turn
    offset = torch.stack([angle.cos(), angle.sin()], dim=-1) * radius[..., None]
    with torch.no_grad():
        layer.bias.copy_(offset[:, None].expand(-1, levels, -1, -1).flatten())
    return layer
