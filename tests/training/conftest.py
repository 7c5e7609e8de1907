"""Data that recipes can be run on in seconds."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from tests.phantoms import HalfEllipse


@pytest.fixture
def hearts(tmp_path):
    """Six small patients in the layout of CAMUS, whose contours give a motion."""
    root = tmp_path / "camus"
    rng = np.random.default_rng(0)
    names = [f"patient{i:04d}" for i in range(6)]
    y, x = np.mgrid[:120, :140]
    fan = np.abs(np.arctan2(x - 69.5, y + 4.0)) < 0.7
    for number, name in enumerate(names):
        folder = root / "database_nifti" / name
        folder.mkdir(parents=True)
        for phase, radius, length in (("ED", 20.0 + number, 64.0), ("ES", 14.0 + number, 54.0)):
            labels = HalfEllipse((70.0, 82.0), radius, length, 8.0, spacing_mm=(1.0, 1.0)).labels((120, 140)) * fan
            image = (np.array([70, 30, 170, 30])[labels] * rng.rayleigh(0.8, labels.shape) * fan).clip(0, 255)
            for end, array in (("", image), ("_gt", labels)):
                volume = nib.Nifti1Image(array.T.astype(np.uint8), np.diag([1.0, 1.0, 1, 1]))
                volume.to_filename(folder / f"{name}_4CH_{phase}{end}.nii.gz")
    (root / "database_split").mkdir()
    (root / "database_split" / "subgroup_training.txt").write_text("\n".join(names))
    return root
