"""NCM-Net: frames segmented with what their neighbours in space and time show.

The parts are named in the paper's abstract (Deng and Wu 2025, doi 10.1109/TMI.2025.3588157): neighbourhood correlation
mining, cross-scale context, unreliable-pixels masked attention. `docs/ncmnet.md` says what is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.efficientnet import EfficientNetLite0
from echomotion.models.layers.encoder import FrameEncoder, FrameNorm, ResidualEncoder
from echomotion.models.layers.neighbourhood import (
    REACH,
    CrossScaleCorrelation,
    NeighbourhoodCorrelation,
    UnreliableAttention,
    reliability_of,
)
from echomotion.models.layers.unet_encoder import UNetEncoder

# Mining at two strides, one after the other: a frame depends on so many frames before and after it.
CONTEXT = 2 * REACH


@dataclass(frozen=True)
class NCMNetConfig:
    """Architecture of NCM-Net.

    Attributes
    ----------
    encoder : {"efficientnet_lite0", "residual", "unet"}
        The last two have `encoder_widths` channels at strides 2, 4, 8, …: the light encoder of the trackers, and the
        way up of a U-Net.
    encoder_widths : tuple of int
    dim, heads : int
        Channels and attention heads of the maps from stride 8 on.
    radius, kept : int
        Of the neighbourhood in px of the map, and how many neighbours are mined.
    fine : (int, int)
        Channels at strides 4 and 2.
    unreliable : float
        Share of the pixels at stride 4 that masked attention refines.
    classes : int
        K, background not counted.
    mining, cross_scale, masked_attention : bool
        Parts that the ablation switches off.
    """

    encoder: str = "unet"
    encoder_widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    dim: int = 64
    heads: int = 2
    radius: int = 2
    kept: int = 16
    fine: tuple[int, int] = (48, 32)
    unreliable: float = 0.125
    classes: int = 3
    mining: bool = True
    cross_scale: bool = True
    masked_attention: bool = True


class NCMOutput(NamedTuple):
    """What NCM-Net says of clips.

    Attributes
    ----------
    logits : float (B, T, K + 1, H, W)
        Background first.
    coarse : float (B, T, K + 1, h, w)
        Before masked attention, at stride 4 of the padded frames.
    reliability : float (B, T, h, w)
        0..1, of the coarse ones.
    """

    logits: Tensor
    coarse: Tensor
    reliability: Tensor


class NCMNetwork(nn.Module):
    """See the module."""

    def __init__(self, config: NCMNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or NCMNetConfig()
        self.encoder = _encoder(config)
        widths = self.encoder.widths
        if len(widths) < 4:
            raise ValueError(f"NCM-Net needs maps at four strides or more; the encoder gives {len(widths)}")
        dim, (quarter, half) = config.dim, config.fine
        self.project = nn.ModuleList(nn.Sequential(nn.Conv2d(width, dim, 1), FrameNorm(dim)) for width in widths[2:])
        self.merge = nn.ModuleList(_block(dim, dim) for _ in widths[3:])
        self.mine = nn.ModuleList(
            NeighbourhoodCorrelation(dim, config.heads, config.radius, config.kept) for _ in range(2 * config.mining)
        )
        self.across = CrossScaleCorrelation(dim, config.heads, len(widths) - 3) if config.cross_scale else None
        classes = config.classes + 1
        self.enter_quarter = _block(dim + widths[1], quarter)
        self.coarse = nn.Conv2d(quarter, classes, 1)
        self.refine = (
            UnreliableAttention(quarter, dim, config.heads, config.unreliable) if config.masked_attention else None
        )
        self.enter_half = _block(quarter + widths[0], half)
        self.head = nn.Conv2d(half, classes, 1)

    def forward(self, frames: Tensor) -> NCMOutput:
        """Label clips (B, T, 1, H, W) with grey levels from 0 to 1."""
        lead, size = frames.shape[:2], frames.shape[-2:]
        grey = frames.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        halves, quarters, *deep = self.encoder(grey)
        maps = [project(x) for project, x in zip(self.project, deep, strict=True)]
        # From the coarsest map to that of stride 8, mining at stride 16 and at stride 8.
        last = len(maps) - 1
        for level in range(last, -1, -1):
            if level < last:
                maps[level] = self.merge[level](maps[level] + _enlarged(maps[level + 1], maps[level]))
            if level < len(self.mine):
                maps[level] = self.mine[level](maps[level].unflatten(0, lead)).flatten(0, 1)
        eighth = maps[0] if self.across is None else self.across(maps[0], maps[1:])
        x = self.enter_quarter(torch.cat([_enlarged(eighth, quarters), quarters], dim=1))
        coarse = self.coarse(x)
        reliability = reliability_of(coarse.detach())
        if self.refine is not None:
            x = self.refine(x, eighth, reliability)
        x = self.enter_half(torch.cat([_enlarged(x, halves), halves], dim=1))
        logits = functional.interpolate(self.head(x), scale_factor=2, mode="bilinear", align_corners=False)
        return NCMOutput(
            logits[..., : size[0], : size[1]].unflatten(0, lead),
            coarse.unflatten(0, lead),
            reliability.unflatten(0, lead),
        )


def _encoder(config: NCMNetConfig) -> FrameEncoder:
    if config.encoder == "efficientnet_lite0":
        return EfficientNetLite0()
    of_widths = {"residual": ResidualEncoder, "unet": UNetEncoder}
    if config.encoder in of_widths:
        return of_widths[config.encoder](config.encoder_widths)
    raise ValueError(f"there is no encoder {config.encoder!r}; there are efficientnet_lite0, {', '.join(of_widths)}")


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), FrameNorm(after), nn.LeakyReLU(0.01, inplace=True)
    )
