"""The analysis of a parasternal long axis: key-points, their dimensions, and what to know before believing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from echomotion.analysis_types import Analysis, AnalysisOptions, Curve
from echomotion.core import Clip, Keypoints, Masks, Phases, View
from echomotion.measure.dimensions import DimensionCurves
from echomotion.measure.keypoint_measurements import keypoint_measurements
from echomotion.models.run import DEFAULT_TRACKER, detect_keypoints
from echomotion.models.view_classifier import LONG_AXIS
from echomotion.models.view_classifier import NAME as VIEW_MODEL
from echomotion.recording import phases_by_hand, provenance, recording_warnings
from echomotion.seen_view import settled_view
from echomotion.wall_tracking import Stage


def analyze_keypoints(clip: Clip, *, options: AnalysisOptions | None = None, progress: Stage | None = None) -> Analysis:
    """Find the key-points of a parasternal long axis, and measure septum, cavity and posterior wall.

    Parameters
    ----------
    clip : Clip
        One frame or more. Of another view nothing is measured, and the measurements say so.
    options : AnalysisOptions, optional
        Its detector, phases and body size count here.
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    Analysis
        With `keypoints`, empty masks, and no tracks.

    Raises
    ------
    DataError, ModelError
        As :func:`analyze`.
    """
    chosen = options or AnalysisOptions()
    tell = progress or (lambda stage, done, total: None)
    phases = phases_by_hand(clip, chosen)
    clip, told = settled_view(clip, assumed=LONG_AXIS)
    keypoints = detect_keypoints(
        clip,
        model=chosen.detector,
        progress=lambda done, total: tell("key-points", done, total),
        warn=False,
        **chosen.detector_options,
    )
    return compose_keypoints(
        clip,
        keypoints,
        options=chosen,
        phases=phases,
        warnings=told,
        provenance=provenance(clip, chosen, _models(chosen)),
    )


def compose_keypoints(
    clip: Clip,
    keypoints: Keypoints,
    *,
    options: AnalysisOptions | None = None,
    phases: Phases | None = None,
    warnings: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Analysis:
    """The analysis that follows from key-points, wherever they came from.

    Parameters
    ----------
    clip, keypoints
    options : AnalysisOptions, optional
    phases : Phases, optional
        Otherwise read from the cavity's diameter and the R waves.
    warnings : tuple of str
        Stand beside those that follow from the recording.
    provenance : mapping, optional
        Is handed on.

    Raises
    ------
    DataError
        When a name of the parasternal key-points is missing.
    """
    chosen = options or AnalysisOptions()
    found = keypoint_measurements(
        keypoints,
        clip.times_s,
        clip.spacing_mm,
        clip.r_wave_times_s,
        clip.view,
        phases=phases,
        subject=chosen.measure.subject,
        method=f"distance of neighbouring key-points, found by {chosen.detector}",
    )
    return Analysis(
        clip,
        Masks(np.zeros(clip.frames.shape, np.uint8), {0: "background"}, model=""),
        {},
        found.phases,
        found.measurements,
        _dimension_curves(clip, found.curves),
        _keypoint_warnings(clip, found.phases, warnings),
        dict(provenance or {}),
        keypoints=keypoints,
    )


def _dimension_curves(clip: Clip, found: DimensionCurves) -> dict[str, Curve]:
    return {name: Curve(name, clip.times_s, values, found.unit) for name, values in found.values.items()}


def _keypoint_warnings(clip: Clip, phases: Phases, told: tuple[str, ...]) -> tuple[str, ...]:
    found = [*recording_warnings(clip), *told]
    if clip.view not in (View.UNKNOWN, View.PLAX):
        found.append(f"the key-points belong to a parasternal long axis (PLAX); this view is {clip.view}")
    if clip.source.format != "simulation":
        found.append("the key-points were learned from simulated hearts alone; look where they lie before you believe")
    if phases.reason:
        found.append(phases.reason)
    return tuple(dict.fromkeys(found))


def _models(options: AnalysisOptions) -> set[tuple[str, str]]:
    """Kinds and names of the models that a detector is made of."""
    found = {("keypoint_detector", options.detector), ("view", VIEW_MODEL)}
    if options.detector in ("tracked", "trnet"):
        found.add(("keypoint_detector", "sknet"))
    if options.detector == "tracked":
        found.add(("tracker", str(options.detector_options.get("tracker", DEFAULT_TRACKER))))
    return found
