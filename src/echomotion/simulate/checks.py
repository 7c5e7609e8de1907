"""One way of refusing a parameter: its name, its value and its range in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from echomotion.core import DataError


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise :class:`DataError` unless `value` is finite and lies in ``[low, high]``."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} is {value!r}; a number from {low:g} to {high:g} is needed") from None
    if not (math.isfinite(number) and low <= number <= high):
        raise DataError(f"{name} is {number:g}; it must lie between {low:g} and {high:g}")


def check_count(name: str, value: int, low: int, high: int) -> None:
    """Raise :class:`DataError` unless `value` is a whole number in ``[low, high]``."""
    check_range(name, value, low, high)
    if float(value) != int(value):
        raise DataError(f"{name} is {value:g}; a whole number from {low} to {high} is needed")


def check_ranges(instance: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Check every field of a dataclass that `ranges` names."""
    for name, (low, high) in ranges.items():
        check_range(name, getattr(instance, name), low, high)


def check_name(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise :class:`DataError` unless `value` is one of the known words."""
    if value not in known:
        raise DataError(f"{name} is {value!r}; one of {', '.join(known)} is needed")
