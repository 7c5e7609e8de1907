"""ResNet-50 as an encoder of grey frames.

After He et al. 2016 (arXiv 1512.03385), with the stride in the 3 x 3 convolution of a block. Ours is the
normalisation: statistics that are measured once and then stay (:mod:`.fixed_norm`).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.layers.encoder import FrameEncoder, padded
from echomotion.models.layers.fixed_norm import FixedNormConv

_STEM = 64
_BLOCKS, _INNER = (3, 4, 6, 3), (64, 128, 256, 512)
_WIDEN = 4


class _Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, before: int, inner: int, stride: int, ahead: bool) -> None:
        super().__init__()
        after = _WIDEN * inner
        self.reduce = FixedNormConv(before, inner, 1)
        self.filter = FixedNormConv(inner, inner, 3, stride, ahead=ahead)
        self.widen = FixedNormConv(inner, after, 1)
        # Starts as its shortcut, so that sixteen blocks in a row can be trained from scratch.
        nn.init.zeros_(self.widen.gain)
        self.stride = stride
        self.shortcut = FixedNormConv(before, after, 1) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.reduce(x), inplace=True)
        y = self.widen(functional.relu(self.filter(y), inplace=True))
        x = functional.avg_pool2d(x, 2) if self.stride > 1 else x
        return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet50(FrameEncoder):
    """Maps at strides 2, 4, 8, 16, 32 with 64, 256, 512, 1024, 2048 channels; 23.5 million parameters."""

    strides = (2, 4, 8, 16, 32)
    widths = (_STEM, *(_WIDEN * inner for inner in _INNER))

    def __init__(self) -> None:
        super().__init__()
        self.stem = FixedNormConv(1, _STEM, 7, stride=2)
        self.stages = nn.ModuleList()
        before, ahead = _STEM, True
        for level, (count, inner) in enumerate(zip(_BLOCKS, _INNER, strict=True)):
            blocks = []
            for number in range(count):
                halve = level > 0 and number == 0
                blocks.append(_Bottleneck(before, inner, 2 if halve else 1, ahead))
                before = _WIDEN * inner
            self.stages.append(nn.Sequential(*blocks))
            ahead = not ahead

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (F, 1, H, W), 0..1, padded to multiples of 32, to maps (F, C, h, w)."""
        x = functional.relu(self.stem(padded(frames, self.strides[-1]) * 2 - 1), inplace=True)
        maps = [x]
        x = functional.max_pool2d(x, 2)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)
