"""The classifier of displays is trained, stopped and resumed, and says the opposite of a mirrored frame."""

from __future__ import annotations

import cv2
import nibabel as nib
import numpy as np
import pytest
import torch
import yaml

from echomotion.core import Clip
from echomotion.models.display_classifier import MIRRORED, STANDARD, DisplayNetwork
from echomotion.models.run import guess_display
from echomotion.models.view_classifier import ViewClassifierConfig
from echomotion.training.recipe import read_recipe, run_recipe


@pytest.fixture
def bright_on_the_right(tmp_path):
    """Patients in the layout of CAMUS, whose right half is brighter than the left."""
    root, names = tmp_path / "camus", [f"patient{k:04d}" for k in range(8)]
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :112]
    fan = (np.abs(np.arctan2(x - 55.5, y + 4.0)) < 0.7) & (np.hypot(x - 55.5, y + 4.0) < 96)
    for name in names:
        folder = root / "database_nifti" / name
        folder.mkdir(parents=True)
        for phase in ("ED", "ES"):
            image = np.where(x > 55, 200, 60) * rng.uniform(0.7, 1.0, x.shape) * fan
            for end, array in (("", image), ("_gt", fan)):
                volume = nib.Nifti1Image(array.T.astype(np.uint8), np.diag([1.0, 1.0, 1, 1]))
                volume.to_filename(folder / f"{name}_4CH_{phase}{end}.nii.gz")
    (root / "database_split").mkdir()
    (root / "database_split" / "subgroup_training.txt").write_text("\n".join(names))
    return root


def recipe(folder, steps):
    values = read_recipe("display_classifier").model_dump()
    values["options"] = {"widths": [8, 16]}
    values["training"] = {"batch": 8, "plain": 1.0}
    values["schedule"] = {"steps": steps, "validate_every": 20, "warmup": 1, "learning_rate": 0.003}
    path = folder / f"displays{steps}.yaml"
    path.write_text(yaml.safe_dump(values))
    return str(path)


def test_a_run_that_was_stopped_goes_on_and_tells_a_mirrored_frame(bright_on_the_right, tmp_path):
    run_recipe(recipe(tmp_path, 20), bright_on_the_right, tmp_path / "run")
    figures = run_recipe(recipe(tmp_path, 40), bright_on_the_right, tmp_path / "run")
    assert figures["right"] == 1.0
    assert figures["score"] > 0.6
    assert (tmp_path / "run" / "curve.csv").read_text().splitlines()[-1].startswith("40,")
    frame = np.zeros((96, 112), np.uint8)
    cv2.ellipse(frame, (55, 0), (90, 90), 0, 50, 130, 60, -1)
    frame[:, 56:][frame[:, 56:] > 0] = 200
    for picture, display in ((frame, STANDARD), (np.ascontiguousarray(frame[:, ::-1]), MIRRORED)):
        guess = guess_display(Clip(picture[None], [0.0]), weights=str(tmp_path / "run"))
        assert guess.kind == display
        assert guess.probability > 0.6


def test_of_a_mirrored_frame_the_network_says_the_opposite():
    torch.manual_seed(0)
    network = DisplayNetwork(ViewClassifierConfig((8, 16))).eval()
    frames = torch.rand(3, 1, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames.flip(-1)), network(frames).flip(-1))
