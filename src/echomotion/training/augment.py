"""What real files vary in, applied to training frames: fan, depth, gain, grey map, resolution, orientation, dropout.

Every function takes a ``numpy.random.Generator``; images are float32 (H, W) in 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.training.bending import perhaps_bent
from echomotion.training.open_valve import perhaps_open_valve

Image = NDArray[np.float32]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Reach:
    """How far a frame is moved from where it was recorded.

    Attributes
    ----------
    zoom : (float, float)
        Range of scales, 1 being that at which the frame fills the grid.
    deeper : float
        Share of the frames that are shown smaller than that, as in a deeper or wider fan.
    stretch, shear, turn_deg : float
        Largest logarithm of the stretch along an axis; standard deviations of the others.
    shift : float
        Largest shift, in parts of the grid's side; a frame that is smaller than the grid moves within it as well.
    """

    zoom: tuple[float, float] = (0.85, 1.2)
    deeper: float = 0.35
    stretch: float = 0.12
    shear: float = 0.05
    turn_deg: float = 10.0
    shift: float = 0.08


# Other machines, other hands; and about as it was recorded: what is only ever seen from afar is not learned in detail.
WIDE, NEAR = Reach(), Reach((0.9, 1.12), 0.0, 0.06, 0.03, 5.0, 0.05)
_DEEPER_ZOOM = (0.5, 0.85)
# Share of the clips placed about as recorded that are yet seen through another machine: where all look as recorded,
# shadows and haze are unlearned.
_ANOTHER_MACHINE = 0.25
# Share of the clips that look about as recorded but for beams in shadow, for haze near the probe, and for lost gain.
_SHADED, _HAZY, _DIM = 0.3, 0.15, 0.15
# The most gain that is lost, in parts of the grey map (on one of 60 dB, 20 dB) and of what its brightest tenth has.
_MOST_LOST, _MOST_OF_BRIGHT = 1 / 3, 0.6
# Share of clips whose frames differ in grey levels beyond noise.
_FLICKER = 0.3


def draw_reach(plain: float, rng: np.random.Generator) -> tuple[Reach, bool]:
    """How a clip is placed, `plain` being the share placed about as recorded; and whether it also looks about so."""
    near = rng.random() < plain
    return NEAR if near else WIDE, near and rng.random() >= _ANOTHER_MACHINE


def random_placement(
    image: NDArray[np.uint8], labels: Labels, size: int, rng: np.random.Generator, reach: Reach = WIDE
) -> tuple[Image, Labels]:
    """Move, turn, stretch, mirror and rescale a frame and its labels onto a ``size`` x ``size`` grid."""
    matrix = placement_matrix((image.shape[0], image.shape[1]), size, rng, reach)
    return place_image(image, matrix, size), place_labels(labels, matrix, size)


def placement_matrix(
    shape: tuple[int, int],
    size: int,
    rng: np.random.Generator,
    reach: Reach = WIDE,
    *,
    mirror: float = 0.5,
) -> NDArray[np.float64]:
    """Matrix (2, 3) from px of a frame of that shape to those of a ``size`` x ``size`` grid.

    A share `mirror` is mirrored.
    """
    rows, columns = shape
    fit = size / max(rows, columns)
    low, high = _DEEPER_ZOOM if rng.random() < reach.deeper else reach.zoom
    zoom = fit * np.exp(rng.uniform(np.log(low), np.log(high)))
    stretch = np.exp(rng.uniform(-reach.stretch, reach.stretch))
    angle = np.deg2rad(rng.normal(0, reach.turn_deg))
    side = -1.0 if rng.random() < mirror else 1.0
    shear = rng.normal(0, reach.shear)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([zoom * stretch * side, zoom / stretch])
    centre = np.array([(columns - 1) / 2, (rows - 1) / 2])
    slack = reach.shift * size + 0.5 * max(0.0, size - zoom * max(rows, columns))
    target = (size - 1) / 2 + rng.uniform(-slack, slack, 2)
    return np.column_stack([linear, target - linear @ centre])


def place_image(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> Image:
    """A frame through such a matrix, 0 to 1."""
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR).astype(np.float32) / 255


def place_labels(labels: Labels, matrix: NDArray[np.float64], size: int) -> Labels:
    """Labels through such a matrix."""
    return cv2.warpAffine(labels, matrix, (size, size), flags=cv2.INTER_NEAREST)


def random_fan(image: Image, rng: np.random.Generator) -> Image:
    """Narrow the fan, cut its depth, or shade beams: all by angle and depth from the fan's tip."""
    places = _angle_and_depth(image)
    if places is None:
        return image
    angle, depth = places
    gain = np.ones_like(image)
    if rng.random() < 0.3:
        low, high = -np.deg2rad(rng.uniform(22, 50)), np.deg2rad(rng.uniform(22, 50))
        gain *= (angle > low) & (angle < high)
    if rng.random() < 0.2:
        gain *= depth < rng.uniform(0.8, 1.0)
    return image * gain * _shadows(angle, depth, int(rng.integers(0, 5)), rng)


def random_shadows(image: Image, rng: np.random.Generator) -> Image:
    """Shade one to six beams (rib, lung, poor contact)."""
    places = _angle_and_depth(image)
    return image if places is None else image * _shadows(*places, int(rng.integers(1, 7)), rng)


def random_haze(image: Image, rng: np.random.Generator) -> Image:
    """A veil of clutter that thins out with depth (ribs, reverberation)."""
    places = _angle_and_depth(image)
    if places is None:
        return image
    rows, columns = image.shape
    cells = rng.uniform(0.2, 1, (5, 5)).astype(np.float32)
    cloud = cv2.resize(cells, (columns, rows), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.standard_normal((rows, columns)).astype(np.float32), (0, 0), rng.uniform(1, 2.5))
    thinned = 1 - rng.uniform(0.3, 1) * np.clip(places[1], 0, 1)
    veil = rng.uniform(0.1, 0.45) * np.clip(cloud * thinned * (1 + 0.5 * grain), 0, 1)
    return (image + veil * (1 - image) * (image > 0)).astype(np.float32)


def random_loss(image: Image, rng: np.random.Generator) -> Image:
    """Take away gain: grey levels are decibels, so all fall by as much, and the darkest go."""
    lit = image[image > 0]
    most = min(_MOST_LOST, _MOST_OF_BRIGHT * float(np.quantile(lit, 0.9))) if lit.size else 0.0
    return np.maximum(image - np.float32(rng.uniform(0, most)), 0)


def _angle_and_depth(image: Image) -> tuple[Image, Image] | None:
    """Angle and depth (1 at the lowest lit row) of all pixels from the fan's tip; None where too little is lit."""
    rows, columns = image.shape
    lit = np.flatnonzero(image.max(axis=1) > 0.02)
    if len(lit) < rows // 4:
        return None
    top, bottom = int(lit[0]), int(lit[-1])
    tip_x = float(np.mean(np.flatnonzero(image[top : top + 3].max(axis=0) > 0.02)))
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    return np.arctan2(x - tip_x, y - top + 1e-3), np.hypot(x - tip_x, y - top) / (bottom - top + 1)


def _shadows(angle: Image, depth: Image, count: int, rng: np.random.Generator) -> Image:
    """Gain of so many shaded beams."""
    gain = np.ones_like(angle)
    for _ in range(count):
        centre, width = np.deg2rad(rng.uniform(-40, 40)), np.deg2rad(rng.uniform(2, 9))
        start, strength = rng.uniform(0, 0.5), rng.uniform(0.3, 1.0)
        beam = np.exp(-0.5 * ((angle - centre) / width) ** 2)
        gain *= 1 - strength * beam * (depth > start)
    return gain


def random_grey(image: Image, rng: np.random.Generator) -> Image:
    """Change gain, contrast, gamma, time-gain, haze, noise, sharpness and resolution."""
    out = np.power(image, np.exp(rng.uniform(np.log(0.55), np.log(1.9))), dtype=np.float32)
    out = (out - rng.uniform(0, 0.12)) * np.exp(rng.uniform(np.log(0.4), np.log(1.7)))
    rows, columns = out.shape
    if rng.random() < 0.5:
        ramp = np.interp(np.arange(rows), np.linspace(0, rows - 1, 4), rng.uniform(0.5, 1.4, 4))
        out *= ramp[:, None].astype(np.float32)
    if rng.random() < 0.3:
        coarse = rng.uniform(0, 0.25, (4, 4)).astype(np.float32)
        out += cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC) * (image > 0)
    if rng.random() < 0.35:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:
        share = rng.uniform(0.3, 0.8)
        small = cv2.resize(out, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        out = cv2.resize(small, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        grain = rng.standard_normal((rows, columns)).astype(np.float32)
        grain = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.5))
        out *= 1 + rng.uniform(0, 0.5) * grain
        out += rng.uniform(0, 0.03) * grain * (image > 0)
    return np.clip(out, 0, 1).astype(np.float32)


def slight_grey(image: Image, rng: np.random.Generator) -> Image:
    """Change gain, gamma and sharpness by as little as they differ between recordings of one machine."""
    out = np.power(image, np.exp(rng.uniform(-0.25, 0.25)), dtype=np.float32) * np.exp(rng.uniform(-0.25, 0.25))
    if rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.0))
    return np.clip(out, 0, 1).astype(np.float32)


def seen_otherwise(pictures: Sequence[Image], rng: np.random.Generator, *, slightly: bool) -> list[Image]:
    """Frames of one clip through another machine, or `slightly` changed and at times spoiled; some flicker."""
    seed, flicker = int(rng.integers(2**40)), rng.random() < _FLICKER
    if slightly:
        out = [slight_grey(picture, np.random.default_rng(seed)) for picture in pictures]
        for spoil, share in ((random_loss, _DIM), (random_shadows, _SHADED), (random_haze, _HAZY)):
            if rng.random() < share:
                out = [spoil(picture, np.random.default_rng(seed)) for picture in out]
        return out
    fan = [random_fan(picture, np.random.default_rng(seed)) for picture in pictures]
    return [random_grey(one, np.random.default_rng([seed, t if flicker else 0])) for t, one in enumerate(fan)]


def augment_frame(
    image: NDArray[np.uint8], labels: Labels, size: int, rng: np.random.Generator, *, plain: float = 0.25
) -> tuple[Image, Labels]:
    """All of the above in the order in which a machine makes a picture.

    Parameters
    ----------
    image, labels : uint8 (H, W)
    size : int
        Side of the square training grid in pixels.
    rng : numpy.random.Generator
    plain : float
        Share of the frames placed about as they were recorded; most of them look so too, which no simulation of a
        machine replaces.

    Returns
    -------
    float32 (size, size) in 0..1, uint8 (size, size)
    """
    reach, slightly = draw_reach(plain, rng)
    placed, placed_labels = random_placement(image, labels, size, rng, reach)
    bent, bent_labels = perhaps_bent([placed], [placed_labels], rng)
    pictures = perhaps_open_valve(bent, bent_labels, rng)
    return seen_otherwise(pictures, rng, slightly=slightly)[0], bent_labels[0]
