"""Volume of the left atrium from one or two apical views, and its index to body surface."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.core.masks import LEFT_ATRIUM, Masks
from echomotion.core.measurement import Measurement
from echomotion.core.subject import Subject
from echomotion.core.views import View
from echomotion.measure.area_length import chamber_volume
from echomotion.measure.beats import doubts, mean_over_beats
from echomotion.measure.biplane import ApicalView, beat_pairs, refusal, shared_doubts
from echomotion.measure.contours import FloatArray, largest_component, level_contour
from echomotion.measure.disks import ChamberPlane, Convention, Technique, chamber_plane, chosen
from echomotion.measure.rows import NO_BODY_SIZE, UNCALIBRATED, judged, phase_frame
from echomotion.measure.volumes import method_words
from echomotion.measure.wall import WallNotFoundError, enclosed_area, find_wall, is_cut

NAMES = ("left_atrial_volume", "left_atrial_volume_index")
# Lang et al. 2015: the two lengths of one atrium differ by less.
MAX_LENGTH_DIFFERENCE_MM = 5.0
# An atrium with a smaller part of the ventricle's area is a crumb, or cut by the fan.
MIN_SHARE = 0.1


class AtriumNotFoundError(DataError):
    """No left atrium can be outlined on a frame; `reason` says why."""

    def __init__(self, reason: str, frame: int) -> None:
        self.reason = reason
        super().__init__(f"no left atrium on frame {frame}: {reason}")


def atrium_plane(masks: Masks, frame: int, spacing_mm: tuple[float, float] | None = None) -> ChamberPlane:
    """Slice the left atrium on one frame, in mm; in px, of square pixels, without spacing.

    Its base is the mitral annulus, as the ventricle's wall gives it; its length runs from the middle of the annulus at
    right angles to it to the height of the roof (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).

    Raises
    ------
    AtriumNotFoundError
        Without an atrium or an annulus, or where the border of the image cuts the atrium.
    """
    if not masks.has(LEFT_ATRIUM):
        raise AtriumNotFoundError("the segmentation has no class left_atrium", frame)
    try:
        wall = find_wall(masks, frame, spacing_mm)
    except WallNotFoundError as error:
        raise AtriumNotFoundError(f"the mitral annulus is not found ({error.reason})", frame) from None
    labels = masks.labels[frame]
    atrium = largest_component(labels == masks.label_of(LEFT_ATRIUM))
    sy, sx = (1.0, 1.0) if spacing_mm is None else checked_spacing(spacing_mm)
    area = np.count_nonzero(atrium) * sx * sy
    if area < MIN_SHARE * enclosed_area(wall, spacing_mm):
        raise AtriumNotFoundError("the left atrium is missing or too small", frame)
    smooth = max(0.01 * math.sqrt(area), 0.7 * max(sx, sy))
    field = ndimage.gaussian_filter(atrium.astype(np.float64), (smooth / sy, smooth / sx), mode="nearest", truncate=3.0)
    contour = level_contour(field)
    if is_cut(contour, labels.shape):
        raise AtriumNotFoundError("the left atrium reaches the border of the image, a part of it is not seen", frame)
    return _sliced(contour * (sx, sy), wall.annulus * (sx, sy), 2.5 * smooth, frame)


def _sliced(contour: FloatArray, annulus: FloatArray, reach: float, frame: int) -> ChamberPlane:
    """The plane of a closed outline (M, 2) that hangs from the annulus; all in one unit.

    Nearer to the annulus than `reach` the outline is drawn straight to the annulus points: smoothing rounded it off.
    """
    middle = annulus.mean(axis=0)
    across = (annulus[1] - annulus[0]) / np.hypot(*(annulus[1] - annulus[0]))
    upward = np.array([-across[1], across[0]])
    if np.mean((contour - middle) @ upward) < 0:
        upward = -upward
    height = (contour - middle) @ upward
    near = np.flatnonzero(height < reach)
    far = np.count_nonzero(height >= reach)
    if not len(near) or not far:
        raise AtriumNotFoundError("the left atrium does not lie at the mitral annulus", frame)
    # The point of the outline nearest to the annulus is left out, so the rest runs from one side to the other.
    order = np.roll(np.arange(len(contour)), -int(np.argmin(height)))
    border = contour[order[height[order] >= reach]]
    ends = annulus if (border[0] - middle) @ across < (border[-1] - middle) @ across else annulus[::-1]
    return chamber_plane(np.concatenate([ends[:1], border, ends[1:]]), annulus, middle + float(np.max(height)) * upward)


def atrial_measurements(
    first: ApicalView,
    second: ApicalView | None = None,
    *,
    subject: Subject | None = None,
    technique: str = Technique.DISKS,
) -> list[Measurement]:
    """Largest volume of the left atrium, at end-systole, and its index, per beat and averaged.

    Parameters
    ----------
    first : ApicalView
        A four- or two-chamber view; ``UNKNOWN`` is taken as one, with status ``low_confidence``.
    second : ApicalView, optional
        The other of the two, for a biplane volume; the beats are paired in their order.
    subject : Subject, optional
        The index needs height and weight.
    technique : str
        ``disks`` or ``area_length``.

    Returns
    -------
    list of Measurement
        For each beat (pair of beats) ``left_atrial_volume`` in mL (px3, ``low_confidence``, from a single view without
        calibration) and ``left_atrial_volume_index`` in mL/m2; where there are several, then the means over beats.

    Raises
    ------
    DataError
        On an unknown technique.
    """
    way = chosen(Technique, technique)
    recordings = (first,) if second is None else (first, second)
    unit = "px3" if first.spacing_mm is None else "mL"
    reason = _single_refusal(first) if second is None else refusal(first, second, "left atrial volumes")
    where = first.view if second is None else None
    if reason:
        return [
            Measurement.missing(NAMES[0], unit, reason, view=where),
            Measurement.missing(NAMES[1], "mL/m2", reason, view=where),
        ]
    rows: list[Measurement] = []
    beats = [(beat,) for beat in first.phases.beats] if second is None else beat_pairs(first, second)
    for k, pair in enumerate(beats):
        found = [
            _at_end_systole(recording, beat.es_s, named=second is not None)
            for recording, beat in zip(recordings, pair, strict=True)
        ]
        planes = [plane for plane, _, _ in found if plane is not None]
        frames = [frame for _, frame, _ in found if frame is not None]
        problem = next((why for _, _, why in found if why), "")
        doubt = (
            doubts(first.phases, first.view) if second is None else shared_doubts(first, second, (pair[0], pair[-1]))
        )
        volume = math.nan
        if not problem:
            volume = chamber_volume(way, planes[0], planes[-1]) / (1 if unit == "px3" else 1000)
            gap = abs(planes[0].length - planes[-1].length)
            if unit == "mL" and gap > MAX_LENGTH_DIFFERENCE_MM:
                doubt.append(f"the atrium's lengths in the two views differ by {gap:.0f} mm: one may be foreshortened")
        own = [UNCALIBRATED] if unit == "px3" else []
        method = method_words(way, Convention.ASE, "monoplane" if second is None else "biplane") + " at end-systole"
        rows.append(
            judged(NAMES[0], volume, unit, method, frames, missing=problem, doubts=own + doubt, view=where, beat=k)
        )
        surface = None if subject is None else subject.body_surface_m2
        lacking = problem or (UNCALIBRATED if unit == "px3" else "" if surface else NO_BODY_SIZE)
        value = volume / surface if surface else math.nan
        method = f"{method}, over the body surface after Du Bois"
        rows.append(judged(NAMES[1], value, "mL/m2", method, frames, missing=lacking, doubts=doubt, view=where, beat=k))
    return rows + mean_over_beats(rows, len(beats))


def _single_refusal(recording: ApicalView) -> str:
    """Why one recording gives no volume of the atrium; empty where it does."""
    if recording.view not in (View.A4C, View.A2C, View.UNKNOWN):
        return f"left atrial volumes need an A4C or A2C view, this one is {recording.view}"
    if not recording.phases.beats:
        return recording.phases.reason or "no heart beat was found in the recording"
    return ""


def _at_end_systole(
    recording: ApicalView, time_s: float, *, named: bool
) -> tuple[ChamberPlane | None, int | None, str]:
    """Plane and frame at an end-systole, and why there is no plane; the reason names the view where there are two."""
    frame, problem = phase_frame(recording.times_s, time_s, "end-systole")
    plane = None
    if frame is not None:
        try:
            plane = atrium_plane(recording.masks, frame, recording.spacing_mm)
        except AtriumNotFoundError as error:
            problem = str(error)
    return plane, frame, f"{recording.view}: {problem}" if problem and named else problem
