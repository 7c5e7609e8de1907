"""U-Net for the apical views: LV cavity, myocardium and left atrium, frame by frame.

After Ronneberger et al. 2015 (arXiv 1505.04597), as :mod:`echomotion.models.layers.unet_encoder` builds it. Logits are
enlarged bilinearly from the finest level, which is as fine as the expert contours are certain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor, nn
from torch.nn import functional

from echomotion.core import APICAL_CLASSES
from echomotion.models.base import Segmenter
from echomotion.models.layers.unet_encoder import UNetEncoder
from echomotion.models.registry import register
from echomotion.models.segmenters.frame_wise import FrameWiseSegmenter
from echomotion.models.segmenters.placements import check_scales
from echomotion.models.segmenters.steadying import check_steady
from echomotion.models.weights import Weights


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of the U-Net.

    Attributes
    ----------
    widths : tuple of int
        Channels per level, finest first; multiples of 8.
    stem : int
        Pixels along each side of the block that the stem folds into channels.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128, 160)
    stem: int = 2


@dataclass(frozen=True)
class UNetOptions:
    """How the released U-Net is run.

    Attributes
    ----------
    mirror : bool
        Average the prediction with that of the mirrored frame: slightly better, twice the time.
    scales : tuple of float or None
        At which a clip is seen as well, for the mean; each costs as much as the clip itself. Without a word 0.85
        and 0.7 for clips of up to six frames, none for others.
    steady_s : float
        Over which time probabilities are made to vary smoothly (:mod:`.steadying`); 0 leaves each frame by itself.
    """

    mirror: bool = True
    scales: tuple[float, ...] | None = None
    steady_s: float = 0.0

    def __post_init__(self) -> None:
        check_scales(self.scales)
        check_steady(self.steady_s)


class UNet(UNetEncoder):
    """U-Net on grey frames.

    Shapes: ``(B, 1, H, W)`` in 0..1 to logits ``(B, K, H, W)``; H and W multiples of ``stem * 2 ** (levels - 1)``.
    """

    def __init__(self, config: UNetConfig, n_classes: int = len(APICAL_CLASSES)) -> None:
        super().__init__(config.widths, config.stem)
        self.config = config
        self.head = nn.Conv2d(config.widths[0], n_classes, kernel_size=1)

    def forward(self, frames: Tensor) -> Tensor:  # type: ignore[override]
        """Logits per class; see the class for shapes."""
        logits = self.head(super().forward(frames)[0])
        return functional.interpolate(logits, size=frames.shape[-2:], mode="bilinear", align_corners=False)


@register("segmenter", learned=True)
def unet(options: UNetOptions, *, weights: Weights) -> Segmenter:
    """U-Net, frame by frame: LV cavity, myocardium, left atrium in apical views."""
    config = UNetConfig(tuple(weights.card["options"]["widths"]), int(weights.card["options"]["stem"]))
    network = UNet(config)
    weights.load_into(network)
    return FrameWiseSegmenter(
        "unet", network, grid_shape=tuple(weights.card["grid"]), weights=weights, **asdict(options)
    )
