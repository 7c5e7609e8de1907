"""How well heart phases are found in noisy curves of simulated hearts of all kinds, at all heart and frame rates.

    python -m benchmarks.phases [--count 120] [--first 500] [--json FILE]

Each row takes other signals. Errors are those of beats whose end-diastole and end-systole lie in the recording; hearts
and noise are those of ``tests/measure/simulated_curves.py``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from echomotion.core import Phases
from echomotion.measure.phases import find_phases
from tests.measure.simulated_curves import Curves, errors_of, exact_curves, noisy_curves


def rows(curves: Curves, noisy: Curves) -> dict[str, Phases]:
    """Phases of one heart from each choice of signals."""
    times, waves = curves.times, [ed for ed, _ in curves.true]
    both = {"annulus": noisy.annulus, "length": noisy.length}
    return {
        "exact, all signals": find_phases(curves.area, times, annulus=curves.annulus, length=curves.length),
        "all signals": find_phases(noisy.area, times, **both),
        "cavity area": find_phases(noisy.area, times),
        "annulus and length": find_phases(None, times, **both),
        "all signals and R waves": find_phases(noisy.area, times, waves, **both),
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=120, help="number of recordings")
    parser.add_argument("--first", type=int, default=500, help="seed of the first")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, list[tuple[np.ndarray, int, float]]] = {}
    for seed in range(options.first, options.first + options.count):
        curves = exact_curves(seed)
        noisy = noisy_curves(curves, np.random.default_rng(1000 + seed))
        for name, phases in rows(curves, noisy).items():
            found.setdefault(name, []).append((*errors_of(curves, phases), curves.fps))
    table = {}
    for name, parts in found.items():
        seconds = np.concatenate([error for error, _, _ in parts])
        rate = np.concatenate([np.full((len(error), 1), fps) for error, _, fps in parts])
        figures = {
            "beats": len(seconds),
            "missed": sum(missed for _, missed, _ in parts),
            "mean_ms": 1000 * seconds.mean(axis=0),
            "median_ms": 1000 * np.median(seconds, axis=0),
            "median_frames": np.median(seconds * rate, axis=0),
            "p95_ms": 1000 * np.quantile(seconds, 0.95, axis=0),
            "p95_of_40_ms_or_frame": np.quantile(seconds / np.maximum(0.04, 1 / rate), 0.95, axis=0),
        }
        table[name] = {key: np.round(value, 2).tolist() for key, value in figures.items()}
        print(name, *(f"{key} {value}" for key, value in table[name].items()), sep="  ")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
