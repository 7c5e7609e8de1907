"""How much of the discrimination of the true curves each way of finding key-points keeps, on a simulated cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from echomotion.core import DataError
from echomotion.core.masks import Keypoints
from echomotion.datasets.simulated import SHARD_NAME, StoredSequence, read_shard
from echomotion.evaluation.classification import (
    LABEL,
    PATIENT,
    ClassificationReport,
    area_under_curve,
    evaluate_classifier,
)
from echomotion.evaluation.comparison import CONFIDENCE
from echomotion.evaluation.motion_features import motion_descriptors, word_counts
from echomotion.io.write import write_table
from echomotion.measure.cycle_features import cycle_features
from echomotion.measure.keypoint_measurements import keypoint_measurements
from echomotion.models.base import KeypointDetector
from echomotion.simulate.patients import MIX, NORMAL, Patient, draw_cohort
from echomotion.simulate.sequence import Sequence, simulate
from echomotion.simulate.store import stored_calipers, write_shard

DISEASES = tuple(label for label in MIX if label != NORMAL)
TRUTH, MOTION = "true curves", "motion features"
FRAMES, SHAPE = 36, (240, 320)
# Of a cycle that a recording holds, so that the whole of one is seen.
_CYCLES = 1.2
_SHARD = 10
_DRAWS = 1999

Step = Callable[[str, int, int], None]


def simulate_cohort(
    folder: str | Path, count: int, *, seed: int = 0, difficulty: float | None = 0.5, progress: Step | None = None
) -> Iterator[tuple[Patient, StoredSequence]]:
    """Recordings of a cohort, from the folder where they are there, else simulated into it.

    Parameters
    ----------
    folder : path
        Shards of ten recordings; a run that was stopped is taken up where it ended.
    count, seed
        Of :func:`~echomotion.simulate.patients.draw_cohort`.
    difficulty : float, optional
        As for :func:`~echomotion.simulate.sequence.simulate`.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.
    """
    patients = draw_cohort(count, seed)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, _SHARD):
        shard, some = target / SHARD_NAME.format(first // _SHARD), patients[first : first + _SHARD]
        if not shard.exists():
            write_shard(shard, [_recorded(patient, difficulty) for patient in some])
        if progress is not None:
            progress("hearts", min(first + _SHARD, count), count)
        yield from zip(some, read_shard(shard), strict=True)


def _recorded(patient: Patient, difficulty: float | None) -> Sequence:
    rate = float(np.clip((FRAMES - 1) / (_CYCLES * max(patient.heart.rhythm.rr_s)), 20.0, 120.0))
    return simulate(
        seed=patient.seed,
        heart=patient.heart,
        difficulty=difficulty,
        shape=SHAPE,
        n_frames=FRAMES,
        frame_rate_hz=rate,
        reference_frame=0,
        n_tracks=16,
    )


def cohort_tables(
    folder: str | Path,
    detectors: Mapping[str, KeypointDetector],
    count: int,
    *,
    seed: int = 0,
    difficulty: float | None = 0.5,
    progress: Step | None = None,
) -> dict[str, pd.DataFrame]:
    """A cohort table for the true curves, for each detector and for motion features, also as csv in the folder.

    Patients without features (no whole beat, a point not found on too many frames) are left out of a table.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in (TRUTH, *detectors)}
    patients: list[dict[str, Any]] = []
    motion = []
    recordings = simulate_cohort(Path(folder) / "hearts", count, seed=seed, difficulty=difficulty, progress=progress)
    for done, (patient, recording) in enumerate(recordings, start=1):
        found = {TRUTH: stored_calipers(recording.parameters)}
        found |= {name: detector.detect(recording.clip) for name, detector in detectors.items()}
        patients.append({PATIENT: patient.name, LABEL: patient.label})
        motion.append(motion_descriptors(recording.clip))
        for name, keypoints in found.items():
            features = _features(recording, keypoints)
            if features:
                rows[name].append(patients[-1] | features)
        if progress is not None:
            progress("key-points", done, count)
    tables = {name: pd.DataFrame(part) for name, part in rows.items()}
    words = pd.DataFrame(word_counts(motion, seed=seed)).add_prefix("word_")
    tables[MOTION] = pd.concat([pd.DataFrame(patients), words], axis=1)
    for number, (name, table) in enumerate(tables.items()):
        write_table(Path(folder) / f"features-{number}-{name.split(':')[0].replace(' ', '-')}.csv", table)
    return tables


def _features(recording: StoredSequence, keypoints: Keypoints) -> dict[str, float]:
    clip = recording.clip
    found = keypoint_measurements(keypoints, clip.times_s, clip.spacing_mm, clip.r_wave_times_s, clip.view)
    try:
        return cycle_features(found.curves, found.phases, clip.times_s)
    except DataError:
        return {}


def judge_cohort(tables: Mapping[str, pd.DataFrame], *, seed: int = 0) -> list[dict[str, Any]]:
    """One row a disease and method: area under the curve, what it loses against the true curves, with intervals.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From :func:`cohort_tables`; the first has the true curves.
    seed : int
        Of folds and bootstrap.

    Returns
    -------
    list of dict
        ``disease, method, patients, auc, low, high, lost, lost_low, lost_high, permuted, permuted_low, permuted_high``;
        what is lost is paired by patient.
    """
    names = list(tables)
    out = []
    for disease in DISEASES:
        reports = {name: evaluate_classifier(tables[name], disease, NORMAL, seed=seed) for name in names}
        for name, report in reports.items():
            lost = auc_lost(reports[names[0]], report, seed=seed)
            chance = evaluate_classifier(_permuted(tables[name], disease, seed), disease, NORMAL, seed=seed).auc
            out.append(
                {
                    "disease": disease,
                    "method": name,
                    "patients": report.patients,
                    "auc": report.auc.value,
                    "low": report.auc.low,
                    "high": report.auc.high,
                    "sensitivity": report.sensitivity.value,
                    "specificity": report.specificity.value,
                    **{f"lost{end}": value for end, value in zip(("", "_low", "_high"), lost, strict=True)},
                    **{f"permuted_{key}": value for key, value in asdict(chance).items()},
                }
            )
    return out


def auc_lost(truth: ClassificationReport, other: ClassificationReport, *, seed: int = 0) -> tuple[float, float, float]:
    """By how much one report's area under the curve exceeds another's, on the patients of both, with its interval."""
    both = truth.decisions.merge(other.decisions, on=[PATIENT, LABEL], suffixes=("_first", "_second"))
    first, second = both["decision_first"].to_numpy(), both["decision_second"].to_numpy()
    ill = both[LABEL].to_numpy() == truth.positive

    def difference(index: np.ndarray) -> float:
        return area_under_curve(first[index], ill[index]) - area_under_curve(second[index], ill[index])

    rng = np.random.default_rng(seed)
    draws = [difference(rng.integers(len(both), size=len(both))) for _ in range(_DRAWS)]
    low, high = np.nanquantile(draws, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return difference(np.arange(len(both))), float(low), float(high)


def _permuted(table: pd.DataFrame, disease: str, seed: int) -> pd.DataFrame:
    """The same patients with labels dealt anew: what is found then is chance."""
    rows = table[table[LABEL].isin([disease, NORMAL])]
    dealt = np.random.default_rng([seed, 5]).permutation(rows[LABEL].to_numpy())
    return rows.assign(**{LABEL: dealt})
