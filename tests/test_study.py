"""A study put together from views whose numbers are known."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest

import echomotion as em
from echomotion.analysis import compose
from echomotion.core import Status, View
from echomotion.report.study import BULLSEYES, RESULTS, save_study
from echomotion.study import check_views, compose_study
from tests.report.samples import parasternal, ventricle


@pytest.fixture(scope="module")
def views():
    made = [ventricle(fps=10, shape=(160, 160), spacing_mm=(0.9, 0.9), view=v) for v in (View.A4C, View.A2C, View.A3C)]
    return {found.clip.view: found for found in made}


def test_the_heart_is_the_mean_of_its_views(views):
    study = compose_study(views)
    each = [found["global_longitudinal_strain"].value for found in views.values()]
    gls = study["global_longitudinal_strain"]
    assert gls.value == pytest.approx(np.mean(each))
    assert gls.view is None
    segments = [m for m in study.measurements if m.name == "longitudinal_strain"]
    assert len(segments) == 16
    assert all(m.status is not Status.NOT_MEASURABLE for m in segments)
    # Equal views at right angles are a body of revolution: biplane and single-plane agree.
    assert study["ejection_fraction"].value == pytest.approx(views[View.A4C]["ejection_fraction"].value, abs=0.01)
    assert study["mechanical_dispersion"].value < 0.11


def test_a_view_whose_wall_is_not_seen_casts_doubt_on_biplane_volumes(views):
    two = views[View.A2C]
    dark = replace(two.clip, frames=np.full_like(two.clip.frames, 20))
    hidden = compose(dark, two.masks, {}, two.phases, reason="nothing to follow")
    assert "no brighter than the blood" in hidden["ejection_fraction"].reason
    study = compose_study({**views, View.A2C: hidden})
    fraction = study["ejection_fraction"]
    assert fraction.status is Status.LOW_CONFIDENCE
    assert "A2C: the wall is no brighter than the blood" in fraction.reason
    assert study["left_atrial_volume"].reason == compose_study(views)["left_atrial_volume"].reason


def test_a_missing_view_gives_status_and_reason(views):
    study = compose_study({view: found for view, found in views.items() if view is not View.A2C})
    assert study["global_longitudinal_strain"].status is Status.LOW_CONFIDENCE
    assert "A2C" in study["global_longitudinal_strain"].reason
    assert study["ejection_fraction"].status is Status.NOT_MEASURABLE
    assert "A2C is missing" in study["ejection_fraction"].reason
    missing = [m for m in study.measurements if m.name == "longitudinal_strain" and m.status is Status.NOT_MEASURABLE]
    assert {m.segment for m in missing} >= {"basal_inferior", "mid_anterior"}
    assert "the view A2C is missing" in study.warnings
    with pytest.raises(KeyError, match="ejection_fraction"):
        study["ejection"]


def test_a_parasternal_view_adds_its_dimensions(views, tmp_path):
    study = compose_study({**views, View.PLAX: parasternal()})
    assert study["lv_internal_diameter_diastole"].value == pytest.approx(50, abs=1)
    assert study["lv_internal_diameter_diastole"].view is View.PLAX
    assert study["lv_mass"].unit == "g"
    assert not any("PLAX is missing" in warning for warning in study.warnings)
    save_study(study, tmp_path / "out")
    assert (tmp_path / "out" / "PLAX" / "keypoints.csv").exists()
    assert "LVIDd" in (tmp_path / "out" / "report.html").read_text()


def test_unnamed_and_doubled_views_are_refused(views):
    clip = views[View.A4C].clip
    with pytest.raises(em.DataError, match="view too"):
        check_views([clip, clip])
    with pytest.raises(em.DataError, match="not stated"):
        check_views([clip.with_(view=View.UNKNOWN)])
    with pytest.raises(em.DataError, match="at least one"):
        check_views([])
    with pytest.raises(em.DataError, match="belong to one recording"):
        em.analyze_study([clip], options=em.AnalysisOptions(ed_s=0.1, es_s=0.4))


def test_a_study_is_saved_with_page_bullseye_and_views(views, tmp_path):
    study = compose_study({View.A4C: views[View.A4C]})
    folder = save_study(study, tmp_path / "out")
    assert {path.name for path in folder.iterdir()} == {*RESULTS, "A4C"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "A2C is missing" in page
    assert "<script" not in page
    for name in BULLSEYES:
        ElementTree.parse(folder / f"{name}.svg")
        rows, columns = cv2.imread(str(folder / f"{name}.png")).shape[:2]
        assert min(rows, columns) > 500
        assert len(pd.read_csv(folder / f"{name}.csv")) == 16
    assert page.count("<img src=") == 2
    assert "Time to peak longitudinal strain, ms" in page
    with pytest.raises(em.OutputError, match="--overwrite"):
        save_study(study, folder)
