"""The views of the heart that a clip may show, and the names of the wall segments in each."""

from __future__ import annotations

from enum import StrEnum


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

# The apical third has four names in the 16-segment model; septal and lateral in the four-chamber view.
_APICAL = {
    "inferoseptal": "septal",
    "anterolateral": "lateral",
    "inferolateral": "lateral",
    "anteroseptal": "anterior",
}


def segment_names(view: View) -> tuple[str, ...]:
    """Six segment names along the wall, from the base on the image's left over the apex to the right base.

    Names follow the 16-segment model (Lang et al. 2015, doi 10.1016/j.echo.2014.10.003).
    """
    first, second = WALLS.get(view, WALLS[View.UNKNOWN])
    return (
        f"basal_{first}",
        f"mid_{first}",
        f"apical_{_APICAL.get(first, first)}",
        f"apical_{_APICAL.get(second, second)}",
        f"mid_{second}",
        f"basal_{second}",
    )
