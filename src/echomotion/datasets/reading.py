"""Reading recording after recording, with or without stopping at the first that is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from echomotion.core import DatasetError

Item = TypeVar("Item")
Found = TypeVar("Found")


def each_read(items: Iterable[Item], read: Callable[[Item], Found], problems: list[str] | None) -> Iterator[Found]:
    """What `read` makes of each item.

    Parameters
    ----------
    items : iterable
    read : callable
        May raise :class:`DatasetError`.
    problems : list of str or None
        Receives what is wrong with an item, which is then left out; with None the error is raised.
    """
    for item in items:
        try:
            yield read(item)
        except DatasetError as error:
            if problems is None:
                raise
            problems.append(" ".join(str(error).split()))
