"""How well a segmenter agrees with expert masks: Dice and HD95 per class, phase and image quality.

Definitions (docs/architecture.md): Dice per class and frame; HD95 in mm on the native grid, the larger of the two
directed 95th percentiles; an empty prediction of a present class counts Dice 0 and the image diagonal; where both
are empty the frame is left out. Means run over a patient's frames first, then over patients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.metrics import compute_hausdorff_distance
from numpy.typing import NDArray

from echomotion.core import Masks
from echomotion.datasets.camus import CamusFrame
from echomotion.models.base import Progress, Segmenter

METRICS = ("dice", "hd95_mm")


@dataclass(frozen=True)
class SegmentationReport:
    """Results of one segmenter on one dataset.

    Attributes
    ----------
    cases : DataFrame
        One row per patient, phase and class: ``patient, phase, quality, class, dice, hd95_mm``.
    """

    cases: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Mean and SD over patients per class: all frames, by phase, by image quality.

        Columns: ``group, class, patients, dice, dice_sd, hd95_mm, hd95_mm_sd``.
        """
        groups: list[tuple[str, pd.DataFrame]] = [("all", self.cases)]
        groups += [(str(phase), rows) for phase, rows in self.cases.groupby("phase", sort=True)]
        groups += [(f"quality {q!s}", rows) for q, rows in self.cases.groupby("quality", sort=True) if q]
        rows = []
        for group, cases in groups:
            for name, of_class in cases.groupby("class", sort=False):
                per_patient = of_class.groupby("patient")[list(METRICS)].mean()
                row: dict[str, Any] = {"group": group, "class": name, "patients": len(per_patient)}
                for metric in METRICS:
                    row[metric] = float(per_patient[metric].mean())
                    row[f"{metric}_sd"] = float(per_patient[metric].std(ddof=1))
                rows.append(row)
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Summary and cases as plain values for JSON; NaN becomes None."""
        return {name: _plain(table) for name, table in (("summary", self.summary()), ("cases", self.cases))}


def evaluate_segmentation(
    segmenter: Segmenter, frames: Iterable[CamusFrame], *, progress: Progress | None = None
) -> SegmentationReport:
    """Segment labelled frames and compare.

    Parameters
    ----------
    segmenter : Segmenter
    frames : iterable of CamusFrame
    progress : callable, optional
        Called with (done, total); total is 0 when it is not known.
    """
    return compare_masks(frames, lambda frame: segmenter.segment(frame.clip), progress=progress)


def compare_masks(
    frames: Iterable[CamusFrame], find: Callable[[CamusFrame], Masks], *, progress: Progress | None = None
) -> SegmentationReport:
    """Compare whatever `find` gives for each frame with the expert's labels."""
    frames = list(frames)
    rows = []
    for done, frame in enumerate(frames, start=1):
        masks = find(frame)
        spacing = frame.clip.spacing_mm or (math.nan, math.nan)
        for label, name in masks.classes.items():
            if label == 0:
                continue
            dice, hd95 = agreement(masks.labels[0] == label, frame.labels == label, spacing)
            rows.append(
                {
                    "patient": frame.patient,
                    "phase": frame.phase,
                    "quality": frame.quality,
                    "class": name,
                    "dice": dice,
                    "hd95_mm": hd95,
                }
            )
        if progress is not None:
            progress(done, len(frames))
    return SegmentationReport(pd.DataFrame(rows))


def agreement(
    found: NDArray[np.bool_], true: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> tuple[float, float]:
    """Dice and HD95 (mm) of two masks (H, W); NaN, NaN where both are empty."""
    if not found.any() and not true.any():
        return math.nan, math.nan
    if not found.any() or not true.any():
        rows, columns = true.shape
        return 0.0, math.hypot(rows * spacing_mm[0], columns * spacing_mm[1])
    pair = [torch.from_numpy(mask)[None, None] for mask in (found, true)]
    hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing_mm))
    return dice(found, true), float(hd95)


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice of two masks; NaN where both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(true)
    return 2 * np.count_nonzero(found & true) / total if total else math.nan


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        for row in table.to_dict("records")
    ]
