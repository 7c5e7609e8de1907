"""Residual attention between sets of tokens with codes of their places."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class TokenAttention(nn.Module):
    """Tokens add to themselves what they find in others; normalised beforehand.

    Queries and keys know the codes of their places, values do not (Carion et al. 2020, arXiv 2005.12872).

    Parameters
    ----------
    dim, heads : int
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_other = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value = (nn.Linear(dim, dim) for _ in range(3))
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, code: Tensor, other: Tensor, other_code: Tensor) -> Tensor:
        """Tokens (B, Q, dim) that look at others (B, K, dim); codes are broadcast against them."""
        found, keys = self.norm(x), self.norm_other(other)
        query, key, value = self.query(found + code), self.key(keys + other_code), self.value(keys)
        parts = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        return x + self.out(functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers beside a shortcut; normalised beforehand. Shapes: (..., dim) to the same."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x + self.body(x)
