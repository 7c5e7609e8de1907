"""Which view a clip shows: from an apical window, the parasternal long axis, a short axis, or none of these.

A small network on single frames of the fan, averaged over a clip. It is ours, no paper's; where it stands is in
docs/views.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import Clip, ModelError
from echomotion.models.base import ViewClassifier, ViewGuess
from echomotion.models.registry import register
from echomotion.models.weights import Weights
from echomotion.preprocess.grid import fan_of, to_model_grid

APICAL, LONG_AXIS, SHORT_AXIS, OTHER = "apical", "parasternal_long_axis", "short_axis", "other"
KINDS = (APICAL, LONG_AXIS, SHORT_AXIS, OTHER)
# Of the square grid, px.
SIDE = 96
NAME = "view_classifier"


@dataclass(frozen=True)
class ViewClassifierConfig:
    """Architecture.

    Attributes
    ----------
    widths : tuple of int
        Channels of each level, all multiples of 8; every level halves the picture.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        if not self.widths or any(width % 8 or width < 8 for width in self.widths):
            raise ModelError(f"widths is {self.widths}; multiples of 8 are needed")


class ViewNetwork(nn.Module):
    """Frames (B, 1, 96, 96), 0 to 1, to logits (B, kinds); without more words those of :data:`KINDS`."""

    def __init__(self, config: ViewClassifierConfig, kinds: int = len(KINDS)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in config.widths:
            layers += [
                nn.Conv2d(before, width, 3, 2, 1),
                nn.GroupNorm(width // 8, width),
                nn.GELU(),
                nn.Conv2d(width, width, 3, 1, 1),
                nn.GroupNorm(width // 8, width),
                nn.GELU(),
            ]
            before = width
        self.body = nn.Sequential(*layers)
        # What there is anywhere, and what lies in each part of a 4 x 4 division of the picture.
        self.head = nn.Linear(before * (1 + 4 * 4), kinds)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        maps = self.body(frames)
        most = maps.amax(dim=(-1, -2))
        where = functional.adaptive_avg_pool2d(maps, 4).flatten(1)
        return self.head(torch.cat([most, where], dim=1))


@dataclass(frozen=True)
class ViewOptions:
    """How it is run.

    Attributes
    ----------
    frames : int
        So many frames, evenly spread over the clip, have a say.
    """

    frames: int = 8

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ModelError(f"frames is {self.frames}; at least 1 is needed")


class FrameClassifier:
    """The mean over frames of the probabilities that a network of single frames gives to `kinds`."""

    def __init__(self, name: str, network: nn.Module, kinds: Sequence[str], options: ViewOptions | None = None) -> None:
        self.name = name
        self.network = network.eval()
        self.kinds = kinds
        self.options = options or ViewOptions()

    @torch.inference_mode()
    def guess(self, clip: Clip) -> ViewGuess:
        """See :class:`echomotion.models.base.ViewClassifier`."""
        chosen = np.unique(np.linspace(0, clip.n_frames - 1, self.options.frames).round().astype(int))
        few = clip.with_(frames=clip.frames[chosen], times_s=clip.times_s[chosen])
        frames, _ = to_model_grid(few, (SIDE, SIDE), fan_of(clip))
        mean = self.network(torch.from_numpy(frames)[:, None].float() / 255).softmax(dim=1).mean(dim=0)
        found = {kind: float(value) for kind, value in zip(self.kinds, mean, strict=True)}
        best = max(found, key=lambda kind: found[kind])
        return ViewGuess(best, found[best], found)


@register("view", learned=True)
def view_classifier(options: ViewOptions, *, weights: Weights) -> ViewClassifier:
    """Apical, parasternal long axis, short axis or none of these, from a few frames."""
    network = ViewNetwork(ViewClassifierConfig(widths=tuple(weights.card["options"]["widths"])))
    weights.load_into(network)
    return FrameClassifier(NAME, network, KINDS, options)
