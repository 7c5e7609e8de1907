"""What makes tracking hard: echoes that change while tissue moves, and echoes that stay while it does not.

This file says how much of each (:class:`Artefacts`), draws it at random, and makes what belongs to single scatterers;
what belongs to the beam stands in :mod:`echomotion.simulate.interference`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echomotion.core.clip import set_field
from echomotion.simulate.checks import check_range, check_ranges

FloatArray = NDArray[np.float64]

# A level so low that the artefact is absent.
OFF_DB = -120.0
_FLASHES = 3

ARTEFACT_RANGES: dict[str, tuple[float, float]] = {
    "fast_share": (0.0, 1.0),
    "fast_s": (0.001, 1.0),
    "slow_s": (0.02, 1000.0),
    "coherence_spread": (0.0, 3.0),
    "out_of_plane": (0.0, 1.5),
    "clutter_db": (OFF_DB, 20.0),
    "haze_db": (OFF_DB, 20.0),
    "haze_depth_mm": (2.0, 200.0),
    "ring_db": (OFF_DB, 30.0),
    "ring_mm": (1.0, 20.0),
    "reverberation_db": (OFF_DB, 0.0),
    "reverberation_mm": (2.0, 100.0),
    "window_db": (0.0, 15.0),
    "fading_db": (0.0, 15.0),
    "fading_s": (0.01, 10.0),
    "gain_offset_db": (-40.0, 40.0),
    "noise_db": (OFF_DB, 10.0),
    "noise_slope_db": (0.0, 60.0),
    "blood_s": (0.001, 1.0),
    "swirl_turns_per_s": (-10.0, 10.0),
    "flash_db": (0.0, 30.0),
}


@dataclass(frozen=True)
class Shadow:
    """A wedge of the fan that a rib or the lung darkens.

    Attributes
    ----------
    angle_deg, width_deg : float
        Its middle, from the middle of the fan, and its full width at half depth of the loss.
    loss_db : float
        What echoes lose in its middle.
    start_mm : float
        Depth where it begins.
    """

    angle_deg: float
    width_deg: float = 10.0
    loss_db: float = 20.0
    start_mm: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "angle_deg": (-60.0, 60.0),
                "width_deg": (1.0, 60.0),
                "loss_db": (0.0, 80.0),
                "start_mm": (0.0, 280.0),
            },
        )


@dataclass(frozen=True)
class Artefacts:
    """Strengths; as made without arguments there are none. Levels are relative to tissue of strength 1 (0 dB).

    Attributes
    ----------
    fast_share : float
        Part of the speckle's energy that is renewed with the coherence time `fast_s`; the rest with `slow_s`.
    fast_s, slow_s : float
        Coherence times in seconds: the correlation of a scatterer's strength falls to 1/e in this time.
    coherence_spread : float
        How unevenly `fast_share` is spread over the wall and time, as a standard deviation of its log-odds.
    out_of_plane : float
        How far the slice has changed at full contraction, as an angle in rad: the coherence with end-diastole is its
        cosine, and comes back when the heart does.
    clutter_db : float
        Echoes that stand still, in patches.
    haze_db, haze_depth_mm : float
        Slowly changing fog that is strongest at the probe and falls to 1/e (of its amplitude) at this depth.
    ring_db, ring_mm : float
        Bright arcs at the probe, and the distance between them.
    reverberation_db, reverberation_mm : float
        A weaker copy of everything, this much deeper.
    shadows : tuple of Shadow
        Ribs and lung.
    window_db : float
        How unevenly the chest wall lets sound through: standard deviation of a smooth gain that stands still.
    fading_db, fading_s : float
        How far echoes of a whole neighbourhood, about a centimetre wide, come and go as tissue turns in the beam:
        standard deviation of that gain, and the time in which its correlation falls to 1/e.
    gain_offset_db : float
        Gain set too low (negative: dropout of weak tissue) or too high (saturation).
    noise_db, noise_slope_db : float
        Electronic noise at full depth, and how much weaker it is at the probe.
    blood_s, swirl_turns_per_s : float
        Coherence time of blood, and how fast it turns in the cavity.
    flash_db : float
        How much a leaflet brightens for a moment when the beam meets it squarely.
    """

    fast_share: float = 0.0
    fast_s: float = 0.03
    slow_s: float = 1000.0
    coherence_spread: float = 0.0
    out_of_plane: float = 0.0
    clutter_db: float = OFF_DB
    haze_db: float = OFF_DB
    haze_depth_mm: float = 25.0
    ring_db: float = OFF_DB
    ring_mm: float = 3.0
    reverberation_db: float = OFF_DB
    reverberation_mm: float = 20.0
    shadows: tuple[Shadow, ...] = ()
    window_db: float = 0.0
    fading_db: float = 0.0
    fading_s: float = 0.2
    gain_offset_db: float = 0.0
    noise_db: float = OFF_DB
    noise_slope_db: float = 15.0
    blood_s: float = 0.02
    swirl_turns_per_s: float = 0.0
    flash_db: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, ARTEFACT_RANGES)
        set_field(self, "shadows", tuple(self.shadows))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Artefacts:
        """The reverse of :meth:`as_dict`, checked again."""
        shadows = tuple(Shadow(**shadow) for shadow in values.get("shadows", ()))
        return cls(**{**values, "shadows": shadows})


def draw_artefacts(rng: np.random.Generator, level: float | None = None) -> Artefacts:
    """Draw artefacts at random.

    Parameters
    ----------
    rng : numpy.random.Generator
    level : float, optional
        From 0 (a good recording) to 1 (a poor one); drawn evenly when not given. It sets how fast speckle is lost; the
        rest becomes more frequent and stronger with it.
    """
    if level is None:
        level = float(rng.uniform(0.0, 1.0))
    check_range("level", level, 0.0, 1.0)

    def happens(least: float, most: float) -> bool:
        return bool(rng.random() < least + (most - least) * level)

    shadows = [
        Shadow(
            float(side * rng.uniform(0.6, 1.1) * 35.0), rng.uniform(8.0, 30.0), rng.uniform(6.0, 12.0 + 18.0 * level)
        )
        for side in (-1.0, 1.0)
        if happens(0.3, 0.7)
    ]
    if happens(0.02, 0.3):
        shadows.append(Shadow(rng.uniform(-30.0, 30.0), rng.uniform(4.0, 14.0), rng.uniform(5.0, 10.0 + 15.0 * level)))
    return Artefacts(
        fast_share=float(np.clip(0.045 + 0.82 * level * rng.uniform(0.9, 1.1), 0.0, 0.95)),
        fast_s=float(rng.uniform(0.01, 0.03)),
        slow_s=float(math.exp(math.log(1.6) * (1 - level) + math.log(0.4) * level + rng.normal(0.0, 0.1))),
        coherence_spread=float(rng.uniform(0.3, 1.2)),
        out_of_plane=float(rng.uniform(0.0, 0.25 + 0.45 * level)),
        clutter_db=float(rng.uniform(-32.0, -24.0) + 10.0 * level) if happens(0.3, 1.0) else OFF_DB,
        haze_db=float(rng.uniform(-24.0, -12.0) + 6.0 * level),
        haze_depth_mm=float(rng.uniform(15.0, 60.0 + 60.0 * level)),
        ring_db=float(rng.uniform(0.0, 12.0)),
        ring_mm=float(rng.uniform(2.0, 6.0)),
        reverberation_db=float(rng.uniform(-30.0, -18.0)) if happens(0.1, 0.5) else OFF_DB,
        reverberation_mm=float(rng.uniform(8.0, 40.0)),
        shadows=tuple(shadows),
        window_db=float(rng.uniform(2.5, 5.5 + 1.5 * level)),
        fading_db=float(5.0 * level * rng.uniform(0.8, 1.2)),
        fading_s=float(rng.uniform(0.02, 0.3 - 0.15 * level)),
        gain_offset_db=float(rng.normal(-2.0 * level, 1.0)),
        noise_db=float(rng.uniform(-25.0, -19.0) + 8.0 * level),
        noise_slope_db=float(rng.uniform(0.0, 8.0)),
        blood_s=float(rng.uniform(0.01, 0.04)),
        swirl_turns_per_s=float(rng.normal(0.0, 1.0)),
        flash_db=float(rng.uniform(0.0, 10.0)),
    )


def background_power(artefacts: Artefacts, depth_mm: FloatArray, full_depth_mm: float) -> FloatArray:
    """Mean intensity that clutter, haze and noise add at some depths, relative to tissue of 0 dB."""
    noise_db = artefacts.noise_db + artefacts.noise_slope_db * (depth_mm / full_depth_mm - 1.0)
    haze = 10.0 ** (artefacts.haze_db / 10.0) * np.exp(-2.0 * depth_mm / artefacts.haze_depth_mm)
    return haze + 10.0 ** (noise_db / 10.0) + 10.0 ** (artefacts.clutter_db / 10.0)


def coherence_field(reference_mm: Tensor, times_s: Tensor, artefacts: Artefacts, generator: torch.Generator) -> Tensor:
    """Part of each scatterer's energy that lasts, smooth over the wall and in time.

    Parameters
    ----------
    reference_mm : float (B, N, 2)
        Where the scatterers are at rest.
    times_s : float (T,)
    artefacts : Artefacts
    generator : torch.Generator

    Returns
    -------
    float (B, T, N)
        From 0 (renewed with `fast_s`) to 1 (with `slow_s`).
    """
    share = artefacts.fast_share
    if artefacts.coherence_spread == 0.0 or share in (0.0, 1.0):
        lasting = reference_mm.new_full((1, 1, 1), 1.0 - share)
        return lasting.expand(len(reference_mm), len(times_s), reference_mm.shape[1])
    log_odds = math.log(share / (1.0 - share))
    place = _waves(reference_mm, 25.0, 70.0, 6, generator)
    moments = times_s[None, :, None].expand(len(reference_mm), -1, -1)
    moment = _waves(moments, 0.2, 1.0, 4, generator)
    unevenness = 0.85 * place[:, None] + 0.5 * moment[:, :, None]
    return 1.0 - torch.sigmoid(log_odds + artefacts.coherence_spread * unevenness)


def scatterer_amplitudes(
    base: Tensor,
    coherence: Tensor,
    times_s: Tensor,
    artefacts: Artefacts,
    generator: torch.Generator,
    *,
    slice_shift: Tensor | None = None,
) -> Tensor:
    """Strength of every scatterer over time.

    Two stationary Ornstein-Uhlenbeck processes a scatterer, of coherence times `slow_s` and `fast_s`, share its energy:
    ``a = |base| (sqrt(c) slow + sqrt(1 - c) fast)``. Movement through the slice mixes in a second draw of the slow
    one, ``cos(phi) slow_1 + sin(phi) slow_2``, and undoes it on the way back.

    Parameters
    ----------
    base : float (B, N)
        Root-mean-square strength; the sign does not matter.
    coherence : float (B, N) or (B, T, N)
        ``c``, from 0 to 1, for instance of :func:`coherence_field`.
    times_s : float (T,)
        Rising.
    artefacts : Artefacts
        `slow_s`, `fast_s` and `out_of_plane` are used.
    generator : torch.Generator
    slice_shift : float (B, T) or (B, T, N), optional
        How far the heart has moved through the slice, 0 at end-diastole and 1 at full contraction.

    Returns
    -------
    float (B, T, N)
    """
    lasting = coherence[:, None] if coherence.dim() == 2 else coherence
    slow = unit_process(base, times_s, artefacts.slow_s, generator)
    if slice_shift is not None and artefacts.out_of_plane > 0.0:
        angle = artefacts.out_of_plane * (slice_shift[..., None] if slice_shift.dim() == 2 else slice_shift)
        other = unit_process(base, times_s, artefacts.slow_s, generator)
        slow = slow * torch.cos(angle) + other * torch.sin(angle)
    fast = unit_process(base, times_s, artefacts.fast_s, generator)
    return base.abs()[:, None] * (lasting.sqrt() * slow + (1.0 - lasting).sqrt() * fast)


def blood_amplitudes(base: Tensor, times_s: Tensor, artefacts: Artefacts, generator: torch.Generator) -> Tensor:
    """Strength (B, T, N) of blood, which no slice holds for long: all of it is renewed with `blood_s`."""
    return base.abs()[:, None] * unit_process(base, times_s, artefacts.blood_s, generator)


def swirl(positions_mm: Tensor, centre_mm: Tensor, radius_mm: Tensor, times_s: Tensor, artefacts: Artefacts) -> Tensor:
    """Turn blood about the middle of the cavity, as a vortex that is still at its rim.

    Parameters
    ----------
    positions_mm : float (B, T, N, 2)
        Where the scatterers would be if blood moved with the wall.
    centre_mm : float (B, T, 2)
    radius_mm : float (B, T)
        Of a circle inside the cavity: what lies outside it does not turn.
    times_s : float (T,)
    artefacts : Artefacts

    Returns
    -------
    float (B, T, N, 2)
    """
    if artefacts.swirl_turns_per_s == 0.0:
        return positions_mm
    offset = positions_mm - centre_mm[:, :, None]
    inside = 1.0 - (offset.square().sum(-1) / radius_mm[..., None] ** 2).clamp_max(1.0)
    elapsed = (times_s - times_s[0])[None, :, None]
    angle = 2.0 * math.pi * artefacts.swirl_turns_per_s * elapsed * inside**2
    x, y = offset.unbind(-1)
    turned = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=-1)
    return centre_mm[:, :, None] + turned


def flash_gain(count: int, times_s: Tensor, artefacts: Artefacts, generator: torch.Generator) -> Tensor:
    """Factor (count, T) on the strength of a leaflet: mostly 1, up to `flash_db` for moments of some 30 ms."""
    shape = (count, _FLASHES)
    share = torch.rand(shape, generator=generator, device=times_s.device)
    moments = times_s[0] + share * (times_s[-1] - times_s[0])
    nearness = torch.exp(-0.5 * ((times_s[None, :, None] - moments[:, None]) / 0.015) ** 2).amax(-1)
    return 10.0 ** (artefacts.flash_db * nearness / 20.0)


def unit_process(base: Tensor, times_s: Tensor, coherence_time_s: float, generator: torch.Generator) -> Tensor:
    """Stationary Gaussian process (B, T, N) of unit variance with exponential correlation, exact at any times."""
    batch, scatterers = base.shape
    shape = (batch, len(times_s), scatterers)
    if coherence_time_s >= ARTEFACT_RANGES["slow_s"][1]:
        return torch.randn((batch, 1, scatterers), generator=generator, device=base.device).expand(shape)
    values = torch.randn(shape, generator=generator, device=base.device)
    kept = torch.exp(-(times_s[1:] - times_s[:-1]) / coherence_time_s)
    renewed = torch.sqrt(1.0 - kept**2)
    for t in range(1, shape[1]):
        values[:, t].mul_(renewed[t - 1]).addcmul_(values[:, t - 1], kept[t - 1])
    return values


def _waves(points: Tensor, shortest: float, longest: float, count: int, generator: torch.Generator) -> Tensor:
    """Smooth random field (B, N) of unit variance at points (B, N, D): a sum of waves of these lengths."""
    batch, _, dims = points.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=points.device)

    direction = uniform(batch, count, dims) - 0.5
    direction = direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    number = 2.0 * math.pi / (shortest + (longest - shortest) * uniform(batch, count, 1))
    phase = points @ (direction * number).mT + 2.0 * math.pi * uniform(batch, 1, count)
    return torch.cos(phase).sum(-1) * math.sqrt(2.0 / count)
