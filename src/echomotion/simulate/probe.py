"""What the simulated machine is set to: pulse, beam, sector, picture, and what it does to the grey levels.

The two widths of the point-spread function follow from these settings. A Gaussian pulse of fractional bandwidth
``b`` (-6 dB) at ``f`` has a spectrum of standard deviation ``b f / 2.355``; its echo envelope along depth has
``sigma_z = c / (4 pi sigma_f)``. The two-way beam of an aperture ``D`` that is focused everywhere is ``sinc^2``, whose
amplitude is halved over ``0.886 c / (f D)`` radians; a Gaussian of that width stands for it, to which a width in mm is
added in quadrature for the near field, where focusing does not help (Szabo, Diagnostic Ultrasound Imaging,
chapters 6 and 10).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from echomotion.core import DataError
from echomotion.core.clip import set_field
from echomotion.simulate.checks import check_range, check_ranges

SOUND_MM_PER_US = 1.54
# Full width at half height of a Gaussian in standard deviations.
FWHM = 2.0 * math.sqrt(2.0 * math.log(2.0))
# Samples per standard deviation of the point-spread function when the grid is chosen here, and the fewest allowed:
# with fewer, linear interpolation between samples would widen it by more than the filter can take back.
_SAMPLES_PER_SIGMA, _FEWEST_PER_SIGMA = 1.4, 0.8
# Nearer than this the beam is no wider in angle, and the fan's area no smaller.
_NEAREST_MM = 6.0

PROBE_RANGES: dict[str, tuple[float, float]] = {
    "frequency_mhz": (1.0, 8.0),
    "bandwidth": (0.1, 1.0),
    "aperture_mm": (6.0, 40.0),
    "near_field_mm": (0.2, 5.0),
    "sector_deg": (20.0, 120.0),
    "depth_mm": (40.0, 280.0),
    "tilt_deg": (-45.0, 45.0),
    "dynamic_range_db": (20.0, 120.0),
    "gain_db": (-80.0, 40.0),
    "gamma": (0.3, 3.0),
    "contrast": (0.0, 1.0),
    "persistence": (0.0, 0.9),
    "smoothing_mm": (0.0, 3.0),
    "sharpening": (0.0, 2.0),
}


@dataclass(frozen=True)
class Probe:
    """Settings of the probe and of the machine, each checked against its range.

    Attributes
    ----------
    frequency_mhz, bandwidth : float
        Centre frequency of the received pulse and its fractional width at -6 dB: they set the axial width.
    aperture_mm : float
        Width of the focused aperture: it sets the lateral width, which grows with depth.
    near_field_mm : float
        Lateral standard deviation that remains at the probe.
    sector_deg, depth_mm, tilt_deg : float
        Opening of the fan, its depth, and how far its middle is turned from straight down (to the image's right).
    n_lines, n_samples : int or None
        Grid of beam space, angle by depth; None chooses one fine enough for the point-spread function.
    dynamic_range_db, gain_db : float
        An echo of ``-gain_db`` dB is white, one that lies `dynamic_range_db` below it black.
    time_gain_db : tuple of float
        Sliders of the time gain, equally spaced from the probe to the full depth.
    gamma, contrast : float
        Grey map: a power of the level (below 1 lifts dark tissue), then that much of an S-curve.
    persistence : float
        Weight of the picture before in the running average of frames.
    smoothing_mm, sharpening : float
        Standard deviation of the smoothing of the picture, and strength of its edge enhancement.
    jpeg_quality : int or None
        1 to 100; None leaves the picture uncompressed.
    """

    frequency_mhz: float = 2.2
    bandwidth: float = 0.3
    aperture_mm: float = 18.0
    near_field_mm: float = 0.8
    sector_deg: float = 75.0
    depth_mm: float = 160.0
    tilt_deg: float = 0.0
    n_lines: int | None = None
    n_samples: int | None = None
    dynamic_range_db: float = 60.0
    gain_db: float = -12.0
    time_gain_db: tuple[float, ...] = ()
    gamma: float = 1.0
    contrast: float = 0.0
    persistence: float = 0.0
    smoothing_mm: float = 0.0
    sharpening: float = 0.0
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        check_ranges(self, PROBE_RANGES)
        set_field(self, "time_gain_db", tuple(float(v) for v in self.time_gain_db))
        for value in self.time_gain_db:
            check_range("time_gain_db", value, -40.0, 40.0)
        if self.jpeg_quality is not None:
            check_range("jpeg_quality", self.jpeg_quality, 1, 100)
        spans = {
            "n_lines": (math.radians(self.sector_deg), self.angular_sigma_rad),
            "n_samples": (self.depth_mm, self.axial_sigma_mm),
        }
        for name, (span, sigma) in spans.items():
            if getattr(self, name) is None:
                set_field(self, name, math.ceil(span / sigma * _SAMPLES_PER_SIGMA) + 1)
            check_range(name, getattr(self, name), math.ceil(span / sigma * _FEWEST_PER_SIGMA) + 1, 8192)
            set_field(self, name, int(getattr(self, name)))

    @property
    def wavelength_mm(self) -> float:
        """Wavelength in tissue at the centre frequency."""
        return SOUND_MM_PER_US / self.frequency_mhz

    @property
    def axial_sigma_mm(self) -> float:
        """Standard deviation along depth of the (amplitude) point-spread function, which is that of the
        autocovariance of the speckle's intensity too.
        """
        return FWHM * SOUND_MM_PER_US / (4.0 * math.pi * self.bandwidth * self.frequency_mhz)

    @property
    def angular_sigma_rad(self) -> float:
        """Standard deviation in angle of the two-way beam far from the probe."""
        return 0.886 * self.wavelength_mm / self.aperture_mm / FWHM

    def lateral_sigma_rad(self, depth_mm: Tensor) -> Tensor:
        """Standard deviation in angle of the (amplitude) point-spread function at given depths."""
        near = self.near_field_mm / depth_mm.clamp_min(_NEAREST_MM)
        return torch.sqrt(near**2 + self.angular_sigma_rad**2)

    @property
    def axial_step_mm(self) -> float:
        """Distance between samples along a line."""
        return self.depth_mm / (self.grid[0] - 1)

    @property
    def angular_step_rad(self) -> float:
        """Angle between lines."""
        return math.radians(self.sector_deg) / (self.grid[1] - 1)

    @property
    def grid(self) -> tuple[int, int]:
        """Samples along depth, and lines."""
        if self.n_samples is None or self.n_lines is None:
            raise DataError("the probe has no grid")
        return self.n_samples, self.n_lines

    def depths_mm(self, device: torch.device | None = None) -> Tensor:
        """Depth of every sample (S,), from the tip of the fan."""
        return torch.linspace(0.0, self.depth_mm, self.grid[0], device=device)

    def angles_rad(self, device: torch.device | None = None) -> Tensor:
        """Angle of every line (L,) from straight down, positive to the image's right."""
        half, tilt = math.radians(self.sector_deg) / 2.0, math.radians(self.tilt_deg)
        return torch.linspace(tilt - half, tilt + half, self.grid[1], device=device)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``Probe(**values)`` is the reverse."""
        return asdict(self)


@dataclass(frozen=True)
class Picture:
    """The picture that the fan is shown in.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    spacing_mm : float
        Size of its square pixels.
    origin_px : (float, float)
        The tip of the fan ``(x, y)``: ``x_px = x_mm / spacing_mm + origin_px[0]``.
    """

    shape: tuple[int, int] = (256, 256)
    spacing_mm: float = 0.65
    origin_px: tuple[float, float] = (127.5, 2.0)

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or len(self.origin_px) != 2:
            raise DataError("shape and origin_px of a picture need two numbers each")
        for side in self.shape:
            check_range("shape", side, 16, 4096)
        check_range("spacing_mm", self.spacing_mm, 0.02, 5.0)
        for value in self.origin_px:
            check_range("origin_px", value, -4096.0, 8192.0)
        set_field(self, "shape", tuple(int(v) for v in self.shape))
        set_field(self, "origin_px", tuple(float(v) for v in self.origin_px))

    def to_px(self, points_mm: Tensor) -> Tensor:
        """Scan space (..., 2) in mm to pixels ``(x, y)``."""
        return points_mm / self.spacing_mm + points_mm.new_tensor(self.origin_px)

    def to_mm(self, points_px: Tensor) -> Tensor:
        """Pixels ``(x, y)`` (..., 2) to scan space in mm."""
        return (points_px - points_px.new_tensor(self.origin_px)) * self.spacing_mm

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; ``Picture(**values)`` is the reverse."""
        return asdict(self)


def fitting_picture(probe: Probe, shape: tuple[int, int] = (256, 256), margin_px: float = 2.0) -> Picture:
    """The picture of a given size that shows the whole fan as large as it goes, in its middle."""
    half, tilt = math.radians(probe.sector_deg) / 2.0, math.radians(probe.tilt_deg)
    ends = [tilt - half, tilt + half]
    # The fan is widest and deepest at its edges, its middle axes, or its tip.
    ends += [a for a in (-math.pi / 2, 0.0, math.pi / 2) if abs(a - tilt) <= half]
    x = [0.0, *(probe.depth_mm * math.sin(a) for a in ends)]
    y = [0.0, *(probe.depth_mm * math.cos(a) for a in ends)]
    rows, columns = shape
    spacing = max((max(x) - min(x)) / (columns - 1 - 2 * margin_px), (max(y) - min(y)) / (rows - 1 - 2 * margin_px))
    origin_x = (columns - 1) / 2.0 - (max(x) + min(x)) / 2.0 / spacing
    return Picture(shape, spacing, (origin_x, margin_px - min(y) / spacing))


def draw_probe(
    rng: np.random.Generator, depth_mm: float, sector_deg: float | None = None, tilt_deg: float = 0.0
) -> Probe:
    """Draw a probe and the settings of a machine at random, as an adult heart is recorded with.

    Gain, dynamic range and grey map are such that the grey levels of wall, cavity and surroundings are spread as they
    are over patients.

    Parameters
    ----------
    rng : numpy.random.Generator
    depth_mm : float
        Kept within the probe's range.
    sector_deg : float, optional
        Drawn where not given.
    tilt_deg : float
    """
    sliders = np.cumsum(rng.normal(0.0, 1.0, 8))
    lowest, highest = PROBE_RANGES["depth_mm"]
    return Probe(
        frequency_mhz=float(rng.uniform(1.9, 2.9)),
        bandwidth=float(rng.uniform(0.24, 0.42)),
        aperture_mm=float(rng.uniform(14.0, 22.0)),
        near_field_mm=float(rng.uniform(0.25, 0.6)),
        sector_deg=float(rng.uniform(65.0, 90.0)) if sector_deg is None else sector_deg,
        depth_mm=float(np.clip(depth_mm, lowest, highest)),
        tilt_deg=tilt_deg,
        dynamic_range_db=float(rng.uniform(56.0, 68.0)),
        gain_db=float(rng.normal(-19.0, 1.5)),
        time_gain_db=tuple((sliders - sliders.mean()).tolist()),
        gamma=float(rng.uniform(1.2, 1.6)),
        contrast=float(rng.uniform(0.0, 0.4)),
        persistence=float(rng.uniform(0.0, 0.25)),
        smoothing_mm=float(rng.uniform(0.3, 0.8)),
        sharpening=float(rng.choice([0.0, rng.uniform(0.1, 0.5)])),
        jpeg_quality=int(rng.integers(70, 98)) if rng.random() < 0.7 else None,
    )
