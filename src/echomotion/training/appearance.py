"""What disturbs speckle from frame to frame, added to cines whose motion is known.

Echoes add up as powers, so grey levels are taken back to powers by the dynamic range that a machine shows, disturbed
there, and compressed again. Every function takes a ``numpy.random.Generator``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Dynamic range in dB that is taken for shown.
_DYNAMIC_RANGE = (45.0, 65.0)


def change_appearance(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A cine (T, h, w) with another brightness, clutter, noise, passing patterns and dropouts; black stays black."""
    shown = float(rng.uniform(*_DYNAMIC_RANGE))
    amplitude = np.power(10.0, (frames.astype(np.float32) / 255 - 1) * (shown / 20)).astype(np.float32)
    lit = cv2.GaussianBlur(frames.max(axis=0).astype(np.float32), (0, 0), 2) > 2
    if not lit.any():
        return frames.copy()
    if rng.random() < 0.5:
        amplitude = flattened(amplitude, lit, rng)
    power = np.square(amplitude)
    level = float(np.median(power[:, lit])) + 1e-9
    size = (float(rng.uniform(0.8, 2.2)), float(rng.uniform(0.6, 1.4)))
    if rng.random() < 0.5:
        power += still_clutter(power.shape, level, size, rng)
    if rng.random() < 0.6:
        power += noise(power.shape, level, size, rng)
    if rng.random() < 0.5:
        power += passing_pattern(power.shape, level, size, rng)
    if rng.random() < 0.3:
        power *= dropout(power.shape, rng)
    grey = 1 + 10 * np.log10(power + 1e-12) / shown
    gamma = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
    out = np.power(np.clip(grey, 0, 1), gamma) * rng.uniform(0.7, 1.1)
    return (np.clip(out, 0, 1) * 255 * lit).astype(np.uint8)


def flattened(amplitude: Array, lit: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    """Differences of brightness between tissues made smaller, so that only their speckle tells them apart."""
    mean = cv2.GaussianBlur(amplitude.mean(axis=0), (0, 0), float(rng.uniform(4, 15))) + 1e-4
    level = np.sqrt(np.square(amplitude[:, lit]).mean())
    out = amplitude / np.power(mean, rng.uniform(0.3, 1))
    return out * (level * rng.uniform(0.7, 1.5) / np.sqrt(np.square(out[:, lit]).mean()))


def still_clutter(shape: tuple[int, ...], level: float, size: tuple[float, float], rng: np.random.Generator) -> Array:
    """A pattern that stands still, in patches (reverberations)."""
    cells = int(rng.integers(2, 7))
    patches = np.square(_blobs(shape[1:], cells, rng))
    return _speckle(shape[1:], size, rng) * patches * np.float32(level * 10 ** rng.uniform(-0.5, 1.2))


def noise(shape: tuple[int, ...], level: float, size: tuple[float, float], rng: np.random.Generator) -> Array:
    """A pattern that is new on each frame."""
    strength = _blobs(shape[1:], 3, rng, low=0.3) * np.float32(level * 10 ** rng.uniform(-1.5, 0.5))
    return np.stack([strength * _speckle(shape[1:], size, rng) for _ in range(shape[0])])


def passing_pattern(shape: tuple[int, ...], level: float, size: tuple[float, float], rng: np.random.Generator) -> Array:
    """A pattern that changes slowly (motion through the plane, side lobes)."""
    keep = np.float32(np.exp(-1 / rng.uniform(2, 20)))
    strength = np.float32(level * 10 ** rng.uniform(-1, 0.5))
    field = _field(shape[1:], size, rng)
    out = []
    for _ in range(shape[0]):
        echo = np.square(field).sum(axis=0)
        out.append(strength * echo / echo.mean())
        field = keep * field + np.sqrt(1 - keep**2) * _field(shape[1:], size, rng)
    return np.stack(out)


def dropout(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Factors that darken a part of the picture for a part of the time."""
    dark = 1 / (1 + np.exp((_blobs(shape[1:], 4, rng) - 0.75) * 40))
    factors = np.ones(shape, dtype=np.float32)
    first = int(rng.integers(shape[0]))
    factors[first : first + int(rng.integers(1, shape[0] + 1))] = dark * 0.99 + 0.01
    return factors


def _field(shape: tuple[int, ...], size: tuple[float, float], rng: np.random.Generator) -> Array:
    """Real and imaginary part (2, h, w) of an echo with speckle of that size along x and y."""
    white = rng.standard_normal((2, *shape), dtype=np.float32)
    return np.stack([cv2.GaussianBlur(part, (0, 0), sigmaX=size[0], sigmaY=size[1]) for part in white])


def _speckle(shape: tuple[int, ...], size: tuple[float, float], rng: np.random.Generator) -> Array:
    """Power (h, w) of an echo, 1 in the mean."""
    power = np.square(_field(shape, size, rng)).sum(axis=0)
    return power / power.mean()


def _blobs(shape: tuple[int, ...], cells: int, rng: np.random.Generator, low: float = 0.0) -> Array:
    """A smooth map (h, w) from `low` to 1."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    smooth = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    smooth -= smooth.min()
    return low + (1 - low) * smooth / max(float(smooth.max()), 1e-6)
