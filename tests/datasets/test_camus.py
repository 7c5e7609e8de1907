"""The reader of CAMUS: its splits share nobody, and its axes are rows by columns."""

from __future__ import annotations

import pytest

from echomotion.core import DatasetError, View
from echomotion.datasets.camus import camus_patients, read_camus
from echomotion.datasets.splits import split_off


def test_a_split_depends_on_names_alone():
    names = [f"p{i}" for i in range(50)]
    kept, off = split_off(names, 10)
    assert (len(kept), len(off)) == (40, 10)
    assert not set(kept) & set(off)
    assert split_off(reversed(names), 10) == (kept, off)
    # One more name moves at most one other.
    assert len(set(split_off([*names, "new"], 10)[1]) - set(off)) <= 1


def test_no_patient_is_in_two_splits(echo_data):
    fit, selection, validation = (set(camus_patients(echo_data, s)) for s in ("fit", "selection", "validation"))
    assert (len(fit), len(selection), len(validation)) == (369, 30, 50)
    assert not fit & selection
    assert not (fit | selection) & validation
    assert fit | selection == set(camus_patients(echo_data, "training"))


def test_frames_are_upright_and_calibrated(echo_data):
    frame = next(read_camus(echo_data, "validation"))
    assert (frame.patient, frame.phase) == ("patient0200", "ED")
    assert frame.clip.view is View.A4C
    assert frame.clip.spacing_mm == pytest.approx((0.308, 0.308), abs=1e-4)
    assert frame.clip.shape == frame.labels.shape == (487, 590)
    rows = {label: (frame.labels == label).nonzero()[0].mean() for label in (1, 3)}
    # The apex is at the top, so the ventricle lies above the atrium.
    assert rows[1] < rows[3]


def test_a_wrong_folder_or_split_says_so(tmp_path):
    with pytest.raises(DatasetError, match="database_nifti"):
        camus_patients(tmp_path, "training")
    (tmp_path / "database_nifti").mkdir()
    with pytest.raises(DatasetError, match="known are"):
        camus_patients(tmp_path, "everything")
