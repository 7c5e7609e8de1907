"""Pictures of a simulated sequence: a contact sheet and a video, with what is known drawn over the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, Keypoints, Masks, Phases, Tracks
from echomotion.datasets.simulated import read_simulated
from echomotion.io.write import atomic_path, write_video
from echomotion.simulate.checks import check_range

_SCALE = 2
_TRAIL_S = 0.15
# Red, green, blue of the outlines, by label.
_COLOURS = ((0, 0, 0), (235, 80, 70), (80, 200, 120), (90, 150, 255), (250, 200, 60), (200, 110, 240), (80, 220, 220))
_POINT, _HIDDEN, _KEY = (255, 235, 120), (150, 60, 60), (255, 90, 220)


class Shown(Protocol):
    """What can be shown: a sequence just made, or one read from disk."""

    @property
    def clip(self) -> Clip:
        """Frames."""

    @property
    def tracks(self) -> Tracks:
        """Sampled points."""

    @property
    def masks(self) -> Masks:
        """Parts of the heart."""

    @property
    def keypoints(self) -> Keypoints:
        """Named points."""

    @property
    def phases(self) -> Phases:
        """Beats."""


def overlay(sequence: Shown, frame: int, *, points: int = 96) -> NDArray[np.uint8]:
    """One frame with outlines, points and their trails, twice as large, uint8 (2 H, 2 W, 3) in red, green, blue."""
    picture = _enlarged(sequence.clip.frames[frame])
    labels = sequence.masks.labels[frame]
    for label in sequence.masks.classes:
        if label == 0:
            continue
        region = cv2.resize(
            (labels == label).astype(np.uint8), None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST
        )
        lines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, _COLOURS[label % len(_COLOURS)], 1, cv2.LINE_AA)
    tracks, times = sequence.tracks, sequence.clip.times_s
    start = int(np.searchsorted(times, times[frame] - _TRAIL_S))
    every = max(1, tracks.n_points // points)
    for xy, visible in zip(tracks.xy[::every], tracks.visible[::every], strict=True):
        trail = np.round(_place(xy[start : frame + 1]) * 16).astype(np.int32)
        colour = _POINT if visible[frame] else _HIDDEN
        cv2.polylines(picture, [trail], False, colour, 1, cv2.LINE_AA, shift=4)
        cv2.circle(picture, _pixel(xy[frame]), 2, colour, -1, cv2.LINE_AA)
    for xy in sequence.keypoints.xy[:, frame]:
        cv2.circle(picture, _pixel(xy), 5, _KEY, 2, cv2.LINE_AA)
    return picture


def contact_sheet(sequence: Shown, columns: int = 5) -> NDArray[np.uint8]:
    """Frames of the first beat above, the same with what is known below: end-diastole first, end-systole third."""
    chosen = _moments(sequence, columns)
    plain = [_captioned(_enlarged(sequence.clip.frames[k]), sequence, k) for k in chosen]
    known = [overlay(sequence, k) for k in chosen]
    return np.concatenate([np.concatenate(plain, axis=1), np.concatenate(known, axis=1)])


def write_contact_sheet(path: str | Path, sequence: Shown) -> None:
    """The contact sheet as a PNG file."""
    sheet = contact_sheet(sequence)
    with atomic_path(path) as partial:
        partial.write_bytes(cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())


def write_preview_video(path: str | Path, sequence: Shown, *, slower: float = 2.0) -> None:
    """A video of the plain frames beside those with what is known, slowed down."""
    write_video(path, _side_by_side(sequence), _rate(sequence.clip) / slower)


def write_preview(folder: str | Path, name: str, sequence: Shown) -> list[Path]:
    """Contact sheet and video of a sequence, ``NAME.png`` and ``NAME.mp4``; gives their paths back."""
    paths = [Path(folder) / f"{name}.png", Path(folder) / f"{name}.mp4"]
    write_contact_sheet(paths[0], sequence)
    write_preview_video(paths[1], sequence)
    return paths


def write_previews(folder: str | Path, count: int, *, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Contact sheets and videos of the first sequences of a folder that `echomotion simulate` wrote.

    Raises
    ------
    DataError
        When `count` is negative.
    DatasetError
        When the folder holds no sequences.
    """
    check_range("preview", count, 0, 10_000)
    paths: list[Path] = []
    for number, sequence in enumerate(islice(read_simulated(folder), count), start=1):
        paths += write_preview(folder, f"preview-{number - 1:05d}", sequence)
        if progress is not None:
            progress(number, count)
    return paths


def _side_by_side(sequence: Shown) -> Iterator[NDArray[np.uint8]]:
    for k in range(sequence.clip.n_frames):
        yield np.concatenate([_enlarged(sequence.clip.frames[k]), overlay(sequence, k)], axis=1)


def _rate(clip: Clip) -> float:
    return 1.0 / clip.frame_interval_s if clip.n_frames > 1 else 1.0


def _moments(sequence: Shown, count: int) -> list[int]:
    """Frames to show: from end-diastole over end-systole to the end of the beat, or evenly where there is no beat."""
    clip, beats = sequence.clip, sequence.phases.beats
    if not beats or count < 3:
        return np.linspace(0, clip.n_frames - 1, count).round().astype(int).tolist()
    beat = beats[0]
    end = min(float(clip.times_s[-1]), beat.ed_s + 2.2 * (beat.es_s - beat.ed_s))
    times = [beat.ed_s, (beat.ed_s + beat.es_s) / 2, *np.linspace(beat.es_s, max(end, beat.es_s), count - 2)]
    return [clip.frame_at(time) for time in times]


def _captioned(picture: NDArray[np.uint8], sequence: Shown, frame: int) -> NDArray[np.uint8]:
    text = f"{sequence.clip.view} {1000 * sequence.clip.times_s[frame]:.0f} ms"
    cv2.putText(picture, text, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (220, 220, 220), 1, cv2.LINE_AA)
    return picture


def _enlarged(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = cv2.resize(frame, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_LINEAR)
    return np.repeat(large[..., None], 3, axis=2)


def _place(xy: NDArray[Any]) -> NDArray[np.float64]:
    """Native pixels to those of the enlarged picture."""
    return (np.asarray(xy, dtype=np.float64) + 0.5) * _SCALE - 0.5


def _pixel(xy: NDArray[Any]) -> tuple[int, int]:
    x, y = np.round(_place(xy)).astype(int)
    return int(x), int(y)
