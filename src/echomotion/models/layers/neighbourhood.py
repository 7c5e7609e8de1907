"""What a pixel's surroundings in space and time say: the parts of NCM-Net.

After the abstract of *Echocardiography Video Segmentation via Neighborhood Correlation Mining* (Deng and Wu 2025, doi
10.1109/TMI.2025.3588157), which names the parts; how they are made is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.attention import FeedForward, TokenAttention
from echomotion.models.layers.deformable_attention import pixel_centres
from echomotion.models.layers.embedding import sincos
from echomotion.models.layers.encoder import FrameNorm
from echomotion.models.layers.local_windows import correlate, gather

# Frames before and after a frame that belong to its neighbourhood.
REACH = 1


class NeighbourhoodCorrelation(nn.Module):
    """Pixels add what the most alike of their neighbours in space and time show.

    The neighbours of a pixel are those within `radius` on its own frame, the one before and the one after. Their
    correlation with the pixel is found head by head, the `kept` largest are mined, and their values averaged with the
    softmax of the correlations. Speckle that resembles by chance is one among few; what all the mined ones have in
    common is tissue.

    Parameters
    ----------
    dim, heads : int
    radius : int
        Px of the map.
    kept : int
        How many neighbours are mined.
    """

    def __init__(self, dim: int, heads: int = 2, radius: int = 2, kept: int = 16) -> None:
        super().__init__()
        self.heads, self.radius = heads, radius
        count = (2 * REACH + 1) * (2 * radius + 1) ** 2
        self.kept = min(kept, count)
        self.norm = FrameNorm(dim)
        self.look = nn.Conv2d(dim, 3 * dim, 1)
        self.bias = nn.Parameter(torch.zeros(count, heads))
        self.out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of clips (B, T, dim, h, w) to the same."""
        b, t, dim, h, w = x.shape
        looks = self.look(self.norm(x.flatten(0, 1))).unflatten(0, (b, t))
        query, key, value = looks.unflatten(2, (3, self.heads, dim // self.heads)).unbind(dim=2)
        # Weighed before the sum over channels, so that 75 maps need no scaling.
        query = query * (dim // self.heads) ** -0.5
        r = self.radius
        key, value = (functional.pad(part, (r, r, r, r, 0, 0, 0, 0, REACH, REACH)) for part in (key, value))
        alike = correlate(query, key, REACH, r) + self.bias[:, None, None, :, None, None]
        ones = x.new_ones(1, t, 1, 1, h, w)
        known = correlate(ones, functional.pad(ones, (r, r, r, r, 0, 0, 0, 0, REACH, REACH)), REACH, r) > 0
        alike = alike.masked_fill(~known, float("-inf"))
        least = alike.topk(self.kept, dim=0).values[-1:]
        weights = alike.masked_fill(alike < least, float("-inf")).softmax(dim=0)
        found = gather(weights, value, REACH, r)
        return x + self.out(found.reshape(b * t, dim, h, w)).unflatten(0, (b, t))


class CrossScaleCorrelation(nn.Module):
    """Pixels of a fine map add what they find on coarser maps of the same frame.

    Parameters
    ----------
    dim, heads : int
    scales : int
        Coarser maps.
    """

    def __init__(self, dim: int, heads: int, scales: int) -> None:
        super().__init__()
        self.dim = dim
        self.place = nn.Linear(dim, dim)
        self.level = nn.Parameter(torch.randn(scales, dim) * 0.02)
        self.attention = TokenAttention(dim, heads)
        self.mlp = FeedForward(dim, 2 * dim)

    def forward(self, fine: Tensor, coarse: list[Tensor]) -> Tensor:
        """Fine maps (F, dim, h, w) and coarser ones (F, dim, h_l, w_l) to fine maps."""
        others = torch.cat([x.flatten(2).transpose(1, 2) for x in coarse], dim=1)
        other_code = torch.cat([code_of(x, self.place, self.dim) + self.level[i] for i, x in enumerate(coarse)])
        tokens = fine.flatten(2).transpose(1, 2)
        found = self.mlp(self.attention(tokens, code_of(fine, self.place, self.dim), others, other_code))
        return found.transpose(1, 2).unflatten(2, fine.shape[-2:])


class UnreliableAttention(nn.Module):
    """The least reliable pixels of a frame look at reliable context; reliable pixels stay as they are.

    Parameters
    ----------
    dim : int
        Of the pixels.
    context : int
        Channels of the map that is looked at.
    heads : int
    share : float
        Of the pixels that count as unreliable.
    """

    def __init__(self, dim: int, context: int, heads: int = 2, share: float = 0.125) -> None:
        super().__init__()
        self.dim, self.heads, self.share = dim, heads, share
        self.place = nn.Linear(dim, dim)
        self.norm, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(context)
        self.query = nn.Linear(dim, dim)
        self.key, self.value = nn.Linear(context, dim), nn.Linear(context, dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = FeedForward(dim, 2 * dim)

    def forward(self, pixels: Tensor, context: Tensor, reliability: Tensor) -> Tensor:
        """Refine unreliable pixels.

        Parameters
        ----------
        pixels : float (F, dim, h, w)
        context : float (F, C, h', w')
        reliability : float (F, h, w)
            0..1, of the pixels.
        """
        count = max(1, round(self.share * reliability[0].numel()))
        chosen = reliability.flatten(1).topk(count, largest=False).indices
        tokens = pixels.flatten(2).transpose(1, 2)
        index = chosen[..., None].expand(-1, -1, self.dim)
        some = tokens.gather(1, index)
        where = code_of(pixels, self.place, self.dim)
        query = self.query(self.norm(some) + where[chosen])
        seen = self.norm_context(context.flatten(2).transpose(1, 2))
        key = self.key(seen) + code_of(context, self.place, self.dim)
        query, key, value = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (query, key, self.value(seen)))
        # Context counts as far as it is reliable itself.
        sure = functional.adaptive_avg_pool2d(reliability[:, None], (context.shape[-2], context.shape[-1])).flatten(2)
        mask = sure.clamp(min=1e-3).log()[:, None]
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        refined = self.mlp(some + self.out(found.transpose(1, 2).flatten(2)))
        return tokens.scatter(1, index, refined).transpose(1, 2).unflatten(2, pixels.shape[-2:])


def reliability_of(logits: Tensor) -> Tensor:
    """How sure class logits (F, K, h, w) are, (F, h, w): 1 less their entropy over that of a guess."""
    log = logits.log_softmax(dim=1)
    entropy = -(log.exp() * log).sum(dim=1)
    return (1 - entropy / torch.log(torch.tensor(float(logits.shape[1]), device=logits.device))).clamp(0, 1)


def code_of(x: Tensor, place: nn.Linear, dim: int) -> Tensor:
    """Codes (h * w, dim) of the places of a map's pixels."""
    return place(sincos(pixel_centres(x), dim // 4, shortest=0.02, longest=4.0))
