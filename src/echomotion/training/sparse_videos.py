"""Videos of which few frames have masks, and how a part of one is drawn for a pupil and for its teacher.

The teacher sees a frame as it was recorded, the pupil the same frame through another machine
(:mod:`echomotion.training.augment`); both see it at the same place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DatasetError, EchoMotionError, Geometry
from echomotion.datasets.camus import CamusFrame
from echomotion.datasets.echonet_dynamic import FILES, read_echonet_dynamic
from echomotion.datasets.folder import MASKS, LabelledVideo, read_labelled_videos
from echomotion.datasets.splits import chosen_names
from echomotion.io import read_clip
from echomotion.simulate.joined import JoinedBeat, square_frames
from echomotion.training.augment import draw_reach, place_image, place_labels, placement_matrix, seen_otherwise
from echomotion.training.bending import perhaps_bent
from echomotion.training.open_valve import perhaps_open_valve

# What a beat moves on from frame to frame, in parts of a contraction: 8 to 20 frames in systole.
_STEP = (0.05, 0.12)
PHASES = ("both", "ED", "ES")


@dataclass(frozen=True)
class SparseVideo:
    """A clip on a square grid, with masks on some frames or on none.

    Attributes
    ----------
    name : str
    frames, labels : uint8 (T, S, S)
    labelled : bool (T,)
    near : bool
        Whether frames that follow each other are close in time; not so for end-diastole and end-systole alone.
    """

    name: str
    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    near: bool


class SparseDraw(NamedTuple):
    """A part of a video as networks take it.

    Attributes
    ----------
    strong, weak : float32 (T, S, S)
        For the pupil and for the teacher, 0 to 1.
    labels : uint8 (T, S, S)
    labelled : bool (T,)
    near : bool (T - 1,)
    """

    strong: NDArray[np.float32]
    weak: NDArray[np.float32]
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    near: NDArray[np.bool_]


def patient_pair(frames: list[CamusFrame], side: int, phases: str = "both") -> SparseVideo:
    """A patient's end-diastole and end-systole as a video of two frames, with the masks of those phases."""
    pictures, labels = square_frames(frames, side)
    known = np.array([phases in ("both", frame.phase) for frame in frames])
    return SparseVideo(frames[0].patient, pictures, labels * known[:, None, None], known, False)


def without_masks(video: SparseVideo) -> SparseVideo:
    """The same video as one of which nobody has drawn anything."""
    return replace(video, labels=np.zeros_like(video.labels), labelled=np.zeros_like(video.labelled))


def shown_few(videos: list[SparseVideo], share: float, seed: int) -> tuple[list[SparseVideo], list[str]]:
    """Videos of which only a share keeps its masks, and the names of these; another seed chooses others.

    At least one keeps them.
    """
    kept = chosen_names([video.name for video in videos], share, seed)
    return [video if video.name in set(kept) else without_masks(video) for video in videos], kept


def folder_videos(root: str | Path, side: int) -> Iterator[SparseVideo]:
    """Videos of a folder with some masks, those without any last; or of EchoNet-Dynamic's training split.

    Raises
    ------
    DatasetError
        When none has a mask, or one cannot be read.
    """
    folder = Path(root)
    if (folder / FILES).is_file():
        yield from (_squared(item.video, side) for item in read_echonet_dynamic(folder, "train"))
        return
    yield from (_squared(video, side) for video in read_labelled_videos(folder))
    known = {path.name.removesuffix(MASKS) for path in folder.glob(f"*{MASKS}")}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stem not in known and not path.name.endswith(MASKS) and path.name[0] != ".":
            try:
                frames = _square(read_clip(path), side)[0]
            except EchoMotionError as error:
                raise DatasetError(f"{path}: {error}; take files that are no clips out of the folder") from error
            yield SparseVideo(path.stem, frames, np.zeros_like(frames), np.zeros(len(frames), bool), True)


def draw_sparse(video: SparseVideo, length: int, size: int, rng: np.random.Generator, plain: float) -> SparseDraw:
    """Some frames in a row, one with a mask among them where there is one."""
    count = len(video.frames)
    known = np.flatnonzero(video.labelled)
    anchor = int(rng.choice(known)) if len(known) else int(rng.integers(count))
    length = min(length, count)
    first = int(np.clip(anchor - rng.integers(length), 0, count - length))
    chosen = slice(first, first + length)
    near = np.full(max(0, length - 1), video.near)
    labels = video.labels[chosen]
    contours = None if video.near else labels
    return _drawn(video.frames[chosen], labels, video.labelled[chosen], near, size, rng, plain, contours)


def draw_beat(
    beat: JoinedBeat, phases: str, length: int, size: int, rng: np.random.Generator, plain: float
) -> SparseDraw:
    """A patient's beat from one of its ends on, in steps as a recording has them; only that end has a mask."""
    ends = [end for end, phase in enumerate(PHASES[1:]) if phases in ("both", phase)]
    end = int(rng.choice(ends))
    parts = np.abs(end - rng.uniform(*_STEP) * np.arange(length))
    pictures, labels = zip(*(beat.render(float(part)) for part in parts), strict=True)
    known = np.arange(length) == 0
    order = slice(None) if rng.random() < 0.5 else slice(None, None, -1)
    contours = np.stack(labels)[order]
    shown = contours * known[order, None, None].astype(np.uint8)
    near = np.ones(length - 1, bool)
    return _drawn(np.stack(pictures)[order], shown, known[order], near, size, rng, plain, contours)


def _drawn(
    frames: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    labelled: NDArray[np.bool_],
    near: NDArray[np.bool_],
    size: int,
    rng: np.random.Generator,
    plain: float,
    contours: NDArray[np.uint8] | None,
) -> SparseDraw:
    """A drawn part; with the contours of frames that all show the mitral valve shut, some have it open."""
    reach, slightly = draw_reach(plain, rng)
    shape = (frames.shape[1], frames.shape[2])
    matrix = placement_matrix(shape, size, rng, reach)
    placed = [place_image(frame, matrix, size) for frame in frames]
    known = labels if contours is None else contours
    weak, outlines = perhaps_bent(placed, [place_labels(label, matrix, size) for label in known], rng)
    if contours is not None:
        weak = perhaps_open_valve(weak, outlines, rng)
    # What a teacher says of a clip without masks teaches nothing to a pupil who sees the same.
    strong = seen_otherwise(weak, rng, slightly=slightly and bool(labelled.any()))
    shown = np.stack(outlines) * labelled[:, None, None]
    return SparseDraw(np.stack(strong), np.stack(weak), shown, labelled, near)


def stacked_draws(draws: Iterable[SparseDraw]) -> tuple[NDArray[np.generic], ...]:
    """Draws of as many frames as arrays with the axis of the clips first."""
    return tuple(np.stack(parts) for parts in zip(*draws, strict=True))


def _squared(video: LabelledVideo, side: int) -> SparseVideo:
    frames, geometry = _square(video.clip, side)
    labels = np.stack([geometry.warp(label, nearest=True) for label in video.labels])
    return SparseVideo(video.name, frames, labels, video.labelled, True)


def _square(clip: Clip, side: int) -> tuple[NDArray[np.uint8], Geometry]:
    rows, columns = clip.shape
    box = (-0.5, -0.5, columns - 0.5, rows - 0.5)
    geometry = Geometry.letterbox(clip.shape, box, (side, side), clip.pixel_aspect)
    return np.stack([geometry.warp(frame) for frame in clip.frames]), geometry
