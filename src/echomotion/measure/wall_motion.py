"""Wall-motion scores of segments from their strain, thickening and inward displacement, and their index.

Scores are those of Lang et al. 2015 (doi 10.1016/j.echo.2014.10.003): 1 normal (or hyperkinetic), 2 hypokinetic,
3 akinetic, 4 dyskinetic. Readers give them by eye; the thresholds that turn numbers into scores are stated in
:class:`Thresholds` and in every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from echomotion.core.errors import DataError
from echomotion.core.measurement import Measurement, Status
from echomotion.measure.beats import headline
from echomotion.measure.strain_types import LONGITUDINAL, RADIAL
from echomotion.measure.timing import MIN_SHARE

SCORE, INDEX = "wall_motion_score", "wall_motion_score_index"
WORDS = {1: "normal", 2: "hypokinetic", 3: "akinetic", 4: "dyskinetic"}


@dataclass(frozen=True)
class Thresholds:
    """Where one score ends and the next begins, from normal over hypokinetic and akinetic to dyskinetic.

    Attributes
    ----------
    strain : (float, float, float)
        End-systolic longitudinal or circumferential strain in %: normal below the first (mid-wall shortening of more
        than 12 %), hypokinetic below the second, akinetic below the third.
    thickening : (float, float, float)
        Radial strain in %: normal above the first, and so on.
    excursion_mm : (float, float, float)
        Displacement of the endocardium inwards in mm: normal above the first, and so on.
    """

    strain: tuple[float, float, float] = (-12.0, -5.0, 2.5)
    thickening: tuple[float, float, float] = (25.0, 10.0, -5.0)
    excursion_mm: tuple[float, float, float] = (5.0, 2.0, -1.0)

    def __post_init__(self) -> None:
        if not self.strain[0] < self.strain[1] < self.strain[2]:
            raise DataError(f"the thresholds of strain {self.strain} must rise")
        for name in ("thickening", "excursion_mm"):
            first, second, third = getattr(self, name)
            if not first > second > third:
                raise DataError(f"the thresholds of {name} {(first, second, third)} must fall")

    def of_strain(self, value: float) -> int:
        """Score of a shortening strain in %."""
        return 1 + sum(value > limit for limit in self.strain)

    def of_thickening(self, value: float) -> int:
        """Score of a radial strain in %."""
        return 1 + sum(value < limit for limit in self.thickening)

    def of_excursion(self, value: float) -> int:
        """Score of an inward displacement in mm."""
        return 1 + sum(value < limit for limit in self.excursion_mm)


def wall_motion(
    strain: Sequence[Measurement],
    thickening: Sequence[Measurement] = (),
    excursion_mm: Mapping[str, float] | None = None,
    *,
    thresholds: Thresholds | None = None,
    direction: str = LONGITUDINAL,
) -> list[Measurement]:
    """Score every segment of a view or of a ventricle, and their mean.

    Parameters
    ----------
    strain : sequence of Measurement
        With ``longitudinal_strain`` (or that of another `direction`) of segments in one layer; the mean over beats
        counts where there are several. Of one view, or of all
        (:func:`~echomotion.measure.segment_models.bullseye`).
    thickening : sequence of Measurement
        With ``radial_strain`` of the segments, where it is known.
    excursion_mm : mapping of segment to float, optional
        Inward displacement (:func:`~echomotion.measure.mapse.inward_excursion`).
    thresholds : Thresholds, optional

    Returns
    -------
    list of Measurement
        ``wall_motion_score`` of each segment and ``wall_motion_score_index``, the mean of the scores. With all three
        signs a score is their median, else that of strain (of thickening, of displacement); where signs differ by two
        scores or more it is marked. Segments without any sign are not scored, and with
        less than three quarters scored there is no index.

    Raises
    ------
    DataError
        Where a segment has two strains; name one layer and view.
    """
    limits = thresholds or Thresholds()
    known = {direction: _by_segment(strain, f"{direction}_strain"), RADIAL: _by_segment(thickening, "radial_strain")}
    names = list(dict.fromkeys([*known[direction], *known[RADIAL]]))
    rows = [
        _score(name, known[direction].get(name), known[RADIAL].get(name), (excursion_mm or {}).get(name), limits)
        for name in names
    ]
    return [*rows, _index(rows)]


def _by_segment(rows: Sequence[Measurement], name: str) -> dict[str, Measurement]:
    found: dict[str, Measurement] = {}
    for row in headline(rows):
        if row.name != name or row.segment is None:
            continue
        if row.segment in found:
            raise DataError(f"{name} of {row.segment} is given twice; choose one layer and one beat")
        found[row.segment] = row
    return found


def _score(
    name: str,
    strain: Measurement | None,
    thickening: Measurement | None,
    excursion: float | None,
    limits: Thresholds,
) -> Measurement:
    signs: list[tuple[str, int]] = []
    used = [row for row in (strain, thickening) if row is not None and row.status is not Status.NOT_MEASURABLE]
    for row in used:
        if row is strain:
            signs.append((f"strain {row.value:.1f} %", limits.of_strain(row.value)))
        else:
            signs.append((f"thickening {row.value:.0f} %", limits.of_thickening(row.value)))
    if excursion is not None and np.isfinite(excursion):
        signs.append((f"inward displacement {excursion:.1f} mm", limits.of_excursion(excursion)))
    first = strain or thickening
    view = None if first is None else first.view
    beat = None if first is None else first.beat
    method = (
        f"from {', '.join(f'{what} ({WORDS[score]})' for what, score in signs) or 'nothing'}; "
        f"limits of strain {_list(limits.strain)} %, of thickening {_list(limits.thickening)} %, "
        f"of displacement {_list(limits.excursion_mm)} mm"
    )
    if not signs:
        reason = next((row.reason for row in (strain, thickening) if row is not None), "neither strain nor thickening")
        return Measurement.missing(SCORE, "1", reason, method=method, view=view, beat=beat, segment=name)
    scores = [score for _, score in signs]
    value = int(np.median(scores)) if len(scores) == 3 else scores[0]
    reasons = [row.reason for row in used if row.reason]
    if max(scores) - min(scores) >= 2:
        reasons.insert(0, "the signs disagree: " + ", ".join(f"{what} is {WORDS[score]}" for what, score in signs))
    return Measurement(
        SCORE,
        value,
        "1",
        Status.LOW_CONFIDENCE if reasons else Status.OK,
        "; ".join(dict.fromkeys(reasons)),
        method,
        tuple(dict.fromkeys(frame for row in used for frame in row.frames)),
        view,
        beat,
        name,
    )


def _list(limits: tuple[float, float, float]) -> str:
    return ", ".join(f"{limit:g}" for limit in limits)


def _index(rows: Sequence[Measurement]) -> Measurement:
    scored = [row for row in rows if row.status is not Status.NOT_MEASURABLE]
    method = f"mean score of {len(scored)} of {len(rows)} segments"
    view = rows[0].view if rows and len({row.view for row in rows}) == 1 else None
    beat = rows[0].beat if rows and len({row.beat for row in rows}) == 1 else None
    if not rows or len(scored) < MIN_SHARE * len(rows):
        reason = f"{len(scored)} of {len(rows)} segments have a score"
        return Measurement.missing(INDEX, "1", reason, method=method, view=view, beat=beat)
    reasons = [f"{len(rows) - len(scored)} of {len(rows)} segments have no score"] if len(scored) < len(rows) else []
    doubtful = sum(row.status is Status.LOW_CONFIDENCE for row in scored)
    if doubtful:
        reasons.append(f"the scores of {doubtful} segments are doubtful")
    return Measurement(
        INDEX,
        float(np.mean([row.value for row in scored])),
        "1",
        Status.LOW_CONFIDENCE if reasons else Status.OK,
        "; ".join(reasons),
        method,
        tuple(dict.fromkeys(frame for row in scored for frame in row.frames)),
        view,
        beat,
    )
