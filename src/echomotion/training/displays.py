"""Training of the classifier of displays: frames of CAMUS, of which half are mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.datasets.camus import read_camus
from echomotion.models.display_classifier import DISPLAYS, MIRRORED, STANDARD, DisplayNetwork
from echomotion.models.view_classifier import SIDE, ViewClassifierConfig
from echomotion.preprocess.grid import to_model_grid
from echomotion.training.augment import Image, place_image, placement_matrix, random_fan, random_grey

# Frames are kept somewhat finer than they are shown.
_KEPT_SIDE = 2 * SIDE


@dataclass(frozen=True)
class DisplayTraining:
    """Data side of the recipe.

    Attributes
    ----------
    batch : int
        Frames of a step.
    plain : float
        Share of the frames that keep their grey levels.
    smoothing : float
        Part of the probability that is spread over both displays in the target.
    """

    batch: int = 24
    plain: float = 0.15
    smoothing: float = 0.04


class DisplayTask:
    """Frames of CAMUS, mirrored or not; how probable the network holds what is true, on other patients."""

    def __init__(self, data: str | Path, training: DisplayTraining, config: ViewClassifierConfig) -> None:
        self.network: nn.Module = DisplayNetwork(config)
        self.training = training
        self.fit = _frames(data, "fit")
        kept = [cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in _frames(data, "selection")]
        self.selection = torch.from_numpy(np.stack(kept))[:, None].float() / 255

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Frames (B, 1, 96, 96) and numbers (B,) of their displays."""
        own = self.training
        images: list[Image] = []
        mirrored = rng.random(own.batch) < 0.5
        for turned in mirrored:
            frame = self.fit[int(rng.integers(len(self.fit)))]
            matrix = placement_matrix((frame.shape[0], frame.shape[1]), SIDE, rng, mirror=float(turned))
            image = place_image(frame, matrix, SIDE)
            images.append(image if rng.random() < own.plain else random_grey(random_fan(image, rng), rng))
        true = np.where(mirrored, DISPLAYS.index(MIRRORED), DISPLAYS.index(STANDARD))
        return torch.from_numpy(np.stack(images))[:, None], torch.from_numpy(true)

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross-entropy."""
        images, displays = batch
        return functional.cross_entropy(network(images), displays, label_smoothing=self.training.smoothing)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Geometric mean of the probability of what is true (``score``), and the share that is told ``right``.

        Mirrored frames need no look of their own: by its construction the network says the opposite of them.
        """
        network.eval()
        device = next(network.parameters()).device
        logits = torch.cat([network(part.to(device)).cpu() for part in self.selection.split(64)])
        network.train()
        true = logits.log_softmax(dim=1)[:, DISPLAYS.index(STANDARD)]
        right = logits.argmax(dim=1) == DISPLAYS.index(STANDARD)
        return {"score": float(true.mean().exp()), "right": float(right.float().mean())}


def _frames(data: str | Path, split: str) -> list[NDArray[np.uint8]]:
    """Fans of a split on a square grid, all displayed as usual."""
    shape = (_KEPT_SIDE, _KEPT_SIDE)
    return [to_model_grid(frame.clip, shape)[0][0] for frame in read_camus(data, split)]
