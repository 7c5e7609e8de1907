"""From moving scatterers to the complex echo in beam space.

With the carrier removed, scatterers of strength ``a_n`` at depth ``r_n`` and angle ``t_n`` echo as

    q(r, t) = sum_n a_n exp(-i 4 pi r_n / wavelength) p(r - r_n, t - t_n; r_n)

where ``p`` is a Gaussian in depth (the pulse) and in angle (the beam, as wide as the depth of the scatterer makes it).
The sum is put on the grid by linear weights with each scatterer's exact phase; the two Gaussians are then applied in
the Fourier domain, made narrower by what the linear weights have already widened.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from echomotion.simulate.probe import Probe
from echomotion.simulate.scan_conversion import polar

# The grid goes on this many standard deviations beyond the fan, so that nothing wraps round into it.
_MARGIN_SIGMAS = 3.5
_NEAREST_MM = 4.0
# Unit of the whole numbers that exact sums are made of.
_UNIT = 2.0**-24


class BeamGrid:
    """Beam space with its margins, and the filters that stand for the point-spread function.

    Attributes
    ----------
    shape : (int, int)
        Samples and lines with margins.
    depths_mm, angles_rad : Tensor (S,), (L,)
    cell_mm2 : Tensor (S, 1)
        Area that belongs to a node.
    """

    def __init__(self, probe: Probe, device: torch.device) -> None:
        self.probe = probe
        samples, lines = probe.grid
        self.margin_samples = math.ceil(_MARGIN_SIGMAS * probe.axial_sigma_mm / probe.axial_step_mm)
        self.margin_lines = math.ceil(_MARGIN_SIGMAS * probe.angular_sigma_rad / probe.angular_step_rad)
        self.shape = (_fast_length(samples + self.margin_samples), _fast_length(lines + 2 * self.margin_lines))
        step_r, step_t = probe.axial_step_mm, probe.angular_step_rad
        self.first_angle = math.radians(probe.tilt_deg - probe.sector_deg / 2.0) - self.margin_lines * step_t
        self.depths_mm = torch.arange(self.shape[0], device=device) * step_r
        self.angles_rad = torch.arange(self.shape[1], device=device) * step_t + self.first_angle
        self.cell_mm2 = (self.depths_mm.clamp_min(_NEAREST_MM) * step_r * step_t)[:, None]

        axial = probe.axial_sigma_mm
        lateral = probe.lateral_sigma_rad(self.depths_mm).clamp_max(math.radians(probe.sector_deg) / 8.0)[:, None]
        self._axial = _transfer(torch.tensor([[axial]], device=device), step_r, self.shape[0])[0]
        # Unit energy: white noise that enters before the axial filter keeps its power.
        self._axial = self._axial * math.sqrt(2.0 * math.sqrt(math.pi) * axial / step_r)
        # Echoes whose squared strengths add up to 1 on a mm2 have mean intensity 1 at every depth.
        self._lateral = _transfer(lateral, step_t, self.shape[1])
        self._lateral = self._lateral * torch.sqrt(2.0 * math.sqrt(math.pi) * lateral / step_t / self.cell_mm2)

    def splat(self, positions_mm: Tensor, amplitudes: Tensor, *, exact: bool | None = None) -> Tensor:
        """Put scatterers on the grid: positions (M, N, 2) and amplitudes (M, N) to complex (M, S, L).

        `exact` sums whole numbers, whose sum does not depend on their order; by default wherever the order of
        additions is not fixed, which is everywhere but on the CPU.
        """
        if exact is None:
            exact = positions_mm.device.type != "cpu"
        count, (samples, lines) = len(positions_mm), self.shape
        depth, angle = polar(positions_mm)
        phase = depth * (-4.0 * math.pi / self.probe.wavelength_mm)
        row = depth / self.probe.axial_step_mm
        column = (angle - self.first_angle) / self.probe.angular_step_rad
        inside = (row < samples - 1) & (column >= 0) & (column < lines - 1)
        strength = amplitudes * inside
        echo = torch.complex(strength * torch.cos(phase), strength * torch.sin(phase))
        row, column = torch.where(inside, row, 0.0), torch.where(inside, column, 0.0)
        top, left = row.long(), column.long()
        down, right = row - top, column - left
        base = top * lines + left
        base += torch.arange(count, device=base.device)[:, None] * (samples * lines)
        low, high = echo * (1.0 - down), echo * down
        corners = (
            (base, low * (1.0 - right)),
            (base + 1, low * right),
            (base + lines, high * (1.0 - right)),
            (base + lines + 1, high * right),
        )
        return _add_up(corners, count * samples * lines, exact).view(count, samples, lines)

    def lateral(self, grid: Tensor) -> Tensor:
        """Apply the beam: complex (M, S, L)."""
        return torch.fft.ifft(torch.fft.fft(grid, dim=-1) * self._lateral, dim=-1)

    def axial(self, grid: Tensor) -> Tensor:
        """Apply the pulse: complex (M, S, L)."""
        return torch.fft.ifft(torch.fft.fft(grid, dim=-2) * self._axial[:, None], dim=-2)

    def crop(self, grid: Tensor) -> Tensor:
        """Cut the margins off (..., S, L)."""
        samples, lines = self.probe.grid
        return grid[..., :samples, self.margin_lines : self.margin_lines + lines]

    def noise(self, count: int, generator: torch.Generator) -> Tensor:
        """Complex white noise of unit power (count, S, L)."""
        real = torch.randn((count, *self.shape, 2), generator=generator, device=self.depths_mm.device)
        return torch.view_as_complex(real * math.sqrt(0.5))


def _add_up(corners: tuple[tuple[Tensor, Tensor], ...], size: int, exact: bool) -> Tensor:
    device = corners[0][0].device
    if not exact:
        grid = torch.zeros(size, dtype=torch.complex64, device=device)
        for index, value in corners:
            grid.index_add_(0, index.flatten(), value.flatten())
        return grid
    whole = torch.zeros((2, size), dtype=torch.int64, device=device)
    for index, value in corners:
        parts = torch.view_as_real(value) / _UNIT
        for axis in range(2):
            whole[axis].scatter_add_(0, index.flatten(), parts[..., axis].round().long().flatten())
    return torch.complex(*(whole.float() * _UNIT).unbind(0))


def _transfer(sigma: Tensor, step: float, length: int) -> Tensor:
    """Transfer function (..., length) of a Gaussian of unit sum, less the width of linear interpolation."""
    # Linear weights at a place u between nodes have variance u (1 - u) steps squared, 1/6 on average.
    variance = sigma**2 - step**2 / 6.0
    frequency = torch.fft.fftfreq(length, step, device=sigma.device)
    return torch.exp(-0.5 * (2.0 * math.pi * frequency) ** 2 * variance)


def _fast_length(length: int) -> int:
    """The next length that only has the factors 2, 3 and 5."""
    while True:
        rest = length
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1
