"""A cohort of simulated patients seen in the parasternal long axis: healthy ones, and three diseases of every degree.

A diseased heart lies between a healthy and a gravely ill one that share pose, rhythm and motion. How far is drawn for
each patient about a mean that makes the diseases overlap with health: from the true curves a classifier reaches an
area under the curve of about 0.9 for each (`docs/parasternal.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from echomotion.core import View
from echomotion.simulate.checks import check_count
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import LATEST_SHARE, Contraction, HeartParameters, Lesion, Shape
from echomotion.simulate.rhythm import steady_rhythm

NORMAL = "normal"
# Of the paper's 115 patients (Oh et al., Table 1).
MIX = {NORMAL: 75, "cardiomyopathy": 16, "heart_failure": 12, "infarction": 12}
# The grave case of each disease.
_GRAVE = {"cardiomyopathy": "hypertrophic", "heart_failure": "dilated", "infarction": "akinetic"}
# Mean share of the way from health to the grave case; single patients lie between a half of it and one and a half.
SEVERITY: Mapping[str, float] = {"cardiomyopathy": 0.27, "heart_failure": 0.19, "infarction": 0.28}
# Walls that the measuring line crosses.
_CROSSED = ("mid_anteroseptal", "mid_inferolateral")
_RATES = (52.0, 100.0)


@dataclass(frozen=True)
class Patient:
    """One of a cohort: a name, its label (of :data:`MIX`), the seed of its recording, and its heart."""

    name: str
    label: str
    seed: int
    heart: HeartParameters


def draw_cohort(count: int, seed: int = 0, severity: Mapping[str, float] = SEVERITY) -> list[Patient]:
    """Patients in the mix of :data:`MIX`, at least one of each label.

    Raises
    ------
    DataError
        When `count` is under four.
    """
    check_count("count", count, len(MIX), 100_000)
    total = sum(MIX.values())
    ill = {label: max(1, round(count * share / total)) for label, share in MIX.items() if label != NORMAL}
    labels = [NORMAL] * (count - sum(ill.values())) + [label for label, number in ill.items() for _ in range(number)]
    out = []
    for number, label in enumerate(labels):
        rng = np.random.default_rng([int(seed), number, 71])
        out.append(Patient(f"{number:04d}", label, int(rng.integers(2**48)), draw_patient(label, rng, severity)))
    return out


def draw_patient(label: str, rng: np.random.Generator, severity: Mapping[str, float] = SEVERITY) -> HeartParameters:
    """A heart of one label, with a regular rhythm."""
    own = int(rng.integers(2**62))
    rhythm = steady_rhythm(float(rng.uniform(*_RATES)))
    healthy = draw_heart(View.PLAX, np.random.default_rng(own), "healthy").with_(rhythm=rhythm)
    if label == NORMAL:
        return healthy
    grave = draw_heart(View.PLAX, np.random.default_rng(own), _GRAVE[label])
    share = float(np.clip(severity[label] * rng.uniform(0.5, 1.5), 0.0, 1.0))
    lesions = healthy.contraction.lesions
    if label == "infarction":
        delay = min(0.06, LATEST_SHARE * min(rhythm.rr_s)) * share
        middle = str(rng.choice(_CROSSED))
        scar = Lesion(middle, 1 + share * (float(rng.uniform(-0.2, 0.2)) - 1), delay, float(rng.uniform(1.5, 2.5)))
        lesions = (*(lesion for lesion in lesions if lesion.segment != middle), scar)
    mixed = _between(healthy.contraction, grave.contraction, share, skip="lesions")
    return healthy.with_(
        kind=_GRAVE[label],
        shape=Shape(**_between(healthy.shape, grave.shape, share)),
        contraction=Contraction(**mixed, lesions=lesions),
    )


def _between(first: Any, second: Any, share: float, skip: str = "") -> dict[str, float]:
    """Fields of two records of numbers, mixed."""
    names = [field.name for field in fields(first) if field.name != skip]
    return {name: (1 - share) * getattr(first, name) + share * getattr(second, name) for name in names}
