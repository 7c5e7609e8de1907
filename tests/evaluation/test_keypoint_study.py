"""What TR-net gains over SK-net with fewer labels: signs, shares of the gain, the figure."""

from __future__ import annotations

import math

import pytest

from echomotion.evaluation.keypoint_study import draw_keypoint_study, keypoint_study_rows
from echomotion.evaluation.keypoints import DIMENSIONS, KeypointReport


def report(method, share, error):
    """Three clips that differ by little."""
    rows = []
    for clip in range(3):
        own = error + 0.01 * clip
        dimensions = {f"{name}_{part}_mm": own for name in DIMENSIONS for part in ("mae", "sd")}
        rows.append({"clip": str(clip), "share_within": share, "vector_error_px": own, **dimensions})
    return KeypointReport(method, rows)


def test_gains_are_positive_where_tr_net_is_better_and_held_against_all_labels():
    found = {
        0.1: (report("sknet", 0.5, 2.0), report("trnet", 0.59, 1.2)),
        1.0: (report("sknet", 0.7, 1.0), report("trnet", 0.8, 0.5)),
    }
    rows = {(row["share"], row["figure"]): row for row in keypoint_study_rows(found)}
    assert rows[1.0, "share_within"]["gain"] == pytest.approx(0.1)
    assert rows[1.0, "share_within"]["kept"] == 1
    assert rows[0.1, "share_within"]["kept"] == pytest.approx(0.9)
    assert rows[0.1, "mae_mm"]["gain"] == pytest.approx(0.8)
    assert rows[0.1, "mae_mm"]["sknet"] == pytest.approx(2.01)
    assert rows[0.1, "vector_error_px"]["kept"] == pytest.approx(1.6)


def test_without_a_gain_nothing_is_kept():
    found = {share: (report("sknet", 0.7, 1.0), report("trnet", 0.6, 1.5)) for share in (0.1, 1.0)}
    assert all(math.isnan(row["kept"]) for row in keypoint_study_rows(found))


def test_the_figure_is_drawn(tmp_path):
    found = {share: (report("sknet", 0.7, 1.0), report("trnet", 0.8, 0.5)) for share in (0.1, 1.0)}
    draw_keypoint_study(keypoint_study_rows(found), tmp_path / "study.svg")
    assert "10 %" in (tmp_path / "study.svg").read_text()
