"""EchoNet-LVH's layout: pixel size from calipers, points from their ends, and refusals with the cause."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from echomotion.core import DatasetError
from echomotion.datasets.check import check_dataset
from echomotion.datasets.echonet_lvh import COLUMNS, TABLE, read_echonet_lvh

# 0.5 mm a px, on a line straight down: septum 20 px, cavity 90 px, posterior wall 18 px.
ROWS = [("IVSd", 1.0, 2, 20, 40), ("LVIDd", 4.5, 2, 40, 130), ("LVPWd", 0.9, 2, 130, 148), ("LVIDs", 3.0, 4, 50, 110)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Batch1").mkdir()
    writer = cv2.VideoWriter(str(tmp_path / "Batch1" / "0xA.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 30, (200, 160))
    for grey in range(6):
        writer.write(np.full((160, 200, 3), 20 * grey, np.uint8))
    writer.release()
    rows = [("0xA", calc, cm, t, 80, 80, y1, y2, 6, 30, 200, 160, "val") for calc, cm, t, y1, y2 in ROWS]
    rows.append(("0xA", "Ao Root", 3.1, 2, 1, 2, 3, 4, 6, 30, 200, 160, "val"))
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / TABLE, index=False)
    return tmp_path


def change(folder, line, **cells):
    table = pd.read_csv(folder / TABLE).astype(object)
    for name, value in cells.items():
        table.loc[line, name] = value
    table.to_csv(folder / TABLE, index=False)


def test_points_and_pixel_size_follow_from_the_calipers(folder):
    (case,) = read_echonet_lvh(folder, "val")
    assert case.clip.spacing_mm == pytest.approx((0.5, 0.5))
    assert case.clip.n_frames == 6
    assert case.keypoints.xy[:, 2].tolist() == [[80, 20], [80, 40], [80, 130], [80, 148]]
    # End-systole has the cavity alone.
    assert np.isnan(case.keypoints.xy[[0, 3], 4]).all()
    assert case.keypoints.xy[[1, 2], 4].tolist() == [[80, 50], [80, 110]]
    assert check_dataset(folder).counts == {"recordings": 1, "frames": 6, "annotated_frames": 2}


def test_ends_may_be_given_from_below(folder):
    change(folder, 1, Y1=130, Y2=42)
    (case,) = read_echonet_lvh(folder)
    assert case.keypoints.xy[1, 2].tolist() == [80, 41]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"CalcValue": 3.0}, "0xA: the calibration is contradictory: LVIDd on frame 2"),
        ({"Frame": 6}, "frames 0 to 5"),
        ({"X1": "left"}, "whose X1 is no number"),
        ({"HashedFileName": "0xB"}, "0xB.avi is not in the folder"),
    ],
)
def test_a_wrong_row_is_refused(folder, cells, message):
    change(folder, 1, **cells)
    with pytest.raises(DatasetError, match=message):
        list(read_echonet_lvh(folder))


def test_a_wrong_folder_is_refused(folder, tmp_path_factory):
    with pytest.raises(DatasetError, match="no split 'all'"):
        list(read_echonet_lvh(folder, "all"))
    with pytest.raises(DatasetError, match="there are no calipers"):
        list(read_echonet_lvh(folder, "train"))
    with pytest.raises(DatasetError, match="not a readable table"):
        list(read_echonet_lvh(tmp_path_factory.mktemp("empty")))
    table = pd.read_csv(folder / TABLE)
    table.assign(Width=100).to_csv(folder / TABLE, index=False)
    with pytest.raises(DatasetError, match="the table says 100 x 160"):
        list(read_echonet_lvh(folder))
    table.drop(columns="CalcValue").to_csv(folder / TABLE, index=False)
    with pytest.raises(DatasetError, match="lacks CalcValue"):
        list(read_echonet_lvh(folder))
