"""Test-retest agreement of strain: one simulated heart recorded twice, its longitudinal strain measured twice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core import DataError, View
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation.wall_sample import line_part, mid_wall_line
from echomotion.measure.agreement import MIN_PAIRS, bland_altman
from echomotion.measure.lengths import line_length, line_strain
from echomotion.models.base import Progress, Tracker
from echomotion.models.registry import create_tracker
from echomotion.simulate.sequence import simulate

Pair = tuple[TrackingCase, TrackingCase]

_VIEWS = (View.A4C, View.A2C, View.A3C)


@dataclass(frozen=True)
class RetestReport:
    """Strain of hearts that were recorded twice.

    Attributes
    ----------
    tracker : str
    rows : list of dict
        One per heart: ``heart, true, first, second``: strain in %.
    """

    tracker: str
    rows: list[dict[str, Any]]

    @property
    def summary(self) -> dict[str, float]:
        """Agreement of the two recordings (:func:`agreement`), and the mean absolute error of both against the truth.

        All in strain points.
        """
        first, second, true = (
            np.array([row[n] for row in self.rows], dtype=float) for n in ("first", "second", "true")
        )
        errors = np.abs(np.concatenate([first - true, second - true]))
        known = errors[np.isfinite(errors)]
        return {**agreement(first, second), "gls_error": float(np.mean(known)) if len(known) else math.nan}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return {
            "tracker": self.tracker,
            "summary": _plain(self.summary),
            "hearts": [_plain(row) for row in self.rows],
        }


def agreement(first: ArrayLike, second: ArrayLike) -> dict[str, float]:
    """Agreement of two measurements of the same (Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8).

    Parameters
    ----------
    first, second : float (K,)
        Pairs with a value that is not finite are left out.

    Returns
    -------
    dict
        ``pairs``; ``mean_difference`` of first minus second; ``mean_absolute_difference``; ``lower_limit`` and
        ``upper_limit`` of agreement (:func:`echomotion.measure.agreement.bland_altman`), NaN under three pairs.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    limits = bland_altman(a, b) if len(a) >= MIN_PAIRS else None
    return {
        "pairs": len(a),
        "mean_difference": float(np.mean(a - b)) if len(a) else math.nan,
        "mean_absolute_difference": float(np.mean(np.abs(a - b))) if len(a) else math.nan,
        "lower_limit": math.nan if limits is None else limits.lower.value,
        "upper_limit": math.nan if limits is None else limits.upper.value,
    }


def retest_pairs(count: int = 16, seed: int = 0, *, n_frames: int = 36) -> Iterator[Pair]:
    """Hearts in the apical views, each recorded twice by the same machine.

    Both recordings of a heart have its motion, frame times, fan and difficulty; speckle, noise, clutter, shadows and
    the echogenicity of tissues are drawn anew. The line is the part of the mid-wall line seen throughout both.

    Parameters
    ----------
    count : int
        Hearts; the views take turns.
    seed : int
    n_frames : int
    """
    rng = np.random.default_rng([int(seed), 31])
    done = 0
    while done < count:
        view = _VIEWS[done % len(_VIEWS)]
        difficulty = float(rng.uniform())
        seeds = rng.integers(2**48, size=2).tolist()
        common: dict[str, Any] = {"reference_frame": 0, "n_frames": n_frames, "n_tracks": 1, "difficulty": difficulty}
        first = simulate(view, seeds[0], **common)
        made = first.recording
        second = simulate(seed=seeds[1], heart=made.heart, probe=made.probe, frame_rate_hz=made.frame_rate_hz, **common)
        lines = [mid_wall_line(sequence) for sequence in (first, second)]
        kept = line_part(lines[0].visible & lines[1].visible)
        if not len(kept):
            continue
        name = f"heart-{done:02d}"
        pair = [
            TrackingCase(name, q.clip, at.xy[kept], at.visible[kept], at.s[kept], at.w[kept], ed_frame=0)
            for q, at in zip((first, second), lines, strict=True)
        ]
        yield pair[0], pair[1]
        done += 1


def retest_strain(
    tracker: Tracker | str, pairs: Iterable[Pair], *, progress: Progress | None = None, total: int = 0
) -> RetestReport:
    """Strain of each line on the frame where it is truly shortest, from both recordings; not smoothed.

    Parameters
    ----------
    tracker : Tracker or str
    pairs : iterable of pairs of TrackingCase
        As :func:`retest_pairs` makes them.
    progress : callable, optional
        Called with (done, total) pairs.
    total : int
        Of pairs, for `progress`, when it is known.

    Raises
    ------
    DataError
        When a case has no line.
    """
    model = create_tracker(tracker) if isinstance(tracker, str) else tracker
    rows = []
    for done, pair in enumerate(pairs, start=1):
        found = [_strains(model, case) for case in pair]
        rows.append({"heart": pair[0].name, "true": found[0][0], "first": found[0][1], "second": found[1][1]})
        if progress is not None:
            progress(done, total)
    return RetestReport(model.name, rows)


def _strains(model: Tracker, case: TrackingCase) -> tuple[float, float]:
    """True and measured strain in %."""
    line = case.line()
    if len(line) < 2:
        raise DataError(f"{case.name} has no line of the wall; its strain cannot be measured")
    ed_frame = int(case.queries[line, 0].min()) if case.ed_frame is None else case.ed_frame
    spacing = case.clip.spacing_mm
    es_frame = int(np.argmin(line_length(case.xy[line], spacing, ed_frame=ed_frame)))
    found = model.track(case.clip, case.queries[line]).xy
    true, measured = (float(line_strain(xy, ed_frame, spacing)[es_frame]) for xy in (case.xy[line], found))
    return true, measured


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
