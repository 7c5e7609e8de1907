"""Everything that is measured in one clip, from its masks, its tracks and its heart phases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.masks import Masks
from echomotion.core.measurement import Phases
from echomotion.core.subject import Subject
from echomotion.core.tracks import Layer, Tracks
from echomotion.core.views import SegmentModel, View
from echomotion.measure.biplane import ApicalView
from echomotion.measure.contours import FloatArray
from echomotion.measure.dimensions import dimension_curves, dimension_measurements
from echomotion.measure.disks import Convention, Technique, check_convention
from echomotion.measure.left_atrium import atrial_measurements
from echomotion.measure.lengths import line_length
from echomotion.measure.parasternal import measuring_line
from echomotion.measure.phase_signals import annulus_distance
from echomotion.measure.phases import find_phases
from echomotion.measure.shape import shape_measurements
from echomotion.measure.strain_rate import FILTER_S
from echomotion.measure.strain_types import StrainOptions
from echomotion.measure.volumes import VolumeCurve, volume_measurements
from echomotion.measure.wall_measurements import WallResult, wall_measurements
from echomotion.measure.wall_seen import doubt_volumes, size_doubt, wall_doubts


@dataclass(frozen=True)
class MeasureOptions:
    """How numbers are made.

    Attributes
    ----------
    strain : StrainOptions
        Kind of strain, drift compensation, aortic valve closure, smoothing, rejection.
    filter_s : float
        Width of the strain-rate filter, a standard deviation in seconds.
    segment_model : SegmentModel
        16, 17 or 18 segments.
    technique : Technique
        ``disks`` or ``area_length``, for volumes.
    convention : Convention
        ``ase`` or ``camus``, for the height of disks.
    subject : Subject
        Sex and body size, for indices.
    mirrored : bool
        The picture of an apical view is displayed left for right: the names of its two walls change sides.

    Raises
    ------
    DataError
        When technique and convention do not go together.
    """

    strain: StrainOptions = field(default_factory=StrainOptions)
    filter_s: float = FILTER_S
    segment_model: SegmentModel = SegmentModel.SIXTEEN
    technique: Technique = Technique.DISKS
    convention: Convention = Convention.ASE
    subject: Subject = field(default_factory=Subject)
    mirrored: bool = False

    def __post_init__(self) -> None:
        check_convention(self.technique, self.convention)


def tracked_phases(
    area: FloatArray,
    times_s: FloatArray,
    r_wave_times_s: NDArray[np.float64] | None,
    tracks: Mapping[Layer, Tracks],
    spacing_mm: tuple[float, float] | None = None,
) -> Phases:
    """Heart phases from the cavity's area together with the tracked annulus and the length of the wall.

    The first line of `tracks` is read; without one the area stands alone. Before the first frame with a cavity and
    after the last one (a black leader, another picture) there is nothing to follow, and what was tracked is not read.
    """
    line = next(iter(tracks.values()), None)
    if line is None or line.wall is None:
        return find_phases(area, times_s, r_wave_times_s)
    start = int(line.wall.queries[0, 0])
    length, annulus = line_length(line.xy, spacing_mm, ed_frame=start), annulus_distance(line, spacing_mm)
    shown = np.flatnonzero(area > 0)
    if len(shown):
        for signal in (length, annulus):
            signal[: shown[0]] = signal[shown[-1] + 1 :] = np.nan
    return find_phases(area, times_s, r_wave_times_s, annulus=annulus, length=length)


def clip_measurements(
    masks: Masks,
    tracks: Mapping[Layer, Tracks],
    phases: Phases,
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None,
    view: View,
    curve: VolumeCurve,
    *,
    options: MeasureOptions | None = None,
    forward_backward_px: Mapping[Layer, ArrayLike] | None = None,
    frames: NDArray[np.uint8] | None = None,
    reason: str = "",
) -> WallResult:
    """All measurements that a view allows, with the curves of the wall.

    Parameters
    ----------
    masks, tracks, phases, times_s, spacing_mm, view
        Of one clip; `tracks` by line of the wall, the first is that of timing and scores.
    curve : VolumeCurve
        Of the same masks.
    options : MeasureOptions, optional
    forward_backward_px : mapping of Layer to (N,) or (N, T), optional
        Forward-backward error of each line's points, to judge segments by.
    frames : uint8 (T, H, W), optional
        The pictures, for the same, and to see whether the wall is brighter than the blood.
    reason : str
        Why there are no tracks, where there are none.

    Returns
    -------
    WallResult
        Parasternal long axis: dimensions, mass and geometry. Other views: volumes, shape, left atrium (not in the
        three-chamber and short-axis view), wall.
    """
    chosen = options or MeasureOptions()
    if view is View.PLAX:
        points, reasons = measuring_line(masks, spacing_mm)
        lines = dimension_curves(points, spacing_mm, reasons=reasons, method="measuring line across the masks")
        return WallResult(tuple(dimension_measurements(lines, phases, times_s, view, chosen.subject)), {})
    wall = wall_measurements(
        tracks,
        phases,
        times_s,
        spacing_mm,
        view,
        options=chosen.strain,
        filter_s=chosen.filter_s,
        forward_backward_px=forward_backward_px,
        frames=frames,
        reason=reason,
    )
    volumes = volume_measurements(masks, phases, times_s, spacing_mm, view, curve=curve, convention=chosen.convention)
    followed = next(iter(wall.curves.values()), ())
    unseen = wall_doubts(phases, times_s, view, followed, curve.walls, frames, mirrored=chosen.mirrored)
    line = next(iter(tracks.values()), None)
    astray = size_doubt(curve.area, line, spacing_mm) if line is not None and view is not View.PSAX else ""
    if astray:
        unseen = {beat: [*reasons, astray] for beat, reasons in unseen.items()}
    rows = doubt_volumes(volumes, unseen)
    if view is not View.PSAX:
        rows += shape_measurements(curve, phases, times_s, view)
    if view in (View.A4C, View.A2C, View.UNKNOWN):
        recording = ApicalView(masks, phases, times_s, spacing_mm, view, curve)
        rows += atrial_measurements(recording, subject=chosen.subject, technique=chosen.technique)
    return WallResult((*rows, *wall.measurements), wall.curves, unseen)
