"""The table of a study of few masks: means over draws, and pairs that are patients."""

from __future__ import annotations

import pandas as pd
import pytest

from echomotion.evaluation.label_study import draw_study, study_rows


def cases(level: float) -> pd.DataFrame:
    rows = [
        {"patient": f"p{k}", "phase": phase, "class": klass, "dice": level + 0.01 * k + (phase == "ED") * 0.02}
        for k in range(5)
        for phase in ("ED", "ES")
        for klass in ("lv_cavity", "lv_myocardium", "left_atrium")
    ]
    return pd.DataFrame(rows)


def test_means_and_differences(tmp_path):
    found = {("unet", 0.1, "both", draw): cases(0.7 + 0.02 * draw) for draw in range(3)}
    found |= {("ncmnet", 0.1, "both", draw): cases(0.8) for draw in range(3)}
    rows = {(row["method"], row["class"]): row for row in study_rows(found)}
    assert len(rows) == 4
    unet, ours = rows["unet", "lv_myocardium"], rows["ncmnet", "lv_myocardium"]
    assert unet["dice"] == pytest.approx(0.75)
    assert unet["dice_of_draws"] == pytest.approx([0.73, 0.75, 0.77])
    assert unet["dice_ED"] - unet["dice_ES"] == pytest.approx(0.02)
    assert ours["less"]["unet"]["difference"] == pytest.approx(0.08)
    assert ours["less"]["unet"]["n"] == 5
    draw_study(list(rows.values()), tmp_path / "few.svg")
    assert "<svg" in (tmp_path / "few.svg").read_text()
