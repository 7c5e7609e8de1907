"""A cine, as every part of echomotion sees it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.errors import DataError
from echomotion.core.views import View


@dataclass(frozen=True)
class Source:
    """Where a clip came from and how its scale and clock were found. Holds no patient data.

    Attributes
    ----------
    name : str
        File name (no folder).
    format : str
        For instance ``"dicom"``, ``"mp4"``, ``"nifti"``, ``"array"``.
    sha256 : str
        Hash of the file's bytes; empty for a clip made in memory.
    spacing_origin, times_origin, view_origin : str
        In words, for the report: ``"DICOM region"``, ``"user"``, ``"none"``, ...
    warnings : tuple of str
        What a reader of the results should know.
    """

    name: str = "array"
    format: str = "array"
    sha256: str = ""
    spacing_origin: str = "none"
    times_origin: str = "given"
    view_origin: str = "none"
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clip:
    """A grey-scale cine loop.

    Attributes
    ----------
    frames : uint8 (T, H, W)
        Grey levels, read-only.
    times_s : float64 (T,)
        Time of each frame in seconds, strictly increasing.
    spacing_mm : (float, float) or None
        Height and width of a pixel (row spacing, column spacing). None means not calibrated:
        lengths then come out in px, never in a guessed mm.
    view : View
        Which view of the heart, UNKNOWN when nobody said.
    r_wave_times_s : float64 (B,) or None
        R peaks of the electrocardiogram on the clock of `times_s`.
    source : Source
        Provenance, without patient data.

    Raises
    ------
    DataError
        On a wrong shape or type, non-finite or non-increasing times, or a spacing that is not positive.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    spacing_mm: tuple[float, float] | None = None
    view: View = View.UNKNOWN
    r_wave_times_s: NDArray[np.float64] | None = None
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames)
        if frames.dtype != np.uint8:
            raise DataError(f"frames are {frames.dtype}; uint8 grey levels (T, H, W) are needed")
        set_field(self, "frames", frozen_array(frames, "frames", shape=(None, None, None), dtype=np.uint8))
        if min(self.frames.shape) < 1:
            raise DataError(f"frames has shape {self.frames.shape}; every length must be at least 1")
        times = frozen_array(self.times_s, "times_s", shape=(len(self.frames),), dtype=np.float64)
        if np.any(np.diff(times) <= 0):
            raise DataError("times_s must increase from frame to frame")
        set_field(self, "times_s", times)
        if self.spacing_mm is not None:
            set_field(self, "spacing_mm", checked_spacing(self.spacing_mm))
        try:
            set_field(self, "view", View(self.view))
        except ValueError:
            names = ", ".join(View)
            raise DataError(f"unknown view {self.view!r}; one of {names} is needed") from None
        if self.r_wave_times_s is not None:
            r_waves = frozen_array(self.r_wave_times_s, "r_wave_times_s", shape=(None,), dtype=np.float64)
            set_field(self, "r_wave_times_s", r_waves)

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.frames)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def frame_interval_s(self) -> float:
        """Median time between frames in seconds; NaN for a single frame."""
        return float(np.median(np.diff(self.times_s))) if self.n_frames > 1 else float("nan")

    @property
    def pixel_aspect(self) -> float:
        """Height of a pixel divided by its width; 1 when the spacing is unknown."""
        return 1.0 if self.spacing_mm is None else self.spacing_mm[0] / self.spacing_mm[1]

    def frame_at(self, time_s: float) -> int:
        """Index of the frame nearest to a time."""
        return int(np.argmin(np.abs(self.times_s - time_s)))

    def with_(self, **changes: Any) -> Clip:
        """A copy with some fields changed, validated again."""
        return replace(self, **changes)


def checked_spacing(spacing_mm: Any) -> tuple[float, float]:
    """Two positive finite numbers (row, column), or :class:`DataError`."""
    try:
        row, column = (float(v) for v in spacing_mm)
    except (TypeError, ValueError):
        raise DataError(f"spacing_mm is {spacing_mm!r}; two numbers (row, column) in mm are needed") from None
    if not (np.isfinite([row, column]).all() and row > 0 and column > 0):
        raise DataError(f"spacing_mm is ({row:g}, {column:g}); both must be positive, finite numbers of mm")
    return row, column


def set_field(instance: object, name: str, value: object) -> None:
    """Set a field of a frozen dataclass while it is being made."""
    object.__setattr__(instance, name, value)
