"""Points on a grid, inside a class, from a file."""

from __future__ import annotations

import numpy as np
import pytest

import echomotion as em
from echomotion.preprocess.sector import Sector
from tests.phantoms import HalfEllipse

VENTRICLE = HalfEllipse((60.0, 90.0), 22.0, 60.0, wall=10.0)


@pytest.fixture(scope="module")
def masks():
    return em.Masks(np.stack([VENTRICLE.labels((120, 130))] * 3))


def test_a_grid_lies_in_the_middle_of_the_frame():
    points = em.grid_queries((6, 9), spacing_px=3, frame=4)
    assert np.unique(points[:, 0]).tolist() == [4]
    assert np.unique(points[:, 1]).tolist() == [1, 4, 7]
    assert np.unique(points[:, 2]).tolist() == [1, 4]
    assert points[:, 1:].tolist()[:2] == [[1, 1], [4, 1]]
    clip = em.Clip(np.zeros((5, 6, 9), np.uint8), np.arange(5))
    assert np.array_equal(em.grid_queries(clip, spacing_px=3, frame=4), points)
    assert em.grid_queries((4, 4), spacing_px=50).tolist() == [[0, 1.5, 1.5]]
    assert len(em.grid_queries((10, 10), spacing_px=0.5)) == 400


def test_a_grid_keeps_to_a_mask_or_a_fan():
    mask = np.zeros((40, 50), bool)
    mask[10:20, 5:30] = True
    points = em.grid_queries((40, 50), spacing_px=2.5, within=mask)
    assert len(points) > 20
    assert mask[np.round(points[:, 2]).astype(int), np.round(points[:, 1]).astype(int)].all()
    fan = Sector((25.0, 0.0), (-0.5, 0.5), 2.0, 38.0, (40, 50))
    x, y = em.grid_queries((40, 50), spacing_px=2, within=fan)[:, 1:].T
    assert np.all(np.hypot(x - 25, y) < 39.5)
    assert np.all(np.abs(np.arctan2(x - 25, y)) < 0.8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spacing_px": 0}, "spacing_px"),
        ({"spacing_px": np.nan}, "spacing_px"),
        ({"spacing_px": 3, "frame": 5}, "0 to 4"),
        ({"spacing_px": 3, "frame": -1}, "0 to 4"),
        ({"spacing_px": 3, "frame": 0.5}, "whole number"),
        ({"spacing_px": 3, "within": np.zeros((6, 9), bool)}, "no point"),
        ({"spacing_px": 3, "within": np.ones((7, 9), bool)}, "shape"),
    ],
)
def test_impossible_grids_say_so(arguments, message):
    with pytest.raises(em.DataError, match=message):
        em.grid_queries(em.Clip(np.zeros((5, 6, 9), np.uint8), np.arange(5)), **arguments)


def test_a_frame_without_pixels_is_no_grid():
    with pytest.raises(em.DataError, match="no pixels"):
        em.grid_queries((0, 9), spacing_px=3)
    with pytest.raises(em.DataError, match="Clip or"):
        em.grid_queries("clip", spacing_px=3)


def test_points_inside_classes(masks):
    points = em.mask_queries(masks, frame=2, classes="lv_myocardium", spacing_px=4)
    at = np.round(points[:, 1:]).astype(int)
    assert np.all(masks.labels[2][at[:, 1], at[:, 0]] == 2)
    assert len(points) == pytest.approx(masks.area_px("lv_myocardium")[2] / 16, rel=0.15)
    both = em.mask_queries(masks, frame=2, classes=["lv_myocardium", "lv_cavity"], spacing_px=4)
    cavity = em.mask_queries(masks, frame=2, classes=("lv_cavity",), spacing_px=4)
    assert len(both) == len(points) + len(cavity)
    for wrong, message in [
        ({"classes": "right_ear"}, "right_ear"),
        ({"frame": 3}, "0 to 2"),
        ({"spacing_px": -1}, "spacing_px"),
    ]:
        with pytest.raises(em.DataError, match=message):
            em.mask_queries(masks, **({"frame": 0, "classes": "lv_cavity", "spacing_px": 4} | wrong))
    nothing = em.Masks(np.zeros((1, 20, 20), np.uint8))
    with pytest.raises(em.DataError, match="no pixel of lv_cavity"):
        em.mask_queries(nothing, frame=0, classes="lv_cavity", spacing_px=4)
    dot = np.zeros((1, 20, 20), np.uint8)
    dot[0, 3, 3] = 1
    with pytest.raises(em.DataError, match="smaller"):
        em.mask_queries(em.Masks(dot), frame=0, classes="lv_cavity", spacing_px=15)


def test_all_layers_of_the_wall_are_points_for_a_tracker(masks):
    depth = []
    for layer in em.Layer:
        wall = em.wall_points(masks, frame=1, layer=layer)
        assert np.all(wall.queries[:, 0] == 1)
        depth.append(np.ptp(wall.queries[:, 1]))
    assert depth[0] < depth[1] < depth[2]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("t,x,y\n0,5.5,6\n3,7,8\n", [[0, 5.5, 6], [3, 7, 8]]),
        ("x,y\n5.5,6\n", [[0, 5.5, 6]]),
        ("\ufeffY, X ,name,T\r\n6,5.5,apex,2\r\n\r\n", [[2, 5.5, 6]]),
    ],
)
def test_points_from_a_file(tmp_path, text, wanted):
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode())
    assert em.read_queries(path).tolist() == wanted
    assert em.read_queries(str(path)).tolist() == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"frame,x\n0,5\n", r"points\.csv, line 1: the header lacks y"),
        (b"0,5,6\n", "line 1: the header lacks x and y"),
        (b"t,x,y\n0,5,6\n0,five,6\n", r"points\.csv, line 3: x is 'five'"),
        (b"t,x,y\n0,5\n", "line 2: y is missing"),
        (b"t,x,y\n\n0,,6\n", "line 3: x is missing"),
        (b"t,x,y\n0,nan,6\n", "line 2: x is nan"),
        (b"t,x,y\n0,5,inf\n", "line 2: y is inf"),
        (b"t,x,y\n0.5,5,6\n", "line 2: t is 0.5"),
        (b"t,x,y\n-1,5,6\n", "line 2: t is -1"),
        (b"t,x,y\n", "no points"),
        (b"", "no points"),
        (b"\xff\xfe\x00\x01", "not a readable csv"),
    ],
)
def test_a_wrong_file_names_line_and_cause(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_bytes(text)
    with pytest.raises(em.DataError, match=message):
        em.read_queries(path)


def test_no_file(tmp_path):
    with pytest.raises(em.DataError, match="no such file"):
        em.read_queries(tmp_path / "absent.csv")
    with pytest.raises(em.DataError, match="not a readable csv"):
        em.read_queries(tmp_path)
