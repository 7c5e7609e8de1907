"""Runs a network that labels one frame at a time over a clip, in native pixels."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from echomotion.core import APICAL_CLASSES, Clip, Geometry, Masks
from echomotion.models.base import Progress
from echomotion.models.weights import Weights
from echomotion.preprocess.grid import to_model_grid, to_native

_BATCH = 4


class FrameWiseSegmenter:
    """A segmenter made of a network ``(B, 1, h, w) -> logits (B, K, h, w)`` and its grid."""

    def __init__(
        self,
        name: str,
        network: torch.nn.Module,
        *,
        grid_shape: tuple[int, ...],
        weights: Weights | None = None,
        mirror: bool = False,
        smooth_s: float = 0.0,
    ) -> None:
        self.name = name
        self.network = network.eval()
        self.grid_shape = (int(grid_shape[0]), int(grid_shape[1]))
        self.weights = weights
        self.mirror = mirror
        self.smooth_s = smooth_s

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """Label all frames; see :class:`echomotion.models.base.Segmenter`."""
        frames, geometry = to_model_grid(clip, self.grid_shape)
        probability = self._probability(frames, progress)
        if self.smooth_s > 0 and clip.n_frames > 1:
            width = self.smooth_s / clip.frame_interval_s
            probability = gaussian_filter1d(probability, width, axis=0, mode="nearest")
        labels = np.stack([without_islands(labels_from_probability(p, geometry)) for p in probability])
        return Masks(
            labels, APICAL_CLASSES, probability=probability.astype(np.float16), geometry=geometry, model=self.name
        )

    @torch.inference_mode()
    def _probability(self, frames: NDArray[np.uint8], progress: Progress | None) -> NDArray[np.float32]:
        device = next(self.network.parameters()).device
        parts = []
        for start in range(0, len(frames), _BATCH):
            batch = torch.from_numpy(frames[start : start + _BATCH]).to(device).float()[:, None] / 255
            probability = self.network(batch).softmax(dim=1)
            if self.mirror:
                probability = (probability + self.network(batch.flip(-1)).softmax(dim=1).flip(-1)) / 2
            parts.append(probability.cpu().numpy())
            if progress is not None:
                progress(min(start + _BATCH, len(frames)), len(frames))
        return np.concatenate(parts)


def labels_from_probability(probability: NDArray[np.floating], geometry: Geometry) -> NDArray[np.uint8]:
    """Most probable class of each native pixel (H, W) from probabilities (K, h, w) on the grid.

    The probabilities are enlarged, not the labels, so that contours are smooth at native resolution.
    Pixels off the grid are background.
    """
    enlarged = np.stack([to_native(p.astype(np.float32), geometry) for p in probability])
    # Off the grid all classes read 0, and argmax then gives 0, the background.
    return np.argmax(enlarged, axis=0).astype(np.uint8)


def without_islands(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (H, W) in which each class keeps its largest connected part; the rest becomes background.

    Every class of the apical views is one piece of anatomy, so a second piece is a mistake.
    """
    out = np.zeros_like(labels)
    for label in np.unique(labels[labels > 0]).tolist():
        count, parts, stats, _ = cv2.connectedComponentsWithStats((labels == label).astype(np.uint8))
        if count > 1:
            out[parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))] = label
    return out
