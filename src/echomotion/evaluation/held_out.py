"""A fixed set of simulated clips on which trackers are judged and which none may be trained on.

64 clips of five views, as hard as the simulator draws them, and 16 of a sixth view, RV-focused, which tell how a
tracker does outside what it knows. The same version of echomotion gives the same clips. With a CAMUS folder the
four-chamber clips have the anatomy and echogenicity of its validation patients; what is written then carries the
licence of CAMUS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from echomotion.core import Clip, DataError, DatasetError, OutputError, View
from echomotion.datasets.camus import LICENCE
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.wall_sample import sample_wall
from echomotion.io.write import atomic_path, write_json
from echomotion.models.base import Progress
from echomotion.simulate.sequence import Sequence, simulate
from echomotion.simulate.templates import Template, read_template, template_names
from echomotion.version import __version__

FORMAT = "echomotion-held-out"
MANIFEST = "manifest.json"
# A new number whenever the clips change: figures on different sets are not compared. The hearts stay the same.
EDITION = 2
SEED = 20250301
SHAPE = (256, 256)
FRAMES = 36
POINTS = 64
# Views in their order, and how many clips of each.
COUNTS = {View.A4C: 24, View.A2C: 10, View.A3C: 10, View.PLAX: 10, View.PSAX: 10}
OUTSIDE = {View.RV_FOCUSED: 16}
PARTS = ("in_distribution", "out_of_distribution")

# How often a heart of which too little wall is seen is drawn anew.
_ATTEMPTS = 20


@dataclass(frozen=True)
class Spec:
    """What one clip of the set is made from.

    Attributes
    ----------
    name : str
    part : str
        One of :data:`PARTS`.
    view : View
    number : int
        Counts all clips; the seed follows from it.
    """

    name: str
    part: str
    view: View
    number: int


def held_out_specs() -> list[Spec]:
    """All clips of the set, in order."""
    specs: list[Spec] = []
    for part, counts in zip(PARTS, (COUNTS, OUTSIDE), strict=True):
        for view, count in counts.items():
            for k in range(count):
                specs.append(Spec(f"{str(view).lower()}_{k:02d}", part, view, len(specs)))
    return specs


def write_held_out(
    folder: str | Path,
    *,
    templates: str | Path | None = None,
    specs: list[Spec] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the set as ``.npz`` files that :func:`~echomotion.datasets.tracking.read_tracking` reads.

    A folder each for what is in and out of distribution, and ``manifest.json``. Clips that are there already are
    kept, so that a run that was stopped goes on where it ended.

    Parameters
    ----------
    folder : path
    templates : path, optional
        A CAMUS folder, whose validation patients give the four-chamber clips their anatomy; parametric hearts without.
    specs : list of Spec, optional
        Only these clips.
    progress : callable, optional
        Called with (done, total) clips.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DatasetError
        When the templates cannot be read.
    OutputError
        When the folder holds another set, or cannot be written to.
    """
    target = Path(folder)
    chosen = held_out_specs() if specs is None else specs
    facts = _facts(templates is not None)
    _refuse_other_sets(target, facts)
    patients = None if templates is None else _patients(templates)
    found: list[Template] = []
    write_json(target / MANIFEST, {**facts, "clips": [spec.name for spec in chosen]})
    for done, spec in enumerate(chosen, start=1):
        path = target / spec.part / f"{spec.name}.npz"
        if not path.exists():
            template = None
            if patients is not None and spec.view is View.A4C:
                # Four-chamber clips come first: the number of each is that of its patient.
                found.extend(islice(patients, spec.number + 1 - len(found)))
                if len(found) <= spec.number:
                    raise DatasetError(f"{templates}: too few validation patients fit; get the whole dataset")
                template = found[spec.number]
            _write_case(path, held_out_sequence(spec, template), spec)
        if progress is not None:
            progress(done, len(chosen))
    return target


def held_out_folder(
    *, templates: str | Path | None = None, cache: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """The set in the user's cache, written there on first use.

    Parameters
    ----------
    templates : path, optional
        As for :func:`write_held_out`; the set with and the one without are kept side by side.
    cache : path, optional
        ``$XDG_CACHE_HOME/echomotion`` or ``~/.cache/echomotion`` without.
    progress : callable, optional
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echomotion" if cache is None else cache
    anatomy = "parametric" if templates is None else "camus"
    return write_held_out(Path(home) / f"held-out-{EDITION}-{anatomy}", templates=templates, progress=progress)


def held_out_parts(folder: str | Path) -> dict[str, Path]:
    """The folders of a written set by the name of the part; a plain folder of clips is one part, named after it."""
    root = Path(folder)
    parts = {part: root / part for part in PARTS if (root / part).is_dir()}
    return parts or {root.name: root}


def held_out_sequence(spec: Spec, template: Template | None = None) -> Sequence:
    """The simulated recording of one clip: the first drawn of whose wall enough is seen.

    Raises
    ------
    DataError
        When there is none in twenty.
    """
    rng = np.random.default_rng([SEED, 1, spec.number])
    for _ in range(_ATTEMPTS):
        seed = int(rng.integers(2**48))
        sequence = simulate(spec.view, seed, template=template, shape=SHAPE, n_frames=FRAMES, n_tracks=1)
        points = sample_wall(sequence, POINTS, np.random.default_rng(seed))
        if len(points.s) == POINTS:
            return sequence
    raise DataError(f"held-out clip {spec.name}: no heart in {_ATTEMPTS} has enough wall in the picture")


def case_of(sequence: Sequence, name: str) -> TrackingCase:
    """A recording as a case with 64 points of the wall, those of its mid-wall line at depth 0.5.

    The line is the longest part of it that is seen on all frames; where that is under half the wall there is none.
    All points are seen on the end-diastolic frame to which strain refers.
    """
    points = sample_wall(sequence, POINTS, np.random.default_rng(sequence.seed))
    return TrackingCase(
        name,
        sequence.clip,
        points.xy,
        points.visible,
        points.s,
        points.w,
        ed_frame=sequence.reference_frame,
    )


def _patients(root: str | Path) -> Iterator[Template]:
    """Validation patients whose contours fit, in the order of their names."""
    for patient in template_names(root, "validation"):
        try:
            yield read_template(root, patient)
        except DataError:
            continue


def _facts(camus: bool) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "edition": EDITION,
        "version": __version__,
        "seed": SEED,
        "anatomy_a4c": "CAMUS validation patients" if camus else "parametric",
        "licence": LICENCE if camus else "Apache-2.0",
    }


def _refuse_other_sets(folder: Path, facts: dict[str, Any]) -> None:
    manifest = folder / MANIFEST
    if manifest.exists():
        try:
            before = json.loads(manifest.read_text(encoding="utf-8"))
            same = all(before[name] == value for name, value in facts.items())
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise OutputError(f"{folder}: holds another set of clips, or one of another version; choose another folder")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is not an empty folder; choose another output folder")


def _write_case(path: Path, sequence: Sequence, spec: Spec) -> None:
    case = case_of(sequence, spec.name)
    with atomic_path(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **_fields(case.clip, case))


def _fields(clip: Clip, case: TrackingCase) -> dict[str, Any]:
    fields = {
        "frames": clip.frames,
        "times_s": clip.times_s,
        "spacing_mm": np.asarray(clip.spacing_mm),
        "view": np.asarray(str(clip.view)),
        "tracks_xy": case.xy.astype(np.float32),
        "visibility": case.visible,
        "wall_s": case.wall_s,
        "wall_w": case.wall_w,
        "ed_frame": np.asarray(case.ed_frame),
    }
    if clip.r_wave_times_s is not None:
        fields["r_wave_times_s"] = clip.r_wave_times_s
    return fields
