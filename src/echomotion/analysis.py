"""The main job: from a cine to tracks, masks, curves and measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.analysis_types import Analysis, AnalysisOptions, Curve
from echomotion.core import Clip, DataError, Layer, Masks, Phases, Tracks, View, WallPoints
from echomotion.keypoint_analysis import analyze_keypoints
from echomotion.measure.anchor import held_lines
from echomotion.measure.clip_measurements import clip_measurements, tracked_phases
from echomotion.measure.phases import find_phases
from echomotion.measure.rows import doubted
from echomotion.measure.steadiness import unsteady
from echomotion.measure.strain_types import RADIAL, StrainCurves, join_beats
from echomotion.measure.volumes import VolumeCurve, cavity_area, volume_curve
from echomotion.measure.wall_points import wall_points
from echomotion.models.run import DEFAULT_DISPLAY_CLASSIFIER, DEFAULT_VIEW_CLASSIFIER, segment
from echomotion.preprocess.familiarity import unfamiliar
from echomotion.recording import phases_by_hand, provenance, recording_warnings
from echomotion.seen_view import seen_mirrored, settled_view
from echomotion.wall_tracking import LAYERS, Stage, track_wall, wall_closure


def analyze(clip: Clip, *, options: AnalysisOptions | None = None, progress: Stage | None = None) -> Analysis:
    """Segment, find the phases, track the wall, and measure; a parasternal long axis as :func:`analyze_keypoints`.

    Where the view is not stated, the picture says whether it is one.

    Parameters
    ----------
    clip : Clip
        At least two frames.
    options : AnalysisOptions, optional
    progress : callable, optional
        Called as ``progress(stage, done, total)``.

    Returns
    -------
    Analysis
        Where no ventricle is found the measurements say so; that is not an error.

    Raises
    ------
    DataError
        For a single frame, or a user's phases that lie off the clip.
    ModelError
        When a model is unknown or has no weights.
    """
    chosen = options or AnalysisOptions()
    if clip.n_frames < 2:
        raise DataError(f"{clip.source.name}: a single frame has no motion; give a cine of two frames or more")
    settled, told = settled_view(clip)
    if settled.view is View.PLAX:
        return analyze_keypoints(clip, options=chosen, progress=progress)
    tell = progress or (lambda stage, done, total: None)

    masks = segment(clip, model=chosen.segmenter, progress=lambda done, total: tell("segment", done, total))
    volumes = volume_curve(masks, clip.spacing_mm, technique=chosen.measure.technique)
    # The area alone says where tracking starts; once the wall is tracked, it has a say in the phases.
    phases = _phases(clip, masks, volumes.area, chosen)
    tracks, reason = track_wall(
        clip,
        masks,
        phases,
        tracker=chosen.tracker,
        points=chosen.points,
        model=chosen.measure.segment_model,
        mirrored=chosen.measure.mirrored,
        tell=tell,
    )
    if tracks and chosen.ed_s is None:
        phases = tracked_phases(volumes.area, clip.times_s, clip.r_wave_times_s, tracks, clip.spacing_mm)
    errors = wall_closure(clip, tracks, phases, tracker=chosen.tracker, tell=tell)
    # After the phases, to which the tracked wall must be a witness of its own.
    held = 0.0
    if clip.view is not View.PSAX:
        tracks, held = held_lines(
            tracks, volumes.walls, volumes.area, clip.times_s, clip.spacing_mm, share=chosen.anchor
        )
    turned = seen_mirrored(clip, stated=chosen.measure.mirrored)
    views = [("view", DEFAULT_VIEW_CLASSIFIER)] + [("view", DEFAULT_DISPLAY_CLASSIFIER)] * (clip.view is View.A4C)
    found = compose(
        clip,
        masks,
        tracks,
        phases,
        options=chosen,
        volumes=volumes,
        forward_backward_px=errors,
        warnings=_warnings(clip, phases, reason, chosen, (*told, turned), tracked=bool(tracks)),
        provenance=provenance(
            clip,
            chosen,
            [("segmenter", chosen.segmenter), ("tracker", chosen.tracker), *views],
        )
        | {"held_on_outline": held},
        reason=reason,
    )
    if not turned:
        return found
    rows = (row if row.segment is None else doubted(row, [turned]) for row in found.measurements)
    return replace(found, measurements=tuple(rows))


def compose(
    clip: Clip,
    masks: Masks,
    tracks: Mapping[Layer, Tracks],
    phases: Phases,
    *,
    options: AnalysisOptions | None = None,
    volumes: VolumeCurve | None = None,
    forward_backward_px: Mapping[Layer, ArrayLike] | None = None,
    warnings: tuple[str, ...] = (),
    provenance: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Analysis:
    """The analysis that follows from masks, tracks and phases, wherever they came from.

    Parameters
    ----------
    clip, masks, tracks, phases
        `tracks` by line of the wall; empty where there are none, and `reason` says why.
    options : AnalysisOptions, optional
    volumes : VolumeCurve, optional
        Of the masks, where it was made before.
    forward_backward_px : mapping of Layer to (N,) or (N, T), optional
        Forward-backward error of the points of each line.
    warnings, provenance
        Are handed on.
    """
    how = (options or AnalysisOptions()).measure
    volumes = volumes or volume_curve(masks, clip.spacing_mm, technique=how.technique)
    found = clip_measurements(
        masks,
        tracks,
        phases,
        clip.times_s,
        clip.spacing_mm,
        clip.view,
        volumes,
        options=how,
        forward_backward_px=forward_backward_px,
        frames=clip.frames,
        reason=reason,
    )
    return Analysis(
        clip,
        masks,
        {str(layer): line for layer, line in tracks.items()},
        phases,
        found.measurements,
        _curves(clip, found.curves, volumes),
        warnings,
        dict(provenance or {}),
        {str(layer): np.asarray(errors) for layer, errors in (forward_backward_px or {}).items()},
        dict(found.doubts),
    )


def wall_of(
    clip: Clip,
    masks: Masks,
    *,
    layer: str = LAYERS[0],
    count: int = AnalysisOptions.points,
    frame: int | None = None,
) -> WallPoints:
    """Points of the wall on one frame of a clip; without `frame` on the first end-diastole.

    Raises
    ------
    DataError
        When the layer is unknown, the frame lies off the clip, or no end-diastole or no wall is found.
    """
    if layer not in list(Layer):
        raise DataError(f"unknown layer {layer!r}; there are {', '.join(Layer)}")
    if frame is None:
        phases = find_phases(cavity_area(masks), clip.times_s, clip.r_wave_times_s)
        if not phases.beats:
            raise DataError(
                f"{clip.source.name}: no end-diastole was found ({phases.reason}); "
                "name the frame or the points yourself"
            )
        frame = clip.frame_at(phases.beats[0].ed_s)
    if not 0 <= frame < clip.n_frames:
        raise DataError(f"{clip.source.name}: the query frame is {frame}; it goes from 0 to {clip.n_frames - 1}")
    return wall_points(masks, frame=frame, layer=layer, count=count, view=clip.view, spacing_mm=clip.spacing_mm)


def describe_clip(clip: Clip) -> dict[str, Any]:
    """What a reader wants to know of a clip before analysing it, as plain values."""
    rows, columns = clip.shape
    spacing = clip.spacing_mm
    return {
        "format": clip.source.format,
        "view": str(clip.view) + ("" if clip.view is View.UNKNOWN else f" ({clip.source.view_origin})"),
        "frames": clip.n_frames,
        "size_px": f"{columns} x {rows}",
        "duration_s": round(float(clip.times_s[-1] - clip.times_s[0]), 3),
        "frame_rate_hz": None if clip.n_frames < 2 else round(1 / clip.frame_interval_s, 2),
        "times_from": clip.source.times_origin,
        "pixel_mm": None if spacing is None else f"{spacing[0]:.4g} x {spacing[1]:.4g} (row x column)",
        "pixel_size_from": clip.source.spacing_origin,
        "r_waves": 0 if clip.r_wave_times_s is None else len(clip.r_wave_times_s),
        "warnings": list(clip.source.warnings),
    }


def _phases(clip: Clip, masks: Masks, area: NDArray[np.float64], options: AnalysisOptions) -> Phases:
    given = phases_by_hand(clip, options)
    if given is not None:
        return given
    lost = unsteady(masks)
    if lost:
        return Phases((), "area", 0.0, f"no ventricle was found: {lost}")
    return find_phases(area, clip.times_s, clip.r_wave_times_s)


def _curves(clip: Clip, wall: Mapping[str, Sequence[StrainCurves]], volumes: VolumeCurve) -> dict[str, Curve]:
    times = clip.times_s
    found = {
        "cavity_area": Curve("cavity_area", times, volumes.area, volumes.area_unit),
        "volume": Curve("volume", times, volumes.volume, volumes.volume_unit),
    }
    for line in (str(LAYERS[0]), RADIAL):
        beats = wall.get(line, ())
        if not beats:
            continue
        name = f"{beats[0].direction}_strain"
        whole, segments = join_beats(beats)
        found[name] = Curve(name, times, whole, "%")
        found |= {f"{name}/{part}": Curve(name, times, values, "%", part) for part, values in segments.items()}
    return found


# Segmenters whose weights have seen four-chamber views alone.
_FOUR_CHAMBER = ("unet", "pointseg_small", "ncmnet")


def _warnings(
    clip: Clip, phases: Phases, reason: str, options: AnalysisOptions, told: tuple[str, ...], *, tracked: bool
) -> tuple[str, ...]:
    found = [*recording_warnings(clip), *filter(None, told)]
    if clip.view not in (View.UNKNOWN, View.A4C) and options.segmenter in _FOUR_CHAMBER:
        found.append(f"the segmenter was trained on four-chamber views; this view is {clip.view}")
    strange = unfamiliar(clip) if tracked else None
    if strange is not None:
        found.append(strange)
    if reason:
        found.append(f"the wall could not be tracked: {reason}")
    elif phases.reason:
        found.append(phases.reason)
    return tuple(dict.fromkeys(found))
