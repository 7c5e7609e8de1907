"""Training of the flow network without labels, as in ARFlow (Liu et al. 2020, arXiv 2003.13045)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.flow.pwcnet import GRID, PWCNetConfig, PWCNetwork, read_flow
from echomotion.models.losses import occluded, photometric_loss, smoothness_loss
from echomotion.training.augment import place_image, placement_matrix, random_grey
from echomotion.training.parasternal_cines import parasternal_cines, simulated_frames


@dataclass(frozen=True)
class PWCNetTraining:
    """Data side of the recipe.

    Attributes
    ----------
    sequences, selection, seed, selection_seed : int
        As for SK-net; the key-points of what is trained on are not used.
    apical : int
        Four-chamber sequences beside them.
    batch : int
        Pairs of frames of a step.
    size : int
        Side of the frames, a multiple of 16.
    longest : int
        Largest distance of a pair in frames.
    photometric : tuple of float
        Weights of absolute difference, SSIM and census distance.
    smoothness, alpha : float
        Weight of edge-aware smoothness, and how much an edge frees.
    regular : float
        Weight of the augmentation as regularisation, which every other step has after a tenth of the run.
    """

    sequences: int = 200
    selection: int = 24
    seed: int = 11
    selection_seed: int = 9011
    apical: int = 60
    batch: int = 4
    size: int = 128
    longest: int = 12
    photometric: tuple[float, ...] = (0.15, 0.4, 1.0)
    smoothness: float = 0.3
    alpha: float = 10.0
    regular: float = 0.02


class PWCNetTask:
    """Pairs of frames of simulated clips; on other cines, how far tissue is followed from one frame to all."""

    def __init__(self, data: str | Path, training: PWCNetTraining, config: PWCNetConfig) -> None:
        self.network: nn.Module = PWCNetwork(config)
        self.training = training
        cines = parasternal_cines(Path(data) / "fit", training.sequences, training.seed, side=256)
        self.clips = [cine.frames for cine in cines]
        if training.apical:
            self.clips += simulated_frames("A4C", Path(data) / "fit-a4c", training.apical, training.seed, side=256)
        self.selection = parasternal_cines(
            Path(data) / "selection", training.selection, training.selection_seed, side=GRID[0], every=2
        )

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Two frames (B, 1, S, S), the same with other grey levels, and an affine map (B, 2, 3) for regularisation."""
        own = self.training
        plain, changed, maps = [], [], []
        for number in rng.integers(len(self.clips), size=own.batch):
            pair, coloured = frame_pair(self.clips[number], own, rng)
            plain.append(pair)
            changed.append(coloured)
            maps.append(_small_map(rng))
        first, second = torch.from_numpy(np.stack(plain)).unbind(dim=1)
        grey = torch.from_numpy(np.stack(changed))
        use = torch.tensor(2 * own.regular if share > 0.1 and rng.random() < 0.5 else 0.0)
        return first[:, None], second[:, None], grey, torch.from_numpy(np.stack(maps)).float(), use

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Photometric and smoothness in both directions, and the same flow after a change of the pictures."""
        first, second, grey, maps, use = batch
        own = self.training
        both = network(torch.cat([first, second]), torch.cat([second, first]))
        forward, backward = both.chunk(2)
        with torch.no_grad():
            seen = 1 - torch.cat([occluded(forward, backward), occluded(backward, forward)])
        # Pictures are compared at half their size: a quarter of the work, and speckle is wider than that.
        images, others = (functional.avg_pool2d(torch.cat(pair), 2) for pair in ((first, second), (second, first)))
        flow, clear = functional.avg_pool2d(both, 2) / 2, functional.avg_pool2d(seen, 2)
        loss = photometric_loss(images, others, flow, clear * (images > 0.01), own.photometric)
        loss = loss + own.smoothness * smoothness_loss(flow, images, own.alpha)
        if use > 0:
            loss = loss + use * self._regular(network, grey, maps, forward.detach(), seen[: len(first)])
        return loss

    def _regular(self, network: nn.Module, grey: Tensor, maps: Tensor, flow: Tensor, seen: Tensor) -> Tensor:
        """L1 between the flow of changed, moved pictures and the flow that was found, moved the same way."""
        grid = functional.affine_grid(maps, [*flow.shape[:1], 1, *flow.shape[2:]], align_corners=False)

        def moved(image: Tensor) -> Tensor:
            return functional.grid_sample(image, grid, align_corners=False)

        # The picture is read at A x, so a displacement d becomes A^-1 d.
        target = torch.einsum("bij,bjhw->bihw", torch.linalg.inv(maps[:, :, :2]), moved(flow))
        counted = (moved(seen) > 0.99).to(flow)
        found = network(moved(grey[:, :1]), moved(grey[:, 1:]))
        return ((found - target).abs().sum(dim=1, keepdim=True) * counted).sum() / counted.sum().clamp(min=1)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Median and mean error in px of tissue at the key-points, from the first frame to all, and that of no flow."""
        network.eval()
        errors, still = [], []
        for cine in self.selection:
            stack = torch.from_numpy(cine.frames)[:, None].float() / 255
            flow = network(stack[:1].expand(len(stack), -1, -1, -1), stack)
            start = torch.from_numpy(cine.tissue[:, 0])
            found = (start + read_flow(flow, start)).numpy()
            true = cine.tissue.swapaxes(0, 1)
            errors.append(np.linalg.norm(found - true, axis=-1)[1:])
            still.append(np.linalg.norm(true - true[:1], axis=-1)[1:])
        network.train()
        apart, none = np.concatenate(errors), np.concatenate(still)
        return {
            "score": -float(np.mean(np.minimum(apart, 10))),
            "median_px": float(np.median(apart)),
            "mean_px": float(apart.mean()),
            "still_mean_px": float(none.mean()),
        }


def frame_pair(
    frames: NDArray[np.uint8], training: PWCNetTraining, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two frames of a clip (T, h, w) as (2, S, S), placed alike, and the same with other grey levels."""
    count = len(frames)
    start = int(rng.integers(count))
    reach = int(rng.integers(1, min(training.longest, count - 1) + 1))
    other = start + reach if start + reach < count and (start < reach or rng.random() < 0.5) else start - reach
    other = int(np.clip(other, 0, count - 1))
    shape = (frames.shape[1], frames.shape[2])
    matrix = placement_matrix(shape, training.size, rng)
    # Larger than life, so that the pictures are full and speckle is not smoothed away.
    zoom = float(rng.uniform(1.0, 256 / training.size))
    middle = (training.size - 1) / 2
    matrix = zoom * matrix + np.array([[0, 0, (1 - zoom) * middle], [0, 0, (1 - zoom) * middle]])
    pair = np.stack([place_image(frames[t], matrix, training.size) for t in (start, other)])
    seed = int(rng.integers(2**32))
    # The noise of the two differs, the machine's settings do not.
    coloured = np.stack([random_grey(image, np.random.default_rng(seed)) for image in pair])
    return pair, coloured


def _small_map(rng: np.random.Generator) -> np.ndarray:
    """A turn, zoom and shift (2, 3) in the coordinates of ``affine_grid``."""
    angle, zoom = np.deg2rad(rng.uniform(-15, 15)), np.exp(rng.uniform(-0.15, 0.15))
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, rng.uniform(-0.1, 0.1, 2)])
