"""A simulated cohort: patients that stay what they are, and areas under the curve that mean something."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from echomotion.core import DataError, Keypoints
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.evaluation.cohort import MOTION, TRUTH, cohort_tables, judge_cohort
from echomotion.simulate.patients import MIX, draw_cohort, draw_patient

pytest.importorskip("sklearn")


def test_the_mix_is_the_papers_and_a_patient_depends_on_seed_and_number_alone():
    first, second = draw_cohort(115, 3), draw_cohort(115, 3)
    assert Counter(patient.label for patient in first) == MIX
    assert first == second
    assert draw_cohort(116, 3)[0] == first[0]
    with pytest.raises(DataError, match="count"):
        draw_cohort(2)


def test_a_graver_disease_lies_further_from_health():
    def heart(label, severity):
        return draw_patient(label, np.random.default_rng(5), dict.fromkeys(MIX, severity))

    healthy = heart("normal", 0.5)
    for label, field in (("heart_failure", "cavity_radius_mm"), ("cardiomyopathy", "thickness_first_mm")):
        mild, grave = (getattr(heart(label, severity).shape, field) for severity in (0.2, 0.6))
        assert getattr(healthy.shape, field) < mild < grave
    assert heart("infarction", 0.0).contraction.lesions[-1].scale == 1
    assert heart("infarction", 0.9).contraction.lesions[-1].scale < 0.7


class _Blind:
    """Sees the same calipers in every clip."""

    name = "blind"

    def detect(self, clip, *, progress=None):
        beat = np.cos(2 * np.pi * np.linspace(0, 1.2, clip.n_frames))
        y = np.array([5.0, 10.0, 30.0, 35.0])[:, None] + np.array([0, -1, 1, 0])[:, None] * beat
        xy = np.stack(np.broadcast_arrays(30.0, y), axis=-1)
        return Keypoints(xy.astype(np.float32), np.ones(xy.shape[:2], np.float32), PARASTERNAL_POINTS)


@pytest.mark.slow
def test_recordings_hold_a_whole_beat_and_a_stopped_run_is_taken_up(tmp_path, monkeypatch):
    monkeypatch.setattr("echomotion.evaluation.cohort.SHAPE", (48, 64))
    tables = cohort_tables(tmp_path, {"blind": _Blind()}, 11)
    assert list(tables) == [TRUTH, "blind", MOTION]
    assert [len(table) for table in tables.values()] == [11, 11, 11]
    assert np.allclose(tables[MOTION].filter(like="word_").sum(axis=1), 1)
    assert (tmp_path / "features-0-true-curves.csv").exists()
    shards = sorted((tmp_path / "hearts").iterdir())
    before = [path.stat().st_mtime_ns for path in shards]
    again = cohort_tables(tmp_path, {}, 11)
    assert [path.stat().st_mtime_ns for path in shards] == before
    pd.testing.assert_frame_equal(again[TRUTH], tables[TRUTH])


def test_noise_loses_what_the_truth_has_and_dealt_labels_are_chance():
    rng = np.random.default_rng(0)
    labels = ["normal"] * 90 + ["cardiomyopathy"] * 30 + ["heart_failure"] * 30 + ["infarction"] * 30
    ill = np.array([label != "normal" for label in labels])
    frame = pd.DataFrame({"patient": [f"{k}" for k in range(len(labels))], "label": labels})
    truth = frame.assign(x=ill * 2.0 + rng.normal(0, 1, len(labels)))
    noise = frame.assign(x=rng.normal(0, 1, len(labels)))
    rows = judge_cohort({TRUTH: truth, "noise": noise})
    assert len(rows) == 6
    for row in rows:
        # A single deal of labels, so not far from chance.
        assert row["permuted_low"] < 0.55
        assert row["permuted_high"] > 0.45
        if row["method"] == TRUTH:
            assert row["auc"] > 0.75
            assert row["lost"] == 0
        else:
            assert row["lost_low"] > 0.05
