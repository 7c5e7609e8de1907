"""Points of a simulated wall that are tracked: its mid-wall line as far as it is seen, and others at any depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echomotion.simulate.acquisition import to_px, visible_points
from echomotion.simulate.sequence import Sequence

LINE_POINTS = 32
# The shortest part of the mid-wall line, of its points, whose strain is worth a figure.
LEAST_LINE = 16
# Of the wall, where points lie: its very ends belong to the annulus.
_ENDS = (0.02, 0.98)
# Candidates from which the points at any depth are taken.
_CANDIDATES = 2000


@dataclass(frozen=True)
class WallSample:
    """Points of the wall and where they go.

    Attributes
    ----------
    s, w : float64 (N,)
        Position along the wall, 0 to 1, and across it (0 endocardium, 1 epicardium).
    xy : float64 (N, T, 2)
        Native pixels.
    visible : bool (N, T)
    """

    s: NDArray[np.float64]
    w: NDArray[np.float64]
    xy: NDArray[np.float64]
    visible: NDArray[np.bool_]


def mid_wall_line(sequence: Sequence) -> WallSample:
    """32 points of the mid-wall line, seen or not."""
    return wall_at(sequence, np.linspace(*_ENDS, LINE_POINTS), np.full(LINE_POINTS, 0.5))


def line_part(visible: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which points (N,) of a line are its longest part that is seen (N, T) throughout; none if that is too short."""
    run = longest_run(np.all(visible, axis=1))
    return np.arange(run.start, run.stop if run.stop - run.start >= LEAST_LINE else run.start)


def sample_wall(sequence: Sequence, count: int, rng: np.random.Generator) -> WallSample:
    """The mid-wall line where it is seen, and points at random depth, `count` together, or fewer where there are not.

    All are seen on the end-diastolic frame to which strain refers.
    """
    line = mid_wall_line(sequence)
    kept = line_part(line.visible)
    s, w = rng.uniform(*_ENDS, _CANDIDATES), rng.uniform(0.05, 0.95, _CANDIDATES)
    # Not on the line by chance.
    w = np.where(np.abs(w - 0.5) < 0.01, 0.52, w)
    others = wall_at(sequence, s, w)
    more = np.flatnonzero(others.visible[:, sequence.reference_frame])[: count - len(kept)]
    both = ((getattr(line, name)[kept], getattr(others, name)[more]) for name in ("s", "w", "xy", "visible"))
    return WallSample(*(np.concatenate(pair) for pair in both))


def wall_at(sequence: Sequence, s: NDArray[np.float64], w: NDArray[np.float64]) -> WallSample:
    """Points given by their place along and across the wall, (N,) each."""
    recording = sequence.recording
    places = recording.motion.wall_positions(s, w)
    visible = visible_points(places, recording.probe, recording.picture, recording.artefacts)
    return WallSample(s, w, to_px(places, recording.picture), visible)


def longest_run(flags: NDArray[np.bool_]) -> slice:
    """The longest unbroken part that is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    if not len(edges):
        return slice(0, 0)
    starts, stops = edges[::2], edges[1::2]
    best = int(np.argmax(stops - starts))
    return slice(int(starts[best]), int(stops[best]))
