"""Numbers written as sines and cosines, so that a network tells small differences and large ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sincos(values: Tensor, n: int, shortest: float, longest: float) -> Tensor:
    """Sine and cosine of each value at `n` wavelengths in geometric steps.

    Parameters
    ----------
    values : float (..., D)
    n : int
        Wavelengths per value.
    shortest, longest : float
        The first and last wavelength, in the unit of the values.

    Returns
    -------
    float (..., D * 2 * n)

    Notes
    -----
    Vaswani et al. 2017 (arXiv 1706.03762), section 3.5, with both ends of the wavelengths stated.
    """
    steps = torch.linspace(0, 1, n, dtype=values.dtype, device=values.device) if n > 1 else values.new_zeros(1)
    phase = values[..., None] * (2 * math.pi / shortest) * (shortest / longest) ** steps
    return torch.cat([phase.sin(), phase.cos()], dim=-1).flatten(-2)
