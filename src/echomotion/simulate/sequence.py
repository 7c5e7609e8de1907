"""Simulated sequences with everything known: one at a time, as an endless stream, or as batches for training.

>>> sequence = simulate("A4C", seed=1)
>>> sequence.clip, sequence.tracks, sequence.masks, sequence.truth.ejection_fraction
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from echomotion.core import Clip, DataError, Keypoints, Layer, Masks, Phases, Source, Tracks, View, WallPoints
from echomotion.core.arrays import frozen_array
from echomotion.simulate.acquisition import to_mm, to_px, visible_points
from echomotion.simulate.anatomy import CLASSES
from echomotion.simulate.artefacts import Artefacts
from echomotion.simulate.checks import check_count
from echomotion.simulate.extension import fill_polygons
from echomotion.simulate.heart import VIEWS, HeartParameters, simulated_view, wall_segments
from echomotion.simulate.keypoints import key_points, wall_dimensions
from echomotion.simulate.probe import Probe
from echomotion.simulate.recording import Recording, plan_recording, render_recording
from echomotion.simulate.scan_conversion import fan_mask
from echomotion.simulate.templates import Template
from echomotion.simulate.tissue import chamber_polygons
from echomotion.simulate.truth import LAYER_DEPTH, Truth, known_truth

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sequence:
    """A simulated clip with its truth.

    Attributes
    ----------
    clip : Clip
        Frames with spacing, times and view; R waves at end-diastole.
    tracks : Tracks
        Of sampled points, queried on the reference frame; `visible` is false outside the fan and behind ribs or lung.
    point_tissue : tuple of str, N
        What each of them belongs to: ``wall``, ``line``, ``muscle``, ``surroundings``.
    masks : Masks
        Within the fan, classes by view (:data:`~echomotion.simulate.anatomy.CLASSES`).
    keypoints : Keypoints
        Named points of the view.
    dimensions_mm : mapping of str to float64 (T,)
        Septum (``ivs``), cavity (``lvid``) and posterior wall (``lvpw``) between the key-points of the parasternal
        view; empty in others.
    truth : Truth
        Phases, strain, thickness, areas, volume.
    reference_frame : int
        The frame at time 0 of the rhythm, an end-diastole, to which displacement and strain refer.
    recording : Recording
        All parameters, and the motion.
    """

    clip: Clip
    tracks: Tracks
    point_tissue: tuple[str, ...]
    masks: Masks
    keypoints: Keypoints
    dimensions_mm: Mapping[str, FloatArray]
    truth: Truth
    reference_frame: int
    recording: Recording = field(repr=False)

    @property
    def seed(self) -> int:
        """The seed it was made from."""
        return self.recording.seed

    @property
    def phases(self) -> Phases:
        """End-diastole and end-systole of the beats, on the clock of the clip."""
        return self.truth.phases

    def parameters(self) -> dict[str, Any]:
        """All parameters in plain values, for JSON."""
        return self.recording.parameters()

    def displacement(self, points_px: ArrayLike) -> FloatArray:
        """Where any material point goes.

        Parameters
        ----------
        points_px : float (N, 2)
            Places ``(x, y)`` on the reference frame, in px; in the wall, in blood, or anywhere else. Leaflets move on
            their own: a place on a leaflet is taken for the blood round it.

        Returns
        -------
        float64 (N, T, 2)
            Displacement in px from the reference frame to every frame.
        """
        points = frozen_array(points_px, "points_px", shape=(None, 2), dtype=np.float64)
        picture = self.recording.picture
        return self.recording.motion.displacement(to_mm(points, picture)) / picture.spacing_mm

    def wall_line(self, layer: Layer | str = Layer.MID_WALL, count: int = 64) -> Tracks:
        """Exact tracks of equally spaced points along a line of the wall, on the reference frame in segments."""
        if count < 12:
            raise DataError(f"count is {count}; at least 12 points are needed for six segments")
        which = Layer(layer)
        recording = self.recording
        motion = recording.motion
        nodes = motion.wall.nodes
        line = motion.wall.reference(nodes, np.full_like(nodes, LAYER_DEPTH[which]))
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        s = np.interp(np.linspace(0.0, length[-1], count), length, nodes)
        names = wall_segments(recording.heart.view)
        owner = np.clip(np.searchsorted(motion.segment_edges, s, side="right") - 1, 0, len(names) - 1)
        reference = motion.wall.reference(s, np.full_like(s, LAYER_DEPTH[which]))
        places = motion.wall_positions(s, LAYER_DEPTH[which])
        tracks = _tracks(places, reference, recording)
        wall = WallPoints(
            tracks.queries,
            which,
            tuple(names[k] for k in owner),
            np.linspace(0.0, 1.0, count),
            recording.heart.view,
        )
        return Tracks(tracks.xy, tracks.visible, tracks.confidence, tracks.queries, wall, "simulation")


def simulate(
    view: View | str = View.A4C,
    seed: int = 0,
    *,
    kind: str | None = None,
    heart: HeartParameters | None = None,
    template: Template | None = None,
    probe: Probe | None = None,
    artefacts: Artefacts | None = None,
    difficulty: float | None = None,
    shape: tuple[int, int] = (256, 256),
    n_frames: int = 36,
    frame_rate_hz: float | None = None,
    reference_frame: int | None = None,
    n_tracks: int = 256,
    device: torch.device | str = "cpu",
) -> Sequence:
    """Simulate one sequence; what is not given is drawn at random from the seed.

    Parameters
    ----------
    view : View
        A4C, A2C, A3C, PLAX, PSAX or RV_FOCUSED; that of `heart` where one is given.
    seed : int
        The same seed and arguments give the same sequence.
    kind : str, optional
        One of :data:`~echomotion.simulate.heart.KINDS`.
    heart : HeartParameters, optional
        A heart of your own.
    template : Template, optional
        A patient whose anatomy is used (:func:`~echomotion.simulate.templates.read_template`).
    probe, artefacts : optional
        Machine settings, and what makes tracking hard.
    difficulty : float, optional
        0 (a good recording) to 1 (a poor one), for drawing the artefacts.
    shape : (int, int)
        Rows and columns of a frame.
    n_frames : int
        Number of frames T.
    frame_rate_hz : float, optional
        20 to 120.
    reference_frame : int, optional
        The frame at the end-diastole to which displacement and strain refer: 0 starts the clip there.
    n_tracks : int
        Number of sampled points N.
    device : torch.device
        Where the frames are made.

    Raises
    ------
    DataError
        When a parameter is outside its range; the message names it.
    """
    recording = plan_recording(
        view,
        seed,
        kind=kind,
        heart=heart,
        template=template,
        probe=probe,
        artefacts=artefacts,
        difficulty=difficulty,
        shape=shape,
        n_frames=n_frames,
        frame_rate_hz=frame_rate_hz,
        reference_frame=reference_frame,
        n_tracks=n_tracks,
    )
    return finish(recording, render_recording(recording, device).cpu().numpy())


def finish(recording: Recording, frames: NDArray[np.uint8]) -> Sequence:
    """Frames and what is known about them, as a sequence."""
    motion, picture = recording.motion, recording.picture
    even = recording.template is not None
    truth = known_truth(recording.heart, motion, recording.motion_at, even)
    times = np.arange(motion.n_times) / recording.frame_rate_hz
    r_waves = recording.heart.rhythm.r_waves(motion.times_s[0], motion.times_s[-1]) - motion.times_s[0]
    clip = Clip(
        frames,
        times,
        (picture.spacing_mm, picture.spacing_mm),
        recording.heart.view,
        r_waves,
        Source(f"seed-{recording.seed}", "simulation", spacing_origin="simulation", times_origin="simulation"),
    )
    names, places = key_points(motion)
    keypoints = Keypoints(to_px(places, picture).astype(np.float32), np.ones(places.shape[:2], dtype=np.float32), names)
    return Sequence(
        clip,
        recording_tracks(recording),
        recording.point_tissue,
        recording_masks(recording),
        keypoints,
        wall_dimensions(names, places),
        truth,
        recording.reference_frame,
        recording,
    )


def recording_tracks(recording: Recording) -> Tracks:
    """Tracks of the sampled points."""
    points = recording.points_mm
    return _tracks(recording.motion.displacement(points) + points[:, None], points, recording)


def _tracks(places_mm: FloatArray, reference_mm: FloatArray, recording: Recording) -> Tracks:
    picture, frame = recording.picture, recording.reference_frame
    queries = np.column_stack([np.full(len(reference_mm), float(frame)), to_px(reference_mm, picture)])
    xy = to_px(places_mm, picture).astype(np.float32)
    # The query itself comes back exactly.
    xy[:, frame] = queries[:, 1:]
    visible = visible_points(places_mm, recording.probe, picture, recording.artefacts)
    return Tracks(xy, visible, np.ones(visible.shape, dtype=np.float32), queries, None, "simulation")


def recording_masks(recording: Recording) -> Masks:
    """Labels of the parts of the heart on every frame, within the fan."""
    picture = recording.picture
    names = CLASSES[recording.heart.view]
    parts = [(to_px(polygon, picture), label) for polygon, label in chamber_polygons(recording.motion, names)]
    fan = fan_mask(recording.probe, picture).numpy()
    labels = np.stack(
        [
            fill_polygons(picture.shape, [(polygon[t], label) for polygon, label in parts]) * fan
            for t in range(recording.motion.n_times)
        ]
    )
    return Masks(labels.astype(np.uint8), dict(enumerate(names)), model="simulation")


def stream(seed: int, views: Rows[View | str] = VIEWS, **options: Any) -> Iterator[Sequence]:
    """Sequences without end; the same seed gives the same ones.

    Parameters
    ----------
    seed : int
    views : sequence of View
        Drawn from evenly.
    **options
        As for :func:`simulate`; ``templates`` may hold templates to draw from (in the four-chamber view).
    """
    for view, number, rest in _draws(seed, views, options):
        yield simulate(view, number, **rest)


class Batch(NamedTuple):
    """A batch for training, on one device.

    Attributes
    ----------
    frames : uint8 (B, T, H, W)
    tracks : float32 (B, N, T, 2)
        In px.
    visible : bool (B, N, T)
    reference_frame : int64 (B,)
        The frame on which the points were sampled.
    times_s : float32 (B, T)
    seeds : tuple of int, B
    """

    frames: Tensor
    tracks: Tensor
    visible: Tensor
    reference_frame: Tensor
    times_s: Tensor
    seeds: tuple[int, ...]


def batch_stream(
    batch: int,
    seed: int = 0,
    views: Rows[View | str] = VIEWS,
    *,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Iterator[Batch]:
    """Batches of frames and tracks without end, made on a device and left there.

    Every sequence is as :func:`stream` makes it; masks and truth, which training a tracker does not need, are left out.
    See :func:`stream` for the arguments.
    """
    check_count("batch", batch, 1, 4096)
    draws = _draws(seed, views, options)
    while True:
        frames, tracks, visible, references, times, seeds = [], [], [], [], [], []
        for _ in range(batch):
            view, number, rest = next(draws)
            recording = plan_recording(view, number, **rest)
            points = recording_tracks(recording)
            frames.append(render_recording(recording, device))
            tracks.append(torch.tensor(points.xy, device=device))
            visible.append(torch.tensor(points.visible, device=device))
            references.append(recording.reference_frame)
            times.append(np.arange(points.n_frames, dtype=np.float32) / recording.frame_rate_hz)
            seeds.append(number)
        yield Batch(
            torch.stack(frames),
            torch.stack(tracks),
            torch.stack(visible),
            torch.tensor(references, device=device),
            torch.tensor(np.stack(times), dtype=torch.float32, device=device),
            tuple(seeds),
        )


def _draws(
    seed: int, views: Rows[View | str], options: Mapping[str, Any]
) -> Iterator[tuple[View, int, dict[str, Any]]]:
    """View, seed and options of one sequence after the other."""
    rest = dict(options)
    templates = list(rest.pop("templates", ()) or ())
    known = [simulated_view(view) for view in views]
    if not known:
        raise DataError("views is empty; give at least one view")
    check_count("seed", seed, 0, 2**62)
    rng = np.random.default_rng([int(seed), 7])
    while True:
        view, number = known[int(rng.integers(len(known)))], int(rng.integers(2**48))
        pick = templates[int(rng.integers(len(templates)))] if templates else None
        yield view, number, rest | ({"template": pick} if pick is not None and view is View.A4C else {})
