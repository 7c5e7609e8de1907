"""Clips with the trajectories of their points, for PointSeg's second stage: simulated, recorded, and beats to judge by.

The tracker is frozen, so its trajectories are found once per clip and kept in a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError, Geometry
from echomotion.datasets.camus import CamusFrame
from echomotion.datasets.echonet_dynamic import FILES, read_echonet_dynamic
from echomotion.datasets.folder import LabelledVideo, read_labelled_videos
from echomotion.models.base import Tracker
from echomotion.models.registry import create_tracker
from echomotion.models.segmenters.point_cues import Cues, cue_queries, forward_backward_px, track_cues
from echomotion.training.videos import Video, apical_labels, cached_beat, cached_cues, simulated_beats

# Moments of a validation patient's beat; the first and last are the recording itself.
_MOMENTS, _JUDGED = 9, (0, 2, 4, 6, 8)


@dataclass(frozen=True)
class CueTracker:
    """How clips are tracked, and where what was found is kept.

    Attributes
    ----------
    name, weights : str
        Of the tracker; the installed weights where empty.
    spacing_px, steady_px : float
        As in :class:`~echomotion.training.pointseg.PointSegTraining`, in px of a square grid of side `grid`.
    grid : int
    tokens : bool
        Whether the tracker's tokens are kept as well.
    folder : Path
    """

    name: str
    weights: str
    spacing_px: float
    steady_px: float
    grid: int
    tokens: bool
    folder: Path

    @cached_property
    def tracker(self) -> Tracker:
        """The frozen tracker, made when first needed."""
        return create_tracker(self.name, weights=self.weights or None)

    def video(self, name: str, clip: Clip, labels: NDArray[np.uint8], labelled: NDArray[np.bool_]) -> Video:
        """A clip with the trajectories of its grid of points, in its own pixels; `name` is that of the kept file."""
        identity = Geometry.identity(clip.shape)

        def make() -> tuple[Cues, NDArray[np.bool_]]:
            spacing = self.spacing_px * max(clip.shape) / self.grid
            queries = cue_queries(clip, clip.frames, identity, spacing)
            tracks, cues = track_cues(self.tracker, clip, queries, identity, tokens=self.tokens)
            steady = np.ones(len(queries), bool)
            if clip.n_frames == 2:
                limit = self.steady_px * max(clip.shape) / self.grid
                steady = forward_backward_px(self.tracker, clip, tracks, identity) < limit
            return cues, steady

        kind = f"paths-{self.name}-{self.spacing_px:g}" + ("-tokens" if self.tokens else "")
        cues, steady = cached_cues(self.folder / kind, name, make)
        return Video(clip.frames, labels, labelled, cues, steady)


def simulated_videos(cues: CueTracker, data: str | Path, from_patients: int, parametric: int) -> Iterator[Video]:
    """Simulated four-chamber clips, so many with anatomy of CAMUS patients and so many of parametric hearts."""
    for name, sequence in simulated_beats(cues.folder, data, from_patients, parametric):
        labels = apical_labels(sequence)
        yield cues.video(name, sequence.clip, labels, np.ones(len(labels), bool))


def recorded_videos(cues: CueTracker, folder: Path, targets: tuple[str, ...]) -> Iterator[Video]:
    """Clips of a folder with some masks, or of EchoNet-Dynamic's training split.

    Raises
    ------
    DataError
        When a clip has no masks of one of the targets.
    """
    echonet = (folder / FILES).is_file()
    items: Iterable[LabelledVideo] = (
        (item.video for item in read_echonet_dynamic(folder, "train")) if echonet else read_labelled_videos(folder)
    )
    for item in items:
        unknown = set(targets) - set(item.classes.values())
        if unknown:
            raise DataError(f"{item.name} has no masks of {', '.join(sorted(unknown))}; take them out of targets")
        yield cues.video(f"video-{item.name}", item.clip, item.labels, item.labelled)


def selection_beats(cues: CueTracker, patients: list[list[CamusFrame]]) -> Iterator[Video]:
    """Beats between the two frames of these patients, tracked as a clip of a user would be; some moments of each."""
    side, times = cues.grid, np.linspace(0, 0.32, _MOMENTS)
    for frames in patients:
        beat = cached_beat(cues.folder, frames, side)
        if beat is None:
            continue
        moments = [beat.render(float(part)) for part in np.linspace(0, 1, _MOMENTS)]
        clip = Clip(np.stack([picture for picture, _ in moments]), times)
        labels = np.stack([label for _, label in moments])
        video = cues.video(f"selection-{side}-{beat.patient}", clip, labels, np.ones(_MOMENTS, bool))
        at, own = list(_JUDGED), video.cues
        tokens = None if own.tokens is None else own.tokens[:, at]
        part = Cues(own.xy[:, at], own.visible[:, at], own.confidence[:, at], tokens)
        yield Video(video.frames[at], labels[at], video.labelled[at], part, video.steady)
