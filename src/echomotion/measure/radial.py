"""Radial strain: thickening of the wall, from tracked lines of its two edges or from masks.

``100 * (h(t) / h(ED) - 1)`` %, positive for thickening, with h the mean thickness of a segment or of the whole wall.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.masks import Masks
from echomotion.core.measurement import Phases
from echomotion.core.tracks import Layer, Tracks, WallPoints
from echomotion.core.views import SegmentModel, View, segment_names
from echomotion.measure.contours import FloatArray, arc_length
from echomotion.measure.reading import checked_times
from echomotion.measure.segment_quality import POSSIBLE, Evidence, SegmentQuality, judge_segments
from echomotion.measure.strain_curves import CurveMaker, expected_segments, wall_of
from echomotion.measure.strain_types import RADIAL, StrainCurves, StrainOptions
from echomotion.measure.wall import WallNotFoundError, find_wall
from echomotion.measure.wall_points import segment_borders

ACROSS = "endocardial_to_epicardial"


def thickness_of_tracks(
    endocardial: Tracks, epicardial: Tracks, spacing_mm: tuple[float, float] | None = None
) -> FloatArray:
    """Thickness of the wall at each endocardial point on every frame, (N, T), in mm (px without spacing).

    The shortest distance from the point to the epicardial line; NaN where the point or all of the line is unknown.
    """
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    if endocardial.n_frames != epicardial.n_frames:
        raise DataError(
            f"the endocardial line has {endocardial.n_frames} frames, the epicardial one {epicardial.n_frames}"
        )
    inner = endocardial.xy.astype(np.float64) * (sx, sy)
    outer = epicardial.xy.astype(np.float64) * (sx, sy)
    out = np.full(inner.shape[:2], np.nan)
    for t in range(inner.shape[1]):
        start, step = outer[:-1, t], np.diff(outer[:, t], axis=0)
        known = np.isfinite(start).all(axis=1) & np.isfinite(step).all(axis=1)
        if not known.any():
            continue
        start, step = start[known], step[known]
        away = inner[:, None, t] - start[None]
        size = np.maximum(np.sum(step**2, axis=1), 1e-12)
        along = np.clip(np.sum(away * step, axis=2) / size, 0.0, 1.0)
        out[:, t] = np.hypot(*np.moveaxis(away - along[..., None] * step, -1, 0)).min(axis=1)
    return out


def radial_curves(
    endocardial: Tracks,
    epicardial: Tracks,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    *,
    options: StrainOptions | None = None,
) -> list[StrainCurves]:
    """Radial strain of every beat from tracked lines along both edges of the wall.

    Parameters
    ----------
    endocardial, epicardial : Tracks
        With their walls, of the same view: open lines, or closed ones round the short axis.
    phases, times_s, spacing_mm, options
        See :func:`~echomotion.measure.strain_curves.strain_curves`.

    Raises
    ------
    DataError
        Where the tracks are not such lines, or times do not increase.
    """
    inner, outer = wall_of(endocardial), wall_of(epicardial)
    if inner.layer is not Layer.ENDOCARDIAL or outer.layer is not Layer.EPICARDIAL:
        raise DataError(f"an endocardial and an epicardial line are needed; these are {inner.layer} and {outer.layer}")
    times = checked_times(times_s, endocardial.n_frames)
    thickness = thickness_of_tracks(endocardial, epicardial, spacing_mm)
    weight = _share_of_line(inner, spacing_mm)
    owner = np.asarray(inner.segment)
    sums = {name: weight[owner == name] @ thickness[owner == name] for name in inner.segment_names()}

    def judge(names: tuple[str, ...], evidence: Evidence) -> dict[str, SegmentQuality]:
        both = [judge_segments(tracks, names, evidence) for tracks in (endocardial, epicardial)]
        return {name: _worse(both[0][name], both[1][name]) for name in names}

    source = "the distance from the endocardial to the epicardial line"
    maker = _maker(times, phases, options, inner.view, expected_segments(inner), source)
    return [maker.curves(k, beat, lambda _: sums, judge) for k, beat in enumerate(phases.beats)]


def _maker(
    times: FloatArray,
    phases: Phases,
    options: StrainOptions | None,
    view: View,
    names: tuple[str, ...],
    source: str,
) -> CurveMaker:
    return CurveMaker(times, phases, options or StrainOptions(), RADIAL, view, ACROSS, names, source)


def _share_of_line(wall: WallPoints, spacing_mm: tuple[float, float] | None) -> FloatArray:
    """Part of the line (N,) that each point stands for, so that a sum over points is an integral along it."""
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    along = arc_length(wall.queries[:, 1:] * (sx, sy))
    edges = np.concatenate([along[:1], (along[1:] + along[:-1]) / 2, along[-1:]])
    return np.diff(edges) / along[-1]


def _worse(a: SegmentQuality, b: SegmentQuality) -> SegmentQuality:
    return SegmentQuality(
        a.segment,
        min(a.points, b.points),
        min(a.tracked, b.tracked),
        min(a.confidence, b.confidence),
        max(a.forward_backward, b.forward_backward),
        a.drift,
        tuple(dict.fromkeys((*a.doubts, *b.doubts))),
        tuple(dict.fromkeys((*a.failures, *b.failures))),
    )


def thickness_of_masks(
    masks: Masks,
    spacing_mm: tuple[float, float] | None = None,
    view: View = View.UNKNOWN,
    *,
    model: SegmentModel | str | int = SegmentModel.SIXTEEN,
    mirrored: bool = False,
) -> dict[str, FloatArray]:
    """Mean thickness of each segment on every frame (T,), in mm (px without spacing), from masks of an apical view.

    Segments are shares of the arc on each frame; NaN where the wall is not found.
    """
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    names = segment_names(View(view), model)[:: -1 if mirrored else 1]
    out = {name: np.full(masks.n_frames, np.nan) for name in names}
    for t in range(masks.n_frames):
        try:
            lines = find_wall(masks, t, spacing_mm)
        except WallNotFoundError:
            continue
        if lines.epicardial is None:
            continue
        along = arc_length(lines.endocardial * (sx, sy))
        which = np.searchsorted(segment_borders(float(along[lines.apex_index] / along[-1]), model), along / along[-1])
        across = np.hypot(*((lines.epicardial - lines.endocardial) * (sx, sy)).T)
        for k, name in enumerate(names):
            out[name][t] = across[which == k].mean()
    return out


def radial_curves_of_masks(
    thickness: Mapping[str, FloatArray],
    phases: Phases,
    times_s: ArrayLike,
    view: View = View.UNKNOWN,
    *,
    options: StrainOptions | None = None,
) -> list[StrainCurves]:
    """Radial strain of every beat from the thickness of segments, as :func:`thickness_of_masks` gives it.

    The whole wall is the mean of its segments. A segment that is unknown at end-diastole or end-systole, or that
    changes by more than a wall can, is rejected.
    """
    names = tuple(thickness)
    if not names:
        raise DataError("thickness is empty; give at least one segment")
    times = checked_times(times_s)
    known = {
        name: frozen_array(values, f"thickness of {name}", shape=(len(times),), dtype=np.float64, finite=False)
        for name, values in thickness.items()
    }

    def judge(segments: tuple[str, ...], evidence: Evidence) -> dict[str, SegmentQuality]:
        return {name: _judge_mask(name, known[name], evidence) for name in segments}

    maker = _maker(times, phases, options, View(view), names, "the thickness of the segmented myocardium")
    return [maker.curves(k, beat, lambda _: known, judge) for k, beat in enumerate(phases.beats)]


def _judge_mask(name: str, thickness: FloatArray, evidence: Evidence) -> SegmentQuality:
    seen = float(np.isfinite(thickness[np.sort(evidence.frames)]).mean())
    value = evidence.strain[name]
    failures = []
    if not np.isfinite(value):
        failures.append("the wall is not found at end-diastole, end-systole or the end of the beat")
    elif not POSSIBLE[RADIAL][0] <= value <= POSSIBLE[RADIAL][1]:
        failures.append(f"a thickening of {value:.0f} % is not possible")
    return SegmentQuality(name, len(thickness), seen, 1.0, float("nan"), evidence.drift[name], failures=tuple(failures))
