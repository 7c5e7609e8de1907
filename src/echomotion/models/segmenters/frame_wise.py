"""Runs a network that labels one frame at a time over a clip, in native pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, Clip, Masks
from echomotion.models.base import Progress
from echomotion.models.segmenters.native import masks_of
from echomotion.models.segmenters.placements import averaged, placement_matrices, scales_for
from echomotion.models.segmenters.steadying import steady_in_time
from echomotion.models.weights import Weights
from echomotion.preprocess.grid import to_model_grid

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
        scales: tuple[float, ...] | None = (),
        steady_s: float = 0.0,
    ) -> None:
        self.name = name
        # With channels last the convolutions take a third less time on a CPU; the stubs of torch do not know the word.
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.grid_shape = (int(grid_shape[0]), int(grid_shape[1]))
        self.weights = weights
        self.mirror = mirror
        self.scales = scales
        self.steady_s = steady_s

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """Label all frames; see :class:`echomotion.models.base.Segmenter`."""
        frames, geometry = to_model_grid(clip, self.grid_shape)
        scales = scales_for(clip.n_frames, self.scales)
        looks = placement_matrices(self.grid_shape, mirror=self.mirror, scales=scales)

        def predict(placed: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
            return self._probability(placed, progress if matrix is looks[0] else None)

        probability = averaged(frames, looks, predict)
        if self.steady_s > 0 and clip.n_frames > 1:
            probability = steady_in_time(probability, self.steady_s / clip.frame_interval_s)
        return masks_of(probability, geometry, APICAL_CLASSES, self.name)

    @torch.inference_mode()
    def _probability(self, frames: NDArray[np.uint8], progress: Progress | None) -> NDArray[np.float32]:
        device = next(self.network.parameters()).device
        parts = []
        for start in range(0, len(frames), _BATCH):
            batch = torch.from_numpy(frames[start : start + _BATCH]).to(device).float()[:, None] / 255
            probability = self.network(batch).softmax(dim=1)
            parts.append(probability.cpu().numpy())
            if progress is not None:
                progress(min(start + _BATCH, len(frames)), len(frames))
        return np.concatenate(parts)
