"""Sex and body size of the person examined: what indexed measurements and sex-specific limits need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from echomotion.core.clip import set_field
from echomotion.core.errors import DataError


class Sex(StrEnum):
    """Sex, where limits of normal differ by it; the values are those of DICOM's Patient's Sex."""

    FEMALE = "F"
    MALE = "M"


# Outside these a number was given in another unit, or mistyped.
_HEIGHT_CM = (40.0, 260.0)
_WEIGHT_KG = (2.0, 400.0)


@dataclass(frozen=True)
class Subject:
    """Sex and body size, each None where it is not known. Holds nothing that names a person.

    Attributes
    ----------
    sex : Sex or None
        ``"F"`` or ``"M"``.
    height_cm : float or None
        From 40 to 260.
    weight_kg : float or None
        From 2 to 400.

    Raises
    ------
    DataError
        When a value is not one of these.
    """

    sex: Sex | None = None
    height_cm: float | None = None
    weight_kg: float | None = None

    def __post_init__(self) -> None:
        if self.sex is not None:
            try:
                set_field(self, "sex", Sex(str(self.sex).strip().upper()))
            except ValueError:
                raise DataError(f"unknown sex {self.sex!r}; F or M is needed, or none") from None
        for name, (low, high) in (("height_cm", _HEIGHT_CM), ("weight_kg", _WEIGHT_KG)):
            value = getattr(self, name)
            if value is None:
                continue
            if not (math.isfinite(value) and low <= value <= high):
                raise DataError(f"{name} is {value:g}; a number from {low:g} to {high:g} is needed")
            set_field(self, name, float(value))

    @property
    def body_surface_m2(self) -> float | None:
        """Body surface area in m2; None without height or weight.

        ``0.007184 * weight_kg**0.425 * height_cm**0.725`` (Du Bois and Du Bois 1916,
        doi 10.1001/archinte.1916.00080130010002).
        """
        if self.height_cm is None or self.weight_kg is None:
            return None
        return 0.007184 * self.weight_kg**0.425 * self.height_cm**0.725
