"""Agreement of two measurements of the same: Bland-Altman limits, intraclass correlation, variation, error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.measure.contours import FloatArray

CONFIDENCE = 0.95
RESAMPLES = 2000
MIN_PAIRS = 3
# Half the width of the limits that hold 95 % of differences, in standard deviations.
_LIMITS = 1.96


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class BlandAltman:
    """Differences of two measurements, first minus second (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8).

    Attributes
    ----------
    bias : Estimate
        Mean difference, with Student's interval.
    sd : float
        Standard deviation of the differences.
    lower, upper : Estimate
        Limits of agreement, 1.96 standard deviations from the bias, each with its exact interval for normal
        differences, from the noncentral t distribution (Carkeet 2015, doi 10.1097/OPX.0000000000000513).
    slope, slope_p : float
        Of the difference over the mean of a pair, and its p value: proportional bias.
    """

    bias: Estimate
    sd: float
    lower: Estimate
    upper: Estimate
    slope: float
    slope_p: float


@dataclass(frozen=True)
class Agreement:
    """How well two measurements of the same agree.

    Attributes
    ----------
    n : int
        Pairs that were used.
    left_out : int
        Pairs with a missing value.
    means, sds : (float, float)
        Mean and standard deviation of the first and of the second.
    bland_altman : BlandAltman
    icc_agreement, icc_consistency : Estimate
        Two-way, single measurement: ICC(A,1), which counts a bias as disagreement, and ICC(C,1), which does not.
    cv : Estimate
        Within-subject coefficient of variation in %: :func:`variation`.
    mae, rmse : Estimate
        Mean absolute and root mean square difference.
    correlation : Estimate
        Pearson's, with Fisher's interval.
    reason : str
        Why figures are missing; empty where none is.
    """

    n: int
    left_out: int
    means: tuple[float, float]
    sds: tuple[float, float]
    bland_altman: BlandAltman
    icc_agreement: Estimate
    icc_consistency: Estimate
    cv: Estimate
    mae: Estimate
    rmse: Estimate
    correlation: Estimate
    reason: str = ""
    confidence: float = field(default=CONFIDENCE)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: plain(part) for name, part in value.items()}
            if isinstance(value, tuple):
                return [plain(part) for part in value]
            return None if isinstance(value, float) and not math.isfinite(value) else value

        return {name: plain(value) for name, value in asdict(self).items()}


def agreement(
    first: ArrayLike,
    second: ArrayLike,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Agreement:
    """All figures of agreement between two measurements of the same subjects.

    Intervals of MAE, RMSE and CV are by bootstrap over pairs (bias-corrected and accelerated, Efron 1987,
    doi 10.1080/01621459.1987.10478410); the others have closed forms.

    Parameters
    ----------
    first, second : float (K,)
        One value per subject in the same order; pairs with a value that is not finite are left out and counted.
    confidence : float
        Of all intervals, between 0 and 1.
    resamples : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.

    Raises
    ------
    DataError
        When the two differ in length, or the confidence is not between 0 and 1.
    """
    a = frozen_array(first, "first", shape=(None,), dtype=np.float64, finite=False)
    b = frozen_array(second, "second", shape=(None,), dtype=np.float64, finite=False)
    if len(a) != len(b):
        raise DataError(f"there are {len(a)} and {len(b)} values; one of each for every subject is needed")
    if not 0 < confidence < 1:
        raise DataError(f"the confidence is {confidence:g}; a number between 0 and 1 is needed")
    known = np.isfinite(a) & np.isfinite(b)
    left_out = int(np.count_nonzero(~known))
    a, b = a[known], b[known]
    n = len(a)
    reason = "" if n >= MIN_PAIRS else f"{n} pairs are too few for agreement; {MIN_PAIRS} or more are needed"
    missing = Estimate(math.nan, math.nan, math.nan)
    if reason:
        return Agreement(
            n,
            left_out,
            (_mean(a), _mean(b)),
            (math.nan, math.nan),
            BlandAltman(missing, math.nan, missing, missing, math.nan, math.nan),
            missing,
            missing,
            missing,
            missing,
            missing,
            missing,
            reason,
            confidence,
        )

    def resampled(statistic: Callable[..., Any]) -> Estimate:
        return bootstrap_interval(statistic, a, b, confidence=confidence, resamples=resamples, seed=seed)

    both = np.column_stack([a, b])
    return Agreement(
        n,
        left_out,
        (_mean(a), _mean(b)),
        (float(np.std(a, ddof=1)), float(np.std(b, ddof=1))),
        bland_altman(a, b, confidence=confidence),
        icc(both, "A,1", confidence=confidence),
        icc(both, "C,1", confidence=confidence),
        resampled(variation),
        resampled(_mean_absolute),
        resampled(_root_mean_square),
        _pearson(a, b, confidence),
        confidence=confidence,
    )


def bland_altman(first: FloatArray, second: FloatArray, *, confidence: float = CONFIDENCE) -> BlandAltman:
    """Bias and limits of agreement of first minus second (K,), all finite, K at least 3; see :class:`BlandAltman`."""
    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    n = len(gap)
    if n < MIN_PAIRS:
        raise DataError(f"{n} pairs are too few for limits of agreement; {MIN_PAIRS} or more are needed")
    bias, sd = float(np.mean(gap)), float(np.std(gap, ddof=1))
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    # (limit - bias) / (sd / sqrt(n)) follows a noncentral t with the true limit as its noncentrality.
    inner, outer = (
        float(stats.nct.ppf(p, n - 1, _LIMITS * math.sqrt(n))) * sd / math.sqrt(n)
        for p in ((1 - confidence) / 2, (1 + confidence) / 2)
    )
    lower = Estimate(bias - _LIMITS * sd, bias - outer, bias - inner)
    upper = Estimate(bias + _LIMITS * sd, bias + inner, bias + outer)
    mean = (np.asarray(first) + np.asarray(second)) / 2
    slope = slope_p = math.nan
    if np.ptp(mean) > 0:
        line = stats.linregress(mean, gap)
        slope, slope_p = float(line.slope), float(line.pvalue)
    return BlandAltman(Estimate(bias, bias - half, bias + half), sd, lower, upper, slope, slope_p)


def icc(ratings: ArrayLike, kind: str = "A,1", *, confidence: float = CONFIDENCE) -> Estimate:
    """Intraclass correlation of a single measurement, with its F interval.

    Names and formulas of McGraw and Wong 1996 (doi 10.1037/1082-989X.1.1.30): ``1`` one-way, ``A,1`` two-way absolute
    agreement, ``C,1`` two-way consistency; in the terms of Shrout and Fleiss 1979 (doi 10.1037/0033-2909.86.2.420)
    these are ICC(1,1), ICC(2,1) and ICC(3,1).

    Parameters
    ----------
    ratings : float (n, k)
        n subjects, each measured by the same k raters, without missing values.
    kind : str
        ``1``, ``A,1`` or ``C,1``.
    confidence : float
        Of the interval.

    Returns
    -------
    Estimate
        NaN where nothing varies. Raters that agree exactly have an ICC of 1 and an interval of no width.

    Raises
    ------
    DataError
        On fewer than two subjects or raters, or an unknown kind.
    """
    x = frozen_array(ratings, "ratings", shape=(None, None), dtype=np.float64)
    n, k = x.shape
    if n < 2 or k < 2:
        raise DataError(f"{n} subjects and {k} raters give no intraclass correlation; two or more of each are needed")
    if kind not in ("1", "A,1", "C,1"):
        raise DataError(f"unknown intraclass correlation {kind!r}; there are 1, A,1 and C,1")
    grand = x.mean()
    between = k * float(np.sum((x.mean(axis=1) - grand) ** 2)) / (n - 1)
    raters = n * float(np.sum((x.mean(axis=0) - grand) ** 2)) / (k - 1)
    within = float(np.sum((x - x.mean(axis=1, keepdims=True)) ** 2)) / (n * (k - 1))
    error = max((within * n * (k - 1) - raters * (k - 1)) / ((n - 1) * (k - 1)), 0.0)
    # What is left of equal numbers after rounding is not variation.
    floor = 1e-20 * max(float(np.max(x**2)), 1e-300)
    if between <= floor and within <= floor:
        return Estimate(math.nan, math.nan, math.nan)
    if (error if kind == "C,1" else within) <= floor:
        return Estimate(1.0, 1.0, 1.0)
    error = error if error > floor else 0.0
    tail = (1 + confidence) / 2
    if kind == "A,1":
        value = (between - error) / (between + (k - 1) * error + k / n * (raters - error))
        low, high = _agreement_interval(between, raters, error, value, n, k, tail)
        return Estimate(value, low, high)
    noise, freedom = (within, n * (k - 1)) if kind == "1" else (error, (n - 1) * (k - 1))
    ratio = between / noise
    low, high = ratio / stats.f.ppf(tail, n - 1, freedom), ratio * stats.f.ppf(tail, freedom, n - 1)
    value, low, high = ((f - 1) / (f + k - 1) for f in (ratio, low, high))
    return Estimate(float(value), float(low), float(high))


def _agreement_interval(
    between: float, raters: float, error: float, value: float, n: int, k: int, tail: float
) -> tuple[float, float]:
    """Interval of ICC(A,1) (McGraw and Wong 1996, table 7)."""
    if error == 0:
        # Nothing but a bias: the interval of the error's share has no degrees of freedom to stand on.
        return math.nan, math.nan
    a = k * value / (n * (1 - value))
    b = 1 + k * value * (n - 1) / (n * (1 - value))
    spread = (a * raters) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    if not spread > 0:
        return math.nan, math.nan
    freedom = (a * raters + b * error) ** 2 / spread
    f_low, f_high = stats.f.ppf(tail, n - 1, freedom), stats.f.ppf(tail, freedom, n - 1)
    noise = k * raters + (k * n - k - n) * error
    low = n * (between - f_low * error) / (f_low * noise + n * between)
    high = n * (f_high * between - error) / (noise + n * f_high * between)
    return float(low), float(high)


def variation(first: ArrayLike, second: ArrayLike, axis: int = -1) -> Any:
    """Within-subject coefficient of variation in %: ``100 * sqrt(mean(d^2) / 2) / |mean|``.

    d is the difference of a pair and the mean is over all values of both (Bland and Altman 1996,
    doi 10.1136/bmj.313.7049.106). NaN where the mean is zero.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    spread = np.sqrt(np.mean((a - b) ** 2, axis=axis) / 2)
    mean = np.abs(np.mean(a + b, axis=axis) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mean > 0, 100 * spread / mean, np.nan)


def bootstrap_interval(
    statistic: Callable[..., Any],
    first: FloatArray,
    second: FloatArray,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """A statistic of pairs with its bootstrap interval over pairs.

    Bias-corrected and accelerated; by percentiles where that is not defined, as when leaving out a pair never changes
    the statistic.

    Parameters
    ----------
    statistic : callable
        ``statistic(first, second, axis=-1)``, vectorised.
    first, second : float (K,)
        Finite.
    """
    value = float(statistic(first, second))
    if not math.isfinite(value) or np.ptp(first - second) == np.ptp(first) == 0:
        return Estimate(value, *([value, value] if math.isfinite(value) else [math.nan, math.nan]))
    options: dict[str, Any] = {
        "paired": True,
        "vectorized": True,
        "confidence_level": confidence,
        "n_resamples": resamples,
        # Enough at once to be fast, and never more than some tens of megabytes.
        "batch": max(1, 2_000_000 // len(first)),
    }
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in ("BCa", "percentile"):
            rng = np.random.default_rng(seed)
            found = stats.bootstrap((first, second), statistic, method=method, rng=rng, **options).confidence_interval
            if np.isfinite([found.low, found.high]).all():
                return Estimate(value, float(found.low), float(found.high))
    return Estimate(value, math.nan, math.nan)


def _pearson(a: FloatArray, b: FloatArray, confidence: float) -> Estimate:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return Estimate(math.nan, math.nan, math.nan)
    found = stats.pearsonr(a, b)
    if len(a) < 4:
        return Estimate(float(found.statistic), math.nan, math.nan)
    low, high = found.confidence_interval(confidence)
    return Estimate(float(found.statistic), float(low), float(high))


def _mean(values: FloatArray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _mean_absolute(a: FloatArray, b: FloatArray, axis: int = -1) -> Any:
    return np.mean(np.abs(a - b), axis=axis)


def _root_mean_square(a: FloatArray, b: FloatArray, axis: int = -1) -> Any:
    return np.sqrt(np.mean((a - b) ** 2, axis=axis))
