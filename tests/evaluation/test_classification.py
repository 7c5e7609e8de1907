"""Telling two classes apart, where the answer is known on paper."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.core import DataError
from echomotion.evaluation.classification import (
    apply_classifier,
    area_under_curve,
    evaluate_classifier,
    read_cohort,
)

pytest.importorskip("sklearn")


def cohort(apart, count=40, seed=0):
    """Two features; the first differs by `apart` standard deviations. Every patient has two rows."""
    rng = np.random.default_rng(seed)
    ill = np.repeat(np.arange(count) % 2 == 0, 2)
    values = rng.normal(size=(2 * count, 2)) + apart * ill[:, None] * [1, 0]
    names = np.repeat([f"p{k}" for k in range(count)], 2)
    labels = np.where(ill, "failure", "normal")
    return pd.DataFrame({"patient": names, "label": labels, "ivs_00": values[:, 0], "lvid_00": values[:, 1]})


def test_the_area_counts_pairs():
    truth = np.array([True, True, False, False])
    assert area_under_curve(np.array([3.0, 2, 1, 0]), truth) == 1
    assert area_under_curve(np.array([3.0, 1, 2, 0]), truth) == 0.75
    assert area_under_curve(np.ones(4), truth) == 0.5
    assert np.isnan(area_under_curve(np.ones(2), truth[:2]))


def test_classes_far_apart_are_told_and_like_ones_are_not():
    far = evaluate_classifier(cohort(8.0), "failure", "normal")
    assert far.auc.value == pytest.approx(1, abs=0.01)
    assert min(far.sensitivity.value, far.specificity.value) > 0.9
    assert far.patients == {"failure": 20, "normal": 20}
    table = cohort(0.0, count=60)
    same = evaluate_classifier(table, "failure", "normal")
    assert same.auc.low < 0.5 < same.auc.high
    assert same.auc.low <= same.auc.value <= same.auc.high
    assert len(same.decisions) == 120


def test_a_new_patient_is_told():
    new = pd.DataFrame({"patient": ["a", "b"], "ivs_00": [8.0, 0.0], "lvid_00": [0.0, 0.0]})
    found = apply_classifier(cohort(8.0), new, "failure", "normal")
    assert found["predicted"].tolist() == ["failure", "normal"]
    with pytest.raises(DataError, match="lack the feature lvid_00"):
        apply_classifier(cohort(8.0), new.drop(columns="lvid_00"), "failure", "normal")


def test_tables_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(DataError, match="no patient has the label 'infarction'; there are failure, normal"):
        evaluate_classifier(cohort(1.0), "infarction", "normal")
    with pytest.raises(DataError, match="has 3 patients"):
        evaluate_classifier(cohort(1.0, count=6), "failure", "normal")
    table = cohort(1.0)
    table.loc[0, "label"] = "normal"
    with pytest.raises(DataError, match="p0 has both labels"):
        evaluate_classifier(table, "failure", "normal")
    path = tmp_path / "cohort.csv"
    for changed, message in (
        (table.drop(columns="label"), "lacks label"),
        (table[["patient", "label"]], "no features"),
        (table.assign(ivs_00="thick"), "ivs_00 is no finite number"),
    ):
        changed.to_csv(path, index=False)
        with pytest.raises(DataError, match=message):
            read_cohort(path)


def test_the_command(tmp_path):
    cohort(8.0).to_csv(tmp_path / "cohort.csv", index=False)
    done = CliRunner().invoke(app, ["classify", str(tmp_path / "cohort.csv"), "--positive", "failure", "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["auc"]["value"] > 0.95
    assert len(result["decisions"]) == 80
