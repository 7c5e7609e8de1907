"""Correlation volumes: how well a template matches at every place of a small search range.

Normalised cross-correlation (mean and contrast of the template and of each window taken out), computed by Fourier
transform for many points at once, averaged over neighbouring points and over time before the best place is taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import sparse

from echomotion.models.trackers.patches import MIN_CONTRAST, patches_at

_WORKERS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Spectra:
    """Templates and search windows around M points on F frames, ready to be correlated.

    Attributes
    ----------
    templates, windows : complex64 (F, M, n, n // 2 + 1)
        Fourier transforms; the templates' conjugate, with mean 0 and length 1.
    scale : float32 (F, M, k, k)
        One over the length of the window at every place.
    side : int
        n, the side of the transform.
    """

    templates: NDArray[np.complex64]
    windows: NDArray[np.complex64]
    scale: NDArray[np.float32]
    side: int

    def volume(self, source: slice, target: slice) -> NDArray[np.float32]:
        """Correlation (F', M, k, k) of templates on `source` frames with windows on `target` frames."""
        product = self.templates[source] * self.windows[target]
        k = self.scale.shape[-1]
        full = scipy.fft.irfft2(product, (self.side, self.side), workers=_WORKERS)
        return full[..., :k, :k] * self.scale[target]


def spectra(
    frames: NDArray[np.uint8], xy: NDArray[np.floating], gradient: NDArray[np.floating], size: int, reach: int
) -> Spectra:
    """Prepare templates of `size` px and windows that reach `reach` px further.

    Parameters
    ----------
    frames : uint8 (F, h, w)
    xy : float (M, F, 2)
        Where each template and window is centred.
    gradient : float (M, F, 2, 2)
        How the tissue there is deformed: squares are read in material coordinates, so that tissue which turns and
        stretches still looks alike.
    size, reach : int
        k is ``2 * reach + 1``.
    """
    large = size + 2 * reach
    side = scipy.fft.next_fast_len(large, real=True)
    shape = (len(frames), len(xy), large, large)
    read = [patches_at(frame, xy[:, f], large, gradient[:, f]) for f, frame in enumerate(frames)]
    windows = np.stack(read).reshape(shape)
    windows -= windows.mean(axis=(-1, -2), keepdims=True)
    templates = windows[..., reach : reach + size, reach : reach + size]
    templates = templates - templates.mean(axis=(-1, -2), keepdims=True)
    # A template without contrast stays small instead of becoming noise of full height.
    templates /= np.sqrt(np.sum(templates**2, axis=(-1, -2), keepdims=True)) + MIN_CONTRAST
    total, squares = _box_sums(windows, size), _box_sums(windows**2, size)
    variance = np.maximum(squares - total**2 / size**2, (MIN_CONTRAST * size) ** 2)
    return Spectra(
        scipy.fft.rfft2(templates, (side, side), workers=_WORKERS).conj(),
        scipy.fft.rfft2(windows, (side, side), workers=_WORKERS),
        (1 / np.sqrt(variance)).astype(np.float32),
        side,
    )


def _box_sums(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Sums over all squares of `size` px within images (..., a, a), which are stacked into one tall picture."""
    places = images.shape[-1] - size + 1
    tall = images.reshape(-1, images.shape[-1])
    sums = cv2.boxFilter(tall, cv2.CV_32F, (size, size), anchor=(0, 0), normalize=False)
    return sums.reshape(images.shape)[..., :places, :places]


def averaged(volumes: NDArray[np.float32], weights: sparse.csr_array) -> NDArray[np.float32]:
    """Volumes (F, N, k, k) averaged over neighbours."""
    by_point = np.moveaxis(volumes, 1, 0)
    mean = weights @ by_point.reshape(len(by_point), -1)
    return np.moveaxis(mean.reshape(by_point.shape), 0, 1)


def smoothed_in_time(volumes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Volumes (F, N, k, k) after a Gaussian over frames, ends repeated."""
    reach = smoothing_reach(sigma)
    if not reach or len(volumes) < 2:
        return volumes
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    padded = np.concatenate([volumes[:1].repeat(reach, 0), volumes, volumes[-1:].repeat(reach, 0)])
    return sliding_window_view(padded, len(kernel), axis=0) @ (kernel / kernel.sum())


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
