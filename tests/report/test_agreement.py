"""Files of a comparison: what cannot be compared is said in the figure and null in the JSON."""

import json

import numpy as np
import pandas as pd

from echomotion.io.cohort import PairedValues
from echomotion.measure.agreement import agreement
from echomotion.report.agreement import agreement_rows, save_agreement


def test_few_pairs_equal_pairs_and_names_that_clash_are_written(tmp_path):
    values = np.array([1.0, 2.0, 4.0])
    pairs = [
        PairedValues("a/b", "mL", ("x", "y"), values[:2], values[1:]),
        PairedValues("A b", "px3", ("x", "y", "z"), values, values),
    ]
    found = [agreement(pair.first, pair.second, resamples=100) for pair in pairs]
    folder = save_agreement(pairs, found, tmp_path / "out", ("same", "same"))
    assert {p.name for p in folder.glob("*.png")} == {"a_b.png", "a_b-2.png"}
    few, equal = json.loads((folder / "agreement.json").read_text())["measurements"]
    assert few["bland_altman"]["bias"]["value"] is None
    assert "too few" in few["reason"]
    assert (equal["mae"]["value"], equal["icc_agreement"]["value"]) == (0, 1)
    assert list(pd.read_csv(folder / "pairs.csv").columns) == ["case", "name", "unit", "same (1)", "same (2)"]
    assert agreement_rows(pairs, found)[0]["bias"] == "–"
