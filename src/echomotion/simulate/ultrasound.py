"""From moving scatterers to the frames that a machine shows.

The chain is: scatterers to complex echoes in beam space (:mod:`~echomotion.simulate.speckle`), what belongs to the beam
(:mod:`~echomotion.simulate.interference`), envelope, time gain, log compression and grey map, scan conversion, and
what a machine does to a picture (:mod:`~echomotion.simulate.machine`). Everything runs in batches on one device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from echomotion.core import DataError
from echomotion.simulate.artefacts import Artefacts
from echomotion.simulate.interference import Interference
from echomotion.simulate.machine import average_frames, compress, jpeg, smooth_and_sharpen
from echomotion.simulate.probe import Picture, Probe, draw_probe, fitting_picture
from echomotion.simulate.scan_conversion import fan_mask, scan_convert
from echomotion.simulate.speckle import BeamGrid

__all__ = ["Picture", "Probe", "beam_echo", "draw_probe", "fitting_picture", "render"]

# Scatterers, and nodes of beam space, that are worked on at a time: bounds memory.
_CHUNK_SCATTERERS, _CHUNK_NODES = 1 << 20, 1 << 20


def render(
    positions_mm: Tensor,
    amplitudes: Tensor,
    probe: Probe,
    picture: Picture,
    artefacts: Artefacts | None,
    generator: torch.Generator,
    *,
    times_s: Tensor | None = None,
) -> Tensor:
    """Frames that a machine shows of moving scatterers.

    Scatterers whose squared amplitudes add up to 1 on every mm2 of scan space are tissue of 0 dB: at ``d`` scatterers
    a mm2, tissue of echogenicity ``E`` dB has amplitudes of root mean square ``10 ** (E / 20) / sqrt(d)``.

    Parameters
    ----------
    positions_mm : float (B, T, N, 2)
        In scan space, ``(x, y)`` from the tip of the fan; those outside the fan are left out.
    amplitudes : float (B, T, N)
        Signed strengths, with all that belongs to single scatterers in them (echogenicity, loss of coherence).
    probe : Probe
    picture : Picture
    artefacts : Artefacts or None
        Those that belong to the beam are added here.
    generator : torch.Generator
        On the device of the scatterers.
    times_s : float (T,), optional
        Times of the frames, with which haze and fading change; without them both stand still.

    Returns
    -------
    uint8 (B, T, H, W)

    Raises
    ------
    DataError
        When the shapes do not fit each other.
    """
    offset_db = 0.0 if artefacts is None else artefacts.gain_offset_db
    batch, count = amplitudes.shape[:2]
    frames = torch.empty((batch, count, *picture.shape), device=positions_mm.device)
    for clips, moments, echo in _echoes(positions_mm, amplitudes, probe, artefacts, generator, times_s):
        levels = compress(echo.abs(), probe, offset_db)
        frames[clips, moments] = scan_convert(levels.flatten(0, 1), probe, picture).view(frames[clips, moments].shape)
    frames = average_frames(frames, probe.persistence).flatten(0, 1)
    frames = smooth_and_sharpen(frames, probe.smoothing_mm / picture.spacing_mm, probe.sharpening)
    frames = frames * (255.0 * fan_mask(probe, picture, frames.device))
    frames = frames.round_().clamp_(0.0, 255.0)
    if probe.jpeg_quality is not None:
        frames = jpeg(frames, probe.jpeg_quality)
    return frames.to(torch.uint8).view(batch, count, *picture.shape)


def beam_echo(
    positions_mm: Tensor,
    amplitudes: Tensor,
    probe: Probe,
    artefacts: Artefacts | None,
    generator: torch.Generator,
    *,
    times_s: Tensor | None = None,
) -> Tensor:
    """The complex echo before detection, complex64 (B, T, S, L), at the probe's depths and angles.

    Takes and refuses what :func:`render` does.
    """
    shape = (*amplitudes.shape[:2], *probe.grid)
    out = torch.empty(shape, dtype=torch.complex64, device=positions_mm.device)
    for clips, moments, echo in _echoes(positions_mm, amplitudes, probe, artefacts, generator, times_s):
        out[clips, moments] = echo
    return out


def _echoes(
    positions_mm: Tensor,
    amplitudes: Tensor,
    probe: Probe,
    artefacts: Artefacts | None,
    generator: torch.Generator,
    times_s: Tensor | None,
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Which clips, which of their frames, and their complex echoes (B, T, S, L): some at a time."""
    if positions_mm.dim() != 4 or positions_mm.shape != (*amplitudes.shape, 2) or not amplitudes.shape[1]:
        raise DataError(
            f"positions_mm {tuple(positions_mm.shape)} and amplitudes {tuple(amplitudes.shape)} "
            "must have shapes (B, T, N, 2) and (B, T, N), with at least one frame"
        )
    batch, count, scatterers = amplitudes.shape
    device = positions_mm.device
    if times_s is None:
        times_s = torch.zeros(count, device=device)
    elif times_s.shape != (count,):
        raise DataError(f"times_s has shape {tuple(times_s.shape)}; ({count},) is needed, one time a frame")
    beam = BeamGrid(probe, device)
    extra = None if artefacts is None else Interference(artefacts, beam, batch, times_s, generator)
    most = max(1, min(_CHUNK_SCATTERERS // max(scatterers, 1), _CHUNK_NODES // math.prod(beam.shape)))
    # Several whole clips at a time, or a part of one.
    together, step = max(1, most // count), min(most, count)
    for first in range(0, batch, together):
        clips = slice(first, min(first + together, batch))
        for start in range(0, count, step):
            frames = slice(start, min(start + step, count))
            shape = (clips.stop - clips.start, frames.stop - frames.start, *beam.shape)
            positions, strengths = positions_mm[clips, frames].flatten(0, 1), amplitudes[clips, frames].flatten(0, 1)
            grid = beam.splat(positions, strengths).view(shape)
            if extra is None:
                echo = beam.axial(beam.lateral(grid))
            else:
                echo = beam.lateral(extra.add_echoes(grid, clips, frames))
                echo = extra.reverberate(beam.axial(extra.add_noise(echo)))
            yield clips, frames, beam.crop(echo)
