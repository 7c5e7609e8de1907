"""NCM-Net as a segmenter: any clip in, masks and probabilities out, and the map of what is reliable on request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, Clip, Geometry, Masks
from echomotion.models.base import Progress, Segmenter, Tracker
from echomotion.models.registry import create_tracker, register
from echomotion.models.segmenters.carrying import CARRY_S, check_carry
from echomotion.models.segmenters.native import masks_of
from echomotion.models.segmenters.ncmnet_network import CONTEXT, NCMNetConfig, NCMNetwork, NCMOutput
from echomotion.models.segmenters.placements import averaged, check_scales, placement_matrices, scales_for
from echomotion.models.segmenters.point_cues import cue_queries, track_cues
from echomotion.models.segmenters.steadying import STEADY_S, check_steady, steady_in_time
from echomotion.models.segmenters.wall_carrying import carried_along_wall, is_carried
from echomotion.models.weights import Weights, card_config
from echomotion.preprocess.grid import to_model_grid

# Frames that are labelled at once, beside those before and after that they look at.
_BATCH = 8
# Points over the fan lie so far apart on the grid, px, where masks are carried.
_SPACING_PX = 16.0


@dataclass(frozen=True)
class NCMNetOptions:
    """How NCM-Net is run.

    Attributes
    ----------
    mirror : bool
        Average with the prediction of the mirrored clip: slightly better, twice the time.
    scales : tuple of float or None
        At which a clip is seen as well, for the mean; each costs as much as the clip itself. Without a word 0.85
        and 0.7 for clips of up to six frames, none for others.
    carry_s : float
        Over which time probabilities are carried along tracks of the wall that they show (:mod:`.carrying`): the
        standard deviation of a Gaussian. 0, or a clip of up to six frames or of frames far apart, leaves it at
        `steady_s`.
    steady_s : float
        Over which time those that are not carried are made to vary smoothly (:mod:`.steadying`); 0 leaves them as they
        come.
    tracker : str
        Which one follows the wall.
    """

    mirror: bool = True
    scales: tuple[float, ...] | None = None
    carry_s: float = CARRY_S
    steady_s: float = STEADY_S
    tracker: str = "echomotion_tracker"

    def __post_init__(self) -> None:
        check_scales(self.scales)
        check_carry(self.carry_s)
        check_steady(self.steady_s)


class NCMSegmenter:
    """A segmenter that looks at neighbouring frames; see :class:`~echomotion.models.base.Segmenter`.

    Parts of a clip are labelled with the frames before and after that they depend on, so that the result is that of
    the clip as a whole, and memory grows by the labels alone. Without a tracker, masks are not carried along the wall.
    """

    def __init__(
        self,
        name: str,
        network: NCMNetwork,
        *,
        grid_shape: tuple[int, int],
        options: NCMNetOptions | None = None,
        classes: Mapping[int, str] = APICAL_CLASSES,
        weights: Weights | None = None,
        tracker: Tracker | None = None,
    ) -> None:
        self.name = name
        self.tracker = tracker
        # The stubs of torch do not know the word.
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.grid_shape = grid_shape
        self.options = options or NCMNetOptions()
        self.classes = classes
        self.weights = weights

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """Label all frames of a clip."""
        frames, geometry = to_model_grid(clip, self.grid_shape)
        own = self.options
        scales = scales_for(clip.n_frames, own.scales)
        looks = placement_matrices(self.grid_shape, mirror=own.mirror, scales=scales)

        def predict(placed: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
            return np.concatenate([p for p, _ in self._parts(placed, progress if matrix is looks[0] else None)])

        probability = averaged(frames, looks, predict)
        carried = self._carried(clip, frames, probability, geometry)
        if carried is not None:
            probability = carried
        elif own.steady_s > 0 and clip.n_frames > 1:
            probability = steady_in_time(probability, own.steady_s / clip.frame_interval_s)
        return masks_of(probability, geometry, self.classes, self.name)

    def _carried(
        self, clip: Clip, frames: NDArray[np.uint8], probability: NDArray[np.float32], geometry: Geometry
    ) -> NDArray[np.float32] | None:
        """Probabilities carried along the wall; None where they are not."""
        if self.tracker is None or not is_carried(clip, self.options.carry_s):
            return None
        queries = cue_queries(clip, frames, geometry, _SPACING_PX)
        _, cues = track_cues(self.tracker, clip, queries, geometry)
        return carried_along_wall(self.tracker, clip, probability, self.classes, geometry, cues, self.options.carry_s)

    def reliability(self, clip: Clip) -> NDArray[np.float32]:
        """How reliable the labels were before masked attention, (T, h, w) in 0..1, at a quarter of the model's grid."""
        frames, _ = to_model_grid(clip, self.grid_shape)
        return np.concatenate([reliable for _, reliable in self._parts(frames, None)])

    @torch.inference_mode()
    def _parts(
        self, frames: NDArray[np.uint8], progress: Progress | None
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Probabilities (t, K + 1, h, w) and reliability (t, h / 4, w / 4) of one part after the other."""
        count = len(frames)
        for start in range(0, count, _BATCH):
            end = min(start + _BATCH, count)
            first = max(0, start - CONTEXT)
            own = slice(start - first, end - first)
            found = self._run(frames[first : end + CONTEXT])
            probability, reliable = found.logits[0, own].softmax(dim=1), found.reliability[0, own]
            yield probability.cpu().numpy(), reliable.cpu().numpy()
            if progress is not None:
                progress(end, count)

    def _run(self, frames: NDArray[np.uint8]) -> NCMOutput:
        device = next(self.network.parameters()).device
        found: NCMOutput = self.network(torch.from_numpy(frames).to(device).float()[None, :, None] / 255)
        return found


def ncm_network_of(told: Mapping[str, Any]) -> NCMNetwork:
    """The network that a card's options describe; raises as :func:`echomotion.models.weights.card_config`."""
    return NCMNetwork(card_config(NCMNetConfig, told, "NCM-Net"))


@register("segmenter", learned=True)
def ncmnet(options: NCMNetOptions, *, weights: Weights) -> Segmenter:
    """NCM-Net: neighbours in space and time tell frames apart from noise; learned from few masks."""
    network = ncm_network_of(weights.card["options"])
    weights.load_into(network)
    return NCMSegmenter(
        "ncmnet",
        network,
        grid_shape=(int(weights.card["grid"][0]), int(weights.card["grid"][1])),
        options=options,
        classes=dict(enumerate(weights.card["classes"])),
        weights=weights,
        tracker=create_tracker(options.tracker) if options.carry_s > 0 else None,
    )
