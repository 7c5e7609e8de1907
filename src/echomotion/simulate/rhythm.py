"""The beat: when the ventricle contracts and fills, as smooth functions of time in seconds.

Durations follow the heart rate as systolic time intervals do: the ejection time of the left ventricle is
``413 - 1.7 x rate`` ms (Weissler, Harris and Schoenfeld 1968, doi 10.1161/01.CIR.37.2.149; men).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Beat, DataError, Phases
from echomotion.core.clip import set_field
from echomotion.simulate.checks import check_range

FloatArray = NDArray[np.float64]

HEART_RATES_BPM = (40.0, 150.0)
# An irregular rhythm has single beats that are shorter or longer than any steady one.
RR_RANGE_S = (0.3, 2.2)
_SHORTEST_DIASTOLE_S = 0.08


def ejection_time_s(rr_s: float) -> float:
    """Duration of ejection at a given length of the beat, both in seconds."""
    rate = np.clip(60.0 / rr_s, *HEART_RATES_BPM)
    return float(min(0.413 - 0.0017 * rate, 0.6 * rr_s))


def smooth_step(x: ArrayLike) -> FloatArray:
    """0 below 0, 1 above 1, between them monotone with continuous first and second derivative."""
    u = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
    return u**3 * (10.0 + u * (6.0 * u - 15.0))


def _bump(x: ArrayLike) -> FloatArray:
    """0 outside (0, 1), 1 at the middle, smooth."""
    u = np.clip(np.asarray(x, dtype=np.float64), 0.0, 1.0)
    return (4.0 * u * (1.0 - u)) ** 3


@dataclass(frozen=True)
class Rhythm:
    """Beats one after the other; time 0 is the end-diastole (R wave) with which the first of them begins.

    Attributes
    ----------
    rr_s : tuple of float
        Length of each beat. Before the first and after the last the row is repeated.
    systole_s : tuple of float
        From end-diastole to end-systole (closing of the aortic valve) in each beat.
    strength : tuple of float
        How far each beat contracts, 1 as a rule; in atrial fibrillation it follows the length of the beat before.
    isovolumic_contraction_s, isovolumic_relaxation_s : float
        At rest; both shrink where the beat leaves them no time.
    early_share, late_share : float
        Parts of filling by the early wave and the atrial kick; diastasis has the rest. No atrial kick: 0.
    """

    rr_s: tuple[float, ...]
    systole_s: tuple[float, ...]
    strength: tuple[float, ...]
    isovolumic_contraction_s: float = 0.05
    isovolumic_relaxation_s: float = 0.08
    early_share: float = 0.7
    late_share: float = 0.25

    def __post_init__(self) -> None:
        for name in ("rr_s", "systole_s", "strength"):
            set_field(self, name, tuple(float(v) for v in getattr(self, name)))
        if not self.rr_s or not len(self.rr_s) == len(self.systole_s) == len(self.strength):
            raise DataError("rr_s, systole_s and strength need one value for each beat, and at least one beat")
        check_range("isovolumic_contraction_s", self.isovolumic_contraction_s, 0.01, 0.12)
        check_range("isovolumic_relaxation_s", self.isovolumic_relaxation_s, 0.01, 0.2)
        for rr, systole, strength in zip(self.rr_s, self.systole_s, self.strength, strict=True):
            check_range("rr_s", rr, *RR_RANGE_S)
            shortest = self.isovolumic_contraction_s + 0.05
            longest = rr - _SHORTEST_DIASTOLE_S
            if not shortest <= systole <= longest:
                raise DataError(
                    f"systole_s is {systole:g}: end-systole must come after end-diastole and before the next, "
                    f"between {shortest:g} and {longest:g} for a beat of {rr:g} s"
                )
            check_range("strength", strength, 0.1, 1.3)
        check_range("early_share", self.early_share, 0.1, 1.0)
        check_range("late_share", self.late_share, 0.0, 0.8)
        if self.early_share + self.late_share > 1 + 1e-9:
            raise DataError(
                f"early_share + late_share is {self.early_share + self.late_share:g}; it must lie between 0.1 and 1"
            )

    def beats_between(self, start_s: float, stop_s: float) -> tuple[FloatArray, NDArray[np.int64]]:
        """R waves that cover an interval (one more on either side), and the number of the beat each begins."""
        rr = np.asarray(self.rr_s)
        total, count = float(rr.sum()), len(rr)
        first = int(np.floor(start_s / total)) - 1
        last = int(np.ceil(stop_s / total)) + 2
        waves = [k * total + np.concatenate([[0.0], np.cumsum(rr)[:-1]]) for k in range(first, last)]
        return np.concatenate(waves), np.tile(np.arange(count), last - first)

    def r_waves(self, start_s: float, stop_s: float) -> FloatArray:
        """End-diastoles (K,) in an interval, also of beats that end outside it."""
        waves, _ = self.beats_between(start_s, stop_s)
        return waves[(waves >= start_s - 1e-9) & (waves <= stop_s + 1e-9)]

    def _phase(self, times_s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Time since the R wave, and length, systole and strength of the beat, for every time."""
        waves, number = self.beats_between(float(np.min(times_s)), float(np.max(times_s)))
        at = np.searchsorted(waves, times_s, side="right") - 1
        # Rounding must not put an R wave at the end of the beat before.
        at = np.where(waves[np.minimum(at + 1, len(waves) - 1)] - times_s < 1e-9, at + 1, at)
        beat = number[at]
        since = np.maximum(times_s - waves[at], 0.0)
        return since, np.asarray(self.rr_s)[beat], np.asarray(self.systole_s)[beat], np.asarray(self.strength)[beat]

    def _diastole(self, rr: FloatArray, systole: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Opening of the mitral valve, duration of the early wave and of the atrial kick."""
        relaxation = np.minimum(self.isovolumic_relaxation_s, 0.3 * (rr - systole))
        rest = rr - systole - relaxation
        return systole + relaxation, np.minimum(0.24, 0.6 * rest), np.minimum(0.15, 0.4 * rest)

    def activation(self, times_s: ArrayLike) -> FloatArray:
        """How far the ventricle has contracted: 0 at end-diastole, the beat's strength at end-systole.

        It rises through ejection, stays through isovolumic relaxation, and falls in the early wave, slowly in
        diastasis, and in the atrial kick. Twice continuously differentiable.
        """
        times = np.asarray(times_s, dtype=np.float64)
        since, rr, systole, strength = self._phase(times)
        ejection = smooth_step(
            (since - self.isovolumic_contraction_s) / np.maximum(systole - self.isovolumic_contraction_s, 1e-6)
        )
        opening, early_s, late_s = self._diastole(rr, systole)
        late = self.late_share
        slow = 1.0 - self.early_share - late
        early = self.early_share * smooth_step((since - opening) / early_s)
        # Where nothing waits for the atrium, diastasis lasts to the end of the beat.
        end = np.where(late > 0, rr - 0.5 * late_s, rr)
        middle = opening + 0.5 * early_s
        diastasis = slow * smooth_step((since - middle) / np.maximum(end - middle, 1e-6))
        kick = late * smooth_step((since - (rr - late_s)) / late_s)
        return strength * (ejection - early - diastasis - kick)

    def reshaping(self, times_s: ArrayLike) -> FloatArray:
        """Change of shape without change of volume: +1 in isovolumic contraction, -1 in relaxation, else 0."""
        times = np.asarray(times_s, dtype=np.float64)
        since, rr, systole, _ = self._phase(times)
        opening, _, _ = self._diastole(rr, systole)
        contraction = _bump(since / self.isovolumic_contraction_s)
        return contraction - _bump((since - systole) / (opening - systole))

    def mitral_opening(self, times_s: ArrayLike) -> FloatArray:
        """Opening of the atrio-ventricular valves, 0 closed to 1 wide open."""
        times = np.asarray(times_s, dtype=np.float64)
        since, rr, systole, _ = self._phase(times)
        opening, early_s, late_s = self._diastole(rr, systole)
        early = smooth_step((since - opening) / (0.35 * early_s)) - 0.7 * smooth_step(
            (since - opening - 0.5 * early_s) / (0.8 * early_s)
        )
        if self.late_share > 0:
            rise = 0.5 * smooth_step((since - (rr - late_s)) / (0.5 * late_s))
        else:
            rise = np.zeros_like(times)
        # What is still open shuts in the last moments before and just after the R wave.
        shut = 1.0 - smooth_step((since - (rr - 0.3 * late_s)) / (0.3 * late_s))
        return np.clip((early + rise) * shut, 0.0, 1.0)

    def aortic_opening(self, times_s: ArrayLike) -> FloatArray:
        """Opening of the aortic valve, 0 closed to 1 open."""
        times = np.asarray(times_s, dtype=np.float64)
        since, _, systole, _ = self._phase(times)
        begin = self.isovolumic_contraction_s
        rise = smooth_step((since - begin) / (0.15 * (systole - begin)))
        return rise - smooth_step((since - systole + 0.12 * (systole - begin)) / (0.12 * (systole - begin)))

    def phases(self, start_s: float, stop_s: float, end_systoles: tuple[float, ...] | None = None) -> Phases:
        """The beats whose end-diastole and end-systole lie in an interval, on the clock of this rhythm.

        `end_systoles` may hold, for each beat that begins in the interval, the time of the smallest volume where
        it differs from the closing of the aortic valve.
        """
        waves, number = self.beats_between(start_s, stop_s)
        beats = []
        inside = np.flatnonzero((waves >= start_s - 1e-9) & (waves <= stop_s + 1e-9))
        for order, k in enumerate(inside):
            es = float(waves[k]) + self.systole_s[number[k]]
            if end_systoles is not None and order < len(end_systoles):
                es = end_systoles[order]
            if es > stop_s + 1e-9:
                continue
            after = float(waves[k + 1])
            beats.append(Beat(float(waves[k]), es, after if after <= stop_s + 1e-9 else None))
        return Phases(tuple(beats), "simulation", 1.0)


def steady_rhythm(heart_rate_bpm: float, **changes: float) -> Rhythm:
    """Equal beats at a heart rate; `changes` are further fields of :class:`Rhythm` (`systole_s` one number).

    Raises
    ------
    DataError
        When the rate lies outside 40 to 150 beats a minute, or a field outside its range.
    """
    check_range("heart_rate_bpm", heart_rate_bpm, *HEART_RATES_BPM)
    rr = 60.0 / heart_rate_bpm
    contraction = changes.pop("isovolumic_contraction_s", min(0.05, 0.06 * rr + 0.02))
    systole = changes.pop("systole_s", contraction + ejection_time_s(rr))
    strength = changes.pop("strength", 1.0)
    return Rhythm((rr,), (systole,), (strength,), isovolumic_contraction_s=contraction, **changes)


def fibrillation(heart_rate_bpm: float, rng: np.random.Generator, beats: int = 12) -> Rhythm:
    """Atrial fibrillation: unequal beats, no atrial kick; a beat after a short one is weaker."""
    check_range("heart_rate_bpm", heart_rate_bpm, *HEART_RATES_BPM)
    rr = np.clip(60.0 / heart_rate_bpm * np.exp(rng.normal(0.0, 0.2, beats)), RR_RANGE_S[0] + 0.02, 1.8)
    before = np.roll(rr, 1)
    strength = np.clip((before / rr.mean()) ** 0.4, 0.6, 1.15)
    contraction = 0.04
    systole = [min(contraction + ejection_time_s(v), v - 0.1) for v in rr]
    return Rhythm(
        tuple(rr),
        tuple(systole),
        tuple(strength),
        isovolumic_contraction_s=contraction,
        early_share=0.9,
        late_share=0.0,
    )
