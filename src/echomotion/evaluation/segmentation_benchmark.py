"""Segmenters side by side on CAMUS: single frames, pairs, ejection fraction, beats, degraded pictures, speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from echomotion.core import APICAL_CLASSES, Clip, DataError, Masks
from echomotion.core.masks import LV_CAVITY, LV_MYOCARDIUM
from echomotion.datasets.camus import CamusFrame, read_camus
from echomotion.evaluation import beat_masks
from echomotion.evaluation.comparison import paired_difference
from echomotion.evaluation.degraded import KINDS, STRENGTHS, degraded
from echomotion.evaluation.ejection import (
    expert_masks,
    fraction_agreement,
    reference_fractions,
    single_plane_fraction,
)
from echomotion.evaluation.resources import machine_facts, measured
from echomotion.evaluation.segmentation import METRICS, compare_masks, dice
from echomotion.evaluation.speed import SIDE, speckle_clip
from echomotion.models.base import Segmenter
from echomotion.models.segmenters.steadying import STEADY_S
from echomotion.preprocess.quality import frame_quality
from echomotion.preprocess.sector import find_sector

PARTS = ("stills", "ejection_fraction", "pairs", "beats", "degraded", "degraded_beats", "speed")
# The parts in which pictures are made worse, and what is shown in them.
DEGRADED = {"degraded": "single frames", "degraded_beats": "simulated beats"}
JUDGED = (LV_CAVITY, LV_MYOCARDIUM)
_SPEED_FRAMES = 100
# About how long systole takes; CAMUS does not say.
_SYSTOLE_S = 0.35

Say = Callable[[str, int, int], None]


def benchmark_segmentation(
    segmenters: Sequence[Segmenter],
    data: str | Path,
    *,
    split: str = "validation",
    parts: Sequence[str] = PARTS,
    beats: int = 10,
    degraded_patients: int = 20,
    progress: Say | None = None,
) -> dict[str, Any]:
    """All parts for all segmenters; the first is the one that the others are compared with.

    Parameters
    ----------
    segmenters : sequence of Segmenter
    data : path
        CAMUS folder.
    split : str
        Patients of single frames and ejection fraction. Beats are of validation patients.
    parts : sequence of str
        Of :data:`PARTS`.
    beats, degraded_patients : int
        How many beats of each kind, whole and degraded, and how many patients with degraded pictures.
    progress : callable, optional
        Called with (what, done, total).

    Returns
    -------
    dict
        Plain values for JSON.

    Raises
    ------
    DataError
        When a part is not known, or two segmenters have one name.
    """
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise DataError(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    names = [one.name for one in segmenters]
    if len(set(names)) < len(names):
        raise DataError(f"two segmenters have one name: {', '.join(names)}")
    say: Say = progress or (lambda what, done, total: None)
    frames = list(read_camus(data, split))
    out: dict[str, Any] = {"split": split, "baseline": names[0], "machine": machine_facts()}
    if "stills" in parts or "ejection_fraction" in parts:
        found = {one.name: _labelled(one, frames, say) for one in segmenters}
        if "stills" in parts:
            out["stills"] = _stills(found, frames)
        if "ejection_fraction" in parts:
            out["ejection_fraction"] = _fractions(found, frames, data)
    if "pairs" in parts:
        found = {one.name: _labelled_in_pairs(one, frames, say) for one in segmenters}
        out["pairs"] = _stills(found, frames) | {"ejection_fraction": _fractions(found, frames, data)}
    if "beats" in parts:
        out["beats"] = {kind: _beats(segmenters, data, kind, beats, say) for kind in beat_masks.KINDS}
    if "degraded" in parts:
        shown = [(frame.clip, expert_masks(frame)) for frame in frames[: 2 * degraded_patients]]
        out["degraded"] = _degraded(segmenters, shown, "degraded", say)
    if "degraded_beats" in parts:
        some = beat_masks.validation_beats(data, "simulated", beats)
        shown = [(beat.clip, Masks(beat.labels, APICAL_CLASSES, model="truth")) for beat in some]
        out["degraded_beats"] = _degraded(segmenters, shown, "degraded beats", say)
    if "speed" in parts:
        out["speed"] = [_speed(one, say) for one in segmenters]
    return finite(out)


def _labelled(segmenter: Segmenter, frames: list[CamusFrame], say: Say) -> list[Masks]:
    """Masks of single frames, without their probabilities."""
    out = []
    for done, frame in enumerate(frames, start=1):
        masks = segmenter.segment(frame.clip)
        out.append(Masks(masks.labels, masks.classes, model=masks.model))
        say(f"{segmenter.name}: frames", done, len(frames))
    return out


def _labelled_in_pairs(segmenter: Segmenter, frames: list[CamusFrame], say: Say) -> list[Masks]:
    """Masks of single frames that were shown with the patient's other one, as a clip of two."""
    out = []
    for first in range(0, len(frames), 2):
        clips = [frame.clip for frame in frames[first : first + 2]]
        both = clips[0].with_(frames=np.concatenate([clip.frames for clip in clips]), times_s=(0.0, _SYSTOLE_S))
        masks = segmenter.segment(both)
        out += [Masks(labels[None], masks.classes, model=masks.model) for labels in masks.labels]
        say(f"{segmenter.name}: pairs", first + 2, len(frames))
    return out


def _stills(masks: dict[str, list[Masks]], frames: list[CamusFrame]) -> dict[str, Any]:
    """Dice and HD95 by group, and each against the first: all patients, and the third of lowest quality."""
    reports = {}
    for name, own in masks.items():
        # Frames are compared in their order.
        following = iter(own)
        reports[name] = compare_masks(frames, lambda _, following=following: next(following))  # type: ignore[misc]
    quality = _picture_quality(frames)
    low = set(quality.nsmallest(math.ceil(len(quality) / 3)).index)
    found = {name: _by_patient(report.cases) for name, report in reports.items()}
    first = next(iter(found))
    compared = []
    for name in list(found)[1:]:
        for klass in JUDGED:
            for metric in METRICS:
                both = found[name][klass][metric], found[first][klass][metric]
                for group, patients in (("all", list(both[0].index)), ("lower third of quality", sorted(low))):
                    paired = paired_difference(*(values.loc[patients] for values in both))
                    compared.append({"model": name, "class": klass, "metric": metric, "group": group, **asdict(paired)})
    tables = {}
    for name, report in reports.items():
        table = report.summary()
        worst = report.cases[report.cases["patient"].isin(low)]
        extra = type(report)(worst).summary()
        extra = extra[extra["group"] == "all"].assign(group="lower third of quality")
        tables[name] = pd.concat([table, extra]).to_dict("records")
    return {"models": tables, "compared": compared, "lower_third_quality": sorted(low)}


def _by_patient(cases: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(name): rows.groupby("patient")[list(METRICS)].mean() for name, rows in cases.groupby("class")}


def _picture_quality(frames: list[CamusFrame]) -> pd.Series:
    """Mean quality of a patient's frames (:mod:`echomotion.preprocess.quality`)."""
    values: dict[str, list[float]] = {}
    for frame in frames:
        quality = frame_quality(frame.clip, find_sector(frame.clip.frames, pixel_aspect=frame.clip.pixel_aspect))
        values.setdefault(frame.patient, []).append(float(quality.mean()))
    return pd.Series({name: float(np.mean(list(rows))) for name, rows in values.items()})


def _fractions(masks: dict[str, list[Masks]], frames: list[CamusFrame], data: str | Path) -> list[dict[str, Any]]:
    """Agreement of EF with the reference, the expert's own masks first."""
    reference = reference_fractions(data)
    rows = []
    for name, own in {"expert masks": [expert_masks(frame) for frame in frames], **masks}.items():
        found = {
            frames[i].patient: single_plane_fraction(own[i : i + 2], frames[i].clip.spacing_mm)
            for i in range(0, len(frames), 2)
        }
        rows.append({"model": name, **asdict(fraction_agreement(found, reference))})
    return rows


def _beats(segmenters: Sequence[Segmenter], data: str | Path, kind: str, count: int, say: Say) -> list[dict[str, Any]]:
    """Figures of each segmenter over beats, and of the first with two filters over time.

    One filter is what the networks that see several frames apply themselves, the other makes it as steady as they are.
    """
    beats = list(beat_masks.validation_beats(data, kind, count))
    found = {}
    for one in segmenters:
        masks = []
        for done, beat in enumerate(beats, start=1):
            masks.append(one.segment(beat.clip))
            say(f"{one.name}: {kind} beats", done, len(beats))
        found[one.name] = masks
    rows: list[dict[str, Any]] = []
    first = segmenters[0].name
    own_filter = f"{first} steadied over {STEADY_S:g} s"
    if all(mask.probability is not None for mask in found[first]):
        pairs = zip(found[first], beats, strict=True)
        found[own_filter] = [beat_masks.steadied(masks, beat.clip) for masks, beat in pairs]
    for name, masks in found.items():
        for klass in JUDGED:
            judged = [beat_masks.judge_beat(beat, mask, klass) for beat, mask in zip(beats, masks, strict=True)]
            row = {"model": name, "class": klass, "beats": len(beats), **beat_masks.means(judged)}
            rows.append({**row, "cases": judged})
            if name in (first, own_filter) or not math.isfinite(row["contour_jitter"]):
                continue
            width, even = beat_masks.as_steady(beats, found[first], klass, row["contour_jitter"])
            judged = [beat_masks.judge_beat(beat, mask, klass) for beat, mask in zip(beats, even, strict=True)]
            told = f"{first} filtered to the jitter of {name}"
            more = {"model": told, "class": klass, "beats": len(beats), "width_s": width, **beat_masks.means(judged)}
            rows.append({**more, "cases": judged})
    return rows


def _degraded(
    segmenters: Sequence[Segmenter], shown: list[tuple[Clip, Masks]], what: str, say: Say
) -> list[dict[str, Any]]:
    """Mean Dice of each class by kind and strength over all frames; strength 0 is the clip as it is."""
    rows = []
    settings = [("none", 0.0)] + [(kind, strength) for kind in KINDS for strength in STRENGTHS]
    for one in segmenters:
        for done, (kind, strength) in enumerate(settings, start=1):
            scores: dict[str, list[float]] = {klass: [] for klass in JUDGED}
            for number, (clip, true) in enumerate(shown):
                worse = clip if kind == "none" else degraded(clip, kind, strength, seed=number)
                found = one.segment(worse)
                for klass in JUDGED:
                    scores[klass] += map(dice, found.mask(klass), true.mask(klass))
            count = sum(clip.n_frames for clip, _ in shown)
            row = {"model": one.name, "kind": kind, "strength": strength, "frames": count}
            rows.append({**row, **{klass: float(np.nanmean(values)) for klass, values in scores.items()}})
            say(f"{one.name}: {what}", done, len(settings))
    return rows


def _speed(segmenter: Segmenter, say: Say) -> dict[str, Any]:
    """Frames a second and memory over 100 frames of 256 x 256, tracking included, after a first small run."""
    clip = speckle_clip(_SPEED_FRAMES)
    segmenter.segment(clip.with_(frames=clip.frames[:4], times_s=clip.times_s[:4]))
    use = measured(lambda: segmenter.segment(clip))
    say(f"{segmenter.name}: speed", 1, 1)
    return {
        "model": segmenter.name,
        "frames": _SPEED_FRAMES,
        "side": SIDE,
        "frames_per_second": _SPEED_FRAMES / use.seconds,
        "peak_memory_mb": use.peak_memory_mb,
        "peak_gpu_memory_mb": use.peak_gpu_memory_mb,
    }


def finite(value: Any) -> Any:
    """The same with None in place of numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
