"""Heart phases and measured numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from echomotion.core.clip import set_field
from echomotion.core.errors import DataError
from echomotion.core.views import View


@dataclass(frozen=True)
class Beat:
    """One heart beat: end-diastole, end-systole and the next end-diastole in seconds.

    `next_ed_s` is None where the recording ends before the beat does. A recording that starts in systole may hold
    only the end-systole of one beat and the end-diastole of the next; then `es_s` precedes `ed_s`, and there is no
    `next_ed_s`.
    """

    ed_s: float
    es_s: float
    next_ed_s: float | None = None

    def __post_init__(self) -> None:
        if self.ed_s == self.es_s or (self.next_ed_s is not None and not self.ed_s < self.es_s):
            raise DataError(f"end-systole ({self.es_s:g} s) must come after end-diastole ({self.ed_s:g} s)")
        if self.next_ed_s is not None and not self.es_s < self.next_ed_s:
            raise DataError(f"the next end-diastole ({self.next_ed_s:g} s) must come after end-systole")

    @property
    def duration_s(self) -> float | None:
        """Length of the beat in seconds, where it is whole."""
        return None if self.next_ed_s is None else self.next_ed_s - self.ed_s


@dataclass(frozen=True)
class Phases:
    """The beats of a clip, where they came from and how sure that is (0 to 1).

    `source` is ``r_wave``, ``area``, ``wall_motion``, ``area_and_wall_motion`` (what the curves were), ``user`` or
    ``simulation``.
    """

    beats: tuple[Beat, ...]
    source: str
    confidence: float
    reason: str = ""

    def __post_init__(self) -> None:
        set_field(self, "beats", tuple(self.beats))
        if not 0 <= self.confidence <= 1:
            raise DataError("the confidence of phases lies between 0 and 1")


class Status(StrEnum):
    """How far a number may be trusted."""

    OK = "ok"
    LOW_CONFIDENCE = "low_confidence"
    NOT_MEASURABLE = "not_measurable"


@dataclass(frozen=True)
class Measurement:
    """One number with everything that a reader needs to judge it.

    Attributes
    ----------
    name : str
        What was measured, the same for all segments, for instance ``longitudinal_strain``.
    value : float
        NaN exactly when `status` is ``not_measurable``; never 0 in place of a missing number.
    unit : str
        ``%``, ``mm``, ``mL``, ``cm2``, ``s``, ``bpm``, or ``px``, ``px2``, ``px3`` without calibration.
    status : Status
    reason : str
        Why the status is not ``ok``; empty when it is.
    method : str
        How the number was made, in one sentence.
    frames : tuple of int
        The frames it was read from.
    view, beat, segment, layer : optional
        Where it applies; `beat` counts from 0.
    interval : (float, float), optional
        95 % interval, in `unit`.
    """

    name: str
    value: float
    unit: str
    status: Status = Status.OK
    reason: str = ""
    method: str = ""
    frames: tuple[int, ...] = ()
    view: View | None = None
    beat: int | None = None
    segment: str | None = None
    layer: str | None = None
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        set_field(self, "value", float(self.value))
        set_field(self, "status", Status(self.status))
        set_field(self, "frames", tuple(int(f) for f in self.frames))
        missing = self.status is Status.NOT_MEASURABLE
        if missing != (not math.isfinite(self.value)):
            raise DataError(f"{self.name}: value {self.value} does not go with status {self.status}")
        if (self.status is Status.OK) != (not self.reason):
            raise DataError(f"{self.name}: a reason is given exactly when the status is not ok")

    @classmethod
    def missing(cls, name: str, unit: str, reason: str, **where: Any) -> Measurement:
        """A number that could not be measured, and why."""
        return cls(name, math.nan, unit, Status.NOT_MEASURABLE, reason, **where)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Measurement:
        """What :meth:`as_dict` made plain.

        Raises
        ------
        DataError
            When a field is missing, unknown or does not fit the others.
        """
        try:
            value = math.nan if row["value"] is None else row["value"]
            view = None if row["view"] is None else View(row["view"])
            interval = None if row["interval"] is None else tuple(row["interval"])
            return cls(**{**row, "value": value, "view": view, "interval": interval})
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"not a measurement: {error}") from None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and tables; NaN becomes None."""
        row = asdict(self)
        row["value"] = self.value if math.isfinite(self.value) else None
        row["status"] = str(self.status)
        row["view"] = None if self.view is None else str(self.view)
        row["layer"] = None if self.layer is None else str(self.layer)
        row["frames"] = list(self.frames)
        row["interval"] = None if self.interval is None else list(self.interval)
        return row
