"""Several views of one heart: averages over views, all segments of the ventricle, biplane volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from echomotion.analysis import analyze
from echomotion.analysis_types import Analysis, AnalysisOptions
from echomotion.core import Clip, DataError, Measurement, View
from echomotion.measure.beats import headline
from echomotion.measure.biplane import ApicalView, biplane_measurements
from echomotion.measure.left_atrium import atrial_measurements
from echomotion.measure.rows import judged
from echomotion.measure.segment_models import APICAL_VIEWS, average_of_views, bullseye
from echomotion.measure.strain import GLOBAL, SEGMENTAL
from echomotion.measure.timing import TIME_TO_PEAK, mechanical_dispersion
from echomotion.measure.wall_motion import wall_motion
from echomotion.wall_tracking import LAYERS, Stage

BIPLANE_VIEWS = (View.A4C, View.A2C)
_VOLUMES = (
    ("end_diastolic_volume", "mL"),
    ("end_systolic_volume", "mL"),
    ("stroke_volume", "mL"),
    ("ejection_fraction", "%"),
    ("long_axis_difference", "%"),
)


@dataclass(frozen=True)
class StudyAnalysis:
    """What was found in several views of one heart.

    Attributes
    ----------
    views : dict of View to Analysis
        One analysis a view, in the order in which they were given.
    measurements : tuple of Measurement
        Of the heart, with ``view`` None: GLS averaged over the apical views, strain and time to peak of all segments,
        mechanical dispersion, wall-motion scores with their index, biplane volumes, left atrium; and what a parasternal
        long axis tells, with its ``view``.
    warnings : tuple of str
        What a reader must know before believing the numbers; those of a single view stand with it.
    """

    views: dict[View, Analysis]
    measurements: tuple[Measurement, ...]
    warnings: tuple[str, ...] = ()
    options: AnalysisOptions = field(default_factory=AnalysisOptions)

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of the whole heart with that name, the mean over beats where there are several."""
        for row in headline(self.measurements):
            if row.name == name and row.segment is None:
                return row
        names = ", ".join(sorted({row.name for row in self.measurements}))
        raise KeyError(f"no measurement {name!r}; there are {names}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "views": {str(view): found.clip.source.name for view, found in self.views.items()},
            "warnings": list(self.warnings),
            "measurements": [row.as_dict() for row in self.measurements],
        }


def analyze_study(
    clips: Sequence[Clip], *, options: AnalysisOptions | None = None, progress: Stage | None = None
) -> StudyAnalysis:
    """Analyse several views of one heart and put them together.

    Parameters
    ----------
    clips : sequence of Clip
        Each of another view, which must be named.
    options : AnalysisOptions, optional
        For all views; times of phases set by hand hold for one recording and are refused.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Raises
    ------
    DataError
        Without a clip, where a view is not named or given twice, or with times of phases.
    """
    chosen = options or AnalysisOptions()
    if chosen.ed_s is not None or chosen.es_s is not None:
        raise DataError("times of end-diastole and end-systole belong to one recording; analyse the views singly")
    check_views(clips)
    views = {clip.view: analyze(clip, options=chosen, progress=progress) for clip in clips}
    return compose_study(views, options=chosen)


def check_views(clips: Sequence[Clip]) -> None:
    """Refuse clips that make no study: none, without a named view, or two of one view."""
    if not clips:
        raise DataError("a study needs at least one recording")
    seen: dict[View, str] = {}
    for clip in clips:
        if clip.view is View.UNKNOWN:
            raise DataError(f"{clip.source.name}: the view is not stated, and a study needs it; name it")
        if clip.view in seen:
            raise DataError(f"{clip.source.name}: {seen[clip.view]} is a {clip.view} view too; give one of each")
        seen[clip.view] = clip.source.name


def compose_study(views: dict[View, Analysis], *, options: AnalysisOptions | None = None) -> StudyAnalysis:
    """The numbers of a heart from the analyses of its views; what misses a view is not measurable and says so."""
    chosen = options or AnalysisOptions()
    model, layer = chosen.measure.segment_model, str(LAYERS[0])
    apical = [row for view in APICAL_VIEWS if view in views for row in views[view].measurements]
    rows = [average_of_views(apical, GLOBAL, line) for line in (*map(str, LAYERS), "full_wall")]
    segments = bullseye(apical, SEGMENTAL, model=model, layer=layer)
    times = bullseye(apical, TIME_TO_PEAK, model=model, layer=layer)
    rows += [*segments, *times, mechanical_dispersion(times, model=model), *wall_motion(segments)]
    rows += _biplane(views, chosen)
    if View.PLAX in views:
        # Dimensions, mass and geometry, which no other view gives.
        rows += [replace(row, beat=None) for row in headline(views[View.PLAX].measurements)]
    difference = next((row for row in headline(rows) if row.name == "long_axis_difference"), None)
    warnings = [f"the view {view} is missing" for view in APICAL_VIEWS if view not in views]
    if difference is not None and difference.reason and difference.value > 0:
        warnings.append(difference.reason)
    for view, found in views.items():
        warnings += [f"{view}: {warning}" for warning in found.warnings]
    return StudyAnalysis(dict(views), tuple(rows), tuple(dict.fromkeys(warnings)), chosen)


def _biplane(views: dict[View, Analysis], options: AnalysisOptions) -> list[Measurement]:
    """Volumes of ventricle and atrium from the four- and two-chamber views."""
    how = options.measure
    absent = [str(view) for view in BIPLANE_VIEWS if view not in views]
    if absent:
        reason = f"biplane volumes need an A4C and an A2C view; {' and '.join(absent)} is missing"
        plan = (*_VOLUMES, ("left_atrial_volume", "mL"), ("left_atrial_volume_index", "mL/m2"))
        return [judged(name, float("nan"), unit, "biplane", missing=reason) for name, unit in plan]
    first, second = (
        ApicalView(
            found.masks,
            found.phases,
            found.clip.times_s,
            found.clip.spacing_mm,
            found.clip.view,
            wall_doubts=found.wall_doubts,
        )
        for found in (views[view] for view in BIPLANE_VIEWS)
    )
    rows = biplane_measurements(first, second, technique=how.technique, convention=how.convention)
    return rows + atrial_measurements(first, second, subject=how.subject, technique=how.technique)
