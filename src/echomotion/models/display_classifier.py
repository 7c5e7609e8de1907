"""Whether an apical four-chamber view is displayed as usual, the left ventricle on the right, or mirrored.

The names of the segments depend on it. A small network on single frames of the fan, averaged over a clip; it is ours,
no paper's, and where it stands is in docs/views.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from echomotion.models.base import ViewClassifier
from echomotion.models.registry import register
from echomotion.models.view_classifier import FrameClassifier, ViewClassifierConfig, ViewNetwork, ViewOptions
from echomotion.models.weights import Weights

STANDARD, MIRRORED = "standard", "mirrored"
DISPLAYS = (STANDARD, MIRRORED)
NAME = "display_classifier"


class DisplayNetwork(nn.Module):
    """Frames (B, 1, 96, 96), 0 to 1, to logits (B, 2) of :data:`DISPLAYS`.

    One score is that of the frame, the other that of its mirror image: whatever is learned of one display holds for the
    other.
    """

    def __init__(self, config: ViewClassifierConfig) -> None:
        super().__init__()
        self.mirrored = ViewNetwork(config, kinds=1)

    def forward(self, frames: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([self.mirrored(frames.flip(-1)), self.mirrored(frames)], dim=1)


@register("view", learned=True)
def display_classifier(options: ViewOptions, *, weights: Weights) -> ViewClassifier:
    """Whether an apical four-chamber view is mirrored, from a few frames."""
    network = DisplayNetwork(ViewClassifierConfig(widths=tuple(weights.card["options"]["widths"])))
    weights.load_into(network)
    return FrameClassifier(NAME, network, DISPLAYS, options)
