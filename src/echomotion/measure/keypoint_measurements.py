"""Everything that the key-points of a parasternal clip tell: curves, phases, dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echomotion.core.masks import Keypoints
from echomotion.core.measurement import Measurement, Phases
from echomotion.core.subject import Subject
from echomotion.core.views import View
from echomotion.measure.contours import FloatArray
from echomotion.measure.dimensions import CAVITY, DimensionCurves, dimension_curves, dimension_measurements
from echomotion.measure.phases import find_phases


@dataclass(frozen=True)
class KeypointMeasurements:
    """What :func:`keypoint_measurements` found.

    Attributes
    ----------
    curves : DimensionCurves
        Septum, cavity and posterior wall on every frame.
    phases : Phases
    measurements : tuple of Measurement
        As :func:`echomotion.measure.dimensions.dimension_measurements`.
    """

    curves: DimensionCurves
    phases: Phases
    measurements: tuple[Measurement, ...]


def keypoint_measurements(
    keypoints: Keypoints,
    times_s: FloatArray,
    spacing_mm: tuple[float, float] | None = None,
    r_wave_times_s: FloatArray | None = None,
    view: View = View.UNKNOWN,
    *,
    phases: Phases | None = None,
    subject: Subject | None = None,
    method: str = "distance of neighbouring key-points",
) -> KeypointMeasurements:
    """Curves, phases and dimensions from key-points.

    Parameters
    ----------
    keypoints : Keypoints
    times_s, spacing_mm, r_wave_times_s, view
        Of the clip.
    phases : Phases, optional
        Otherwise read from the square of the cavity's diameter, to which its area is proportional.
    subject : Subject, optional
    method : str
        How the points were made, for the report.

    Raises
    ------
    DataError
        When a name of the parasternal key-points is missing.
    """
    curves = dimension_curves(keypoints, spacing_mm, method=method)
    found = phases
    if found is None:
        found = find_phases(np.square(curves.values[CAVITY]), times_s, r_wave_times_s)
    rows = dimension_measurements(curves, found, np.asarray(times_s), view, subject)
    return KeypointMeasurements(curves, found, tuple(rows))
