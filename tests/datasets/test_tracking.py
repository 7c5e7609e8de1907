"""Reading clips with true tracks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io

from echomotion.core import DatasetError
from echomotion.datasets.tracking import read_rotating_disk, read_tracking, read_tracking_case


def write(folder, name="a.npz", **changes):
    fields = {
        "frames": np.zeros((4, 20, 30), np.uint8),
        "tracks_xy": np.full((3, 4, 2), 7.0, np.float32),
        "spacing_mm": np.float32(0.5),
        "wall_s": np.array([0.0, 0.5, 1.0]),
        "wall_w": np.full(3, 0.5),
        "t_es": 0.36,
    }
    fields |= changes
    path = folder / name
    np.savez(path, **{key: value for key, value in fields.items() if value is not None})
    return path


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for name in ("b.npz", "a.npz"):
        write(tmp_path, name)
    cases = list(read_tracking(tmp_path))
    assert [case.name for case in cases] == ["a", "b"]
    case = cases[0]
    assert case.clip.spacing_mm == (0.5, 0.5)
    assert case.queries.tolist() == [[0, 7, 7]] * 3
    assert case.es_fraction == 0.36
    assert case.visible.all()
    assert case.clip.source.times_origin.startswith("nominal")


def test_a_point_is_asked_for_where_it_is_first_seen_and_never_seen_ones_are_dropped(tmp_path):
    visibility = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)
    xy = np.arange(24, dtype=float).reshape(3, 4, 2)
    xy[1, 0] = np.nan
    case = read_tracking_case(write(tmp_path, visibility=visibility, tracks_xy=xy, times_s=np.arange(4) / 50))
    assert case.queries.tolist() == [[0, 0, 1], [2, 12, 13]]
    assert case.wall_s.tolist() == [0, 0.5]
    assert case.clip.times_s[1] == 0.02


def test_optional_fields_may_be_absent_and_spacing_may_differ_by_axis(tmp_path):
    case = read_tracking_case(write(tmp_path, wall_s=None, wall_w=None, t_es=None, spacing_mm=np.array([0.2, 0.4])))
    assert case.wall_s is None
    assert case.es_fraction is None
    assert case.clip.spacing_mm == (0.2, 0.4)
    assert read_tracking_case(write(tmp_path, spacing_mm=None)).clip.spacing_mm is None


def test_the_phase_of_the_beat_comes_from_r_waves_or_the_clip_is_one_beat(tmp_path):
    assert read_tracking_case(write(tmp_path, times_s=np.arange(4) / 10)).phase == pytest.approx([0, 0.25, 0.5, 0.75])
    waves = {"times_s": np.arange(4) / 10, "r_wave_times_s": np.array([0.1, 0.3]), "view": "A4C", "ed_frame": 1}
    case = read_tracking_case(write(tmp_path, **waves))
    # Before the first wave the beat is as long as the one after it.
    assert case.phase == pytest.approx([0.5, 0, 0.5, 0], abs=1e-9)
    assert (case.clip.view, case.ed_frame) == ("A4C", 1)
    one = read_tracking_case(write(tmp_path, times_s=np.arange(4) / 10, r_wave_times_s=np.array([0.2])))
    assert one.phase == pytest.approx([0.5, 0.75, 0, 0.25])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tracks_xy": None}, "lacks tracks_xy"),
        ({"tracks_xy": np.zeros((3, 5, 2))}, "tracks_xy has shape"),
        ({"tracks_xy": np.full((3, 4, 2), np.nan)}, "NaN or infinite"),
        ({"frames": np.zeros((4, 20, 30))}, "uint8"),
        ({"spacing_mm": -1.0}, "positive"),
        ({"ed_frame": 4}, "ed_frame is 4"),
        ({"view": "sideways"}, "sideways"),
        ({"spacing_mm": np.ones(3)}, "a.npz"),
        ({"wall_s": np.zeros(5)}, "a.npz"),
        ({"visibility": np.ones((2, 2), bool)}, "visibility has shape"),
        ({"visibility": np.zeros((3, 4), bool)}, "at least one"),
        ({"times_s": np.zeros(4)}, "increase"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path, changes, says):
    path = write(tmp_path, **changes)
    with pytest.raises(DatasetError, match=says) as caught:
        list(read_tracking(tmp_path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_missing_or_damaged_is_said(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        list(read_tracking(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"holds no \.npz"):
        list(read_tracking(tmp_path))
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DatasetError, match="not a readable"):
        list(read_tracking(path))
    path.write_text("text")
    with pytest.raises(DatasetError, match="not a readable"):
        list(read_tracking(path))


def test_the_rotating_disk_is_read_with_frames_first(tmp_path):
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    scipy.io.savemat(tmp_path / "bmode_PWI_disk.mat", {"I": images})
    clip = read_rotating_disk(tmp_path)
    assert clip.frames.shape == (4, 2, 3)
    assert np.array_equal(clip.frames[1], images[..., 1])
    scipy.io.savemat(tmp_path / "other.mat", {"J": images})
    with pytest.raises(DatasetError, match="no variable I"):
        read_rotating_disk(tmp_path / "other.mat")
    (tmp_path / "other.mat").write_text("text")
    with pytest.raises(DatasetError, match="not a readable MATLAB"):
        read_rotating_disk(tmp_path / "other.mat")
    with pytest.raises(DatasetError, match="does not exist"):
        read_rotating_disk(tmp_path / "nowhere.mat")


def test_the_real_data_are_read(echo_data):
    cases = list(read_tracking(echo_data / "pymust_validation"))
    assert len(cases) == 6
    assert all(case.xy.shape == (72, 36, 2) and len(case.line()) == 24 for case in cases)
    assert read_rotating_disk(echo_data / "rotating_disk").frames.shape == (32, 251, 251)
