"""What a machine does to echoes once they are detected: grey levels, averaging, edges, 8 bits, JPEG."""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from echomotion.simulate.probe import Probe

# Edge enhancement takes away a picture smoothed by this many pixels.
_SHARPENING_SIGMA_PX = 1.2
_FLOOR = 1e-7
# Quantisation of luminance at quality 50 (ITU-T T.81, table K.1).
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def compress(envelope: Tensor, probe: Probe, gain_offset_db: float = 0.0) -> Tensor:
    """Time gain, log compression and grey map: envelope (..., S, L) to levels from 0 (black) to 1 (white)."""
    gain = probe.gain_db + gain_offset_db + time_gain(probe, envelope.device)[:, None]
    level_db = 20.0 * torch.log10(envelope.clamp_min(_FLOOR)) + gain
    level = (1.0 + level_db / probe.dynamic_range_db).clamp(0.0, 1.0)
    if probe.gamma != 1.0:
        level = level**probe.gamma
    if probe.contrast:
        level = torch.lerp(level, level * level * (3.0 - 2.0 * level), probe.contrast)
    return level


def time_gain(probe: Probe, device: torch.device | None = None) -> Tensor:
    """Gain of the sliders in dB at every sample (S,)."""
    samples = probe.grid[0]
    if not probe.time_gain_db:
        return torch.zeros(samples, device=device)
    sliders = torch.tensor(probe.time_gain_db, device=device)[None, None]
    return F.interpolate(sliders, size=samples, mode="linear", align_corners=True)[0, 0]


def average_frames(frames: Tensor, persistence: float) -> Tensor:
    """Running average over the frames (B, T, H, W): each keeps `persistence` of the one shown before."""
    if persistence == 0.0:
        return frames
    shown = frames.clone()
    for t in range(1, frames.shape[1]):
        shown[:, t].lerp_(shown[:, t - 1], persistence)
    return shown


def smooth_and_sharpen(frames: Tensor, smoothing_px: float, sharpening: float) -> Tensor:
    """Smooth pictures (M, H, W) by a Gaussian, then enhance their edges."""
    if smoothing_px > 0.0:
        frames = blur(frames, smoothing_px)
    if sharpening > 0.0:
        frames = frames + sharpening * (frames - blur(frames, _SHARPENING_SIGMA_PX))
    return frames


def blur(frames: Tensor, sigma_px: float) -> Tensor:
    """Gaussian smoothing of pictures (M, H, W); the border is repeated."""
    rows, columns = (_smoothing(size, sigma_px, frames) for size in frames.shape[-2:])
    return rows @ frames @ columns.T


def _smoothing(size: int, sigma_px: float, like: Tensor) -> Tensor:
    """Matrix (size, size) that smooths a column and repeats its ends.

    On a CPU a product of matrices takes a quarter of the time of a convolution of one channel.
    """
    radius = max(1, math.ceil(3.0 * sigma_px))
    place = torch.arange(size + 2 * radius, device=like.device, dtype=like.dtype) - radius
    offset = place - place[radius : radius + size, None]
    weight = torch.exp(-0.5 * (offset / sigma_px) ** 2) * (offset.abs() <= radius)
    weight = weight / weight.sum(1, keepdim=True)
    matrix = weight[:, radius : radius + size].clone()
    matrix[:, 0] += weight[:, :radius].sum(1)
    matrix[:, -1] += weight[:, radius + size :].sum(1)
    return matrix


def jpeg(frames: Tensor, quality: int) -> Tensor:
    """What JPEG of a quality (1 to 100) leaves of grey levels (M, H, W) from 0 to 255: float, rounded.

    The transform and quantisation of baseline JPEG (ITU-T T.81) with the tables, the scale of quality and the rounding
    of the Independent JPEG Group; the coding after them loses nothing, so it is left out.
    """
    scale = 5000.0 / quality if quality < 50 else 200.0 - 2.0 * quality
    table = torch.tensor(_LUMINANCE, device=frames.device, dtype=frames.dtype)
    table = torch.floor((table * scale + 50.0) / 100.0).clamp(1.0, 255.0)
    rows, columns = frames.shape[-2:]
    padded = F.pad(frames[:, None], (0, -columns % 8, 0, -rows % 8), mode="replicate")[:, 0]
    basis = torch.tensor(_cosines(), device=frames.device, dtype=frames.dtype)
    high, wide = padded.shape[-2] // 8, padded.shape[-1] // 8
    blocks = (padded - 128.0).view(-1, high, 8, wide, 8).transpose(2, 3)
    # Their transform gives whole eighths, and halves go away from zero: where the steps are small that decides often.
    eighths = torch.round(8.0 * (basis @ blocks @ basis.T))
    kept = torch.floor((eighths.abs() + 4.0 * table) / (8.0 * table)) * eighths.sign() * table
    decoded = (basis.T @ kept @ basis).transpose(2, 3).reshape(padded.shape) + 128.0
    return decoded[:, :rows, :columns].round().clamp(0.0, 255.0)


@cache
def _cosines() -> tuple[tuple[float, ...], ...]:
    """Orthonormal discrete cosine transform of length 8."""
    return tuple(
        tuple(math.sqrt((1.0 if k == 0 else 2.0) / 8.0) * math.cos(math.pi * (2 * n + 1) * k / 16.0) for n in range(8))
        for k in range(8)
    )
