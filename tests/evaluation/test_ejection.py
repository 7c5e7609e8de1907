"""Ejection fraction from two masks of one view, and its agreement with a reference."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import APICAL_CLASSES, DatasetError, Masks
from echomotion.datasets.camus import read_camus
from echomotion.evaluation.ejection import (
    expert_masks,
    fraction_agreement,
    reference_fractions,
    single_plane_fraction,
)


def test_an_empty_mask_has_no_fraction():
    empty = Masks(np.zeros((1, 40, 40), np.uint8), APICAL_CLASSES, model="toy")
    assert np.isnan(single_plane_fraction([empty, empty], (1.0, 1.0)))


def test_equal_fractions_agree_and_missing_ones_are_counted():
    truth = {f"p{k}": 40.0 + 3 * k for k in range(8)}
    found = {name: value + 2 for name, value in truth.items()} | {"p0": float("nan")}
    agreed = fraction_agreement(found, truth)
    assert (agreed.patients, agreed.failed) == (7, 1)
    assert agreed.correlation.value == pytest.approx(1)
    assert agreed.bias.value == pytest.approx(2)
    assert agreed.spread.value == pytest.approx(0, abs=1e-9)


def test_too_few_patients_are_refused():
    with pytest.raises(DatasetError, match="of 1 patients"):
        fraction_agreement({"a": 50.0}, {"a": 55.0})


def test_expert_masks_come_near_the_reference(echo_data):
    frames = [frame for _, frame in zip(range(16), read_camus(echo_data, "validation"), strict=False)]
    reference = reference_fractions(echo_data)
    found = {
        ed.patient: single_plane_fraction([expert_masks(ed), expert_masks(es)], ed.clip.spacing_mm)
        for ed, es in zip(frames[::2], frames[1::2], strict=True)
    }
    agreed = fraction_agreement(found, reference)
    assert agreed.failed == 0
    assert agreed.correlation.value > 0.7


def test_a_folder_without_the_table_is_refused(tmp_path):
    (tmp_path / "database_nifti").mkdir()
    with pytest.raises(DatasetError, match="no column EF"):
        reference_fractions(tmp_path)
