"""Simulated cines to train trackers on, and the augmentations that make their motion impartial.

The heart of every cine hangs the same way, is asked for at end-diastole and contracts first: a network that has seen
nothing else learns that motion instead of reading it off the picture (Azad et al. 2025, arXiv 2507.10127). Any frame,
either direction of time, any start of the beat and any orientation leave nothing but the picture to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import DatasetError
from echomotion.datasets.simulated import StoredSequence, read_simulated
from echomotion.simulate.store import simulate_to_folder
from echomotion.training.appearance import change_appearance

# Views of the training; that of the right ventricle is held out.
VIEWS = ("A4C", "A2C", "A3C", "PLAX", "PSAX")
_HELD_OUT = "RV_FOCUSED"
_SHAPE, _FRAMES, _TRACKS = (256, 352), 48, 256
# A point nearer to the border of the frame than this many px does not count as visible.
_BORDER = 2.0
# Share of samples whose points all lie in the wall.
_WALL = 0.85
_TRIES = 20


@dataclass(frozen=True)
class ImpartialMotion:
    """Which augmentations are on; without any, points are asked for on the first frame, at end-diastole, upright.

    Attributes
    ----------
    random_query : bool
        Points are asked for on any frame, each on its own.
    time_reversal : bool
        Half of the samples run backward.
    cyclic_roll : bool
        The beat begins at any phase, and goes on from its end to its beginning.
    flips : bool
    rotation : bool
        By any angle; half of the time by a multiple of 90 degrees, which leaves the speckle as it is.
    anisotropic_scale : bool
    frame_rate : bool
        Frames are left out.
    appearance : bool
        See :func:`echomotion.training.appearance.change_appearance`; 30 % of the samples stay as they are.
    """

    random_query: bool = True
    time_reversal: bool = True
    cyclic_roll: bool = True
    flips: bool = True
    rotation: bool = True
    anisotropic_scale: bool = True
    frame_rate: bool = True
    appearance: bool = True

    @classmethod
    def none(cls) -> ImpartialMotion:
        """All off."""
        return cls(*([False] * 8))


@dataclass(frozen=True)
class Cine:
    """What training keeps of a simulated sequence.

    Attributes
    ----------
    frames : uint8 (T, h, w)
    xy : float32 (N, T, 2)
    visible : bool (N, T)
    tissue : str (N,)
    beat : (int, int)
        First frame, at end-diastole, and the one after the last: the next end-diastole, or the end of the cine.
    view : str
    """

    frames: NDArray[np.uint8]
    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    tissue: NDArray[np.str_]
    beat: tuple[int, int]
    view: str

    @classmethod
    def of(cls, sequence: StoredSequence) -> Cine:
        """From a stored sequence."""
        times, first = sequence.clip.times_s, sequence.reference_frame
        after = [b.next_ed_s for b in sequence.phases.beats if b.next_ed_s is not None and b.next_ed_s > times[first]]
        last = int(np.abs(times - after[0]).argmin()) if after else len(times)
        tissue = np.array(sequence.point_tissue)
        return cls(
            sequence.clip.frames,
            sequence.tracks.xy,
            sequence.tracks.visible,
            tissue,
            (first, last),
            str(sequence.clip.view),
        )


class SimulatedCines:
    """Cines in memory, made when the folder does not hold them.

    Parameters
    ----------
    folder : path
        Holds one folder of simulated sequences a view.
    views : sequence of str
    count : int or mapping of str to int
        Sequences of each view.
    seed : int
    templates : path, optional
        CAMUS folder whose patients give the anatomy of A4C cines; they then lie in ``a4c-camus``.
    template_split : str
    shape : (int, int)
    n_frames, n_tracks : int
    progress : callable, optional
        Called with the number of finished sequences and of all.

    Raises
    ------
    DatasetError
        When a view is the held-out one, or a folder holds other sequences.
    """

    def __init__(
        self,
        folder: str | Path,
        views: Sequence[str] = VIEWS,
        count: int | dict[str, int] = 64,
        seed: int = 1,
        *,
        templates: str | Path | None = None,
        template_split: str = "fit",
        shape: tuple[int, int] = _SHAPE,
        n_frames: int = _FRAMES,
        n_tracks: int = _TRACKS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.cines: list[Cine] = []
        counts = {view.upper(): count if isinstance(count, int) else count[view] for view in views}
        if _HELD_OUT in counts:
            raise DatasetError(f"{_HELD_OUT} is held out; train on {', '.join(VIEWS)}")
        for view, number in counts.items():
            own = templates if view == "A4C" else None
            place = Path(folder) / (view.lower() + ("-camus" if own is not None else ""))
            simulate_to_folder(
                view,
                number,
                seed,
                place,
                templates=own,
                template_split=template_split,
                progress=progress,
                shape=list(shape),
                n_frames=n_frames,
                n_tracks=n_tracks,
            )
            self.cines += [Cine.of(sequence) for sequence in read_simulated(place)]

    def __len__(self) -> int:
        return len(self.cines)

    def __getitem__(self, number: int) -> Cine:
        return self.cines[number]


class Sample(NamedTuple):
    """One training sample.

    Attributes
    ----------
    frames : uint8 (T, size, size)
    xy : float32 (N, T, 2)
    visible : bool (N, T)
    query : int64 (N,)
        The frame on which each point is asked for; it is visible there.
    """

    frames: NDArray[np.uint8]
    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    query: NDArray[np.int64]


def draw_cine(
    cine: Cine,
    rng: np.random.Generator,
    motion: ImpartialMotion,
    *,
    frames: int,
    size: int,
    points: int,
    consecutive: bool = True,
) -> Sample:
    """A part of a cine around some of its points, augmented.

    Parameters
    ----------
    cine : Cine
    rng : numpy.random.Generator
    motion : ImpartialMotion
    frames : int
    size : int
        Side of the square frames in px; what lies beyond the cine is black.
    points : int
        Drawn more than once where there are too few.
    consecutive : bool
        Whether frames follow one another. Otherwise they are spread over the beat at random, in order, for networks
        that see each frame on its own.

    Raises
    ------
    DatasetError
        When the cine has no visible points.
    """
    for _ in range(_TRIES):
        order = draw_frames(cine, rng, motion, frames, consecutive)
        query = rng.integers(frames, size=len(cine.xy)) if motion.random_query else np.zeros(len(cine.xy), np.int64)
        rows = np.arange(len(query))
        seen = cine.visible[:, order][rows, query]
        if rng.random() < _WALL:
            seen &= cine.tissue == "wall"
        if not seen.any():
            continue
        places = cine.xy[:, order][rows, query]
        centre = places[rng.choice(np.flatnonzero(seen))] + rng.uniform(-0.2, 0.2, 2) * size
        matrix = draw_placement(centre, rng, motion, size)
        xy = (cine.xy[:, order] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        inside = np.all((xy >= _BORDER) & (xy <= size - 1 - _BORDER), axis=-1)
        visible = cine.visible[:, order] & inside
        usable = np.flatnonzero(seen & visible[rows, query])
        if not len(usable):
            continue
        chosen = rng.permutation(usable)[:points]
        chosen = np.concatenate([chosen, rng.choice(usable, points - len(chosen))])
        placed = np.stack([place_frame(frame, matrix, size) for frame in cine.frames[order]])
        if motion.appearance and rng.random() < 0.7:
            placed = change_appearance(placed, rng)
        return Sample(placed, xy[chosen], visible[chosen], query[chosen].astype(np.int64))
    raise DatasetError("a simulated cine has no points that can be seen; make it again")


def draw_frames(
    cine: Cine, rng: np.random.Generator, motion: ImpartialMotion, frames: int, consecutive: bool = True
) -> NDArray[np.int64]:
    """Which frames of the cine a sample shows, in order; without augmentations the first is end-diastole."""
    first, last = cine.beat
    if motion.cyclic_roll:
        pool = first + (rng.integers(last - first) + np.arange(last - first)) % (last - first)
    else:
        pool = np.arange(first, len(cine.frames))
    if motion.time_reversal and rng.random() < 0.5:
        pool = pool[::-1]
    if not consecutive:
        rest = rng.choice(np.arange(1, len(pool)), frames - 1, replace=frames > len(pool))
        return pool[np.concatenate([[0], np.sort(rest)])]
    step = int(rng.choice([1, 1, 2, 3])) if motion.frame_rate else 1
    at = np.arange(frames) * step
    return pool[at % len(pool) if motion.cyclic_roll else np.minimum(at, len(pool) - 1)]


def draw_placement(
    centre: NDArray[np.floating], rng: np.random.Generator, motion: ImpartialMotion, size: int
) -> NDArray[np.float64]:
    """Matrix (2, 3) from px of the cine to those of a frame of `size` px with `centre` in its middle.

    Without turn and stretch, pixels are moved by whole pixels, so that nothing is interpolated.
    """
    linear = np.eye(2)
    if motion.anisotropic_scale and rng.random() < 0.6:
        linear = np.diag(np.exp(rng.uniform(np.log(0.85), np.log(1.2), 2)))
    if motion.flips:
        linear = np.diag(rng.choice([-1.0, 1.0], 2)) @ linear
    if motion.rotation:
        quarter = rng.random() < 0.5
        angle = rng.integers(4) * np.pi / 2 if quarter else rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = (np.round(turn) if quarter else turn) @ linear
    return np.column_stack([linear, np.round((size - 1) / 2 - linear @ centre)])


def place_frame(frame: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """A frame through :func:`draw_placement`'s matrix."""
    whole = np.array_equal(matrix, np.round(matrix))
    return cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_NEAREST if whole else cv2.INTER_CUBIC)
