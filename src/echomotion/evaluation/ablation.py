"""What a part of a segmenter adds: the myocardium of each variant held against that of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from echomotion.core.masks import LV_CAVITY, LV_MYOCARDIUM
from echomotion.evaluation.beat_masks import LabelledBeat, judge_beat
from echomotion.evaluation.comparison import paired_difference
from echomotion.models.base import Segmenter

# Columns of judge_beat by their names in the table of an ablation.
_OF_THE_WALL = {"beat_dice": "dice", "beat_jitter_mm": "contour_jitter", "beat_roughness": "area_roughness"}


def judged_beats(
    segmenter: Segmenter, beats: Sequence[LabelledBeat], progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Figures of the wall on each beat, and the excursion of the cavity's area over the true one.

    Parameters
    ----------
    segmenter : Segmenter
    beats : sequence of LabelledBeat
    progress : callable, optional

    Returns
    -------
    pandas.DataFrame
        One row a beat: ``beat_dice``, ``beat_jitter_mm``, ``beat_roughness`` (%), ``excursion_ratio``.
    """
    rows = []
    for done, beat in enumerate(beats, start=1):
        masks = segmenter.segment(beat.clip)
        wall, cavity = (judge_beat(beat, masks, name) for name in (LV_MYOCARDIUM, LV_CAVITY))
        rows.append(
            {name: wall[key] for name, key in _OF_THE_WALL.items()} | {"excursion_ratio": cavity["excursion_ratio"]}
        )
        if progress is not None:
            progress(done, len(beats))
    return pd.DataFrame(rows, index=[beat.name for beat in beats])


def ablation_rows(
    cases: Mapping[str, pd.DataFrame], beats: Mapping[str, pd.DataFrame], whole: str
) -> list[dict[str, Any]]:
    """The table of an ablation.

    Parameters
    ----------
    cases : mapping of str to DataFrame
        By variant, cases of single frames as :class:`echomotion.evaluation.segmentation.SegmentationReport` has them.
    beats : mapping of str to DataFrame
        By variant, :func:`judged_beats`; empty when no beats are judged.
    whole : str
        The variant that the others are compared with.

    Returns
    -------
    list of dict
        Means of each variant, and what it has more of each figure than the whole (``... more``) with the paired
        t-test, over patients for single frames and over beats for beats.
    """
    stills = {
        name: found[found["class"] == LV_MYOCARDIUM].groupby("patient")[["dice", "hd95_mm"]].mean()
        for name, found in cases.items()
    }
    rows = []
    for name, own in stills.items():
        row: dict[str, Any] = {"variant": name} | _against(own, stills[whole], ("dice",))
        row["hd95_mm"] = _mean(own["hd95_mm"])
        if beats:
            compared = ("beat_dice", "beat_jitter_mm")
            row |= _against(beats[name], beats[whole], compared)
            row |= {str(key): _mean(values) for key, values in beats[name].items() if key not in compared}
        rows.append(row)
    return rows


def _against(own: pd.DataFrame, whole: pd.DataFrame, keys: Sequence[str]) -> dict[str, float]:
    out: dict[str, float] = {}
    for key in keys:
        paired = paired_difference(own[key], whole[key])
        out |= {key: _mean(own[key]), f"{key} more": paired.difference, f"{key} p (t)": paired.p_t}
    return out


def _mean(values: pd.Series) -> float:
    return float(values.mean())
