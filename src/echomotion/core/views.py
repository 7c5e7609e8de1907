"""The views of the heart that a clip may show, and the names of the wall segments in each."""

from __future__ import annotations

from enum import StrEnum

from echomotion.core.errors import DataError


class View(StrEnum):
    """Standard transthoracic views."""

    A4C = "A4C"
    A2C = "A2C"
    A3C = "A3C"
    PLAX = "PLAX"
    PSAX = "PSAX"
    RV_FOCUSED = "RV_FOCUSED"
    UNKNOWN = "UNKNOWN"

    @property
    def is_apical_lv(self) -> bool:
        """Whether the left ventricle is seen from its apex."""
        return self in (View.A4C, View.A2C, View.A3C)


# The two walls of each apical view in the standard (ASE) display, image left first.
WALLS: dict[View, tuple[str, str]] = {
    View.A4C: ("inferoseptal", "anterolateral"),
    View.A2C: ("inferior", "anterior"),
    View.A3C: ("inferolateral", "anteroseptal"),
    View.UNKNOWN: ("left_wall", "right_wall"),
}

# The apical third has four names in the 16- and 17-segment models; septal and lateral in the four-chamber view.
_APICAL = {
    "inferoseptal": "septal",
    "anterolateral": "lateral",
    "inferolateral": "lateral",
    "anteroseptal": "anterior",
}
APEX = "apex"
# Round the short axis, in the order in which guidelines number them.
_ROUND = ("anterior", "anteroseptal", "inferoseptal", "inferior", "inferolateral", "anterolateral")
_ROUND_APEX = ("anterior", "septal", "inferior", "lateral")
# Round the short axis as displayed, clockwise from the inferior insertion of the right ventricle.
_CLOCKWISE = ("inferoseptal", "anteroseptal", "anterior", "anterolateral", "inferolateral", "inferior")
_CLOCKWISE_APEX = ("septal", "anterior", "lateral", "inferior")


class SegmentModel(StrEnum):
    """Into how many segments the left ventricle is divided.

    16: six at the base and in the middle, four at the apex. 17: the same with a cap, the ``apex``. 18: six at every
    level (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003; Voigt et al. 2015, doi 10.1093/ehjci/jeu184).
    """

    SIXTEEN = "16"
    SEVENTEEN = "17"
    EIGHTEEN = "18"

    @classmethod
    def of(cls, value: SegmentModel | str | int) -> SegmentModel:
        """The model with that number of segments, or :class:`DataError`."""
        try:
            return cls(str(value))
        except ValueError:
            raise DataError(f"the segment model is {value!r}; 16, 17 or 18 segments are needed") from None

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of all segments, numbered as in the guidelines: base, middle, apex, each from anterior round."""
        apical = _ROUND if self is SegmentModel.EIGHTEEN else _ROUND_APEX
        names = tuple(f"{level}_{wall}" for level in ("basal", "mid") for wall in _ROUND)
        cap = (APEX,) if self is SegmentModel.SEVENTEEN else ()
        return names + tuple(f"apical_{wall}" for wall in apical) + cap

    @property
    def borders(self) -> tuple[float, ...]:
        """Where the segments of one wall end, as shares of its arc from annulus to apex.

        Equal thirds; with a cap, seven segments of equal length along both walls, so that the cap takes half of one
        from each.
        """
        return (2 / 7, 4 / 7, 6 / 7) if self is SegmentModel.SEVENTEEN else (1 / 3, 2 / 3)


def segment_names(view: View, model: SegmentModel | str | int = SegmentModel.SIXTEEN) -> tuple[str, ...]:
    """Segment names along the wall of an apical view, from the base on the image's left over the apex to the right.

    Six names, seven with the cap of the 17-segment model. Names follow Lang et al. 2015
    (doi 10.1016/j.echo.2014.10.003).
    """
    which = SegmentModel.of(model)
    first, second = WALLS.get(view, WALLS[View.UNKNOWN])
    short = {} if which is SegmentModel.EIGHTEEN else _APICAL
    return (
        f"basal_{first}",
        f"mid_{first}",
        f"apical_{short.get(first, first)}",
        *((APEX,) if which is SegmentModel.SEVENTEEN else ()),
        f"apical_{short.get(second, second)}",
        f"mid_{second}",
        f"basal_{second}",
    )


def short_axis_names(level: str = "mid", model: SegmentModel | str | int = SegmentModel.SIXTEEN) -> tuple[str, ...]:
    """Segment names round the short axis as displayed, clockwise from the inferior insertion of the right ventricle.

    Parameters
    ----------
    level : str
        ``basal``, ``mid`` or ``apical``; four segments at the apex, six there in the 18-segment model.
    """
    if level not in ("basal", "mid", "apical"):
        raise DataError(f"the level of the short axis is {level!r}; basal, mid or apical is needed")
    four = level == "apical" and SegmentModel.of(model) is not SegmentModel.EIGHTEEN
    return tuple(f"{level}_{wall}" for wall in (_CLOCKWISE_APEX if four else _CLOCKWISE))
