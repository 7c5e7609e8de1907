"""Diseased or not, from curves over a cycle: a support vector machine and an honest estimate of what it can do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from echomotion.core import DataError
from echomotion.evaluation.comparison import CONFIDENCE, RESAMPLES

PATIENT, LABEL = "patient", "label"
FOLDS = 5
# Of the bootstrap of the curve, whose every draw is sorted.
_DRAWS = min(RESAMPLES, 1999)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval by percentile bootstrap over patients."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassificationReport:
    """What :func:`evaluate_classifier` found.

    Attributes
    ----------
    positive, negative : str
        The two classes.
    patients : dict of str to int
        Number of each.
    auc, sensitivity, specificity : Estimate
        Area under the receiver operating curve; the other two where the decision value is 0.
    decisions : DataFrame
        ``patient, label, decision`` of every row, by the machine that had not seen that patient.
    """

    positive: str
    negative: str
    patients: dict[str, int]
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    decisions: pd.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        figures = {name: vars(getattr(self, name)) for name in ("auc", "sensitivity", "specificity")}
        return {"positive": self.positive, "negative": self.negative, "patients": self.patients, **figures}


def read_cohort(path: str | Path, *, labelled: bool = True) -> pd.DataFrame:
    """A cohort table: ``patient``, ``label`` and one column a feature, numbers, none missing.

    Raises
    ------
    DataError
        Naming the file and the cause.
    """
    try:
        table = pd.read_csv(path, dtype={PATIENT: str, LABEL: str})
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from None
    needed = [PATIENT, *([LABEL] if labelled else [])]
    if missing := [name for name in needed if name not in table.columns]:
        raise DataError(f"{path}: the table lacks {', '.join(missing)}")
    names = feature_names(table)
    if not names:
        raise DataError(f"{path}: there are no features beside {PATIENT} and {LABEL}")
    for name in names:
        if not np.isfinite(pd.to_numeric(table[name], errors="coerce")).all():
            raise DataError(f"{path}: the feature {name} is no finite number in some row")
    if table[needed].isna().any(axis=None):
        raise DataError(f"{path}: a row has no {' or no '.join(needed)}")
    return table


def feature_names(table: pd.DataFrame) -> list[str]:
    """The columns of a cohort table that are features."""
    return [str(name) for name in table.columns if name not in (PATIENT, LABEL)]


def make_classifier(seed: int = 0) -> Any:
    """Standardised features, and a support vector machine with a Gaussian kernel that weighs both classes alike."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(class_weight="balanced", random_state=seed))


def evaluate_classifier(table: pd.DataFrame, positive: str, negative: str, *, seed: int = 0) -> ClassificationReport:
    """Stratified five-fold cross-validation in which no patient is on both sides.

    Parameters
    ----------
    table : DataFrame
        As :func:`read_cohort` reads it; rows with other labels are left out.
    positive, negative : str
        Labels: the disease, and what it is told from.
    seed : int
        Of the folds and of the bootstrap.

    Raises
    ------
    DataError
        When a class has fewer patients than folds, or a patient is in both classes.
    ImportError
        Without scikit-learn.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows, truth = _two_classes(table, positive, negative)
    patients = rows[PATIENT].to_numpy()
    counts = {name: int(rows.loc[rows[LABEL] == name, PATIENT].nunique()) for name in (positive, negative)}
    few = [name for name, count in counts.items() if count < FOLDS]
    if few:
        raise DataError(f"{few[0]} has {counts[few[0]]} patients; {FOLDS} folds need at least as many")
    values = rows[feature_names(table)].to_numpy(dtype=np.float64)
    decision = np.zeros(len(rows))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for known, new in folds.split(values, truth, patients):
        machine = make_classifier(seed).fit(values[known], truth[known])
        decision[new] = machine.decision_function(values[new])
    found = _with_intervals(decision, truth, patients, seed)
    table_out = pd.DataFrame({PATIENT: patients, LABEL: rows[LABEL].to_numpy(), "decision": decision})
    return ClassificationReport(positive, negative, counts, *found, table_out)


def apply_classifier(known: pd.DataFrame, new: pd.DataFrame, positive: str, negative: str) -> pd.DataFrame:
    """Decisions for new patients by the machine fitted to all known ones: ``patient, decision, predicted``.

    Raises
    ------
    DataError
        When a feature is missing, or a class is.
    """
    names = feature_names(known)
    if missing := [name for name in names if name not in new.columns]:
        raise DataError(f"the new patients lack the feature {missing[0]}")
    rows, truth = _two_classes(known, positive, negative)
    machine = make_classifier().fit(rows[names].to_numpy(dtype=np.float64), truth)
    decision = machine.decision_function(new[names].to_numpy(dtype=np.float64))
    predicted = np.where(decision > 0, positive, negative)
    return pd.DataFrame({PATIENT: new[PATIENT].to_numpy(), "decision": decision, "predicted": predicted})


def area_under_curve(decision: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Probability that a positive has the larger decision than a negative, ties counting half; NaN without either."""
    from scipy.stats import rankdata

    first, second = int(truth.sum()), int((~truth).sum())
    if not first or not second:
        return math.nan
    ranks = rankdata(decision)
    return float((ranks[truth].sum() - first * (first + 1) / 2) / (first * second))


def _two_classes(table: pd.DataFrame, positive: str, negative: str) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    labels = sorted(set(table[LABEL]))
    for name in (positive, negative):
        if name not in labels:
            raise DataError(f"no patient has the label {name!r}; there are {', '.join(labels)}")
    if positive == negative:
        raise DataError(f"both classes are {positive!r}; two are needed")
    rows = table[table[LABEL].isin([positive, negative])].reset_index(drop=True)
    both = rows.groupby(PATIENT)[LABEL].nunique()
    if (both > 1).any():
        raise DataError(f"patient {both.index[both > 1][0]} has both labels")
    return rows, rows[LABEL].to_numpy() == positive


def _with_intervals(
    decision: NDArray[np.float64], truth: NDArray[np.bool_], patients: Sequence[str] | NDArray[Any], seed: int
) -> tuple[Estimate, Estimate, Estimate]:
    """AUC, sensitivity and specificity."""

    def figures(index: NDArray[np.int64]) -> tuple[float, float, float]:
        d, t = decision[index], truth[index]
        sensitivity = float(np.mean(d[t] > 0)) if t.any() else math.nan
        specificity = float(np.mean(d[~t] <= 0)) if (~t).any() else math.nan
        return area_under_curve(d, t), sensitivity, specificity

    rng = np.random.default_rng(seed)
    names = np.asarray(patients)
    rows_of = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    draws = [
        figures(np.concatenate([rows_of[i] for i in rng.integers(len(rows_of), size=len(rows_of))]))
        for _ in range(_DRAWS)
    ]
    low, high = np.nanquantile(draws, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2), axis=0)
    whole = figures(np.arange(len(decision)))
    first, second, third = (Estimate(v, float(a), float(b)) for v, a, b in zip(whole, low, high, strict=True))
    return first, second, third
