"""Simulated parasternal cines with the calipers of every frame, for detectors of key-points; and frames alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Geometry
from echomotion.datasets.simulated import StoredSequence, fan_geometry, read_simulated
from echomotion.simulate.store import simulate_to_folder, stored_calipers

SHAPE, FRAMES, TRACKS = (240, 320), 24, 64


@dataclass(frozen=True)
class ParasternalCine:
    """What training keeps of a simulated parasternal sequence.

    Attributes
    ----------
    name : str
    frames : uint8 (T, side, side)
        On the grid of a model, black outside the fan.
    xy : float32 (4, T, 2)
        Calipers in px of that grid.
    tissue : float32 (4, T, 2)
        The material points that the calipers touch at end-diastole.
    px_mm : float
        Size of a px of the grid.
    frame_interval_s : float
        Median time between frames.
    """

    name: str
    frames: NDArray[np.uint8]
    xy: NDArray[np.float32]
    tissue: NDArray[np.float32]
    px_mm: float
    frame_interval_s: float

    @classmethod
    def of(cls, sequence: StoredSequence, side: int, every: int = 1) -> ParasternalCine:
        """From a stored sequence, every so many frames, on a grid of that side."""
        clip = sequence.clip
        frames, geometry = _fan_frames(clip, side, every)
        places = (stored_calipers(sequence.parameters), sequence.keypoints)
        xy, tissue = (geometry.to_grid(points.xy[:, ::every]) for points in places)
        spacing = 1.0 if clip.spacing_mm is None else clip.spacing_mm[1]
        return cls(
            sequence.name,
            frames,
            xy.astype(np.float32),
            tissue.astype(np.float32),
            spacing / geometry.scale[0],
            every * clip.frame_interval_s,
        )


def parasternal_cines(
    folder: str | Path,
    count: int,
    seed: int,
    *,
    side: int,
    every: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[ParasternalCine]:
    """Cines in memory, simulated when the folder does not hold them.

    Parameters
    ----------
    folder : path
    count, seed : int
        Of :func:`~echomotion.simulate.store.simulate_to_folder`.
    side, every : int
        As for :meth:`ParasternalCine.of`.
    progress : callable, optional

    Raises
    ------
    OutputError
        When the folder holds other sequences.
    """
    simulate_to_folder(
        "PLAX", count, seed, folder, progress=progress, shape=list(SHAPE), n_frames=FRAMES, n_tracks=TRACKS
    )
    return [ParasternalCine.of(sequence, side, every) for sequence in read_simulated(folder)]


def simulated_frames(view: str, folder: str | Path, count: int, seed: int, *, side: int) -> list[NDArray[np.uint8]]:
    """Frames (T, side, side) alone of simulated sequences of any view; otherwise as :func:`parasternal_cines`."""
    simulate_to_folder(view, count, seed, folder, shape=list(SHAPE), n_frames=FRAMES, n_tracks=TRACKS)
    return [_fan_frames(sequence.clip, side)[0] for sequence in read_simulated(folder)]


def _fan_frames(clip: Clip, side: int, every: int = 1) -> tuple[NDArray[np.uint8], Geometry]:
    geometry = fan_geometry(clip, side)
    return np.stack([geometry.warp(frame) for frame in clip.frames[::every]]), geometry
