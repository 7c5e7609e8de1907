"""Whether a folder is a dataset to train on or to evaluate with: every recording is read, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echomotion.core import DatasetError
from echomotion.datasets import camus, echonet_dynamic, echonet_lvh, folder, keypoints, simulated, tracking
from echomotion.datasets.reading import each_read

Counts = dict[str, int]
_OFFICIAL = ("training", "validation", "testing")


@dataclass(frozen=True)
class DatasetCheck:
    """What a folder holds.

    Attributes
    ----------
    layout : str
        One of :data:`LAYOUTS`.
    counts : dict of str to int
        Recordings that could be read, their frames, and those of the frames that are annotated.
    problems : tuple of str
        One line for each recording that cannot be used.
    """

    layout: str
    counts: Counts
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def check_dataset(path: str | Path, *, layout: str | None = None) -> DatasetCheck:
    """Read every recording of a dataset.

    Parameters
    ----------
    path : path
        A folder, or a single file of tracks.
    layout : str, optional
        One of :data:`LAYOUTS`; recognised by its files where not given.

    Raises
    ------
    DatasetError
        When the path does not exist, the layout is unknown or not recognised, or nothing can be read at all.
    """
    root = Path(path)
    if not root.exists():
        raise DatasetError(f"{root} does not exist")
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"unknown layout {layout!r}; known are {', '.join(LAYOUTS)}")
    name = layout or next((name for name, (known, _) in LAYOUTS.items() if known(root)), None)
    if name is None:
        raise DatasetError(f"{root}: no layout that is known ({', '.join(LAYOUTS)}); docs/datasets.md describes them")
    total: Counts = {"recordings": 0, "frames": 0, "annotated_frames": 0}
    problems: list[str] = []
    for counts in LAYOUTS[name][1](root, problems):
        for key, value in counts.items():
            total[key] = total.get(key, 0) + value
    return DatasetCheck(name, total, tuple(problems))


def _camus(root: Path, problems: list[str]) -> Iterator[Counts]:
    """One patient a recording; masks that lack a class are a problem."""
    base = camus.camus_root(root)
    # The official test patients are handed out apart.
    listed = [split for split in _OFFICIAL if (base / "database_split" / f"subgroup_{split}.txt").is_file()]
    for split in listed or _OFFICIAL[:1]:
        patients = camus.camus_patients(root, split)
        for frames in each_read(patients, lambda patient: _camus_patient(base, patient), problems):
            yield {"recordings": 1, "frames": len(frames), "annotated_frames": len(frames), split: 1}


def _camus_patient(base: Path, patient: str) -> list[camus.CamusFrame]:
    frames = [camus.read_camus_frame(base, patient, phase, "4CH") for phase in camus.PHASES]
    for frame in frames:
        lacking = sorted({1, 2} - set(np.unique(frame.labels).tolist()))
        if lacking:
            raise DatasetError(f"CAMUS {patient} 4CH {frame.phase}: the mask has no label {lacking[0]}")
    return frames


def _echonet_dynamic(root: Path, problems: list[str]) -> Iterator[Counts]:
    for split in echonet_dynamic.SPLITS:
        try:
            for found in echonet_dynamic.read_echonet_dynamic(root, split, problems):
                yield {**_labelled(found.video), split: 1}
        except DatasetError as error:
            problems.append(str(error))


def _labelled(video: folder.LabelledVideo) -> Counts:
    return {"recordings": 1, "frames": video.clip.n_frames, "annotated_frames": int(video.labelled.sum())}


def _keypoints(case: keypoints.KeypointCase) -> Counts:
    known = np.isfinite(case.keypoints.xy).any(axis=(0, 2))
    return {"recordings": 1, "frames": case.clip.n_frames, "annotated_frames": int(known.sum())}


def _simulated(root: Path, problems: list[str]) -> Iterator[Counts]:
    for lengths in each_read(
        simulated.simulated_shards(root), lambda path: [s.clip.n_frames for s in simulated.read_shard(path)], problems
    ):
        yield {"recordings": len(lengths), "frames": sum(lengths), "annotated_frames": sum(lengths)}


def _tracked(case: tracking.TrackingCase) -> Counts:
    return {"recordings": 1, "frames": case.clip.n_frames, "annotated_frames": case.clip.n_frames}


def _has(name: str) -> Callable[[Path], bool]:
    return lambda root: (root / name).is_file()


def _is_annotated(root: Path) -> bool:
    first = next((path for path in sorted(root.glob("*.csv")) if path.name != keypoints.FACTS), None)
    if first is None:
        return False
    with first.open(encoding="utf-8-sig", errors="replace") as lines:
        return set(keypoints.COLUMNS) <= set(lines.readline().strip().split(","))


def _is_tracking(root: Path) -> bool:
    return root.suffix == ".npz" or any(root.glob("*.npz"))


# How each layout is recognised, and the counts of its recordings one after the other. The most particular come first.
LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path, list[str]], Iterator[Counts]]]] = {
    "camus": (camus.is_camus, _camus),
    "echonet_dynamic": (_has(echonet_dynamic.FILES), _echonet_dynamic),
    "echonet_lvh": (
        _has(echonet_lvh.TABLE),
        lambda root, problems: map(_keypoints, echonet_lvh.read_echonet_lvh(root, problems=problems)),
    ),
    "simulated": (_has(simulated.MANIFEST), _simulated),
    "sparse_masks": (
        lambda root: any(root.glob(f"*{folder.MASKS}")),
        lambda root, problems: map(_labelled, folder.read_labelled_videos(root, problems)),
    ),
    "annotated_keypoints": (
        _is_annotated,
        lambda root, problems: map(_keypoints, keypoints.read_annotated(root, problems)),
    ),
    "tracking": (_is_tracking, lambda root, problems: map(_tracked, tracking.read_tracking(root, problems))),
}
