"""Length and sphericity of the left ventricle in one apical view."""

from __future__ import annotations

import math

from echomotion.core.measurement import Measurement, Phases
from echomotion.core.views import View
from echomotion.measure.beats import doubts, mean_over_beats, not_apical
from echomotion.measure.contours import FloatArray
from echomotion.measure.disks import ChamberPlane
from echomotion.measure.rows import UNCALIBRATED, judged
from echomotion.measure.volumes import VolumeCurve, plane_at

LENGTHS = ("long_axis_length_diastole", "long_axis_length_systole")
SPHERICITIES = ("sphericity_index_diastole", "sphericity_index_systole")


def sphericity_index(plane: ChamberPlane) -> float:
    """Diameter of the ventricle half-way along its long axis, divided by the length of that axis; 1 for a sphere."""
    count = len(plane.diameters)
    # With an even number of slices the half-way level lies between two of them.
    middle = (plane.diameters[(count - 1) // 2] + plane.diameters[count // 2]) / 2
    return float(middle / plane.length)


def shape_measurements(
    curve: VolumeCurve, phases: Phases, times_s: FloatArray, view: View = View.UNKNOWN
) -> list[Measurement]:
    """Length of the long axis and sphericity index at end-diastole and end-systole, per beat and averaged.

    Parameters
    ----------
    curve : VolumeCurve
        From :func:`echomotion.measure.volumes.volume_curve`.
    phases : Phases
        Beats; where there is none, every measurement is ``not_measurable`` with that reason.
    times_s : float (T,)
        Time of each frame.
    view : View
        An apical one; ``UNKNOWN`` is taken as one, with status ``low_confidence``.

    Returns
    -------
    list of Measurement
        :data:`LENGTHS` in mm (px, ``low_confidence``, without calibration) and :data:`SPHERICITIES` (unit ``1``).
    """
    uncalibrated = curve.volume_unit == "px3"
    unit = "px" if uncalibrated else "mm"
    refusal = not_apical(view, "length and sphericity")
    if refusal or not phases.beats:
        reason = refusal or phases.reason or "no heart beat was found in the recording"
        return [Measurement.missing(name, unit, reason, view=view) for name in LENGTHS] + [
            Measurement.missing(name, "1", reason, view=view) for name in SPHERICITIES
        ]
    shared = doubts(phases, view)
    rows = []
    for k, beat in enumerate(phases.beats):
        for i, (phase, time) in enumerate((("end-diastole", beat.ed_s), ("end-systole", beat.es_s))):
            plane, frame, problem = plane_at(curve, times_s, time, phase)
            frames = () if frame is None else (frame,)
            own = [UNCALIBRATED] if uncalibrated else []
            length, index = (math.nan, math.nan) if plane is None else (plane.length, sphericity_index(plane))
            method = f"from the middle of the annulus to the farthest point of the endocardium at {phase}"
            rows.append(
                judged(
                    LENGTHS[i], length, unit, method, frames, missing=problem, doubts=own + shared, view=view, beat=k
                )
            )
            method = f"diameter half-way along the long axis over its length at {phase}"
            method += ", square pixels assumed" if uncalibrated else ""
            rows.append(
                judged(SPHERICITIES[i], index, "1", method, frames, missing=problem, doubts=shared, view=view, beat=k)
            )
    return rows + mean_over_beats(rows, len(phases.beats))
