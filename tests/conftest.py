"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import settings

from tests.phantoms import HalfEllipse

# The same examples in every run, so that a failure is never a matter of luck, nor of a busy machine.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def echo_data() -> Path:
    """The folder of real recordings; tests that need it are skipped, and say so, where it is absent."""
    folder = os.environ.get("ECHOMOTION_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ECHOMOTION_DATA does not name a folder of real recordings")
    return Path(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of randomness."""
    return np.random.default_rng(20240613)


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
