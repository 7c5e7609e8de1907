"""Lines of wall points whose motion, and so whose strain, is known on paper."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from echomotion.core import Beat, Layer, Phases, Tracks, View, WallPoints, segment_names

# Two beats of 0.8 s; ED at 0, 0.8 and 1.6 s, ES 0.32 s later.
PERIOD, SYSTOLE = 0.8, 0.32
PHASES = Phases((Beat(0.0, SYSTOLE, PERIOD), Beat(PERIOD, PERIOD + SYSTOLE, 2 * PERIOD)), "user", 1.0)
FIRST = Phases(PHASES.beats[:1], "user", 1.0)


def shortening(times: np.ndarray, delay: float = 0.0) -> np.ndarray:
    """0 at end-diastole, 1 at end-systole: half a cosine down and half a cosine back, smooth everywhere."""
    phase = np.mod(np.asarray(times) - delay, PERIOD)
    down = (1 - np.cos(np.pi * phase / SYSTOLE)) / 2
    up = (1 + np.cos(np.pi * (phase - SYSTOLE) / (PERIOD - SYSTOLE))) / 2
    return np.where(phase < SYSTOLE, down, up)


def frame_times(rate_hz: float = 50.0, beats: int = 1) -> np.ndarray:
    return np.arange(round(beats * PERIOD * rate_hz) + 1) / rate_hz


def as_tracks(
    xy: np.ndarray,
    view: View = View.A4C,
    layer: Layer | str = Layer.MID_WALL,
    *,
    names: tuple[str, ...] | None = None,
    confidence: float | np.ndarray = 0.9,
) -> Tracks:
    """Tracks (N, T, 2) of a line whose segments have equal numbers of points."""
    count, frames = xy.shape[:2]
    names = names or segment_names(view)
    segment = tuple(names[min(len(names) - 1, len(names) * n // count)] for n in range(count))
    xy = xy.astype(np.float32)
    queries = np.column_stack([np.zeros(count), xy[:, 0]])
    wall = WallPoints(queries, layer, segment, np.linspace(0, 1, count), view)
    sure = np.broadcast_to(np.asarray(confidence, dtype=np.float32), (count, frames))
    return Tracks(xy, np.ones((count, frames), bool), sure, queries, wall, "truth")


def straight(
    strain: Callable[[np.ndarray, int], np.ndarray], times: np.ndarray, *, count: int = 60, length: float = 180.0
) -> np.ndarray:
    """A line (N, T, 2) along x of pieces of equal length, of which segment k has the strain ``strain(times, k)`` %."""
    owner = np.minimum(6 * np.arange(count) // count, 5)
    pieces = []
    for n in range(count - 1):
        # The piece between two segments belongs to each by half.
        share = (strain(times, owner[n]) + strain(times, owner[n + 1])) / 2
        pieces.append(length / (count - 1) * (1 + share / 100))
    x = np.concatenate([np.zeros((1, len(times))), np.cumsum(pieces, axis=0)])
    return np.stack([x + 30, np.full_like(x, 50.0)], axis=-1)


def even(size: float, times: np.ndarray, **options: int) -> np.ndarray:
    """A line that is shortened evenly by `size` % at end-systole."""
    return straight(lambda t, _: -size * shortening(t), times, **options)


def u_shape(count: int = 61, width: float = 40.0, height: float = 80.0) -> np.ndarray:
    """Half an ellipse (N, 2) from base to base over the apex, in mm; the base is at the bottom."""
    angle = np.linspace(0, np.pi, count)
    return np.column_stack([100 - width / 2 * np.cos(angle), 120 - height * np.sin(angle)])
