"""SK-net: the four key-points of the parasternal long axis, on every frame by itself.

After Oh et al., "Semi-supervised Key-Point Estimation for Echocardiography Video": an HRNet whose maps say where each
key-point is. Differences from the paper stand in docs/parasternal.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.core import Clip, Keypoints
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.base import KeypointDetector, Progress
from echomotion.models.keypoints.heatmaps import read_maps
from echomotion.models.layers.hrnet import HRNet, joined
from echomotion.models.registry import register
from echomotion.models.weights import Weights, card_config
from echomotion.preprocess.grid import to_model_grid

GRID = (224, 224)
_BATCH = 8


@dataclass(frozen=True)
class SKNetConfig:
    """Architecture of SK-net; that of the paper is ``width=32, blocks=4, modules=(1, 4, 3), stride=1``.

    Attributes
    ----------
    width : int
        Channels of the finest branch, a multiple of 8.
    blocks : int
        Residual blocks of a branch between two exchanges.
    modules : tuple of int
        Exchanges of the stages with two, three and four branches.
    stride : int
        Grid px of a px of the maps: 1, 2 or 4.
    """

    width: int = 16
    blocks: int = 1
    modules: tuple[int, ...] = (1, 1, 1)
    stride: int = 4


class SKNetwork(nn.Module):
    """Frames (F, 1, H, W), 0..1, to maps (F, 4, H / stride, W / stride); H and W multiples of ``8 * stride``."""

    def __init__(self, config: SKNetConfig) -> None:
        super().__init__()
        self.config = config
        self.body = HRNet(config.width, config.blocks, config.modules, config.stride)
        total = sum(self.body.widths)
        self.head = nn.Sequential(
            nn.Conv2d(total, 2 * config.width, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * config.width, len(PARASTERNAL_POINTS), 1),
        )

    def features(self, frames: Tensor) -> tuple[Tensor, ...]:
        """The maps of the four branches, finest first."""
        return self.body(frames)

    def maps(self, features: tuple[Tensor, ...]) -> Tensor:
        """Maps of confidence from :meth:`features`."""
        return self.head(joined(features))

    def forward(self, frames: Tensor) -> Tensor:
        """See the class for shapes."""
        return self.maps(self.features(frames))


@dataclass(frozen=True)
class SKNetOptions:
    """SK-net has no options."""


class MapNetwork(Protocol):
    """A network that draws a map of each key-point on frames (F, 1, H, W), with `config.stride` grid px a px."""

    config: Any

    def __call__(self, frames: Tensor) -> Tensor:
        """Maps (F, 4, H / stride, W / stride)."""


class SKNetDetector:
    """Runs SK-net, or another :class:`MapNetwork`, over the frames of a clip, in native pixels."""

    def __init__(self, network: MapNetwork, weights: Weights | None = None, name: str = "sknet") -> None:
        self.name = name
        # With channels last the convolutions take a third less time on a CPU; the stubs of torch do not know the word.
        self.network: Any = network.eval().to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
        self.weights = weights

    def detect(self, clip: Clip, *, progress: Progress | None = None) -> Keypoints:
        """Find the key-points on all frames; see :class:`echomotion.models.base.KeypointDetector`."""
        frames, geometry = to_model_grid(clip, GRID)
        xy, confidence = self.on_grid(frames, progress)
        return Keypoints(geometry.to_native(xy.swapaxes(0, 1)).astype(np.float32), confidence.T, PARASTERNAL_POINTS)

    @torch.inference_mode()
    def on_grid(
        self, frames: NDArray[np.uint8], progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (T, 4, 2) in px of the grid and confidence (T, 4) of frames (T, 224, 224)."""
        found, sure = [], []
        for start in range(0, len(frames), _BATCH):
            maps = self.network(as_input(frames[start : start + _BATCH], self.network))
            xy, confidence = read_maps(maps, self.network.config.stride)
            found.append(xy.cpu().numpy())
            sure.append(confidence.cpu().numpy())
            if progress is not None:
                progress(min(start + _BATCH, len(frames)), len(frames))
        return np.concatenate(found), np.concatenate(sure)


def as_input(frames: NDArray[np.uint8], network: nn.Module) -> Tensor:
    """Frames (F, H, W) as a network takes them, (F, 1, H, W) from 0 to 1."""
    device = next(network.parameters()).device
    batch = torch.from_numpy(np.ascontiguousarray(frames)).to(device).float()[:, None] / 255
    return batch.contiguous(memory_format=torch.channels_last)


def sknet_network(weights: Weights) -> SKNetwork:
    """The network that weights belong to, with them."""
    network = SKNetwork(card_config(SKNetConfig, weights.card["options"], "sknet"))
    weights.load_into(network)
    return network


@register("keypoint_detector", learned=True)
def sknet(options: SKNetOptions, *, weights: Weights) -> KeypointDetector:
    """SK-net, frame by frame: borders of septum and posterior wall in the parasternal long axis."""
    return SKNetDetector(sknet_network(weights), weights)
