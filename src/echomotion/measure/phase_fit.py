"""Place end-diastole and end-systole of one beat below the noise, by fitting the course of a beat to the curve.

Round end-diastole and end-systole the size of the ventricle stands still (both valves are closed), so its
largest and smallest value say little about either; noise moves them by the length of the standstill. The
edges are steep and say much: ejection begins shortly after end-diastole and stops at end-systole, filling
begins when relaxation is over. Here a standstill, a fall, a standstill and a rise are fitted together. How
long the standstills are, relative to ejection, is known beforehand and decides only as far as noise hides it:
isovolumic contraction and relaxation together last 0.39 of ejection in health, more in failing hearts
(Tei et al. 1995, J Cardiol 26:357-366). Only ratios of durations are assumed, so a cine with a wrong
frame rate is read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echomotion.measure.contours import FloatArray

# Unknowns: ED (s), contraction / ejection, ES (s), relaxation / ejection, log(early filling / ejection), the
# logarithms of the two exponents of the fall, and log(atrial kick / ejection).
_ED, _CONTRACTION, _ES, _RELAXATION, _EARLY, _RISE, _STOP, _KICK = range(8)
_EXPECTED = np.array([0.0, 0.16, 0.0, 0.24, np.log(0.65), np.log(2.2), np.log(2.8), np.log(0.45)])
_SPREAD = np.array([np.inf, 0.06, np.inf, 0.09, 0.35, 0.2, 0.2, 0.25])
# Coefficients in parts of the fall: level, fall, early filling, atrial kick, slow filling after and before.
_HEIGHT = np.array([0.0, 1.0, 0.65, 0.25, 0.05, 0.05])
_HEIGHT_SPREAD = np.array([10.0, 0.3, 0.3, 0.25, 0.1, 0.1])
_FILLING_SHAPE = (2.1, 2.6)
_ROUNDS = 3
_STEPS = 15
_OUTLIER = 2.5  # in standard deviations
_MIN_NOISE = 0.01
# Errors of neighbouring frames are alike, since speckle is: frames closer than this do not count as many.
_MEMORY_S = 0.03
# How much systoles of one recording differ: a part of their length, and of the difference between beats.
_SYSTOLE_SPREAD = 0.04
_RHYTHM_SPREAD = 0.15


@dataclass(frozen=True)
class Fit:
    """Times of a beat in seconds, and their standard deviations."""

    ed_s: float
    es_s: float
    ed_sd: float
    es_sd: float


def fit_beat(
    times: FloatArray,
    level: FloatArray,
    weight: FloatArray,
    noise: float,
    ed_s: float,
    es_s: float,
    next_ed_s: float | None = None,
    *,
    ed_range: tuple[float, float],
    es_range: tuple[float, float],
    hold_ed: bool = False,
    hold_es: bool = False,
) -> Fit | None:
    """Fit the course of a beat near a first guess.

    Parameters
    ----------
    times : float (T,)
        Time of each frame.
    level : float (T,)
        Size of the ventricle, 0 at the guessed end-diastole and -1 at the guessed end-systole.
    weight : float (T,)
        0 to 1, how far each frame is to be believed.
    noise : float
        Standard deviation of `level`.
    ed_s, es_s, next_ed_s : float
        The guess.
    ed_range, es_range : (float, float)
        Where the phases may lie at most; the guess lies within.
    hold_ed, hold_es : bool
        Take that time as it is. What comes after a held end-systole is not looked at.

    Returns
    -------
    Fit or None
        None where fewer than five frames lie round the beat.
    """
    systole = es_s - ed_s
    rest = 1.2 * systole if next_ed_s is None else next_ed_s - es_s
    first, last = ed_s - 0.45 * systole, es_s + min(0.95 * systole, 0.75 * rest)
    if hold_es:
        last = es_s
    part = (times >= first) & (times <= last) & (weight > 0)
    if np.count_nonzero(part) < 5:
        return None
    expected = _EXPECTED.copy()
    ejection = 0.85 * systole
    expected[_EARLY] = np.log(min(0.65, 0.55 * rest / ejection))
    expected[_KICK] = np.log(min(0.45, 0.4 * rest / ejection))
    low = expected - np.array([0.0, 1.0, 0.0, 1.0, 1.2, 0.9, 0.9, 0.9])
    high = expected + np.array([0.0, 0.4, 0.0, 0.5, 1.0, 0.7, 0.7, 0.9])
    low[[_CONTRACTION, _RELAXATION]] = 0.0
    # Nothing before the recording and nothing after it can be seen.
    low[_ED], high[_ED] = max(ed_range[0], ed_s - 0.35 * systole), min(ed_range[1], ed_s + 0.25 * systole)
    low[_ES], high[_ES] = max(es_range[0], es_s - 0.4 * systole), min(es_range[1], es_s + 0.35 * systole)
    state = expected.copy()
    state[_ED], state[_ES] = ed_s - 0.08 * systole, es_s - 0.08 * systole
    if hold_ed:
        low[_ED] = high[_ED] = ed_s
    if hold_es:
        low[_ES] = high[_ES] = es_s
    return _fit(np.clip(state, low, high), low, high, expected, times[part], level[part], weight[part], noise)


def share_systole(fits: Sequence[Fit | None]) -> list[Fit | None]:
    """Let the beats of one recording tell each other how long systole lasts.

    End-systole is the sharper of the two; where end-diastole is uncertain, it is drawn to where the mean systole of
    the recording puts it. Systoles differ by a few percent of their length, by more where the rhythm is irregular.
    """
    known = [fit for fit in fits if fit is not None]
    if len(known) < 2:
        return list(fits)
    systole = np.array([fit.es_s - fit.ed_s for fit in known])
    rhythm = np.diff([fit.es_s for fit in known])
    spread = _SYSTOLE_SPREAD * float(np.median(systole)) + _RHYTHM_SPREAD * (float(np.ptp(rhythm)) / 2)
    precision = 1 / (np.array([fit.ed_sd**2 + fit.es_sd**2 for fit in known]) + spread**2)
    mean = float(np.sum(precision * systole) / np.sum(precision))
    out: list[Fit | None] = []
    for fit in fits:
        if fit is None:
            out.append(None)
            continue
        own, other = fit.ed_sd**2 + 1e-12, fit.es_sd**2 + spread**2 + 1 / float(np.sum(precision))
        ed = (fit.ed_s / own + (fit.es_s - mean) / other) / (1 / own + 1 / other)
        out.append(Fit(ed, fit.es_s, float(np.sqrt(1 / (1 / own + 1 / other))), fit.es_sd))
    return out


def _fit(
    state: FloatArray,
    low: FloatArray,
    high: FloatArray,
    expected: FloatArray,
    t: FloatArray,
    z: FloatArray,
    trust: FloatArray,
    noise: float,
) -> Fit:
    """Levenberg-Marquardt within bounds, in rounds between which frames far off the fit lose weight."""
    free = np.flatnonzero(high > low)
    systole = float(state[_ES] - state[_ED])
    # Steps for the derivative, and the scale of each unknown.
    unit = np.array([0.2 * systole, 0.06, 0.2 * systole, 0.09, 0.35, 0.2, 0.2, 0.25])[free]
    nudge = np.zeros((len(free), len(state)))
    nudge[np.arange(len(free)), free] = 1e-3 * unit
    sigma, doubt = max(noise, _MIN_NOISE), np.ones(len(t))
    alike = max(1.0, _MEMORY_S / float(np.median(np.diff(t)))) ** 0.5
    slope = np.eye(len(free))
    for _ in range(_ROUNDS):
        scale = np.sqrt(trust * doubt) / (sigma * alike)
        damping, cost = 1e-2, np.inf
        for _ in range(_STEPS):
            rows = _residuals(np.concatenate([state[None], state + nudge]), expected, t, z, scale)
            cost = float(rows[0] @ rows[0])
            slope = (rows[1:] - rows[0]) / 1e-3
            gradient, matrix = slope @ rows[0], slope @ slope.T
            moved = 0.0
            for _ in range(4):
                step = np.linalg.solve(matrix + damping * np.diag(1.0 + np.diag(matrix)), -gradient)
                trial = state.copy()
                trial[free] = np.clip(state[free] + step * unit, low[free], high[free])
                after = _residuals(trial[None], expected, t, z, scale)[0]
                if float(after @ after) < cost:
                    moved = float(np.max(np.abs(trial - state)[free] / unit))
                    state, damping = trial, 0.2 * damping
                    break
                damping *= 6
            if moved < 2e-3:
                break
        off = np.abs(_residuals(state[None], expected, t, z, np.ones_like(t))[0, : len(t)])
        doubt = (_OUTLIER / np.maximum(off / sigma, _OUTLIER)) ** 2
        total = float(np.sum(trust * doubt))
        spread = np.sqrt(np.sum(trust * doubt * off**2) / max(1.0, total - 4))
        sigma = float(np.clip(spread, _MIN_NOISE, max(3 * noise, _MIN_NOISE)))
    deviation = np.zeros(len(state))
    deviation[free] = np.sqrt(np.maximum(np.diag(np.linalg.pinv(slope @ slope.T)), 0.0)) * unit
    return Fit(float(state[_ED]), float(state[_ES]), float(deviation[_ED]), float(deviation[_ES]))


def _residuals(states: FloatArray, expected: FloatArray, t: FloatArray, z: FloatArray, scale: FloatArray) -> FloatArray:
    """What a fit has to make small, (S, K + 14) for states (S, 8): misfit of the frames, and of what is expected."""
    columns = _columns(states, t)
    weighted = columns * scale[:, None]
    matrix = np.swapaxes(weighted, 1, 2) @ weighted + np.diag(_HEIGHT_SPREAD**-2)
    right = (z * scale) @ weighted + _HEIGHT / _HEIGHT_SPREAD**2
    # For given times the heights are known in closed form.
    heights = np.linalg.solve(matrix, right[..., None])
    misfit = (weighted @ heights)[..., 0] - z * scale
    return np.concatenate([misfit, (heights[..., 0] - _HEIGHT) / _HEIGHT_SPREAD, (states - expected) / _SPREAD], axis=1)


def _edge(share: FloatArray, rise: FloatArray | float, stop: FloatArray | float) -> FloatArray:
    """From 0 to 1 as `share` goes from 0 to 1, flat at both ends (the distribution of Kumaraswamy 1980)."""
    return 1.0 - (1.0 - np.clip(share, 0.0, 1.0) ** rise) ** stop


def _columns(states: FloatArray, t: FloatArray) -> FloatArray:
    """Parts (S, K, 6) whose weighted sum is the course of the beat."""
    ed, contraction, es, relaxation, early, rise, stop, kick = states.T[:, :, None]
    ejection = (es - ed) / (1 + contraction)
    opening = es + relaxation * ejection
    filling, last = np.exp(early) * ejection, np.exp(kick) * ejection
    return np.stack(
        [
            np.ones((len(states), len(t))),
            -_edge((t - es + ejection) / ejection, np.exp(rise), np.exp(stop)),
            _edge((t - opening) / filling, *_FILLING_SHAPE),
            _edge((t - ed + last) / last, *_FILLING_SHAPE) - 1.0,
            np.maximum(t - opening - 0.5 * filling, 0.0) / ejection,
            np.minimum(t - ed, 0.0) / ejection,
        ],
        axis=-1,
    )
