"""Reports of a parasternal long axis: files, figures, page, overlay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from echomotion.report.calipers import feature_table, keypoint_table
from echomotion.report.overlay import overlay_frames
from echomotion.report.page import report_page
from echomotion.report.picture import draw_frame, fit, region_of_interest
from echomotion.report.save import save_analysis
from tests.report.samples import parasternal


def test_files_hold_what_was_found(tmp_path: Path) -> None:
    analysis = parasternal()
    save_analysis(analysis, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"keypoints.csv", "features.csv", "dimensions.svg", "dimensions.png", "report.html", "overlay.mp4"} <= names
    assert not names & {"masks.nii.gz", "tracks.npz", "strain.svg", "volume.svg"}
    assert len(pd.read_csv(tmp_path / "out" / "keypoints.csv")) == 160
    curves = pd.read_csv(tmp_path / "out" / "curves.csv")
    assert "lv_internal_diameter (mm)" in curves.columns
    features = pd.read_csv(tmp_path / "out" / "features.csv")
    assert features["fractional_shortening"][0] > 30


def test_the_page_shows_dimensions_and_no_strain() -> None:
    page = report_page(parasternal())
    for words in ("LVIDd", "Fractional shortening", "Septal epicardial", "Key-points of the parasternal long axis"):
        assert words in page
    for words in ("Global longitudinal strain", "Strain is", "Volumes of a single view"):
        assert words not in page


def test_the_line_is_drawn_and_a_missing_point_is_not() -> None:
    analysis = parasternal()
    geometry = fit(analysis.clip, (320, 320), region_of_interest(analysis))
    with_line, without = (draw_frame(analysis, frame, geometry) for frame in (0, 5))
    coloured = [int((np.ptp(picture.astype(int), axis=-1) > 40).sum()) for picture in (with_line, without)]
    assert coloured[0] > coloured[1] > 0
    bare = replace(analysis, keypoints=None)
    assert (np.ptp(draw_frame(bare, 0, geometry).astype(int), axis=-1) == 0).all()


def test_pictures_of_all_frames_have_one_size() -> None:
    shapes = {picture.shape for picture in overlay_frames(parasternal())}
    assert len(shapes) == 1


def test_without_calibration_there_are_points_but_no_features() -> None:
    analysis = parasternal(calibrated=False)
    table, reason = feature_table(analysis)
    assert list(table.columns) == ["patient"]
    assert "not calibrated" in reason
    assert analysis.curves["septal_thickness"].unit == "px"
    assert len(keypoint_table(analysis)) == 160
