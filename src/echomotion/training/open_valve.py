"""An open mitral valve drawn into frames that show it shut.

CAMUS has masks of end-diastole and end-systole, and both show the valve shut or nearly so: a bright line where cavity
and atrium meet, which a network learns to follow. Through the rest of diastole the line is gone and leaflets stand in
the cavity, while the border between cavity and atrium still runs from hinge to hinge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Labels = NDArray[np.uint8]
FloatArray = NDArray[np.float64]
_CAVITY, _ATRIUM = 1, 3
# All sizes below are parts of the distance between the hinges. A shut valve lies within so much of their line; leaflets
# are this long (the anterior one, at the septum or not, is drawn like the other), this thick, and open by so many
# degrees from the line.
_SHUT = (0.16, 0.24)
_LONG, _THICK, _ANGLE_DEG = (0.35, 0.95), (0.02, 0.05), (15.0, 95.0)
# A leaflet's grey level, in parts of the brightest tenth of the tissue; one of five does not show at all.
_BRIGHT, _UNSEEN = (0.3, 0.9), 0.2
# Share of the clips that are shown with the valve open.
_OPEN = 0.2
_LEAST_PX = 8


class Leaflet(NamedTuple):
    """How one leaflet is drawn; all are shares, but for the angle in radians."""

    length: float
    thick: float
    angle: float
    bow: float
    bright: float


def open_valve(pictures: Sequence[Image], labels: Sequence[Labels], rng: np.random.Generator) -> list[Image]:
    """Frames of one clip with the valve open: more or less so from one to the next, by the same leaflets.

    Parameters
    ----------
    pictures : float32 (H, W)
        0 to 1.
    labels : uint8 (H, W)
        Of the same frames, numbered as in CAMUS. A frame without a border between cavity and atrium stays as it is.
    rng : numpy.random.Generator
    """
    shut = rng.uniform(*_SHUT)
    leaflets = [_draw_leaflet(rng) for _ in range(2) if rng.random() >= _UNSEEN]
    sides = rng.permutation(2)
    opening = np.clip(rng.uniform(0.5, 1) + rng.uniform(-0.3, 0.3) * np.linspace(0, 1, len(pictures)), 0, 1)
    grain_seed = int(rng.integers(2**40))
    out = []
    for picture, label, share in zip(pictures, labels, opening, strict=True):
        hinges = mitral_hinges(label)
        if hinges is None:
            out.append(picture)
            continue
        blank = _without_shut_valve(picture, label, hinges, shut)
        tissue = picture[label == 2]
        level = float(np.quantile(tissue, 0.9)) if tissue.size else 1.0
        grain = np.random.default_rng(grain_seed)
        for side, leaflet in zip(sides, leaflets, strict=False):
            opened = leaflet._replace(angle=leaflet.angle * share)
            blank = _with_leaflet(blank, label, hinges[side], hinges[1 - side], opened, level, grain)
        out.append(blank)
    return out


def perhaps_open_valve(pictures: Sequence[Image], labels: Sequence[Labels], rng: np.random.Generator) -> list[Image]:
    """The same for one clip of five; the others stay as they are."""
    return open_valve(pictures, labels, rng) if rng.random() < _OPEN else list(pictures)


def mitral_hinges(labels: Labels) -> FloatArray | None:
    """Ends (2, 2), x and y, of the border between cavity and atrium; None where there is hardly one."""
    kernel = np.ones((5, 5), np.uint8)
    cavity, atrium = ((labels == k).astype(np.uint8) for k in (_CAVITY, _ATRIUM))
    border = np.argwhere(cv2.dilate(cavity, kernel) & cv2.dilate(atrium, kernel))[:, ::-1].astype(float)
    if len(border) < _LEAST_PX:
        return None
    middle = border.mean(axis=0)
    direction = np.linalg.svd(border - middle, full_matrices=False)[2][0]
    along = (border - middle) @ direction
    ends = middle + direction * np.array([[along.min()], [along.max()]])
    return ends if np.hypot(*(ends[1] - ends[0])) >= _LEAST_PX else None


def _draw_leaflet(rng: np.random.Generator) -> Leaflet:
    return Leaflet(
        rng.uniform(*_LONG),
        rng.uniform(*_THICK),
        np.deg2rad(rng.uniform(*_ANGLE_DEG)),
        rng.normal(0, 0.15),
        rng.uniform(*_BRIGHT),
    )


def _without_shut_valve(picture: Image, labels: Labels, hinges: FloatArray, shut: float) -> Image:
    """Blood in place of what lies along the line of the hinges: its picture on either side, turned in and blended."""
    first, second = hinges
    span = float(np.hypot(*(second - first)))
    along = (second - first) / span
    normal = np.array([-along[1], along[0]])
    rows, columns = picture.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    away = (x - first[0]) * normal[0] + (y - first[1]) * normal[1]
    reach = shut * span
    inside = np.clip(away / reach, -1, 1)

    def folded(side: float) -> Image:
        """What is seen as far beyond the band, on that side, as a pixel is inside it."""
        beyond = side * 2 * reach - 2 * away
        map_x = (x + beyond * normal[0]).astype(np.float32)
        map_y = (y + beyond * normal[1]).astype(np.float32)
        return cv2.remap(picture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    weight = 0.5 * (1 + np.sin(0.5 * np.pi * inside))
    before, after = folded(-1.0), folded(1.0)
    # Beyond the fan there is nothing to take.
    parts = (1 - weight) * (before > 0), weight * (after > 0)
    total = parts[0] + parts[1]
    blood = np.where(total > 0, (parts[0] * before + parts[1] * after) / np.maximum(total, 1e-6), picture)
    pool = np.isin(labels, (_CAVITY, _ATRIUM)).astype(np.uint8)
    # Up to the walls, but not over them: a hinge is tissue.
    pool = cv2.erode(pool, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    there = pool * np.clip(2 * (1 - np.abs(away) / reach), 0, 1)
    there = cv2.GaussianBlur(there.astype(np.float32), (0, 0), 0.02 * span)
    return (picture + there * (np.minimum(picture, blood) - picture)).astype(np.float32)


def _with_leaflet(
    picture: Image,
    labels: Labels,
    hinge: FloatArray,
    other: FloatArray,
    leaflet: Leaflet,
    level: float,
    rng: np.random.Generator,
) -> Image:
    """A bowed line of tissue from a hinge into the cavity."""
    span = float(np.hypot(*(other - hinge)))
    along = (other - hinge) / span
    ahead = np.array([-along[1], along[0]])
    ys, xs = np.nonzero(labels == _CAVITY)
    if np.dot(np.array([xs.mean(), ys.mean()]) - hinge, ahead) < 0:
        ahead = -ahead
    u = np.linspace(0, 1, 24)[:, None]
    forward = np.cos(leaflet.angle) * along + np.sin(leaflet.angle) * ahead
    sideward = -np.sin(leaflet.angle) * along + np.cos(leaflet.angle) * ahead
    line = hinge + span * leaflet.length * (u * forward + 4 * leaflet.bow * u * (1 - u) * sideward)
    canvas = np.zeros(picture.shape, np.uint8)
    # Sixteenths of a pixel.
    points = np.round(line * 16).astype(np.int32).reshape(-1, 1, 2)
    thick = max(1, round(2 * leaflet.thick * span))
    cv2.polylines(canvas, [points], False, 255, thick, cv2.LINE_AA, 4)
    shape = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), max(0.5, 0.5 * leaflet.thick * span))
    grain = cv2.GaussianBlur(rng.standard_normal(picture.shape).astype(np.float32), (0, 0), 1.5)
    grain = np.clip(1 + 0.3 * grain / (grain.std() + 1e-6), 0.2, 1.8)
    drawn = np.clip(leaflet.bright * level * grain, 0, 1) * shape
    # Behind tissue it does not show; in blood the brighter of the two does.
    return np.maximum(picture, drawn.astype(np.float32))
