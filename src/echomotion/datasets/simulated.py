"""Simulated sequences on disk: shards of a few sequences each, every one with all that is known about it.

A folder holds ``manifest.json`` (what was asked for, version, finished shards) and ``shard-00000.npz`` and so on. A
shard appears under its name only when it is complete, so the shards of a run that was stopped can be read.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Beat, Clip, DatasetError, Geometry, Keypoints, Masks, Phases, Source, Tracks, View

FORMAT = "echomotion-simulation"
LAYOUT = 1
MANIFEST = "manifest.json"
SHARD_NAME = "shard-{:05d}.npz"


@dataclass(frozen=True)
class StoredSequence:
    """One sequence as it was stored.

    Attributes
    ----------
    name : str
        Shard and number in it.
    clip, tracks, masks, keypoints, phases :
        As in :class:`echomotion.simulate.sequence.Sequence`.
    point_tissue : tuple of str, N
    dimensions_mm : mapping of str to float64 (T,)
    truth : mapping
        Strain, thickness, areas and volumes by the names of :class:`echomotion.simulate.truth.Truth`.
    parameters : mapping
        All that the sequence was made from; :func:`echomotion.simulate.store.stored_displacement` makes the motion of
        any point of it again.
    reference_frame : int
    """

    name: str
    clip: Clip
    tracks: Tracks
    point_tissue: tuple[str, ...]
    masks: Masks
    keypoints: Keypoints
    dimensions_mm: Mapping[str, NDArray[np.float64]]
    phases: Phases
    truth: Mapping[str, Any]
    parameters: Mapping[str, Any]
    reference_frame: int


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a folder of simulated sequences.

    Raises
    ------
    DatasetError
        When it is missing, or not one of ours.
    """
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: no readable manifest ({error}); write it with echomotion simulate") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("layout") != LAYOUT:
        raise DatasetError(f"{path}: not a manifest of simulated sequences of layout {LAYOUT}")
    return manifest


def simulated_shards(folder: str | Path) -> list[Path]:
    """The finished shards of a folder, in order.

    Raises
    ------
    DatasetError
        When there are none.
    """
    shards = sorted(Path(folder).glob("shard-*.npz"))
    if not shards:
        raise DatasetError(f"{folder}: there are no shards of simulated sequences; make some with echomotion simulate")
    return shards


def read_simulated(folder: str | Path) -> Iterator[StoredSequence]:
    """All sequences of a folder, one after the other.

    Raises
    ------
    DatasetError
        When the folder holds no shards, or one cannot be read.
    """
    for shard in simulated_shards(folder):
        yield from read_shard(shard)


def read_shard(path: str | Path) -> Iterator[StoredSequence]:
    """The sequences of one shard.

    Raises
    ------
    DatasetError
        When the shard is damaged or of another layout.
    """
    shard = Path(path)
    try:
        with np.load(shard, allow_pickle=False) as arrays:
            if int(arrays["layout"]) != LAYOUT:
                raise DatasetError(f"{shard}: layout {int(arrays['layout'])}; this version reads {LAYOUT}")
            for number in range(int(arrays["count"])):
                yield _sequence(f"{shard.stem}/{number}", arrays, f"{number}/")
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{shard}: not a readable shard of simulated sequences ({error}); make it again") from None


def _sequence(name: str, arrays: Mapping[str, NDArray[Any]], prefix: str) -> StoredSequence:
    facts = json.loads(str(arrays[prefix + "facts"]))
    spacing = facts["spacing_mm"]
    r_waves = arrays[prefix + "r_wave_times_s"]
    clip = Clip(
        arrays[prefix + "frames"],
        arrays[prefix + "times_s"],
        (spacing[0], spacing[1]),
        View(facts["view"]),
        r_waves if len(r_waves) else None,
        Source(name, "simulation", spacing_origin="simulation", times_origin="simulation"),
    )
    visible = arrays[prefix + "visible"]
    tracks = Tracks(
        arrays[prefix + "xy"],
        visible,
        np.ones(visible.shape, dtype=np.float32),
        arrays[prefix + "queries"],
        None,
        "simulation",
    )
    places = arrays[prefix + "keypoints"]
    names = facts["tissues"]
    beats = tuple(Beat(b["ed_s"], b["es_s"], b["next_ed_s"]) for b in facts["truth"]["beats"])
    return StoredSequence(
        name,
        clip,
        tracks,
        tuple(names[k] for k in arrays[prefix + "tissue"]),
        Masks(arrays[prefix + "labels"], {int(k): v for k, v in facts["classes"].items()}, model="simulation"),
        Keypoints(places, np.ones(places.shape[:2], dtype=np.float32), tuple(facts["keypoint_names"])),
        {key: np.asarray(value) for key, value in facts["dimensions_mm"].items()},
        Phases(beats, "simulation", 1.0),
        facts["truth"],
        facts["parameters"],
        int(facts["reference_frame"]),
    )


def fan_geometry(clip: Clip, side: int) -> Geometry:
    """The map that fits the fan of a simulated clip into a square grid of that side.

    The simulator leaves black what lies outside the fan, so nothing needs to be found as in a real clip.
    """
    lit = np.argwhere(clip.frames.max(axis=0) > 0)
    (y0, x0), (y1, x1) = lit.min(axis=0) - 0.5, lit.max(axis=0) + 0.5
    return Geometry.letterbox(clip.shape, (x0, y0, x1, y1), (side, side), clip.pixel_aspect)
