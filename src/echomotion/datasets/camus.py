"""CAMUS: apical end-diastolic and end-systolic frames with expert masks, in the official NIfTI layout.

Leclerc et al., IEEE TMI 38(9), 2019, doi 10.1109/TMI.2019.2900516. Labels: 0 background, 1 LV cavity,
2 LV myocardium, 3 left atrium. The layout is ``database_nifti/patientNNNN/patientNNNN_4CH_ED[_gt].nii.gz``
and ``database_split/subgroup_*.txt``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, ClipError, DatasetError, Source, View
from echomotion.datasets.splits import split_off
from echomotion.io.volumes import read_volume

PHASES = ("ED", "ES")
VIEWS = {"4CH": View.A4C, "2CH": View.A2C}
LICENCE = "CC BY-NC-SA 4.0"
CITATION = "Leclerc et al., IEEE Transactions on Medical Imaging 38(9):2198-2210, 2019, doi 10.1109/TMI.2019.2900516"

# Training patients that only choose between checkpoints; the official validation patients judge the result.
_SELECTION_PATIENTS = 30


@dataclass(frozen=True)
class CamusFrame:
    """One frame with its expert mask.

    Attributes
    ----------
    patient, phase, quality : str
        For instance ``patient0001``, ``ED``, ``Good`` (empty where the table has none).
    clip : Clip
        A single frame, calibrated.
    labels : uint8 (H, W)
    """

    patient: str
    phase: str
    quality: str
    clip: Clip
    labels: NDArray[np.uint8]


def camus_patients(root: str | Path, split: str) -> list[str]:
    """Names of the patients of a split that are on disk.

    Parameters
    ----------
    root : path
        The folder with ``database_nifti``, or one that holds it as ``CAMUS_public``.
    split : {"training", "validation", "testing", "fit", "selection"}
        The official subgroups; ``fit`` and ``selection`` divide the official training patients.

    Raises
    ------
    DatasetError
        When the folder or the list is missing, or the split is unknown.
    """
    base = camus_root(root)
    official = "training" if split in ("fit", "selection") else split
    listing = base / "database_split" / f"subgroup_{official}.txt"
    if not listing.is_file():
        raise DatasetError(f"CAMUS split {split!r}: {listing} is missing; known are training, validation, testing")
    on_disk = [name for name in listing.read_text().split() if (base / "database_nifti" / name).is_dir()]
    if not on_disk:
        raise DatasetError(f"CAMUS split {split!r}: none of its patients is in {base / 'database_nifti'}")
    if official == split:
        return sorted(on_disk)
    fit, selection = split_off(on_disk, min(_SELECTION_PATIENTS, len(on_disk) // 4), salt="camus")
    return fit if split == "fit" else selection


def camus_root(root: str | Path) -> Path:
    """The folder that holds ``database_nifti``, given it or its parent."""
    for base in (Path(root), Path(root) / "CAMUS_public"):
        if (base / "database_nifti").is_dir():
            return base
    raise DatasetError(f"{root} is no CAMUS folder: it has no database_nifti; download CAMUS in its NIfTI layout")


def is_camus(root: str | Path) -> bool:
    """Whether a folder is one of CAMUS."""
    try:
        camus_root(root)
    except DatasetError:
        return False
    return True


def read_camus(root: str | Path, split: str, view: str = "4CH") -> Iterator[CamusFrame]:
    """Frames of a split, patient by patient, end-diastole first.

    Raises
    ------
    DatasetError
        As :func:`camus_patients`, or when a frame and its mask differ in size.
    """
    base = camus_root(root)
    quality = _qualities(base)
    for patient in camus_patients(root, split):
        for phase in PHASES:
            yield read_camus_frame(base, patient, phase, view, quality.get(patient, ""))


def read_camus_pairs(root: str | Path, split: str, view: str = "4CH") -> list[list[CamusFrame]]:
    """End-diastole and end-systole of each patient; raises as :func:`read_camus`."""
    frames = list(read_camus(root, split, view))
    return [frames[i : i + len(PHASES)] for i in range(0, len(frames), len(PHASES))]


def read_camus_frame(base: Path, patient: str, phase: str, view: str, quality: str = "") -> CamusFrame:
    """One frame of one patient with its mask."""
    stem = base / "database_nifti" / patient / f"{patient}_{view}_{phase}"
    image_path, mask_path = (stem.with_name(stem.name + end) for end in (".nii.gz", "_gt.nii.gz"))
    try:
        image, spacing_mm = read_volume(image_path)
        labels, _ = read_volume(mask_path)
    except ClipError as error:
        raise DatasetError(f"CAMUS {patient} {view} {phase}: {error}") from error
    if image.shape != labels.shape or image.ndim != 2:
        raise DatasetError(f"CAMUS {patient} {view} {phase}: image {image.shape} and mask {labels.shape} differ")
    clip = Clip(
        image[None].astype(np.uint8),
        np.zeros(1),
        spacing_mm,
        VIEWS[view],
        source=Source(image_path.name, "nifti", spacing_origin="NIfTI header"),
    )
    return CamusFrame(patient, phase, quality, clip, labels.astype(np.uint8))


def _qualities(base: Path) -> dict[str, str]:
    table = base / "patients_info.csv"
    if not table.is_file():
        return {}
    with table.open(newline="") as lines:
        return {row["Patient"]: row["ImageQuality"] for row in csv.DictReader(lines)}
