"""What a simulated heart is made of: shape, contraction, place in the picture, rhythm, movement as a whole.

Every parameter is checked against its range when the heart is made; :func:`draw_heart` draws one at random.
Lengths are in mm, times in seconds, angles in degrees, shortenings as fractions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from echomotion.core import DataError, View, segment_names
from echomotion.core.clip import set_field
from echomotion.simulate.checks import check_name, check_range, check_ranges
from echomotion.simulate.rhythm import Rhythm, steady_rhythm

KINDS = (
    "healthy",
    "reduced",
    "hypertrophic",
    "dilated",
    "dyssynchronous",
    "akinetic",
    "dyskinetic",
)
VIEWS = (View.A4C, View.A2C, View.A3C, View.PLAX, View.PSAX, View.RV_FOCUSED)

# Segments in their order along the wall: open walls from the first base over the apex to the second,
# the short axis clockwise from seven o'clock (16-segment model, Lang et al. 2015).
_OTHER_SEGMENTS = {
    View.PLAX: (
        "basal_anteroseptal",
        "mid_anteroseptal",
        "apical_anterior",
        "apical_lateral",
        "mid_inferolateral",
        "basal_inferolateral",
    ),
    View.PSAX: (
        "mid_inferoseptal",
        "mid_anteroseptal",
        "mid_anterior",
        "mid_anterolateral",
        "mid_inferolateral",
        "mid_inferior",
    ),
    View.RV_FOCUSED: (
        "basal_free_wall",
        "mid_free_wall",
        "apical_free_wall",
        "apical_septum",
        "mid_septum",
        "basal_septum",
    ),
}


def simulated_view(view: View | str) -> View:
    """The view of that name, in any case, or :class:`DataError` that lists those which can be simulated."""
    name = str(view).upper().replace("-", "_")
    if name not in [str(v) for v in VIEWS]:
        raise DataError(f"view is {str(view)!r}; one of {', '.join(VIEWS)} is needed")
    return View(name)


def wall_segments(view: View | str) -> tuple[str, ...]:
    """The six segments of the wall that a view shows, in their order along it."""
    which = simulated_view(view)
    return _OTHER_SEGMENTS.get(which) or segment_names(which)


@dataclass(frozen=True)
class Shape:
    """The ventricle at end-diastole.

    Attributes
    ----------
    cavity_length_mm : float
        From the middle of the annulus to the endocardial apex; unused in the short axis.
    cavity_radius_mm : float
        Half the largest width of the cavity.
    base_angle_deg : float
        Where the ellipse that the wall follows is cut off by the annulus; 90 is its widest place.
    roundness : float
        0 is an ellipse; larger is blunter at the apex and narrower at the annulus.
    skew : float
        How far the first wall bulges less than the second, as a part of the radius.
    thickness_first_mm, thickness_apex_mm, thickness_second_mm : float
        Of the wall on the image's left (above in the parasternal view), at the apex, and of the other wall.
    """

    cavity_length_mm: float = 85.0
    cavity_radius_mm: float = 22.0
    base_angle_deg: float = 124.0
    roundness: float = 0.15
    skew: float = 0.05
    thickness_first_mm: float = 9.0
    thickness_apex_mm: float = 7.0
    thickness_second_mm: float = 9.0

    def __post_init__(self) -> None:
        check_ranges(self, SHAPE_RANGES)
        for name, share in THICKEST_SHARE.items():
            thickest = share * self.cavity_radius_mm
            if getattr(self, name) > thickest:
                raise DataError(
                    f"{name} is {getattr(self, name):g}: the wall is too thick for its cavity; it must lie between "
                    f"{SHAPE_RANGES[name][0]:g} and {thickest:g}, {share:g} of cavity_radius_mm"
                )


# A thicker wall would close its cavity in an ordinary contraction; parts of the cavity's radius.
THICKEST_SHARE = {"thickness_first_mm": 0.68, "thickness_apex_mm": 0.42, "thickness_second_mm": 0.68}
SHAPE_RANGES: dict[str, tuple[float, float]] = {
    "cavity_length_mm": (55.0, 125.0),
    "cavity_radius_mm": (14.0, 40.0),
    "base_angle_deg": (105.0, 132.0),
    "roundness": (0.05, 0.25),
    "skew": (-0.12, 0.12),
    "thickness_first_mm": (3.0, 18.0),
    "thickness_apex_mm": (3.0, 10.0),
    "thickness_second_mm": (3.0, 18.0),
}


@dataclass(frozen=True)
class Lesion:
    """A stretch of wall that contracts otherwise than the rest.

    Attributes
    ----------
    segment : str
        Its middle is the middle of this segment (:func:`wall_segments`).
    scale : float
        Contraction relative to the rest: 0 akinetic, negative dyskinetic (bulges in systole).
    delay_s : float
        How much later it contracts; at most a fifth of the shortest beat.
    extent : float
        Length in segments.
    """

    segment: str
    scale: float = 1.0
    delay_s: float = 0.0
    extent: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, LESION_RANGES)


LESION_RANGES: dict[str, tuple[float, float]] = {
    "scale": (-0.6, 1.3),
    "delay_s": (-0.08, 0.2),
    "extent": (0.5, 6.0),
}
# Largest delay as a part of the shortest beat.
LATEST_SHARE = 0.2


@dataclass(frozen=True)
class Contraction:
    """How the wall contracts, in its middle layer at end-systole.

    Attributes
    ----------
    longitudinal : float
        Shortening along the long axis (in the short axis: through the plane).
    circumferential : float
        Shortening round the long axis.
    gradient : float
        Longitudinal shortening at the apex less that at the base, as a part of the mean.
    annulus : float
        Circumferential shortening at the annulus as a part of that of the wall.
    apex_motion_mm : float
        How far the outside of the apex moves towards the base.
    twist_deg : float
        Rotation at end-systole, short axis only; positive is clockwise in the picture.
    isovolumic : float
        Longitudinal shortening in isovolumic contraction and lengthening in relaxation, volume kept.
    lesions : tuple of Lesion
    """

    longitudinal: float = 0.19
    circumferential: float = 0.18
    gradient: float = 0.15
    annulus: float = 0.5
    apex_motion_mm: float = 1.0
    twist_deg: float = 0.0
    isovolumic: float = 0.008
    lesions: tuple[Lesion, ...] = ()

    def __post_init__(self) -> None:
        check_ranges(self, CONTRACTION_RANGES)
        set_field(self, "lesions", tuple(self.lesions))


CONTRACTION_RANGES: dict[str, tuple[float, float]] = {
    "longitudinal": (0.0, 0.28),
    "circumferential": (0.0, 0.26),
    "gradient": (-0.4, 0.4),
    "annulus": (0.0, 1.0),
    "apex_motion_mm": (-3.0, 4.0),
    "twist_deg": (-15.0, 15.0),
    "isovolumic": (0.0, 0.03),
}


@dataclass(frozen=True)
class Pose:
    """Where the heart lies in scan space at end-diastole.

    The apex of the cavity's middle line (in the short axis: the centre of the ring) is at `x_mm`, `y_mm`; the long
    axis is turned by `rotation_deg` from the usual direction of the view, clockwise in the picture.
    """

    x_mm: float = 0.0
    y_mm: float = 22.0
    rotation_deg: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, {"x_mm": (-130.0, 60.0), "y_mm": (3.0, 140.0), "rotation_deg": (-45.0, 45.0)})


@dataclass(frozen=True)
class WholeMotion:
    """Movement of the whole picture: no strain comes from it. All zero is a still probe and a heart at rest.

    Attributes
    ----------
    translation_mm : (float, float)
        How far everything has moved along x and y at full contraction.
    rocking_deg : float
        Rotation at full contraction about the middle of the ventricle.
    drift_mm : (float, float)
        Amplitude along x and y of a slow sway by breathing or by the hand that holds the probe.
    drift_deg : float
        Amplitude of its rotation about the probe's tip.
    drift_period_s, drift_phase : float
        Period of the sway and its phase at the first end-diastole in turns.
    """

    translation_mm: tuple[float, float] = (0.0, 0.0)
    rocking_deg: float = 0.0
    drift_mm: tuple[float, float] = (0.0, 0.0)
    drift_deg: float = 0.0
    drift_period_s: float = 4.0
    drift_phase: float = 0.0

    def __post_init__(self) -> None:
        for name in ("translation_mm", "drift_mm"):
            pair = tuple(float(v) for v in getattr(self, name))
            if len(pair) != 2:
                raise DataError(f"{name} needs two numbers, along x and y")
            for value in pair:
                check_range(name, value, -10.0, 10.0)
            set_field(self, name, pair)
        check_ranges(
            self,
            {
                "rocking_deg": (-12.0, 12.0),
                "drift_deg": (-8.0, 8.0),
                "drift_period_s": (0.5, 60.0),
                "drift_phase": (0.0, 1.0),
            },
        )


@dataclass(frozen=True)
class Surroundings:
    """Sizes of what lies round the wall, in mm."""

    atrium_length_mm: float = 42.0
    right_ventricle_mm: float = 24.0
    leaflet_mm: float = 24.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {"atrium_length_mm": (15.0, 80.0), "right_ventricle_mm": (8.0, 50.0), "leaflet_mm": (8.0, 40.0)},
        )


@dataclass(frozen=True)
class HeartParameters:
    """Everything that a simulated heart is made of."""

    view: View
    kind: str = "healthy"
    shape: Shape = field(default_factory=Shape)
    contraction: Contraction = field(default_factory=Contraction)
    pose: Pose = field(default_factory=Pose)
    rhythm: Rhythm = field(default_factory=lambda: steady_rhythm(70.0))
    motion: WholeMotion = field(default_factory=WholeMotion)
    surroundings: Surroundings = field(default_factory=Surroundings)

    def __post_init__(self) -> None:
        set_field(self, "view", simulated_view(self.view))
        check_name("kind", self.kind, KINDS)
        for lesion in self.contraction.lesions:
            check_name("segment", lesion.segment, wall_segments(self.view))
            # Later than this the wall would still be contracted at the next end-diastole.
            latest = LATEST_SHARE * min(self.rhythm.rr_s)
            check_range("delay_s", lesion.delay_s, -latest, latest)

    def with_(self, **changes: Any) -> HeartParameters:
        """A copy with some parts changed, checked again."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = asdict(self)
        values["view"] = str(self.view)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> HeartParameters:
        """The reverse of :meth:`as_dict`, checked again."""
        contraction = dict(values["contraction"])
        contraction["lesions"] = tuple(Lesion(**lesion) for lesion in contraction["lesions"])
        return cls(
            simulated_view(values["view"]),
            values["kind"],
            Shape(**values["shape"]),
            Contraction(**contraction),
            Pose(**values["pose"]),
            Rhythm(**values["rhythm"]),
            WholeMotion(**values["motion"]),
            Surroundings(**values["surroundings"]),
        )
