"""Curves of simulated hearts at any rate, exact and as a segmenter and a tracker give them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Phases, View
from echomotion.simulate.deformation import stretch_fields
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import HeartParameters
from echomotion.simulate.motion import heart_motion
from echomotion.simulate.reference import middle_line
from echomotion.simulate.rhythm import fibrillation, steady_rhythm
from echomotion.simulate.truth import cavity_areas, end_systoles, line_lengths

Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Size of one heart over time, and the (ED, ES) of each beat whose end-systole it holds."""

    times: Curve
    area: Curve
    annulus: Curve
    length: Curve
    true: list[tuple[float, float]]
    kind: str
    fps: float
    bpm: float


def exact_curves(seed: int) -> Curves:
    """A heart of any kind and view at 40 to 150 beats a minute, seen at 20 to 120 frames a second."""
    rng = np.random.default_rng(seed)
    heart = draw_heart((View.A4C, View.A2C, View.A3C)[rng.integers(3)], rng)
    bpm, early = rng.uniform(40, 150), rng.uniform(0.45, 0.75)
    if rng.random() < 0.15:
        rhythm = fibrillation(float(np.clip(bpm, 50, 130)), rng)
    else:
        rhythm = steady_rhythm(bpm, early_share=early, late_share=rng.uniform(0.75, 1) * (0.97 - early))
    latest = 0.18 * min(rhythm.rr_s)
    lesions = tuple(
        replace(part, delay_s=float(np.clip(part.delay_s, -latest, latest))) for part in heart.contraction.lesions
    )
    heart = heart.with_(rhythm=rhythm, contraction=replace(heart.contraction, lesions=lesions))
    fps, beat = rng.uniform(20, 120), float(np.mean(rhythm.rr_s))
    count = int(np.clip(rng.uniform(1.3, 4) * beat * fps, 12, 260))
    times = rng.uniform(-0.9, 0.3) * beat + np.arange(count) / fps
    motion = heart_motion(heart, times)
    ends = motion.wall_positions(np.array([0.0, 1.0]), 0.5).mean(axis=0)
    apex = motion.wall_positions(np.array([motion.apex_s]), 0.5)[0].mean(axis=0)
    first, last = float(times[0]), float(times[-1])
    beats = rhythm.phases(first, last, end_systoles(heart, first, last)).beats
    return Curves(
        times,
        cavity_areas(motion) / 100,
        np.hypot(*(ends - apex).T),
        line_lengths(motion, 0.5),
        [(largest_volume(heart, b.ed_s), b.es_s) for b in beats],
        heart.kind,
        fps,
        60 / beat,
    )


def largest_volume(heart: HeartParameters, r_wave_s: float) -> float:
    """End-diastole as a picture shows it: the R wave, or the largest volume where parts of the wall are delayed."""
    delays = [part.delay_s for part in heart.contraction.lesions]
    if max(delays) - min(delays) < 0.045:
        return r_wave_s
    line = middle_line(heart)
    times = r_wave_s + np.arange(-0.03, 0.2, 0.002)
    log_eta, log_mu = stretch_fields(heart, line, times)
    volume = np.exp(2 * log_mu + log_eta) @ np.abs(np.gradient(np.abs(line.xz[:, 1])) * line.xz[:, 0] ** 2)
    return float(times[np.argmax(volume >= volume.max() - 1e-3 * np.ptp(volume))])


def noisy_curves(exact: Curves, rng: np.random.Generator) -> Curves:
    """The same with errors of a good to a poor recording.

    Masks flicker by 0.5 to 3.5 % and wander by 0.3 to 1.5 %, and burst or collapse for up to 0.12 s; tracked points
    move too little (by up to a quarter), drift by up to 4 % a second, wander and flicker.
    """
    level, step, count = rng.uniform(), 1 / exact.fps, len(exact.times)
    area = exact.area * (1 + (0.005 + 0.03 * level) * rng.standard_normal(count))
    area = area * (1 + (0.003 + 0.012 * level) * _wander(rng, count, step, 0.15))
    frame = 0
    while level > 0.2 and frame < count:
        if rng.random() < step * level:
            width = int(rng.integers(1, max(2, int(0.12 / step) + 1)))
            area[frame : frame + width] *= rng.uniform(0.75, 1.2)
            frame += width + int(0.2 / step)
        frame += 1
    gain, since = rng.uniform(0.75, 1.0), exact.times - exact.times[0]

    def tracked(curve: Curve, drift: float, wander: float, flicker: float) -> Curve:
        moved = curve.max() - gain * (curve.max() - curve)
        errors = drift * rng.standard_normal() * since + wander * _wander(rng, count, step, 0.1)
        return moved * (1 + errors + flicker * rng.standard_normal(count))

    return replace(
        exact,
        area=area,
        annulus=tracked(exact.annulus, 0.005 + 0.03 * level, 0.002 + 0.006 * level, 0.001 + 0.004 * level),
        length=tracked(exact.length, 0.01 + 0.03 * level, 0.001 + 0.004 * level, 0.0005 + 0.003 * level),
    )


def errors_of(curves: Curves, phases: Phases) -> tuple[Curve, int]:
    """Absolute errors of ED and ES (K, 2) in seconds of the beats that were found, and how many were not."""
    found, missed = [], 0
    for ed, es in curves.true:
        near = [b for b in phases.beats if b.ed_s < b.es_s and abs(b.es_s - es) < 15 / curves.bpm]
        if near:
            beat = min(near, key=lambda b, at=es: abs(b.es_s - at))
            found.append((beat.ed_s - ed, beat.es_s - es))
        elif curves.times[-1] - es > 0.3 * (es - ed):
            # A recording that ends as ejection does shows no end-systole.
            missed += 1
    return np.abs(np.reshape(found, (-1, 2))), missed


def _wander(rng: np.random.Generator, count: int, step: float, memory: float) -> Curve:
    """Unit noise that forgets itself within `memory` seconds."""
    keep = np.exp(-step / memory)
    out = rng.standard_normal(count)
    for k in range(1, count):
        out[k] = keep * out[k - 1] + np.sqrt(1 - keep**2) * out[k]
    return out
