"""Correlation volumes: how well a template matches at every place of a small search range.

Normalised cross-correlation (mean and contrast of the template and of each window taken out), averaged over
neighbouring points and over time before it is read. Squares are held by the lower frequencies of their Fourier
transform, since speckle has no detail finer than a few pixels: a volume is then one product of few numbers and one
matrix for all places at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echomotion.models.trackers.field_of_view import seen_share
from echomotion.models.trackers.patches import MIN_CONTRAST, patches_on

# Highest frequency that is kept, in cycles per pixel. Speckle seen at 256 rows holds less than a hundredth beyond.
_BAND = 0.5


@dataclass(frozen=True)
class Spectra:
    """Templates and search windows around M points on F frames, ready to be correlated.

    Attributes
    ----------
    templates, windows : complex64 (F, M, B)
        Fourier transforms at B frequencies; the templates' conjugate, with mean 0 and length 1, or less where a part
        of them is not seen.
    scale : float32 (F, M, k * k)
        One over the length of the window at every place.
    places : float32 (2 * B, k * k)
        The inverse transform to the places of the search range, from real and imaginary parts in turn.
    """

    templates: Tensor
    windows: Tensor
    scale: Tensor
    places: Tensor

    def volume(self, source: slice, target: slice) -> NDArray[np.float32]:
        """Correlation (F', M, k, k) of templates on `source` frames with windows on `target` frames."""
        product = torch.view_as_real(self.templates[source] * self.windows[target])
        found = (product.flatten(-2) @ self.places).mul_(self.scale[target])
        k = round(found.shape[-1] ** 0.5)
        return found.view(*found.shape[:-1], k, k).numpy()


def spectra(
    frames: NDArray[np.number],
    xy: NDArray[np.floating],
    gradient: NDArray[np.floating],
    size: int,
    reach: int,
    seen: NDArray[np.bool_] | None = None,
) -> Spectra:
    """Prepare templates of `size` px and windows that reach `reach` px further.

    Parameters
    ----------
    frames : (F, h, w)
    xy : float (M, F, 2)
        Where each template and window is centred.
    gradient : float (M, F, 2, 2)
        How the tissue there is deformed: squares are read in material coordinates, so that tissue which turns and
        stretches still looks alike.
    size, reach : int
        k is ``2 * reach + 1``.
    seen : bool (h, w), optional
        Where the picture shows something: a template counts, and correlates, by the part of it that is seen.
    """
    large = size + 2 * reach
    of_template, of_window, places, boxes = _tables(size, reach)
    windows = torch.from_numpy(patches_on(frames, xy, large, gradient))
    total, energy = windows @ boxes, windows.square() @ boxes
    variance = energy.sub_(total.square_(), alpha=1 / size**2).clamp_(min=(MIN_CONTRAST * size) ** 2)
    inner = windows.unflatten(-1, (large, large))[..., reach : reach + size, reach : reach + size].flatten(-2)
    templates = inner - inner.mean(dim=-1, keepdim=True)
    # A template without contrast stays small instead of becoming noise of full height.
    templates /= templates.norm(dim=-1, keepdim=True) + MIN_CONTRAST
    if seen is not None:
        templates *= torch.from_numpy(seen_share(seen, xy, size).T)[..., None]
    return Spectra(_complex(templates @ of_template), _complex(windows @ of_window), variance.rsqrt_(), places)


def _complex(pairs: Tensor) -> Tensor:
    return torch.view_as_complex(pairs.unflatten(-1, (-1, 2)))


@lru_cache(maxsize=8)
def _tables(size: int, reach: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Linear maps from squares and to places, all float32.

    Returns
    -------
    of_template, of_window : (size * size, 2 * B), (n * n, 2 * B)
        Fourier transforms at the frequencies that are kept, real and imaginary parts in turn, the template's conjugate
        and about the same middle. As matrices they are faster than a fast transform of such small squares.
    places : (2 * B, k * k)
        From the product of both to the places of the search range.
    boxes : (n * n, k * k)
        Sums over the square at each place.
    """
    n, k = size + 2 * reach, 2 * reach + 1
    v, u = np.meshgrid(np.fft.fftfreq(n), np.fft.rfftfreq(n), indexing="ij")
    # Half a plane is enough for real pictures; frequency 0 is nothing, since templates have no mean.
    kept = ((u > 0) | (v > 0)) & (np.hypot(u, v) <= _BAND)
    turns = 2 * np.pi * np.stack([u[kept], v[kept]], axis=1)
    # Each frequency of the half plane stands for two; the squares are of odd size, so none stands for itself.
    places = _waves(k, turns).T * 2 / n**2
    at = np.arange(n)[None] - np.arange(k)[:, None]
    side = (at >= 0) & (at < size)
    boxes = np.einsum("iy,jx->yxij", side, side).reshape(n * n, k * k)
    return _matrix(_waves(size, -turns)), _matrix(_waves(n, turns)), _matrix(places), _matrix(boxes)


def _matrix(values: NDArray[np.generic]) -> Tensor:
    return torch.tensor(np.ascontiguousarray(values), dtype=torch.float32)


def _waves(side: int, turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine and minus sine (side * side, 2 * B) of B waves (B, 2) about the middle of a square, in turn."""
    offset = np.arange(side) - (side - 1) / 2
    dy, dx = np.meshgrid(offset, offset, indexing="ij")
    phase = np.stack([dx.ravel(), dy.ravel()], axis=1) @ turns.T
    return np.stack([np.cos(phase), -np.sin(phase)], axis=-1).reshape(side * side, -1)


def averaged(volumes: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Volumes (F, N, k, k) averaged over neighbours with weights (N, N)."""
    mean = torch.from_numpy(weights) @ torch.from_numpy(volumes).flatten(2)
    return mean.view(volumes.shape).numpy()


def smoothed_in_time(volumes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Volumes (F, N, k, k) after a Gaussian over frames, ends repeated."""
    reach, count = smoothing_reach(sigma), len(volumes)
    if not reach or count < 2:
        return volumes
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    mixing = np.zeros((count, count), dtype=np.float32)
    for step, weight in zip(range(-reach, reach + 1), kernel / kernel.sum(), strict=True):
        mixing[np.arange(count), np.clip(np.arange(count) + step, 0, count - 1)] += weight
    # By PyTorch, as everything heavy here: NumPy's own threads would wait for its, and the other way round.
    return (torch.from_numpy(mixing) @ torch.from_numpy(volumes).reshape(count, -1)).view(volumes.shape).numpy()


def smoothing_reach(sigma: float) -> int:
    """Frames to either side that :func:`smoothed_in_time` looks at."""
    return int(np.ceil(2.5 * sigma))


def peaks(volumes: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Best place in each volume (..., k, k), how sharp it is, and how good.

    Returns
    -------
    offset : float (..., 2)
        ``(x, y)`` from the centre, between pixels by a parabola along each axis.
    curvature : float (..., 2)
        Minus the second difference along x and y at the top, at least 1e-4: the information the peak holds.
    value : float (...)
        The correlation there.
    """
    k = volumes.shape[-1]
    flat = volumes.reshape(-1, k, k)
    which = np.arange(len(flat))
    row, column = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), k)
    value = flat[which, row, column]
    # On the rim the parabola is laid through the three outermost values.
    row, column = np.clip(row, 1, k - 2), np.clip(column, 1, k - 2)
    top = flat[which, row, column].astype(np.float64)
    out = []
    for at, before, after in (
        (column, flat[which, row, column - 1], flat[which, row, column + 1]),
        (row, flat[which, row - 1, column], flat[which, row + 1, column]),
    ):
        curvature = np.maximum(2 * top - before - after, 1e-4)
        shift = np.clip((after.astype(np.float64) - before) / (2 * curvature), -1, 1)
        out.append((at + shift - (k - 1) / 2, curvature))
    shape = volumes.shape[:-2]
    offset = np.stack([found for found, _ in out], axis=-1).reshape(*shape, 2)
    sharpness = np.stack([curvature for _, curvature in out], axis=-1).reshape(*shape, 2)
    return offset, sharpness, value.astype(np.float64).reshape(shape)
