"""Mass of the left ventricle from its linear dimensions, its index, relative wall thickness and geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

from echomotion.core.measurement import Measurement
from echomotion.core.subject import Sex, Subject
from echomotion.measure.beats import mean_over_beats
from echomotion.measure.rows import NO_BODY_SIZE, UNCALIBRATED, judged

MASS, INDEX, GEOMETRY = "lv_mass", "lv_mass_index", "lv_geometry"
_INPUTS = ("septal_thickness_diastole", "lv_internal_diameter_diastole", "posterior_wall_thickness_diastole")
_RELATIVE = "relative_wall_thickness"
# Upper limits of normal for the linear method (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).
MAX_INDEX = {Sex.FEMALE: 95.0, Sex.MALE: 115.0}
MAX_RELATIVE_THICKNESS = 0.42


class LvGeometry(StrEnum):
    """Geometry of the left ventricle; as a measurement its value is the position in this order, from 0."""

    NORMAL = "normal geometry"
    CONCENTRIC_REMODELLING = "concentric remodelling"
    CONCENTRIC_HYPERTROPHY = "concentric hypertrophy"
    ECCENTRIC_HYPERTROPHY = "eccentric hypertrophy"


def lv_mass(septum_mm: float, diameter_mm: float, posterior_mm: float) -> float:
    """Mass in g, ``0.8 * 1.04 * ((IVSd + LVIDd + LVPWd)^3 - LVIDd^3) + 0.6`` with lengths in cm.

    (Devereux et al. 1986, doi 10.1016/0002-9149(86)90771-X; Lang et al. 2015, doi 10.1016/j.echo.2014.10.003.)

    Parameters
    ----------
    septum_mm, diameter_mm, posterior_mm : float
        IVSd, LVIDd and LVPWd in mm.
    """
    outer = septum_mm + diameter_mm + posterior_mm
    return 0.8 * 1.04 * (outer**3 - diameter_mm**3) / 1000 + 0.6


def relative_wall_thickness(diameter: float, posterior: float) -> float:
    """``2 * LVPWd / LVIDd``, both in the same unit (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003)."""
    return 2 * posterior / diameter if diameter else math.nan


def lv_geometry(index_g_m2: float, relative_thickness: float, sex: Sex) -> LvGeometry:
    """Class by mass index (over 95 g/m2 in women, 115 in men) and relative wall thickness (over 0.42).

    (Lang et al. 2015, figure 6, doi 10.1016/j.echo.2014.10.003.)
    """
    heavy, thick = index_g_m2 > MAX_INDEX[sex], relative_thickness > MAX_RELATIVE_THICKNESS
    if heavy:
        return LvGeometry.CONCENTRIC_HYPERTROPHY if thick else LvGeometry.ECCENTRIC_HYPERTROPHY
    return LvGeometry.CONCENTRIC_REMODELLING if thick else LvGeometry.NORMAL


def mass_measurements(rows: Sequence[Measurement], subject: Subject | None, n_beats: int) -> list[Measurement]:
    """Mass and its index per beat and averaged, and one geometry from the averages.

    Parameters
    ----------
    rows : sequence of Measurement
        From :func:`echomotion.measure.dimensions.dimension_measurements`.
    subject : Subject or None
        The index needs height and weight, the geometry the sex too.
    n_beats : int
        Number of beats in `rows`.

    Returns
    -------
    list of Measurement
        ``lv_mass`` in g, ``lv_mass_index`` in g/m2; then ``lv_geometry``, whose value is the position in
        :class:`LvGeometry` and whose method names the class.
    """
    found: list[Measurement] = []
    for beat in dict.fromkeys(row.beat for row in rows if row.beat is not None or n_beats < 2):
        found += _beat_mass([row for row in rows if row.beat == beat], subject)
    found += mean_over_beats(found, n_beats)
    beat = None if n_beats > 1 else rows[0].beat
    index = next(row for row in found if row.name == INDEX and row.beat == beat)
    relative = next(row for row in rows if row.name == _RELATIVE and row.beat == beat)
    return [*found, _geometry(index, relative, subject)]


def _beat_mass(rows: Sequence[Measurement], subject: Subject | None) -> list[Measurement]:
    inputs = [row for name in _INPUTS for row in rows if row.name == name]
    missing = next((row.reason for row in inputs if math.isnan(row.value)), "")
    if not missing and any(row.unit != "mm" for row in inputs):
        missing = UNCALIBRATED
    doubt = [part for row in inputs if row.reason for part in row.reason.split("; ")]
    frames = tuple(dict.fromkeys(frame for row in inputs for frame in row.frames))
    first = inputs[0]
    value = math.nan if missing else lv_mass(*(row.value for row in inputs))
    method = "cube formula of Devereux from IVSd, LVIDd and LVPWd"
    mass = judged(MASS, value, "g", method, frames, missing=missing, doubts=doubt, view=first.view, beat=first.beat)
    surface = None if subject is None else subject.body_surface_m2
    lacking = missing or ("" if surface else NO_BODY_SIZE)
    value = value / surface if surface else math.nan
    method = f"{method}, over the body surface after Du Bois"
    index = judged(
        INDEX, value, "g/m2", method, frames, missing=lacking, doubts=doubt, view=first.view, beat=first.beat
    )
    return [mass, index]


def _geometry(index: Measurement, relative: Measurement, subject: Subject | None) -> Measurement:
    """The class of a mass index and a relative wall thickness."""
    sex = None if subject is None else subject.sex
    missing = next((row.reason for row in (index, relative) if math.isnan(row.value)), "")
    missing = missing or ("" if sex else "the sex is needed for the limits of the mass index")
    where = {"view": index.view, "beat": index.beat}
    if missing or sex is None:
        method = f"mass index over {MAX_INDEX[Sex.FEMALE]:g} (women) or {MAX_INDEX[Sex.MALE]:g} g/m2 (men)"
        method += f", relative wall thickness over {MAX_RELATIVE_THICKNESS:g}"
        return Measurement.missing(GEOMETRY, "class", missing, method=method, frames=index.frames, **where)
    kind = lv_geometry(index.value, relative.value, sex)
    method = (
        f"{kind}: mass index {index.value:.0f} g/m2 (limit {MAX_INDEX[sex]:g}), "
        f"relative wall thickness {relative.value:.2f} (limit {MAX_RELATIVE_THICKNESS:g})"
    )
    doubt = [part for row in (index, relative) if row.reason for part in row.reason.split("; ")]
    value = list(LvGeometry).index(kind)
    return judged(GEOMETRY, value, "class", method, index.frames, doubts=doubt, view=index.view, beat=index.beat)
