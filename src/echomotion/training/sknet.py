"""Training of SK-net, and of other networks that draw maps of key-points, on simulated parasternal cines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.models.keypoints.echoglad import EchoGLADNetwork
from echomotion.models.keypoints.echonet_lvh import EchoNetLVHNetwork
from echomotion.models.keypoints.heatmaps import gaussian_maps, read_maps
from echomotion.models.keypoints.sknet import GRID, SKNetwork, as_input
from echomotion.models.layers.fixed_norm import measured_statistics
from echomotion.models.losses import heatmap_loss
from echomotion.training.augment import Image, place_image, placement_matrix, random_fan, random_grey
from echomotion.training.parasternal_cines import ParasternalCine, parasternal_cines

# Distances of TAP-Vid, in px at 256 px.
WITHIN = (1, 2, 4, 8, 16)
# Frames on which normalisations with fixed statistics measure them.
_MEASURED = 8
# Standard deviation of a target, in px of its map, at least.
_LEAST_SIGMA = 0.7


@dataclass(frozen=True)
class SKNetTraining:
    """Data side of the recipe.

    Attributes
    ----------
    sequences, selection : int
        Simulated sequences to train on, and to choose by.
    seed, selection_seed : int
        Of the simulation.
    every : int
        One of so many frames of each sequence is used.
    share : float
        Of the sequences, the first, that come with key-points; the others are left out.
    batch : int
        Frames of a step.
    early_grid : int
        Side of the frames during the first `early_share` of the run; a multiple of 32.
    early_share : float
    sigma_px, gamma : float
        Of the targets and of the loss (:func:`~echomotion.models.losses.heatmap_loss`).
    mirror, plain : float
        Shares of the frames that are mirrored, and that keep their grey levels.
    """

    sequences: int = 320
    selection: int = 24
    seed: int = 11
    selection_seed: int = 9011
    every: int = 3
    share: float = 1.0
    batch: int = 8
    early_grid: int = 160
    early_share: float = 0.6
    sigma_px: float = 7.0
    gamma: float = 0.01
    mirror: float = 0.0
    plain: float = 0.25


class SKNetTask:
    """Frames of simulated cines, augmented; share of the key-points within 1, 2, 4, 8 and 16 px on others."""

    def __init__(
        self, data: str | Path, training: SKNetTraining, network: SKNetwork | EchoNetLVHNetwork | EchoGLADNetwork
    ) -> None:
        self.network: nn.Module = network
        self.stride, self.training = network.config.stride, training
        cines = parasternal_cines(Path(data) / "fit", training.sequences, training.seed, side=256, every=training.every)
        self.cines = cines[: max(1, round(training.share * len(cines)))]
        self.selection = parasternal_cines(
            Path(data) / "selection", training.selection, training.selection_seed, side=GRID[0], every=6
        )
        some = [self.cines[i].frames[0] for i in np.linspace(0, len(self.cines) - 1, _MEASURED).astype(int)]
        with measured_statistics(network):
            network(as_input(np.stack(some), network))

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Images (B, 1, S, S) and key-points (B, 4, 2)."""
        own = self.training
        size = own.early_grid if share < own.early_share else GRID[0]
        images, points = [], []
        for number in rng.integers(len(self.cines), size=own.batch):
            cine = self.cines[number]
            frame = int(rng.integers(len(cine.frames)))
            image, xy = augmented(cine, frame, size, rng, mirror=own.mirror, plain=own.plain)
            images.append(image)
            points.append(xy)
        stack = torch.from_numpy(np.stack(images))[:, None]
        return stack.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.stack(points))

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """See :func:`~echomotion.models.losses.heatmap_loss`; the mean over its maps where a network draws several."""
        images, xy = batch
        # What is handed in may be a wrapper of the network.
        several = isinstance(self.network, EchoGLADNetwork)
        drawn = network(images, every_grid=True) if several else [(network(images), self.stride)]
        losses = []
        for maps, stride in drawn:
            size = (maps.shape[-2], maps.shape[-1])
            # A point must be seen on a coarse grid too.
            target = gaussian_maps(xy, size, stride, max(self.training.sigma_px, _LEAST_SIGMA * stride))
            losses.append(heatmap_loss(maps, target, self.training.gamma))
        return torch.stack(losses).mean()

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Share within thresholds (``score``), median error in px at 256 px and in mm."""
        network.eval()
        errors, millimetres = [], []
        for cine in self.selection:
            found, _ = read_maps(network(as_input(cine.frames, network)), self.stride)
            apart = np.linalg.norm(found.cpu().numpy() - cine.xy.swapaxes(0, 1), axis=-1)
            errors.append(apart * 256 / GRID[0])
            millimetres.append(apart * cine.px_mm)
        network.train()
        together = np.concatenate(errors)
        return {
            "score": float(np.mean([np.mean(together < px) for px in WITHIN])),
            "median_px": float(np.median(together)),
            "median_mm": float(np.median(np.concatenate(millimetres))),
        }


def augmented(
    cine: ParasternalCine, frame: int, size: int, rng: np.random.Generator, *, mirror: float, plain: float
) -> tuple[Image, NDArray[np.float32]]:
    """A frame (size, size) placed and coloured at random, and its key-points (4, 2); those are all inside."""
    image = cine.frames[frame]
    shape = (image.shape[0], image.shape[1])
    for _ in range(20):
        matrix = placement_matrix(shape, size, rng, mirror=mirror)
        xy = cine.xy[:, frame] @ matrix[:, :2].T + matrix[:, 2]
        if np.all((xy >= 0) & (xy <= size - 1)):
            break
    placed = place_image(image, matrix, size)
    if rng.random() >= plain:
        placed = random_grey(random_fan(placed, rng), rng)
    return placed, xy.astype(np.float32)
