"""EchoGLAD: a graph of grids, from the whole picture down to single places, that draws a map of each key-point.

After Mokhtari et al. 2023 (arXiv 2307.12229): nodes of every grid see their neighbours, the nodes that they lie in and
those that lie in them, so that what is found on a coarse grid guides the finer ones, and every grid is taught. Ours:
features come from a light residual encoder, each grid from the map of its own stride; the finest grid has a stride of
4 px in place of single pixels; messages are means, so that nodes on a border weigh as the others; targets, loss and
read-out are those of SK-net on every grid, where the paper asks for cross-entropy of nodes and the distance of the
expected place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import ModelError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.base import KeypointDetector
from echomotion.models.keypoints.sknet import SKNetDetector
from echomotion.models.layers.encoder import FrameNorm, ResidualEncoder
from echomotion.models.registry import register
from echomotion.models.weights import Weights, card_config


@dataclass(frozen=True)
class EchoGLADConfig:
    """Architecture of the detector.

    Attributes
    ----------
    widths : tuple of int
        Channels of the encoder at strides 2, 4, 8, …; there is a grid for each of them but the first.
    blocks : int
        Residual blocks at each stride.
    hidden : int
        Channels of a node; a multiple of 8.
    layers : int
        Times that messages are passed.
    stride : int
        Grid px of a px of the finest maps; 4.
    """

    widths: tuple[int, ...] = (24, 48, 72, 96, 128)
    blocks: int = 1
    hidden: int = 64
    layers: int = 3
    stride: int = 4

    def __post_init__(self) -> None:
        if len(self.widths) < 3 or self.layers < 1 or self.stride != 4:
            raise ModelError("echoglad needs three widths or more, one layer or more and a stride of 4")


class GridMessages(nn.Module):
    """One round of messages on all grids, finest first: a list of (F, C, h, w), each half the size of the last."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # What a node is, its neighbours, the nodes within it, and the one that it lies in.
        self.read = nn.Conv2d(4 * width, width, 1, bias=False)
        self.norm = FrameNorm(width)
        self.write = nn.Conv2d(width, width, 1)

    def forward(self, grids: list[Tensor]) -> list[Tensor]:
        """See the class for shapes."""
        out = []
        for level, nodes in enumerate(grids):
            nothing = torch.zeros_like(nodes)
            within = functional.avg_pool2d(grids[level - 1], 2) if level else nothing
            last = level + 1 == len(grids)
            above = nothing if last else functional.interpolate(grids[level + 1], scale_factor=2.0, mode="nearest")
            heard = torch.cat([nodes, neighbours(nodes), within, above], dim=1)
            out.append(nodes + self.write(functional.relu(self.norm(self.read(heard)))))
        return out


def neighbours(nodes: Tensor) -> Tensor:
    """The mean of those nodes above, below, left and right that there are, (F, C, h, w)."""
    cross = nodes.new_tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    kernel = cross.expand(nodes.shape[1], 1, 3, 3)
    total = functional.conv2d(nodes, kernel, padding=1, groups=nodes.shape[1])
    count = functional.conv2d(torch.ones_like(nodes[:1, :1]), cross[None, None], padding=1)
    return total / count.clamp(min=1)


class EchoGLADNetwork(nn.Module):
    """Frames (F, 1, H, W), 0..1, to maps (F, 4, H / 4, W / 4); H and W multiples of the largest stride."""

    def __init__(self, config: EchoGLADConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResidualEncoder(config.widths, config.blocks)
        self.enter = nn.ModuleList(nn.Conv2d(width, config.hidden, 1) for width in config.widths[1:])
        self.messages = nn.ModuleList(GridMessages(config.hidden) for _ in range(config.layers))
        self.heads = nn.ModuleList(nn.Conv2d(config.hidden, len(PARASTERNAL_POINTS), 1) for _ in config.widths[1:])

    def levels(self, frames: Tensor) -> list[tuple[Tensor, int]]:
        """Maps (F, 4, H / s, W / s) of every grid with its stride s in px, finest first."""
        _, *maps = self.encoder(frames)
        grids = [enter(x) for enter, x in zip(self.enter, maps, strict=True)]
        for messages in self.messages:
            grids = messages(grids)
        drawn = (head(nodes) for head, nodes in zip(self.heads, grids, strict=True))
        return list(zip(drawn, self.encoder.strides[1:], strict=True))

    def forward(self, frames: Tensor, every_grid: bool = False) -> Any:
        """See the class for shapes; with `every_grid` what :meth:`levels` gives, for training."""
        levels = self.levels(frames)
        return levels if every_grid else levels[0][0]


@dataclass(frozen=True)
class EchoGLADOptions:
    """The detector has no options."""


@register("keypoint_detector", learned=True)
def echoglad(options: EchoGLADOptions, *, weights: Weights) -> KeypointDetector:
    """A graph of grids from coarse to fine, frame by frame: the detector EchoGLAD."""
    network = EchoGLADNetwork(card_config(EchoGLADConfig, weights.card["options"], "echoglad"))
    weights.load_into(network)
    return SKNetDetector(network, weights, "echoglad")
