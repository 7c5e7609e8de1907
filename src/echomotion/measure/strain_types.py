"""What strain curves are made with and consist of: options, the curves of one beat, beats laid end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core.errors import DataError
from echomotion.core.views import View
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import StrainKind
from echomotion.measure.segment_quality import SegmentQuality

LONGITUDINAL, CIRCUMFERENTIAL, RADIAL = "longitudinal", "circumferential", "radial"


@dataclass(frozen=True)
class StrainOptions:
    """What can be chosen about strain; each choice is stated in the method of every number.

    Attributes
    ----------
    kind : StrainKind
        Lagrangian or natural.
    drift_compensation : bool
        Take out the linear drift of each curve, where a beat is whole.
    avc_after_ed_s : float, optional
        Aortic valve closure in seconds after end-diastole (the R wave), from Doppler or the three-chamber view. It is
        end-systole for strain in every beat; without it the phases' end-systole stands for it.
    smoothing_s : float
        Standard deviation in seconds of a smoothing of lengths over time; 0 for none.
    rejection : bool
        Leave out segments that were not tracked well enough.
    most_rejected : int
        With more rejected segments a view has no global strain. Lang et al. 2015 (doi 10.1016/j.echo.2014.10.003)
        advise against it from the third badly tracked segment on.
    """

    kind: StrainKind = StrainKind.LAGRANGIAN
    drift_compensation: bool = True
    avc_after_ed_s: float | None = None
    smoothing_s: float = 0.0
    rejection: bool = True
    most_rejected: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", StrainKind(self.kind))
        avc = self.avc_after_ed_s
        if avc is not None and not 0 < avc < 1:
            raise DataError(f"avc_after_ed_s is {avc:g}; aortic valve closure comes 0 to 1 s after end-diastole")
        if not 0 <= self.smoothing_s < 1:
            raise DataError(f"smoothing_s is {self.smoothing_s:g}; it lies between 0 and 1 s")
        if self.most_rejected < 0:
            raise DataError(f"most_rejected is {self.most_rejected}; it cannot be negative")


@dataclass(frozen=True)
class StrainCurves:
    """Strain of one beat over time, in %, relative to its end-diastole.

    Attributes
    ----------
    beat : int
        Number of the beat, from 0.
    times_s : float64 (T,)
        Time of each frame of the clip.
    ed_s, es_s : float
        End-diastole and end-systole (aortic valve closure, where it was given).
    next_ed_s : float or None
        None where the recording ends before.
    whole : float64 (T,)
        Of the whole wall; NaN outside the beat, where too many points are missing, or too many segments rejected.
    segments : mapping of str to float64 (T,)
        Of each segment, likewise, in their order along the wall; rejected ones too.
    raw : float64 (T,)
        Of the whole wall on all frames of the clip, without drift compensation.
    drift : float
        What `raw` fails to return to 0 by at the next end-diastole; NaN without one.
    compensated : bool
        Whether linear drift was taken out of `whole` and `segments`.
    direction, view, layer
        ``longitudinal``, ``circumferential`` or ``radial``; the view; ``mid_wall``, ``full_wall``, ...
    quality : mapping of str to SegmentQuality
    refusal : str
        Why `whole` cannot be used; empty where it can.
    method : str
        How the curves were made.
    end_systole : str
        What `es_s` is.
    uses_rejection : bool
        Whether rejected segments are left out.
    """

    beat: int
    times_s: FloatArray
    ed_s: float
    es_s: float
    next_ed_s: float | None
    whole: FloatArray
    segments: Mapping[str, FloatArray]
    raw: FloatArray
    drift: float
    compensated: bool
    direction: str = LONGITUDINAL
    view: View = View.UNKNOWN
    layer: str = ""
    quality: Mapping[str, SegmentQuality] = field(default_factory=dict)
    refusal: str = ""
    method: str = ""
    end_systole: str = ""
    uses_rejection: bool = True

    @property
    def ed_frame(self) -> int:
        """Frame nearest to end-diastole."""
        return frame_at(self.times_s, self.ed_s)

    @property
    def es_frame(self) -> int:
        """Frame nearest to end-systole."""
        return frame_at(self.times_s, self.es_s)

    @property
    def next_ed_frame(self) -> int | None:
        """Frame nearest to the next end-diastole."""
        return None if self.next_ed_s is None else frame_at(self.times_s, self.next_ed_s)

    @property
    def start_s(self) -> float:
        """Where the curves begin: at end-diastole, or with the recording where that starts in systole."""
        return self.ed_s if self.ed_s < self.es_s else float(self.times_s[0])

    @property
    def stop_s(self) -> float:
        """Where the curves end: at the next end-diastole, or with the recording."""
        return float(self.times_s[-1]) if self.next_ed_s is None else self.next_ed_s

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames of the beat, (K,)."""
        return np.arange(frame_at(self.times_s, self.start_s), frame_at(self.times_s, self.stop_s) + 1)

    @property
    def rejected(self) -> tuple[str, ...]:
        """Names of the rejected segments."""
        return tuple(name for name, quality in self.quality.items() if quality.rejected)

    def as_dict(self) -> dict[str, Any]:
        """The frames of the beat as ``times``, ``whole`` and ``segments``, in plain lists; NaN becomes None."""

        def plain(values: FloatArray) -> list[float | None]:
            return [float(v) if np.isfinite(v) else None for v in values[self.frames]]

        return {
            "beat": self.beat,
            "frames": self.frames.tolist(),
            "times": plain(self.times_s),
            "whole": plain(self.whole),
            "segments": {name: plain(values) for name, values in self.segments.items()},
            "rejected": list(self.rejected),
            "drift": float(self.drift) if np.isfinite(self.drift) else None,
            "compensated": self.compensated,
        }


def join_beats(curves: Sequence[StrainCurves]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Curves of all beats laid end to end: of the whole line (T,) and of each segment; NaN outside all beats."""
    if not curves:
        raise DataError("there are no beats to join")

    def join(parts: list[FloatArray]) -> FloatArray:
        out = parts[0]
        for part in parts[1:]:
            out = np.where(np.isfinite(out), out, part)
        return out

    names = curves[0].segments
    return join([c.whole for c in curves]), {name: join([c.segments[name] for c in curves]) for name in names}
