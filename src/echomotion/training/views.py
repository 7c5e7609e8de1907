"""Training of the classifier of views on simulated frames of five views, and on pictures of no heart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import View
from echomotion.datasets.simulated import fan_geometry, read_simulated
from echomotion.models.view_classifier import (
    APICAL,
    KINDS,
    LONG_AXIS,
    OTHER,
    SHORT_AXIS,
    SIDE,
    ViewClassifierConfig,
    ViewNetwork,
)
from echomotion.simulate.store import simulate_to_folder
from echomotion.training.augment import Image, place_image, placement_matrix, random_fan, random_grey

VIEWS: dict[View, str] = {
    View.A4C: APICAL,
    View.A2C: APICAL,
    View.A3C: APICAL,
    View.PSAX: SHORT_AXIS,
    View.PLAX: LONG_AXIS,
}
SHAPE, FRAMES, TRACKS = (192, 256), 4, 4
# Frames are kept larger than the grid, so that a fan may be moved and cut.
_KEPT_SIDE = 160

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class ViewTraining:
    """Data side of the recipe.

    Attributes
    ----------
    sequences, selection : int
        Simulated sequences of each view to train on, and to choose by.
    seed, selection_seed : int
        Of the simulation; each view adds its number.
    batch : int
        Frames of a step.
    other : float
        Share of pictures that show no heart; the rest is the same number of each other kind.
    mirror, plain : float
        Shares of the frames that are mirrored, and that keep their grey levels.
    smoothing : float
        Part of the probability that is spread over all kinds in the target.
    """

    sequences: int = 80
    selection: int = 16
    seed: int = 211
    selection_seed: int = 90211
    batch: int = 32
    other: float = 0.2
    mirror: float = 0.5
    plain: float = 0.25
    smoothing: float = 0.05


class ViewTask:
    """Simulated frames by kind of view; the mean over kinds of the share that is told right, on others."""

    def __init__(self, data: str | Path, training: ViewTraining, config: ViewClassifierConfig) -> None:
        self.network: nn.Module = ViewNetwork(config)
        self.training = training
        self.fit = _frames(Path(data) / "fit", training.sequences, training.seed)
        chosen = _frames(Path(data) / "selection", training.selection, training.selection_seed)
        rng = np.random.default_rng(training.selection_seed)
        self.selection: list[tuple[int, Image]] = []
        for kind, groups in chosen.items():
            for frame in (frame for group in groups for frame in group):
                self.selection.append((KINDS.index(kind), _fitted(frame)))
                if kind == APICAL:
                    self.selection.append((KINDS.index(OTHER), no_heart(_fitted(frame), rng)))

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Frames (B, 1, 96, 96) and numbers (B,) of their kinds."""
        own = self.training
        images, kinds = [], []
        for _ in range(own.batch):
            heart = str(rng.choice(list(self.fit)))
            groups = self.fit[heart]
            group = groups[int(rng.integers(len(groups)))]
            frame = group[int(rng.integers(len(group)))]
            matrix = placement_matrix((frame.shape[0], frame.shape[1]), SIDE, rng, mirror=own.mirror)
            image = place_image(frame, matrix, SIDE)
            other = rng.random() < own.other
            if other:
                image = no_heart(image, rng)
            if rng.random() >= own.plain:
                image = random_grey(random_fan(image, rng), rng)
            images.append(image)
            kinds.append(KINDS.index(OTHER if other else heart))
        return torch.from_numpy(np.stack(images))[:, None], torch.tensor(kinds)

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy."""
        images, kinds = batch
        return functional.cross_entropy(network(images), kinds, label_smoothing=self.training.smoothing)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Share of each kind that is told right, and their mean (``score``)."""
        network.eval()
        true = np.array([kind for kind, _ in self.selection])
        images = torch.from_numpy(np.stack([image for _, image in self.selection]))[:, None]
        device = next(network.parameters()).device
        told = torch.cat([network(part.to(device)).argmax(dim=1).cpu() for part in images.split(64)]).numpy()
        network.train()
        right = {kind: float(np.mean(told[true == k] == k)) for k, kind in enumerate(KINDS)}
        return {"score": float(np.mean(list(right.values()))), **right}


def no_heart(image: Image, rng: np.random.Generator) -> Image:
    """A picture of no view, in the fan of a frame (H, W) or without one."""
    lit = image > 0.02
    draw = rng.random()
    if draw < 0.4:
        return _shuffled(image, rng) * lit
    if draw < 0.8:
        return _clouds(image.shape[:2], rng) * lit
    return _drawing(image.shape[:2], rng)


def _shuffled(image: Image, rng: np.random.Generator) -> Image:
    """The frame's own tiles in another order: its tissue, but no anatomy."""
    parts = int(rng.integers(3, 7))
    side = image.shape[0] // parts * parts
    tiles = image[:side, :side].reshape(parts, side // parts, parts, side // parts).swapaxes(1, 2)
    order = rng.permutation(parts * parts)
    mixed = tiles.reshape(parts * parts, side // parts, side // parts)[order]
    out = image.copy()
    out[:side, :side] = mixed.reshape(parts, parts, side // parts, side // parts).swapaxes(1, 2).reshape(side, side)
    # Tiles from outside the fan are not black.
    dark = cv2.GaussianBlur(out, (0, 0), 3)
    return np.where(out > 0.01, out, dark).astype(np.float32)


def _clouds(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Speckle whose brightness varies over some length."""
    grain = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), rng.uniform(0.5, 1.5))
    smooth = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), rng.uniform(4, 30))
    bright = rng.uniform(0.1, 0.6) + rng.uniform(0, 0.4) * smooth / max(float(smooth.std()), 1e-6)
    out = bright * (1 + rng.uniform(0.1, 0.6) * grain / max(float(grain.std()), 1e-6))
    return np.clip(out, 0.03, 1).astype(np.float32)


def _drawing(shape: tuple[int, ...], rng: np.random.Generator) -> Image:
    """Ellipses, bars and lines on a plain ground: a chart, a phantom, a page of text."""
    rows, columns = int(shape[0]), int(shape[1])
    out = np.full((rows, columns), rng.uniform(0, 0.5), np.float32)
    for _ in range(int(rng.integers(1, 12))):
        place = (int(rng.integers(columns)), int(rng.integers(rows)))
        size = (int(rng.integers(2, columns // 3)), int(rng.integers(1, rows // 3)))
        thick = -1 if rng.random() < 0.5 else int(rng.integers(1, 3))
        grey = float(rng.uniform(0, 1))
        if rng.random() < 0.5:
            cv2.ellipse(out, place, size, float(rng.uniform(0, 180)), 0, 360, grey, thick)
        else:
            cv2.rectangle(out, place, (place[0] + size[0], place[1] + size[1]), grey, thick)
    return np.clip(out + rng.normal(0, rng.uniform(0, 0.05), out.shape), 0, 1).astype(np.float32)


def _frames(folder: Path, count: int, seed: int) -> dict[str, list[Frames]]:
    """Frames (T, S, S) of each sequence by kind of view, simulated where the folder does not hold them."""
    found: dict[str, list[Frames]] = {}
    for number, (view, kind) in enumerate(VIEWS.items()):
        place = folder / str(view)
        simulate_to_folder(view, count, seed + number, place, shape=list(SHAPE), n_frames=FRAMES, n_tracks=TRACKS)
        for sequence in read_simulated(place):
            geometry = fan_geometry(sequence.clip, _KEPT_SIDE)
            found.setdefault(kind, []).append(np.stack([geometry.warp(frame) for frame in sequence.clip.frames]))
    return found


def _fitted(frame: Frames) -> Image:
    """A frame on the grid as it is."""
    return cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
