"""Training of the U-Net on CAMUS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.losses import DiceCELoss
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.core import Geometry
from echomotion.datasets.camus import read_camus
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.training.augment import augment_frame


@dataclass(frozen=True)
class UNetTraining:
    """Data side of the recipe.

    Attributes
    ----------
    grid : int
        Side of the square grid in pixels that the released model runs on.
    early_grid : int
        Side during the first `early_share` of the run: coarse frames are cheap, and teach the anatomy.
    early_share : float
    plain, late_plain, late_share : float
        Share of the frames placed about as they were recorded (``augment.draw_reach``); the same at the end of the run;
        and how long that end is, in parts of the run.
    batch : int
    """

    grid: int = 256
    early_grid: int = 192
    early_share: float = 0.6
    plain: float = 0.5
    late_plain: float = 0.9
    late_share: float = 0.4
    batch: int = 8


class UNetTask:
    """Frames of CAMUS, augmented; Dice and cross-entropy; mean Dice of cavity and myocardium on held-out patients."""

    def __init__(self, data: str | Path, training: UNetTraining, config: UNetConfig) -> None:
        self.network: nn.Module = UNet(config)
        self.training = training
        self.fit_frames = _frames(data, "fit", side=round(1.5 * training.grid))
        self.selection_frames = _frames(data, "selection", side=training.grid)
        self.criterion = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Images (B, 1, H, W) and labels (B, 1, H, W)."""
        size = self.training.early_grid if share < self.training.early_share else self.training.grid
        chosen = rng.choice(len(self.fit_frames), self.training.batch, replace=False)
        own = self.training
        plain = own.late_plain if share > 1 - own.late_share else own.plain
        pairs = [
            augment_frame(image, labels, size, rng, plain=plain)
            for image, labels in (self.fit_frames[i] for i in chosen)
        ]
        images = torch.from_numpy(np.stack([image for image, _ in pairs]))[:, None]
        labels = torch.from_numpy(np.stack([label for _, label in pairs]))[:, None]
        return images.contiguous(memory_format=torch.channels_last), labels

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Dice plus cross-entropy."""
        images, labels = batch
        return self.criterion(network(images), labels)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice per class on the model's grid."""
        network.eval()
        device = next(network.parameters()).device
        dice = []
        for image, labels in self.selection_frames:
            frame = torch.from_numpy(image).to(device).float()[None, None] / 255
            found = network(frame).argmax(dim=1)[0].cpu().numpy()
            dice.append([_dice(found == k, labels == k) for k in (1, 2, 3)])
        cavity, myocardium, atrium = np.nanmean(dice, axis=0)
        return {
            "score": float(cavity + myocardium) / 2,
            "lv_cavity": float(cavity),
            "lv_myocardium": float(myocardium),
            "left_atrium": float(atrium),
        }


def _frames(data: str | Path, split: str, side: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    frames = []
    for item in read_camus(data, split):
        rows, columns = item.labels.shape
        box = (-0.5, -0.5, columns - 0.5, rows - 0.5)
        geometry = Geometry.letterbox((rows, columns), box, (side, side), item.clip.pixel_aspect)
        frames.append((geometry.warp(item.clip.frames[0]), geometry.warp(item.labels, nearest=True)))
    return frames


def _dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    total = found.sum() + true.sum()
    return float(2 * (found & true).sum() / total) if total else float("nan")
