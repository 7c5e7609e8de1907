"""The detector of EchoNet-LVH: a DeepLabV3 on a ResNet-50 that draws a map of each key-point, frame by frame.

After Duffy et al. 2022 (doi 10.1001/jamacardio.2021.6059) and Chen et al. 2017 (arXiv 1706.05587). Ours: the last stage
of the ResNet-50 keeps its stride of 32 and is enlarged to 16, where it is joined with the stage before, instead of
being dilated; normalisations have statistics that are measured once (:mod:`..layers.fixed_norm`); targets, loss and
read-out are those of SK-net, so that networks alone are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.base import KeypointDetector
from echomotion.models.keypoints.sknet import SKNetDetector
from echomotion.models.layers.encoder import FrameNorm
from echomotion.models.layers.resnet import ResNet50
from echomotion.models.registry import register
from echomotion.models.weights import Weights, card_config


@dataclass(frozen=True)
class EchoNetLVHConfig:
    """Architecture of the detector.

    Attributes
    ----------
    head : int
        Channels of the head, a multiple of 8.
    rates : tuple of int
        Dilations of the pyramid, in px of a map of stride 16.
    stride : int
        Grid px of a px of the maps that come out.
    """

    head: int = 256
    rates: tuple[int, ...] = (6, 12, 18)
    stride: int = 4


class EchoNetLVHNetwork(nn.Module):
    """Frames (F, 1, H, W), 0..1, to maps (F, 4, H / 4, W / 4); H and W multiples of 32."""

    def __init__(self, config: EchoNetLVHConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResNet50()
        before = self.encoder.widths[-1] + self.encoder.widths[-2]
        self.pyramid = nn.ModuleList([_layer(before, config.head, 1)])
        self.pyramid.extend(_layer(before, config.head, 3, rate) for rate in config.rates)
        self.whole = nn.Sequential(nn.Conv2d(before, config.head, 1), nn.ReLU(inplace=True))
        self.join = _layer((len(config.rates) + 2) * config.head, config.head, 1)
        self.mix = _layer(config.head, config.head, 3)
        self.head = nn.Conv2d(config.head, len(PARASTERNAL_POINTS), 1)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class for shapes."""
        *_, fine, coarse = self.encoder(frames)
        enlarged = functional.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        x = torch.cat([fine, enlarged], dim=1)
        whole = self.whole(x.mean(dim=(-1, -2), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        x = self.mix(self.join(torch.cat([*(part(x) for part in self.pyramid), whole], dim=1)))
        size = [side // self.config.stride for side in frames.shape[-2:]]
        return functional.interpolate(self.head(x), size=size, mode="bilinear", align_corners=False)


def _layer(before: int, after: int, kernel: int, rate: int = 1) -> nn.Sequential:
    padding = rate * (kernel // 2)
    convolution = nn.Conv2d(before, after, kernel, padding=padding, dilation=rate, bias=False)
    return nn.Sequential(convolution, FrameNorm(after), nn.ReLU(inplace=True))


@dataclass(frozen=True)
class EchoNetLVHOptions:
    """The detector has no options."""


@register("keypoint_detector", learned=True)
def echonet_lvh(options: EchoNetLVHOptions, *, weights: Weights) -> KeypointDetector:
    """DeepLabV3 maps on a ResNet-50, frame by frame: the detector of EchoNet-LVH."""
    network = EchoNetLVHNetwork(card_config(EchoNetLVHConfig, weights.card["options"], "echonet_lvh"))
    weights.load_into(network)
    return SKNetDetector(network, weights, "echonet_lvh")
