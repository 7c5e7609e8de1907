"""Clips with masks and trajectories that segmenters of video train on, and how a part of one is drawn and augmented.

Trajectories do not depend on what is trained, so they are found once and kept in a folder.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, DataError, DatasetError
from echomotion.datasets.camus import CamusFrame
from echomotion.datasets.simulated import StoredSequence, read_simulated
from echomotion.io.write import atomic_path
from echomotion.models.segmenters.point_cues import Cues
from echomotion.simulate.joined import JoinedBeat, joined_beat, square_frames
from echomotion.simulate.store import simulate_to_folder
from echomotion.training.augment import draw_reach, place_image, place_labels, placement_matrix, seen_otherwise
from echomotion.training.open_valve import perhaps_open_valve

# A point counts for smoothness from this confidence on.
_SURE = 0.5
# What trackers do wrong, for tracks that are exact: px of noise, of drift over the whole contraction, and the share of
# points that stay where they are.
_NOISE_PX, _DRIFT_PX, _STUCK = 0.5, 2.0, 0.05
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Video:
    """A clip with masks on some frames.

    Attributes
    ----------
    frames, labels : uint8 (T, H, W)
    labelled : bool (T,)
        Frames whose labels are known.
    cues : Cues
        Px of these frames.
    steady : bool (N,)
        Points that may count for smoothness.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    cues: Cues
    steady: NDArray[np.bool_]


class Draw(NamedTuple):
    """A part of a clip as the network takes it.

    Attributes
    ----------
    frames : float32 (T, S, S)
        0 to 1.
    labels : uint8 (T, S, S)
    labelled : bool (T,)
    xy : float32 (N, T, 2)
    visible, confidence : float32 (N, T)
    counted : float32 (N, T)
        Where a point counts for smoothness.
    tokens : float32 (N, T, C)
        Of the tracker; C is 0 where there are none.
    """

    frames: NDArray[np.float32]
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    xy: NDArray[np.float32]
    visible: NDArray[np.float32]
    confidence: NDArray[np.float32]
    counted: NDArray[np.float32]
    tokens: NDArray[np.float32]


def draw_video(video: Video, frames: int, size: int, points: int, rng: np.random.Generator, plain: float) -> Draw:
    """Some frames of a video in order, a labelled one among them, augmented; see :func:`placed`."""
    count = len(video.frames)
    known = np.flatnonzero(video.labelled)
    if not len(known):
        raise DatasetError("a training video has no frame with a mask")
    first = rng.permutation(known)[: max(1, frames // 2) if len(known) < count else 1]
    rest = np.setdiff1d(np.arange(count), first)
    more = rng.choice(rest, frames - len(first), replace=False) if len(rest) >= frames - len(first) else rest
    chosen = np.sort(np.concatenate([first, more]))
    chosen = np.concatenate([chosen, np.full(frames - len(chosen), chosen[-1])])
    cues = video.cues
    counted = cues.visible & (cues.confidence >= _SURE) & video.steady[:, None]
    part = Cues(
        cues.xy[:, chosen],
        cues.visible[:, chosen],
        cues.confidence[:, chosen],
        None if cues.tokens is None else cues.tokens[:, chosen],
    )
    return placed(
        video.frames[chosen], video.labels[chosen], video.labelled[chosen], part, counted[:, chosen], size, points, rng,
        plain,
    )  # fmt: skip


def draw_joined(beat: JoinedBeat, frames: int, size: int, points: int, rng: np.random.Generator, plain: float) -> Draw:
    """A patient's beat at some times, one end or both among them, with tracks as a tracker finds them."""
    ends = rng.permutation([0.0, 1.0])[: 2 if frames < 3 else int(rng.integers(1, 3))]
    parts = np.sort(np.concatenate([ends, rng.uniform(0, 1, max(0, frames - len(ends)))]))[:frames]
    pictures = [beat.render(float(part)) for part in parts]
    side = beat.frames.shape[-1]
    start = rng.uniform(0, side - 1, (4 * points, 2))
    lit = beat.frames.max(axis=0) > 0
    inside = lit[start[:, 1].astype(int), start[:, 0].astype(int)]
    start = start[inside][: 2 * points] if inside.sum() > points // 2 else start[: 2 * points]
    true = beat.track(start, parts)
    away = np.abs(parts - rng.uniform())[None, :, None]
    error = rng.normal(0, _NOISE_PX, true.shape) + away * rng.normal(0, _DRIFT_PX, (len(start), 1, 2))
    stuck = rng.random(len(start)) < _STUCK
    error[stuck] = true[stuck].mean(axis=1, keepdims=True) - true[stuck]
    apart = np.hypot(error[..., 0], error[..., 1])
    sure = np.clip(1.15 - apart / 4 + rng.normal(0, 0.1, apart.shape), 0, 1)
    cues = Cues((true + error).astype(np.float32), np.ones(apart.shape, bool), sure.astype(np.float32))
    return placed(
        np.stack([picture for picture, _ in pictures]),
        np.stack([labels for _, labels in pictures]),
        np.ones(frames, bool),
        cues,
        sure >= _SURE,
        size,
        points,
        rng,
        plain,
        valve_shut=True,
    )


def draw_stills(
    frames: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    size: int,
    points: int,
    rng: np.random.Generator,
    plain: float,
) -> list[Draw]:
    """Single frames of one heart (T, H, W), placed and seen alike, with points that have nowhere to go."""
    count = len(frames)
    xy = rng.uniform(0, np.array(frames.shape[:0:-1]) - 1, (2 * points, 1, 2)).astype(np.float32).repeat(count, axis=1)
    seen = np.ones(xy.shape[:2], bool)
    cues = Cues(xy, seen, seen.astype(np.float32))
    draw = placed(frames, labels, np.ones(count, bool), cues, ~seen, size, points, rng, plain, valve_shut=True)
    pictures, masks, known, *points_first = draw
    return [
        Draw(pictures[t : t + 1], masks[t : t + 1], known[t : t + 1], *(array[:, t : t + 1] for array in points_first))
        for t in range(count)
    ]


def placed(
    frames: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    labelled: NDArray[np.bool_],
    cues: Cues,
    counted: NDArray[np.bool_],
    size: int,
    points: int,
    rng: np.random.Generator,
    plain: float,
    *,
    valve_shut: bool = False,
) -> Draw:
    """Frames (T, H, W) moved, turned and stretched alike, as seen by one machine, with some of their points.

    Parameters
    ----------
    frames, labels : uint8 (T, H, W)
    labelled : bool (T,)
    cues : Cues
    counted : bool (N, T)
    size : int
        Side of the square grid.
    points : int
        Points that are kept, those on the grid first; drawn more than once where there are too few.
    rng : numpy.random.Generator
    plain : float
        Share of the clips placed about as they were recorded (:func:`echomotion.training.augment.draw_reach`).
    valve_shut : bool
        The mitral valve is shut in all frames, so some clips are shown with it open (:mod:`.open_valve`).
    """
    reach, slightly = draw_reach(plain, rng)
    shape = (frames.shape[1], frames.shape[2])
    matrix = placement_matrix(shape, size, rng, reach)
    moved = [place_image(frame, matrix, size) for frame in frames]
    masks = [place_labels(label, matrix, size) for label in labels]
    pictures = seen_otherwise(perhaps_open_valve(moved, masks, rng) if valve_shut else moved, rng, slightly=slightly)
    xy = (cues.xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    inside = np.all((xy >= 0) & (xy <= size - 1), axis=-1)
    order = np.argsort(~inside.any(axis=1), kind="stable")[: max(points, int(inside.any(axis=1).sum()))]
    chosen = rng.permutation(order)[:points]
    if len(chosen) < points:
        chosen = np.concatenate([chosen, rng.choice(chosen, points - len(chosen))])
    visible = (cues.visible & inside)[chosen]
    tokens = np.zeros((points, len(frames), 0), np.float32) if cues.tokens is None else cues.tokens[chosen]
    return Draw(
        np.stack(pictures),
        np.stack(masks),
        labelled,
        xy[chosen],
        visible.astype(np.float32),
        cues.confidence[chosen],
        (counted[chosen] & visible).astype(np.float32),
        tokens.astype(np.float32),
    )


def cached(folder: Path, name: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays kept under a name in a folder, made when they are not there.

    Raises
    ------
    DatasetError
        When the file is damaged.
    """
    path = folder / f"{name}.npz"
    if not path.is_file():
        arrays = make()
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial, partial.open("wb") as stream:
            fields: dict[str, Any] = dict(arrays)
            np.savez_compressed(stream, **fields)
        return arrays
    try:
        with np.load(path, allow_pickle=False) as arrays_on_disk:
            return {key: arrays_on_disk[key] for key in arrays_on_disk.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        raise DatasetError(f"{path}: not readable; delete it, and it will be made again") from None


def cached_cues(
    folder: Path, name: str, make: Callable[[], tuple[Cues, NDArray[np.bool_]]]
) -> tuple[Cues, NDArray[np.bool_]]:
    """Trajectories (px of their frames) and which points are steady, made once."""

    def arrays() -> Arrays:
        cues, steady = make()
        kept: Arrays = {
            "xy": cues.xy, "visible": cues.visible, "confidence": cues.confidence.astype(np.float16), "steady": steady
        }  # fmt: skip
        return kept if cues.tokens is None else kept | {"tokens": cues.tokens.astype(np.float16)}

    found = cached(folder, name, arrays)
    tokens = found["tokens"].astype(np.float32) if "tokens" in found else None
    cues = Cues(
        found["xy"].astype(np.float32), found["visible"].astype(bool), found["confidence"].astype(np.float32), tokens
    )
    return cues, found["steady"].astype(bool)


def apical_labels(sequence: StoredSequence) -> NDArray[np.uint8]:
    """Labels with the numbers of CAMUS; other classes count as background."""
    out = np.zeros_like(sequence.masks.labels)
    for number, name in APICAL_CLASSES.items():
        if sequence.masks.has(name):
            out[sequence.masks.mask(name)] = number
    return out


def simulated_beats(
    folder: Path, data: str | Path, from_patients: int, parametric: int
) -> Iterator[tuple[str, StoredSequence]]:
    """Simulated four-chamber beats that are kept in a folder, and a name of each.

    So many have the anatomy of patients of CAMUS in `data`, so many are of drawn hearts.
    """
    for kind, count, templates in (("patients", from_patients, data), ("parametric", parametric, None)):
        if not count:
            continue
        place = folder / f"simulated-{kind}-{count}"
        simulate_to_folder("A4C", count, 7, place, templates=templates, n_frames=24, n_tracks=16, shape=(256, 256))
        for sequence in read_simulated(place):
            yield f"{kind}-{count}-{sequence.name.replace('/', '-')}", sequence


def cached_beat(folder: Path, frames: Sequence[CamusFrame], side: int) -> JoinedBeat | None:
    """A patient's beat on a grid of `side` px, its motion kept in a folder; None where the contours give no motion."""

    def make() -> Arrays:
        try:
            return {"shift": joined_beat(frames[0], frames[1], side).shift}
        except DataError:
            return {"shift": np.zeros((0, 0, 2), np.float32)}

    patient = frames[0].patient
    shift = cached(folder / f"joined-{side}", patient, make)["shift"]
    return JoinedBeat(patient, *square_frames(frames, side), shift.astype(np.float32)) if shift.size else None


def stacked(draws: Sequence[Draw]) -> tuple[NDArray[np.generic], ...]:
    """Draws of as many frames and points as arrays with the axis of the clips first."""
    return tuple(np.stack(parts) for parts in zip(*draws, strict=True))


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice of two masks; NaN where both are empty."""
    total = found.sum() + true.sum()
    return float(2 * (found & true).sum() / total) if total else float("nan")


def scaled(frames: Iterable[NDArray[np.uint8]], side: int, nearest: bool = False) -> NDArray[np.uint8]:
    """Square frames at another size."""
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return np.stack([cv2.resize(frame, (side, side), interpolation=how) for frame in frames])
