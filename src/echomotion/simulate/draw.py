"""Hearts at random: healthy and ill, in every view, at any rate, drawn from plausible ranges.

Sizes and strains follow the reference ranges of adults (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003), widened.
"""

from __future__ import annotations

import numpy as np

from echomotion.core import View
from echomotion.simulate.checks import check_name
from echomotion.simulate.heart import (
    KINDS,
    LATEST_SHARE,
    THICKEST_SHARE,
    Contraction,
    HeartParameters,
    Lesion,
    Pose,
    Shape,
    Surroundings,
    WholeMotion,
    simulated_view,
    wall_segments,
)
from echomotion.simulate.rhythm import Rhythm, fibrillation, steady_rhythm

_KIND_SHARES = (0.34, 0.14, 0.1, 0.12, 0.1, 0.12, 0.08)
_FIBRILLATION_SHARE = 0.08
# Drawn walls keep this part of the thickest that their cavity allows.
_SPARE = 0.97

# Shortening along and round the long axis in the middle of the wall, lowest and highest of each kind.
_STRENGTH: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "healthy": ((0.165, 0.215), (0.15, 0.195)),
    "reduced": ((0.065, 0.135), (0.06, 0.12)),
    "hypertrophic": ((0.1, 0.165), (0.11, 0.15)),
    "dilated": ((0.05, 0.11), (0.035, 0.09)),
    "dyssynchronous": ((0.09, 0.155), (0.07, 0.13)),
    "akinetic": ((0.15, 0.21), (0.13, 0.185)),
    "dyskinetic": ((0.14, 0.2), (0.12, 0.175)),
}

# Place of the apex across the picture in mm and turn in degrees. In the four-chamber view the left ventricle lies
# right of the middle, so that the right one is seen; in the view of the right ventricle it is the other way round.
_APICAL_POSE: dict[View, tuple[tuple[float, float], tuple[float, float]]] = {
    View.A4C: ((-4.0, 6.0), (-8.0, 3.0)),
    View.A2C: ((-6.0, 6.0), (-7.0, 7.0)),
    View.A3C: ((-6.0, 6.0), (-7.0, 7.0)),
    View.RV_FOCUSED: ((-12.0, 0.0), (-4.0, 6.0)),
}
_APEX_SLOPE = 0.4


def draw_heart(view: View | str, rng: np.random.Generator, kind: str | None = None) -> HeartParameters:
    """A heart at random.

    Parameters
    ----------
    view : View
        One of :data:`~echomotion.simulate.heart.VIEWS`.
    rng : numpy.random.Generator
        The only source of randomness.
    kind : str, optional
        One of :data:`~echomotion.simulate.heart.KINDS`; drawn where not given.

    Raises
    ------
    DataError
        When the view or the kind is unknown.
    """
    which = simulated_view(view)
    if kind is None:
        kind = str(rng.choice(KINDS, p=_KIND_SHARES))
    check_name("kind", kind, KINDS)
    # A generator for each part: views that need more numbers for one part leave the others as they are.
    shape_rng, rhythm_rng, contraction_rng, pose_rng, motion_rng, sizes_rng = (
        np.random.default_rng(number) for number in rng.integers(2**62, size=6)
    )
    shape = _shape(which, kind, shape_rng)
    rhythm = draw_rhythm(rhythm_rng)
    return HeartParameters(
        which,
        kind,
        shape,
        _contraction(which, kind, rhythm, contraction_rng),
        _pose(which, shape, pose_rng),
        rhythm,
        draw_motion(motion_rng),
        Surroundings(
            atrium_length_mm=sizes_rng.uniform(32, 55),
            right_ventricle_mm=sizes_rng.uniform(18, 30),
            leaflet_mm=sizes_rng.uniform(0.9, 1.1) * shape.cavity_radius_mm,
        ),
    )


def _shape(view: View, kind: str, rng: np.random.Generator) -> Shape:
    thickness = rng.uniform(7.0, 10.5)
    radius = rng.uniform(20.0, 25.5)
    length = rng.uniform(76.0, 95.0)
    septum = lateral = 1.0
    if kind == "dilated" or (kind in ("reduced", "dyssynchronous") and rng.random() < 0.5):
        radius, length, thickness = rng.uniform(27.0, 36.0), rng.uniform(90.0, 112.0), rng.uniform(6.5, 9.0)
    elif kind == "hypertrophic":
        radius, thickness = rng.uniform(20.0, 24.0), rng.uniform(12.0, 15.5)
        septum = rng.uniform(1.0, 1.15)
        lateral = rng.uniform(0.8, 1.0)
    apex = rng.uniform(0.65, 0.85) * thickness
    if view is View.RV_FOCUSED:
        radius, length = rng.uniform(15.0, 20.0), rng.uniform(66.0, 86.0)
        thickest = _SPARE * THICKEST_SHARE["thickness_second_mm"] * radius
        free = rng.uniform(3.5, 5.5)
        return Shape(
            length, radius, rng.uniform(108, 120), rng.uniform(0.05, 0.15), rng.uniform(-0.08, 0.05),
            free, max(4.0, 0.8 * free), min(thickness, thickest),
        )  # fmt: skip
    first, second = (septum, lateral) if view is not View.A2C else (lateral, septum)
    if view is View.A3C:
        first, second = lateral, septum
    return Shape(
        length,
        radius,
        rng.uniform(116.0, 130.0),
        rng.uniform(0.08, 0.22),
        rng.uniform(-0.1, 0.1),
        min(first * thickness * rng.uniform(0.93, 1.07), _SPARE * THICKEST_SHARE["thickness_first_mm"] * radius),
        min(apex, 10.0, _SPARE * THICKEST_SHARE["thickness_apex_mm"] * radius),
        min(second * thickness * rng.uniform(0.93, 1.07), _SPARE * THICKEST_SHARE["thickness_second_mm"] * radius),
    )


def _contraction(view: View, kind: str, rhythm: Rhythm, rng: np.random.Generator) -> Contraction:
    along, round_axis = _STRENGTH[kind]
    longitudinal, circumferential = rng.uniform(*along), rng.uniform(*round_axis)
    twist = rng.uniform(-4.0, 8.0)
    if view is View.RV_FOCUSED:
        longitudinal, circumferential = min(1.2 * longitudinal, 0.27), 0.7 * circumferential
    return Contraction(
        longitudinal,
        circumferential,
        gradient=rng.uniform(-0.05, 0.3),
        annulus=rng.uniform(0.3, 0.7),
        apex_motion_mm=rng.uniform(-1.0, 1.5),
        twist_deg=twist if view is View.PSAX else 0.0,
        isovolumic=rng.uniform(0.0, 0.012),
        lesions=_lesions(view, kind, 0.9 * LATEST_SHARE * min(rhythm.rr_s), rng),
    )


def _lesions(view: View, kind: str, latest_s: float, rng: np.random.Generator) -> tuple[Lesion, ...]:
    segments = wall_segments(view)
    # Every heart is a little uneven.
    usual = [
        Lesion(name, float(np.clip(rng.normal(1.0, 0.07), 0.8, 1.2)), float(np.clip(rng.normal(0, 0.008), -0.02, 0.02)))
        for name in segments
    ]
    if kind == "dyssynchronous":
        # Left bundle branch block: the septum early and short, the opposite wall late.
        late = min(rng.uniform(0.05, 0.13), latest_s - 0.02)
        early_half = _septal_half(view)
        return tuple(
            Lesion(n, u.scale * (0.75 if e else 1.05), u.delay_s + (-0.02 if e else late))
            for n, u, e in zip(segments, usual, early_half, strict=True)
        )
    if kind in ("akinetic", "dyskinetic"):
        scale = rng.uniform(-0.05, 0.25) if kind == "akinetic" else rng.uniform(-0.45, -0.15)
        middle = int(rng.integers(len(segments)))
        extent = rng.uniform(0.8, 2.6)
        delay = min(rng.uniform(0.0, 0.06), latest_s)
        rest = [u for k, u in enumerate(usual) if abs(k - middle) > extent / 2]
        return (*rest, Lesion(segments[middle], scale, delay, extent))
    return tuple(usual)


def _septal_half(view: View) -> tuple[bool, ...]:
    """Which of the six segments are early when conduction to the other wall is delayed."""
    if view is View.PSAX:
        return (True, True, True, False, False, False)
    if view in (View.A3C, View.RV_FOCUSED):
        return (False, False, False, True, True, True)
    return (True, True, True, False, False, False)


def _pose(view: View, shape: Shape, rng: np.random.Generator) -> Pose:
    if view is View.PSAX:
        outer = shape.cavity_radius_mm + shape.thickness_first_mm
        return Pose(rng.uniform(-8, 14), rng.uniform(outer + 22, outer + 42), rng.uniform(-12, 12))
    if view is View.PLAX:
        outer = shape.cavity_radius_mm + shape.thickness_first_mm
        return Pose(
            rng.uniform(6, 24) - shape.cavity_length_mm, rng.uniform(outer + 30, outer + 46), rng.uniform(-12, 8)
        )
    (left, right), turns = _APICAL_POSE[view]
    x, y = rng.uniform(left, right), rng.uniform(14, 28) + shape.thickness_apex_mm / 2
    # The apex lies in the fan, which is narrow there.
    return Pose(float(np.clip(x, -_APEX_SLOPE * y, _APEX_SLOPE * y)), y, rng.uniform(*turns))


def draw_rhythm(rng: np.random.Generator) -> Rhythm:
    """A rhythm at random: mostly regular at 45 to 140 beats a minute, sometimes atrial fibrillation."""
    rate = float(np.clip(np.exp(rng.normal(np.log(70.0), 0.25)), 42.0, 148.0))
    if rng.random() < _FIBRILLATION_SHARE:
        return fibrillation(max(rate, 60.0), rng)
    early = rng.uniform(0.45, 0.75)
    return steady_rhythm(rate, early_share=early, late_share=rng.uniform(0.75, 1.0) * (0.97 - early))


def draw_motion(rng: np.random.Generator) -> WholeMotion:
    """Movement of the whole picture at random: small as a rule, sometimes large."""
    size = rng.choice([0.4, 1.0, 2.0], p=[0.5, 0.35, 0.15])
    return WholeMotion(
        translation_mm=tuple(np.clip(size * rng.normal(0, 1.2, 2), -8, 8)),
        rocking_deg=float(np.clip(size * rng.normal(0, 1.5), -10, 10)),
        drift_mm=tuple(np.clip(size * rng.normal(0, 1.0, 2), -8, 8)),
        drift_deg=float(np.clip(size * rng.normal(0, 0.7), -6, 6)),
        drift_period_s=float(rng.uniform(2.0, 6.0)),
        drift_phase=float(rng.uniform()),
    )
