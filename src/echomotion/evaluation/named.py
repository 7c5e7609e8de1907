"""Models for a comparison, in which one may stand several times with different weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from echomotion.core import Clip, DataError, Masks, Tracks
from echomotion.models.base import Progress, Segmenter, Tracker
from echomotion.models.registry import create_segmenter, create_tracker


@dataclass(frozen=True)
class NamedTracker:
    """A tracker under another name."""

    name: str
    tracker: Tracker

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """See :class:`~echomotion.models.base.Tracker`."""
        return self.tracker.track(clip, queries, progress=progress)


def named_tracker(entry: str) -> Tracker:
    """A tracker by ``NAME``, or by ``NAME=WEIGHTS`` with an installed variant's name or a folder of weights.

    The latter is called ``NAME (WEIGHTS)``, with the last part of a folder's path.

    Raises
    ------
    DataError
        When one side of the sign is empty.
    ModelError
        As :func:`~echomotion.models.registry.create_tracker`.
    """
    name, weights = _parts(entry, "tracker")
    tracker = create_tracker(name, weights=weights or None)
    return NamedTracker(f"{name} ({Path(weights).name})", tracker) if weights else tracker


@dataclass
class NamedSegmenter:
    """A segmenter under another name."""

    name: str
    segmenter: Segmenter

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """See :class:`~echomotion.models.base.Segmenter`."""
        return self.segmenter.segment(clip, progress=progress)


def named_segmenter(entry: str) -> Segmenter:
    """A segmenter by ``NAME`` or ``NAME=WEIGHTS``; see :func:`named_tracker`."""
    name, weights = _parts(entry, "segmenter")
    segmenter = create_segmenter(name, weights=weights or None)
    return NamedSegmenter(f"{name} ({Path(weights).name})", segmenter) if weights else segmenter


def _parts(entry: str, kind: str) -> tuple[str, str]:
    name, given, weights = entry.partition("=")
    if given and not (name and weights):
        raise DataError(f"{entry!r} names no {kind}; give NAME or NAME=WEIGHTS")
    return name, weights
