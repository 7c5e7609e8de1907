"""Paired comparison of trackers over the same clips: difference of means, its interval, and two tests."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from echomotion.core import DataError
from echomotion.evaluation.tracking import TrackingReport

# Figures that are compared, and whether more is better.
COMPARED = {"share_within": True, "median_error_px": False, "average_jaccard": True}
RESAMPLES = 9999
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """The paired difference of two methods.

    Attributes
    ----------
    n : int
        Pairs of which both values are finite.
    difference : float
        Mean of first minus second.
    low, high : float
        Its 95 % interval by percentile bootstrap over pairs (Efron and Tibshirani 1993, chapter 13).
    p_t, p_wilcoxon : float
        Paired t-test and Wilcoxon's signed-rank test, two-sided; NaN where a test is not defined: fewer than two
        pairs, or no difference in any.
    """

    n: int
    difference: float
    low: float
    high: float
    p_t: float
    p_wilcoxon: float


def paired_difference(first: ArrayLike, second: ArrayLike, *, seed: int = 0) -> Paired:
    """Compare two methods on the same clips; pairs with a value that is not finite are left out.

    Parameters
    ----------
    first, second : float (K,)
        One value per clip, in the same order.
    seed : int
        Of the bootstrap.

    Raises
    ------
    DataError
        When the two differ in length.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise DataError(f"paired values have shapes {a.shape} and {b.shape}; the same clips are needed for both")
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    gap = a - b
    if not len(gap):
        return Paired(0, *[math.nan] * 5)
    mean = float(np.mean(gap))
    if len(gap) < 2:
        return Paired(len(gap), mean, *[math.nan] * 4)
    if np.ptp(gap) == 0:
        low = high = mean
    else:
        interval = stats.bootstrap(
            (gap,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=np.random.default_rng(seed)
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    if not gap.any():
        return Paired(len(gap), mean, low, high, math.nan, math.nan)
    with warnings.catch_warnings():
        # Differences that are all the same: the t-test says so; its answer (p = 0) is the one that is meant.
        warnings.simplefilter("ignore", RuntimeWarning)
        p_t = float(stats.ttest_rel(a, b).pvalue)
        p_wilcoxon = float(stats.wilcoxon(a, b).pvalue)
    return Paired(len(gap), mean, low, high, p_t, p_wilcoxon)


def compare_trackers(reports: Sequence[TrackingReport], baselines: Sequence[str]) -> list[dict[str, Any]]:
    """Every tracker against the best baseline, figure by figure, paired over clips.

    Parameters
    ----------
    reports : sequence of TrackingReport
        Of the same clips.
    baselines : sequence of str
        Names of those reports that others are compared with; the best is chosen for each figure by its mean.

    Returns
    -------
    list of dict
        ``figure, tracker, mean, baseline, baseline_mean, clips, difference, low, high, p_t, p_wilcoxon``, the
        difference being tracker minus baseline.

    Raises
    ------
    DataError
        When none of the baselines is among the reports, or these are of different clips.
    """
    by_name = {report.tracker: report for report in reports}
    known = [name for name in baselines if name in by_name]
    if not known:
        raise DataError(f"none of the baselines ({', '.join(baselines) or 'none named'}) was run; run at least one")
    clips = [row["clip"] for row in reports[0].rows]
    for report in reports:
        if [row["clip"] for row in report.rows] != clips:
            raise DataError(f"{report.tracker} was run on other clips than {reports[0].tracker}; run both on the same")
    rows: list[dict[str, Any]] = []
    for figure, more_is_better in COMPARED.items():
        values = {name: np.array([row[figure] for row in r.rows], dtype=np.float64) for name, r in by_name.items()}
        sign = 1 if more_is_better else -1
        best = max(known, key=lambda name: _order(sign * _mean(values[name])))
        for name, own in values.items():
            if name == best:
                continue
            pair = paired_difference(own, values[best])
            rows.append(
                {
                    "figure": figure,
                    "tracker": name,
                    "mean": _mean(own),
                    "baseline": best,
                    "baseline_mean": _mean(values[best]),
                    "clips": pair.n,
                    "difference": pair.difference,
                    "low": pair.low,
                    "high": pair.high,
                    "p_t": pair.p_t,
                    "p_wilcoxon": pair.p_wilcoxon,
                }
            )
    return rows


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _order(value: float) -> float:
    return -math.inf if math.isnan(value) else value
