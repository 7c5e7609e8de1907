"""The table of an ablation: what each variant has more than the whole, on single frames and on beats."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from echomotion.core import Clip, Masks
from echomotion.evaluation.ablation import ablation_rows, judged_beats
from echomotion.evaluation.beat_masks import LabelledBeat

FRAMES, SIDE = 24, 96


def ring(radius: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(x - 48, y - 48)[None]
    wall = distance < (radius + 8)[:, None, None]
    return np.where(distance < radius[:, None, None], 1, 2 * wall).astype(np.uint8)


RADII = 26 - 6 * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / FRAMES))


def beat(name: str) -> LabelledBeat:
    clip = Clip(np.full((FRAMES, SIDE, SIDE), 9, np.uint8), 0.03 * np.arange(FRAMES), (0.5, 0.5))
    return LabelledBeat(name, clip, ring(RADII))


class Trembling:
    """Segments the ring, its radius off by a random number of px on each frame."""

    name = "trembling"

    def __init__(self, noise: float):
        self.noise = noise
        self.rng = np.random.default_rng(1)

    def segment(self, clip: Clip) -> Masks:
        labels = ring(RADII + self.noise * self.rng.standard_normal(FRAMES))
        classes = {0: "background", 1: "lv_cavity", 2: "lv_myocardium"}
        return Masks(labels, classes, model=self.name)


def cases(dice: float) -> pd.DataFrame:
    rows = [
        {"patient": f"p{i}", "phase": phase, "class": klass, "dice": dice + 0.01 * i, "hd95_mm": 3.0}
        for i in range(4)
        for phase in ("ED", "ES")
        for klass in ("lv_cavity", "lv_myocardium")
    ]
    return pd.DataFrame(rows)


def test_what_trembles_is_told_from_what_does_not():
    beats = [beat(name) for name in ("a", "b", "c")]
    told = []
    found = {
        "shaky": judged_beats(Trembling(1.5), beats, lambda done, total: told.append((done, total))),
        "whole": judged_beats(Trembling(0.0), beats),
    }
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert list(found["whole"].index) == ["a", "b", "c"]
    shaky, whole = ablation_rows({"shaky": cases(0.8), "whole": cases(0.83)}, found, "whole")
    assert shaky["dice more"] == pytest.approx(-0.03)
    assert (whole["dice"], whole["beat_dice"]) == (pytest.approx(0.845), 1.0)
    assert whole["dice more"] == whole["beat_dice more"] == 0
    assert shaky["beat_jitter_mm more"] > 0.3
    assert shaky["beat_dice p (t)"] < 0.05
    assert shaky["beat_roughness"] > whole["beat_roughness"]
    assert whole["excursion_ratio"] == pytest.approx(1)


def test_without_beats_only_single_frames_are_compared():
    (row,) = ablation_rows({"whole": cases(0.8)}, {}, "whole")
    assert set(row) == {"variant", "dice", "dice more", "dice p (t)", "hd95_mm"}
