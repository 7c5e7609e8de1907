"""Ejection fraction from the masks of end-diastole and end-systole, held against the reference of CAMUS."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, DatasetError, EchoMotionError, Masks
from echomotion.datasets.camus import CamusFrame, camus_root
from echomotion.measure.agreement import Estimate, bootstrap_interval
from echomotion.measure.disks import Convention, shared_length, sum_of_disks
from echomotion.measure.volumes import wall_plane
from echomotion.measure.wall import find_wall

FloatArray = NDArray[np.float64]
_FEWEST = 3


def reference_fractions(root: str | Path) -> dict[str, float]:
    """EF (%) of each patient in ``patients_info.csv``: biplane, one shared maximum disk height.

    Raises
    ------
    DatasetError
        When the table is missing or has no such column.
    """
    table = camus_root(root) / "patients_info.csv"
    try:
        with table.open(newline="") as lines:
            return {row["Patient"]: float(row["EF"]) for row in csv.DictReader(lines)}
    except (OSError, KeyError, ValueError):
        raise DatasetError(f"{table}: has no column EF of numbers; get the table of CAMUS") from None


def single_plane_fraction(masks: Sequence[Masks], spacing_mm: tuple[float, float] | None) -> float:
    """EF (%) of one view from masks at end-diastole and end-systole, disks as high as CAMUS has them.

    NaN where a wall is not found.
    """
    try:
        planes = [wall_plane(find_wall(one, 0, spacing_mm), spacing_mm) for one in masks]
        length = shared_length(planes, Convention.CAMUS)
        before, after = (sum_of_disks(plane, length=length) for plane in planes)
    except EchoMotionError:
        return math.nan
    return 100 * (before - after) / before


def expert_masks(frame: CamusFrame) -> Masks:
    """The expert's mask as what a segmenter gives."""
    return Masks(frame.labels[None], APICAL_CLASSES, model="expert")


@dataclass(frozen=True)
class FractionAgreement:
    """Agreement of EF with the reference.

    Attributes
    ----------
    patients, failed : int
        Compared, and those whose wall was not found.
    correlation, bias, spread : Estimate
        Pearson's r; mean and standard deviation of the difference in points, each with its bootstrap interval.
    """

    patients: int
    failed: int
    correlation: Estimate
    bias: Estimate
    spread: Estimate


def fraction_agreement(found: Mapping[str, float], reference: Mapping[str, float]) -> FractionAgreement:
    """Compare EF by patient; those without a finite value are counted as failed.

    Raises
    ------
    DatasetError
        When fewer than three patients are left.
    """
    names = [name for name in found if name in reference]
    pairs = np.array([[found[name], reference[name]] for name in names]).reshape(-1, 2)
    known = pairs[np.isfinite(pairs).all(axis=1)]
    if len(known) < _FEWEST:
        raise DatasetError(f"ejection fractions of {len(known)} patients cannot be compared; {_FEWEST} are needed")
    first, second = known.T
    return FractionAgreement(
        len(known),
        len(pairs) - len(known),
        bootstrap_interval(_correlation, first, second),
        bootstrap_interval(_bias, first, second),
        bootstrap_interval(_spread, first, second),
    )


def _correlation(first: FloatArray, second: FloatArray, axis: int = -1) -> Any:
    a, b = (values - values.mean(axis=axis, keepdims=True) for values in (first, second))
    return (a * b).sum(axis=axis) / np.sqrt((a**2).sum(axis=axis) * (b**2).sum(axis=axis))


def _bias(first: FloatArray, second: FloatArray, axis: int = -1) -> Any:
    return (first - second).mean(axis=axis)


def _spread(first: FloatArray, second: FloatArray, axis: int = -1) -> Any:
    return (first - second).std(axis=axis, ddof=1)
