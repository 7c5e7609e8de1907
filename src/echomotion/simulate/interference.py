"""Echoes and losses that belong to the beam, not to tissue: clutter, haze, arcs, reverberation, shadows, noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echomotion.simulate.artefacts import OFF_DB, Artefacts, unit_process
from echomotion.simulate.probe import Probe
from echomotion.simulate.speckle import BeamGrid

# Ring-down of the probe falls to 1/e over this depth; haze turns over about this many radians a second.
_RING_DEPTH_MM = 7.0
_HAZE_RAD_PER_S = 3.0
_WAVES = 12
_FADING_MM, _FADING_RAD = 20.0, 0.2


class Interference:
    """Artefacts of one batch of clips, ready to be added frame by frame.

    Parameters
    ----------
    artefacts : Artefacts
    beam : BeamGrid
    batch : int
        Number of clips; each gets its own draw.
    times_s : float (T,)
    generator : torch.Generator
    """

    def __init__(
        self, artefacts: Artefacts, beam: BeamGrid, batch: int, times_s: Tensor, generator: torch.Generator
    ) -> None:
        self._artefacts, self._beam, self._generator = artefacts, beam, generator
        device = beam.depths_mm.device
        node = beam.cell_mm2.sqrt()
        depth = beam.depths_mm[:, None]
        self._window = _shadow(artefacts, beam.probe, depth, beam.angles_rad[None])[None]
        if artefacts.window_db > 0.0:
            uneven_db = artefacts.window_db * _smooth_waves(batch, beam, 120.0, 0.5, generator).sum(1)
            self._window = self._window * 10.0 ** (uneven_db / 20.0)
        self._window = self._window.expand(batch, -1, -1)
        self._still: Tensor | None = None
        if artefacts.clutter_db > OFF_DB:
            patches = torch.exp(_smooth_waves(batch, beam, 40.0, 0.25, generator).sum(1))
            patches = patches / patches.square().mean(dim=(1, 2), keepdim=True).sqrt()
            strength = amplitude(artefacts.clutter_db) * patches * self._window * node
            self._still = beam.noise(batch, generator) * strength
        if artefacts.ring_db > OFF_DB:
            # The arcs are the probe's own: the same on every line but for a little.
            arcs = beam.noise(batch, generator) * 0.4
            arcs = arcs + arcs[..., :1] * 2.0
            profile = torch.exp(-depth / _RING_DEPTH_MM) * torch.cos(math.pi * depth / artefacts.ring_mm).square()
            ring = arcs * (amplitude(artefacts.ring_db) * profile * node)
            self._still = ring if self._still is None else self._still + ring
        self._haze: Tensor | None = None
        if artefacts.haze_db > OFF_DB:
            fog = beam.noise(2 * batch, generator).view(2, batch, *beam.shape)
            fading = amplitude(artefacts.haze_db) * torch.exp(-depth / artefacts.haze_depth_mm)
            self._haze = fog * (fading * self._window * node)
            speed = _HAZE_RAD_PER_S * torch.randn((batch, 1), generator=generator, device=device)
            turn = speed * (times_s - times_s[0])
            self._haze_turn = torch.stack([turn.cos(), turn.sin()])[..., None, None]
        self._fading: Tensor | None = None
        if artefacts.fading_db > 0.0:
            self._fading = _smooth_waves(batch, beam, _FADING_MM, _FADING_RAD, generator).flatten(2)
            # In dB of power each wave's strength wanders; the factor takes 20 log10 to the exponential.
            wander = unit_process(self._fading.new_ones(batch, _WAVES), times_s, artefacts.fading_s, generator)
            self._wander = wander * (artefacts.fading_db * math.log(10.0) / 20.0)
        self._noise = amplitude(artefacts.noise_db) * 10.0 ** (
            artefacts.noise_slope_db * (depth / beam.probe.depth_mm - 1.0) / 20.0
        )

    def add_echoes(self, grid: Tensor, clips: slice, frames: slice) -> Tensor:
        """Shadow what scatterers put on the grid (B, T, S, L), and add what does not come from them.

        `clips` and `frames` say which of the whole batch these are.
        """
        window = self._window[clips, None]
        if self._fading is not None:
            gain = self._wander[clips, frames] @ self._fading[clips]
            window = window * torch.exp(gain).view(grid.shape)
        out = grid * window
        if self._still is not None:
            out += self._still[clips, None]
        if self._haze is not None:
            cosine, sine = self._haze_turn[:, clips, frames]
            out += self._haze[0, clips, None] * cosine
            out += self._haze[1, clips, None] * sine
        return out

    def add_noise(self, echo: Tensor) -> Tensor:
        """Add electronic noise, which the beam does not smooth, to (B, T, S, L) before the pulse is applied."""
        if self._artefacts.noise_db <= OFF_DB:
            return echo
        return echo + self._beam.noise(len(echo) * echo.shape[1], self._generator).view(echo.shape) * self._noise

    def reverberate(self, echo: Tensor) -> Tensor:
        """Add the weaker, deeper copy to (B, T, S, L)."""
        shift = round(self._artefacts.reverberation_mm / self._beam.probe.axial_step_mm)
        if self._artefacts.reverberation_db <= OFF_DB or shift >= echo.shape[-2]:
            return echo
        out = echo.clone()
        out[..., shift:, :] += echo[..., :-shift, :] * amplitude(self._artefacts.reverberation_db)
        return out


def amplitude(db: float) -> float:
    """Amplitude of a level in dB."""
    return 10.0 ** (db / 20.0)


def _shadow(artefacts: Artefacts, probe: Probe, depth_mm: Tensor, angle_rad: Tensor) -> Tensor:
    loss = torch.zeros_like(depth_mm * angle_rad)
    for shadow in artefacts.shadows:
        middle = math.radians(probe.tilt_deg + shadow.angle_deg)
        sigma = math.radians(shadow.width_deg) / (2.0 * math.sqrt(2.0 * math.log(2.0)))
        wedge = torch.exp(-0.5 * ((angle_rad - middle) / sigma) ** 2)
        loss = loss + shadow.loss_db * wedge * torch.sigmoid((depth_mm - shadow.start_mm) / 2.0)
    return 10.0 ** (-loss / 20.0)


def _smooth_waves(batch: int, beam: BeamGrid, along_mm: float, across_rad: float, generator: torch.Generator) -> Tensor:
    """Waves (B, K, S, L), the shortest of these lengths, whose sum over K is a random field of unit variance."""
    device = beam.depths_mm.device

    def uniform() -> Tensor:
        return torch.rand((batch, _WAVES, 1, 1), generator=generator, device=device)

    along = (uniform() - 0.5) * (4.0 * math.pi / along_mm) * beam.depths_mm[:, None]
    across = (uniform() - 0.5) * (4.0 * math.pi / across_rad) * beam.angles_rad[None]
    return torch.cos(along + across + 2.0 * math.pi * uniform()) * math.sqrt(2.0 / _WAVES)
