"""Fit the confidence of the conventional trackers, and say how honest it is.

    python benchmarks/fit_tracker_confidence.py DATA

DATA holds clips with true tracks (.npz). Clips whose name begins with ``tune`` are fitted on, those that begin with
``accept`` judge: the expected calibration error is the mean distance between the stated and the observed share of
errors under 2 px (at 256 px), over ten bins of confidence.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from echomotion.datasets.tracking import TrackingCase, read_tracking
from echomotion.models.registry import create_tracker
from echomotion.models.trackers.stepwise import REFERENCE_HEIGHT, carry
from echomotion.models.trackers.template_matching import match_templates

_EVERY = 6


def evidence(name: str, cases: list[TrackingCase]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Features (M, 4) and whether the error was under 2 px (M,)."""
    if name == "template_matching":
        follow = match_templates
    else:
        step = create_tracker(name)._step

        def follow(clip, queries):
            return carry(clip, queries, step)

    features, near = [], []
    for case in cases:
        for start in range(0, case.clip.n_frames, _EVERY):
            queries = np.column_stack([np.full(len(case.xy), start), case.xy[:, start]])
            found = follow(case.clip, queries)
            error = np.hypot(*np.moveaxis(found.xy - case.xy, -1, 0)) * REFERENCE_HEIGHT / case.clip.shape[0]
            away = found.steps > 0
            columns = [np.ones_like(found.steps), np.log1p(found.drift_px), 1 - found.quality, np.log1p(found.steps)]
            features.append(np.stack([column[away] for column in columns], axis=1))
            near.append((error < 2)[away])
    return np.concatenate(features), np.concatenate(near)


def calibration_error(stated: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins."""
    bins = np.minimum((stated * 10).astype(int), 9)
    parts = [(bins == k) for k in range(10) if (bins == k).any()]
    return float(sum(part.mean() * abs(stated[part].mean() - true[part].mean()) for part in parts))


def main(folder: str) -> None:
    """Print the fitted numbers and the calibration of each tracker."""
    cases = list(read_tracking(folder))
    for name in ("lucas_kanade", "block_matching", "template_matching"):
        features, near = evidence(name, [case for case in cases if case.name.startswith("tune")])
        judged, judged_near = evidence(name, [case for case in cases if case.name.startswith("accept")])

        def loss(weights, features=features, near=near):
            score = features @ weights
            return np.mean(np.logaddexp(0, score) - near * score) + 1e-4 * np.square(weights[1:]).sum()

        weights = minimize(loss, np.array([3.0, -1.0, -1.0, -0.5])).x
        stated = 1 / (1 + np.exp(-judged @ weights))
        names = ("bias", "drift", "match", "steps")
        print(name, "ConfidenceModel(" + ", ".join(f"{n}={w:.2f}" for n, w in zip(names, weights, strict=True)) + ")")
        print(f"  accept: calibration error {calibration_error(stated, judged_near):.3f}, "
              f"share under 2 px {judged_near.mean():.3f}, mean confidence {stated.mean():.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
