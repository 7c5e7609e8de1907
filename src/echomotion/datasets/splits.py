"""Who is trained on, who chooses between models, and who judges them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def split_off(names: Iterable[str], count: int, *, salt: str = "") -> tuple[list[str], list[str]]:
    """Divide names into (kept, split off), `count` of them split off, always the same ones.

    The order depends on a hash of each name alone, so that adding a name moves no other.
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256((salt + name).encode()).hexdigest())
    return sorted(ordered[count:]), sorted(ordered[:count])


def chosen_names(names: Iterable[str], share: float, seed: int) -> list[str]:
    """A share of the names, at least one, and always the same ones for a seed."""
    everyone = list(names)
    count = min(len(everyone), max(1, round(share * len(everyone))))
    return split_off(everyone, count, salt=f"labels-{seed}")[1]
