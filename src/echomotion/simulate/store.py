"""Simulated sequences written to disk, in shards that are complete or absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Sequence as Rows
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import DataError, DatasetError, Keypoints, OutputError, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.simulated import FORMAT, LAYOUT, MANIFEST, SHARD_NAME, read_manifest
from echomotion.io.write import atomic_path, write_json
from echomotion.simulate.acquisition import frame_times, to_mm, to_px
from echomotion.simulate.checks import check_count, check_name
from echomotion.simulate.heart import KINDS, HeartParameters, simulated_view
from echomotion.simulate.keypoints import caliper_points
from echomotion.simulate.motion import Motion
from echomotion.simulate.probe import Picture
from echomotion.simulate.recording import subject_motion
from echomotion.simulate.sequence import Sequence, simulate
from echomotion.simulate.templates import Template, read_template, template_names
from echomotion.version import __version__

SHARD_SIZE = 8
# A new number whenever the same seed gives other clips: a folder is not filled up with clips of another kind.
EDITION = 2
# So many patients in a row without a usable pair of contours mean that something else is wrong.
_MOST_REFUSALS = 20


def simulate_to_folder(
    view: View | str,
    count: int,
    seed: int,
    folder: str | Path,
    *,
    templates: str | Path | None = None,
    template_split: str = "fit",
    progress: Callable[[int, int], None] | None = None,
    shard_size: int = SHARD_SIZE,
    **options: Any,
) -> list[Path]:
    """Simulate sequences into a folder; a run that was stopped is taken up where it ended.

    Parameters
    ----------
    view : View
    count : int
        Number of sequences.
    seed : int
        Sequence k depends on the seed and k alone.
    folder : path
        New, empty, or with shards of the same run.
    templates : path, optional
        A CAMUS folder whose patients give anatomy and echogenicity; four-chamber view only.
    template_split : {"fit", "selection", "training", "validation"}
    progress : callable, optional
        Called with the number of finished sequences and `count`.
    shard_size : int
        Sequences in a shard.
    **options
        `kind`, `difficulty`, `shape`, `n_frames`, `frame_rate_hz`, `reference_frame`, `n_tracks` as for
        :func:`~echomotion.simulate.sequence.simulate`.

    Returns
    -------
    list of Path
        The shards.

    Raises
    ------
    DataError
        When a parameter is outside its range.
    DatasetError
        When the templates cannot be read, or their split is the testing one.
    OutputError
        When the folder holds another run, or cannot be written to.
    """
    which = simulated_view(view)
    check_count("count", count, 1, 10_000_000)
    check_count("seed", seed, 0, 2**62)
    check_count("shard_size", shard_size, 1, 1000)
    if options.get("kind") is not None:
        check_name("kind", options["kind"], KINDS)
    patients: list[str] = []
    if templates is not None:
        if which is not View.A4C:
            raise DataError(f"view is {which}: templates show the apical four-chamber view; A4C is needed")
        patients = template_names(templates, template_split)
    target = Path(folder)
    asked = {
        "view": str(which),
        "count": int(count),
        "seed": int(seed),
        "shard_size": int(shard_size),
        "templates": template_split if patients else None,
        "options": json.loads(json.dumps(options)),
    }
    finished = _refuse_other_runs(target, asked)
    shards: list[Path] = []
    done = 0
    for first in range(0, count, shard_size):
        shard = target / SHARD_NAME.format(first // shard_size)
        size = min(shard_size, count - first)
        if not shard.exists():
            sequences = []
            for number in range(first, first + size):
                sequences.append(_one(which, seed, number, templates, patients, options))
                if progress is not None:
                    progress(number + 1, count)
            if not done:
                # Not before: parameters that cannot be simulated leave nothing behind.
                _write_manifest(target, asked, [], 0)
            write_shard(shard, sequences)
        elif progress is not None:
            progress(first + size, count)
        shards.append(shard)
        done += size
        # A whole run is only read: several trainings may share it.
        if done > finished:
            _write_manifest(target, asked, [path.name for path in shards], done)
    return shards


def _one(
    view: View, seed: int, number: int, templates: str | Path | None, patients: list[str], options: dict[str, Any]
) -> Sequence:
    """Sequence `number` of a run."""
    rng = np.random.default_rng([int(seed), int(number), 11])
    own = int(rng.integers(2**48))
    if templates is None or not patients:
        return simulate(view, own, **options)
    for _ in range(_MOST_REFUSALS):
        try:
            template = read_template(templates, patients[int(rng.integers(len(patients)))])
        except DataError:
            continue
        return simulate(view, own, template=template, **options)
    raise DatasetError(f"{templates}: {_MOST_REFUSALS} patients in a row gave no usable contours")


def _refuse_other_runs(folder: Path, asked: dict[str, Any]) -> int:
    """How many sequences the folder holds, which is new, empty, or belongs to the same run.

    What a killed run left half-written is cleared.
    """
    finished = 0
    if (folder / MANIFEST).exists():
        try:
            before = read_manifest(folder)
        except DatasetError as error:
            raise OutputError(f"{error}; choose another output folder") from None
        made_like = (before["version"], before.get("edition"))
        if before["asked"] != asked or made_like != (__version__, EDITION):
            raise OutputError(f"{folder}: holds another run of simulated sequences; choose another output folder")
        finished = int(before["finished"])
    elif folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - set(_left_over(folder))):
        raise OutputError(f"{folder}: is not an empty folder; choose another output folder")
    if finished < asked["count"]:
        for left_over in _left_over(folder):
            left_over.unlink(missing_ok=True)
    return finished


def _left_over(folder: Path) -> list[Path]:
    """Hidden files that a killed run was writing and could not remove."""
    return [*folder.glob(".shard-*.npz.*"), *folder.glob(f".{MANIFEST}.*")]


def _write_manifest(folder: Path, asked: dict[str, Any], shards: list[str], done: int) -> None:
    manifest = {
        "format": FORMAT,
        "layout": LAYOUT,
        "version": __version__,
        "edition": EDITION,
        "asked": asked,
        "shards": shards,
        "finished": done,
    }
    try:
        write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise OutputError(f"{folder / MANIFEST}: cannot be written ({error.strerror})") from None


def write_shard(path: str | Path, sequences: Rows[Sequence]) -> None:
    """Sequences as one file that appears when it is complete.

    Raises
    ------
    OutputError
        When it cannot be written, for instance since the disk is full; nothing is left behind then.
    """
    fields: dict[str, Any] = {"layout": np.array(LAYOUT), "count": np.array(len(sequences))}
    for number, sequence in enumerate(sequences):
        fields |= {f"{number}/{name}": value for name, value in _fields(sequence).items()}
    try:
        with atomic_path(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **fields)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: the shard cannot be written ({reason}); earlier shards are complete") from None


def _fields(sequence: Sequence) -> dict[str, NDArray[Any]]:
    clip, tracks = sequence.clip, sequence.tracks
    tissues = sorted(set(sequence.point_tissue))
    facts = {
        "view": str(clip.view),
        "spacing_mm": clip.spacing_mm,
        "classes": {str(label): name for label, name in sequence.masks.classes.items()},
        "keypoint_names": sequence.keypoints.names,
        "tissues": tissues,
        "dimensions_mm": {name: values.tolist() for name, values in sequence.dimensions_mm.items()},
        "truth": sequence.truth.as_dict(),
        "parameters": sequence.parameters(),
        "reference_frame": sequence.reference_frame,
        "version": __version__,
    }
    r_waves = np.zeros(0) if clip.r_wave_times_s is None else clip.r_wave_times_s
    return {
        "frames": clip.frames,
        "times_s": clip.times_s,
        "r_wave_times_s": r_waves,
        "xy": tracks.xy,
        "visible": tracks.visible,
        "queries": tracks.queries,
        "tissue": np.array([tissues.index(name) for name in sequence.point_tissue], dtype=np.uint8),
        "labels": sequence.masks.labels,
        "keypoints": sequence.keypoints.xy,
        "facts": np.array(json.dumps(facts, allow_nan=False)),
    }


def stored_displacement(parameters: Any, points_px: ArrayLike) -> NDArray[np.float64]:
    """Displacement (N, T, 2) in px of any points (N, 2) of a stored sequence, as `Sequence.displacement` gives it.

    Parameters
    ----------
    parameters : mapping
        Of a :class:`~echomotion.datasets.simulated.StoredSequence`.
    points_px : float (N, 2)
        Places on its reference frame.
    """
    motion, picture = _stored_motion(parameters)
    points = np.asarray(points_px, dtype=np.float64)
    return motion.displacement(to_mm(points, picture)) / picture.spacing_mm


def stored_calipers(parameters: Any) -> Keypoints:
    """Key-points on the measuring line of a parasternal sequence, see :func:`..keypoints.caliper_points`.

    Parameters
    ----------
    parameters : mapping
        Of a stored sequence, or :meth:`echomotion.simulate.sequence.Sequence.parameters`.

    Raises
    ------
    DataError
        When the sequence shows another view.
    """
    motion, picture = _stored_motion(parameters)
    xy = to_px(caliper_points(motion), picture).astype(np.float32)
    return Keypoints(xy, np.ones(xy.shape[:2], dtype=np.float32), PARASTERNAL_POINTS)


def _stored_motion(parameters: Any) -> tuple[Motion, Picture]:
    """The motion of a sequence at its frames, and its picture, from its parameters."""
    heart = HeartParameters.from_dict(parameters["heart"])
    outlines = parameters["template"]
    times = frame_times(parameters["n_frames"], parameters["frame_rate_hz"], parameters["reference_frame"])
    motion = subject_motion(heart, None if outlines is None else Template.from_outlines(outlines), times)
    return motion, Picture(**parameters["picture"])
