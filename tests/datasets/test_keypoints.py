"""A folder of parasternal videos annotated on every frame: read, and refused with the cause."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from echomotion.core import DatasetError, View
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.datasets.check import check_dataset
from echomotion.datasets.keypoints import read_annotated


@pytest.fixture
def folder(tmp_path):
    """One recording of 5 frames, of which 0 and 3 are annotated."""
    np.save(tmp_path / "one.npy", np.random.default_rng(0).integers(0, 255, (5, 40, 50), dtype=np.uint8))
    rows = [(t, name, 10 + k, 5 + 6 * k + t) for t in (0, 3) for k, name in enumerate(PARASTERNAL_POINTS)]
    pd.DataFrame(rows, columns=["frame", "point", "x", "y"]).to_csv(tmp_path / "one.csv", index=False)
    pd.DataFrame({"name": ["one"], "spacing_mm": [0.4], "fps": [25]}).to_csv(tmp_path / "clips.csv", index=False)
    return tmp_path


def change(folder, **cells):
    table = pd.read_csv(folder / "one.csv").astype(object)
    for name, value in cells.items():
        table.loc[2, name] = value
    table.to_csv(folder / "one.csv", index=False)


def test_what_was_annotated_comes_back(folder):
    (case,) = read_annotated(folder)
    assert (case.name, case.clip.view, case.clip.spacing_mm) == ("one", View.PLAX, (0.4, 0.4))
    assert case.keypoints.point("posterior_endocardial")[3].tolist() == [12, 20]
    assert np.isnan(case.keypoints.xy[:, [1, 2, 4]]).all()
    assert check_dataset(folder).counts == {"recordings": 1, "frames": 5, "annotated_frames": 2}


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"point": "apex"}, "line 4: there is no key-point 'apex'"),
        ({"x": "left"}, "must be numbers"),
        ({"frame": 5}, "frames 0 to 4"),
        ({"frame": 0.5}, "frame 0.5"),
        ({"y": 400}, "outside the video of 50 x 40 px"),
        ({"point": "septal_epicardial"}, "given before on frame 0"),
        ({"frame": 1}, "frame 0 lacks posterior_endocardial; a frame has all four or none"),
    ],
)
def test_a_wrong_row_is_named(folder, cells, message):
    change(folder, **cells)
    with pytest.raises(DatasetError, match=message):
        list(read_annotated(folder))


def test_what_is_missing_is_named(folder, tmp_path_factory):
    with pytest.raises(DatasetError, match="no tables"):
        list(read_annotated(tmp_path_factory.mktemp("empty")))
    (folder / "clips.csv").write_text("name,fps\none,-1\n")
    with pytest.raises(DatasetError, match="fps must be a number above 0"):
        list(read_annotated(folder))
    (folder / "clips.csv").write_text("clip,fps\none,25\n")
    with pytest.raises(DatasetError, match="lacks name"):
        list(read_annotated(folder))
    (folder / "clips.csv").unlink()
    (folder / "one.npy").unlink()
    with pytest.raises(DatasetError, match="no video"):
        list(read_annotated(folder))
