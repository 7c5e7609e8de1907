"""How segmenters that have only seen four-chamber views do on two-chamber ones, and what biplane EF comes of it.

    python -m benchmarks.two_chamber --data CAMUS_MHD [--segmenter NAME ...] [--json FILE]

`--data` holds folders ``patientNNNN`` of CAMUS's original files (both views, ED and ES, masks, ``Info_4CH.cfg`` with
the expert's biplane EF); needs the extra ``mhd``. The four-chamber recordings of these patients may have been learned
from, so theirs stand beside for comparison alone.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import echomotion as em
from echomotion.core import APICAL_CLASSES, Clip, Masks, View
from echomotion.evaluation.segmentation import dice
from echomotion.io.volumes import read_volume
from echomotion.measure.beats import headline
from echomotion.measure.biplane import ApicalView, biplane_measurements
from echomotion.measure.phases import phases_from_user
from echomotion.measure.volumes import volume_curve
from echomotion.models.base import Segmenter

VIEWS = {"4CH": View.A4C, "2CH": View.A2C}
PHASES = ("ED", "ES")
# Frames of a patient are far apart in time; any two times tell them apart.
_TIMES = np.array([0.0, 0.3])
_NAMES = {label: name for label, name in APICAL_CLASSES.items() if label}


class Recording(NamedTuple):
    """One view of one patient: single frames of both phases, and the expert's labels (2, H, W)."""

    clips: list[Clip]
    labels: NDArray[np.uint8]
    view: View


def read_recording(folder: Path, view: str) -> Recording:
    """ED and ES of one view."""
    clips, labels = [], []
    for phase in PHASES:
        picture, spacing_mm = read_volume(folder / f"{folder.name}_{view}_{phase}.mhd")
        clips.append(Clip(picture[None].astype(np.uint8), np.zeros(1), spacing_mm, VIEWS[view]))
        labels.append(read_volume(folder / f"{folder.name}_{view}_{phase}_gt.mhd")[0].astype(np.uint8))
    return Recording(clips, np.stack(labels), VIEWS[view])


def biplane_ef(recordings: dict[str, Recording], labels: dict[str, NDArray[np.uint8]]) -> float:
    """Ejection fraction (%) from labels of both views; NaN where it cannot be measured."""
    views = []
    for name, recording in recordings.items():
        masks, spacing_mm = Masks(labels[name]), recording.clips[0].spacing_mm
        curve = volume_curve(masks, spacing_mm)
        views.append(ApicalView(masks, phases_from_user(*_TIMES), _TIMES, spacing_mm, recording.view, curve))
    rows = {row.name: row for row in headline(biplane_measurements(*views))}
    value = rows["ejection_fraction"].value
    return np.nan if value is None else float(value)


def stated_ef(folder: Path) -> float:
    """The expert's biplane EF (%)."""
    lines = (folder / "Info_4CH.cfg").read_text().splitlines()
    return float(dict(line.split(": ") for line in lines if ": " in line)["LVef"])


def judged(segmenter: Segmenter, patients: list[tuple[float, dict[str, Recording]]]) -> dict[str, object]:
    """Dice per view, phase and class, and how EF differs from the stated one."""
    scores: dict[tuple[str, str], list[list[float]]] = {}
    errors = []
    for stated, recordings in patients:
        found = {
            name: np.concatenate([segmenter.segment(clip).labels for clip in recording.clips])
            for name, recording in recordings.items()
        }
        errors.append(biplane_ef(recordings, found) - stated)
        for name, recording in recordings.items():
            for phase, own, true in zip(PHASES, found[name], recording.labels, strict=True):
                scores.setdefault((name, phase), []).append([dice(own == label, true == label) for label in _NAMES])
    frames = [
        {"view": view, "phase": phase, "frames": len(rows)}
        | dict(zip(_NAMES.values(), np.round(np.mean(rows, axis=0), 4).tolist(), strict=True))
        for (view, phase), rows in scores.items()
    ]
    differences = {"differences": np.round(errors, 1).tolist(), "bias": round(float(np.nanmean(errors)), 1)}
    return {"model": segmenter.name, "dice": frames, "biplane_ef_less_stated": differences}


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with patientNNNN/*.mhd")
    parser.add_argument("--segmenter", action="append", help="can be given several times")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folders = sorted(path for path in options.data.iterdir() if path.is_dir())
    patients = [(stated_ef(folder), {view: read_recording(folder, view) for view in VIEWS}) for folder in folders]
    expert = [
        biplane_ef(recordings, {name: recording.labels for name, recording in recordings.items()}) - stated
        for stated, recordings in patients
    ]
    table: dict[str, object] = {
        "patients": [folder.name for folder in folders],
        "stated_ef": [stated for stated, _ in patients],
        "expert_masks_ef_less_stated": np.round(expert, 1).tolist(),
        "models": [
            judged(em.create_segmenter(name), patients)
            for name in options.segmenter or ("unet", "ncmnet", "pointseg_small")
        ],
    }
    print(json.dumps(table, indent=1))
    if options.json:
        options.json.write_text(json.dumps(table))


if __name__ == "__main__":
    main()
