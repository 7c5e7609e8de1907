"""PointSeg in two sizes: any clip in, masks, probabilities and the trajectories that steered them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, Clip, Masks, ModelError
from echomotion.models.base import Progress, Segmenter, Tracker
from echomotion.models.registry import create_tracker, register
from echomotion.models.segmenters.carrying import CARRY_S, check_carry
from echomotion.models.segmenters.native import masks_of
from echomotion.models.segmenters.placements import SHORT, averaged, check_scales, placement_matrices, scales_for
from echomotion.models.segmenters.point_cues import Cues, cue_queries, point_paths, track_cues
from echomotion.models.segmenters.pointseg_network import Patches, PointSegConfig, PointSegNetwork
from echomotion.models.segmenters.steadying import STEADY_S, check_steady, steady_in_time
from echomotion.models.segmenters.wall_carrying import carried_along_wall, is_carried
from echomotion.models.trackers.windows import spans
from echomotion.models.weights import Weights, card_config
from echomotion.preprocess.grid import to_model_grid

# Frames that are encoded and decoded at once.
_BATCH = 4
# Of a frame: times of frames are rounded.
_ROUNDING = 0.05


@dataclass(frozen=True)
class PointSegOptions:
    """How PointSeg is run.

    Attributes
    ----------
    points : array-like (M, 3) or None
        ``(t, x, y)`` in native pixels: points of one's own beside the grid; their tracks come first in `Masks.tracks`.
    tracker : str or None
        In place of the tracker that the network was trained with.
    tracker_weights : str or None
        Folder of that tracker's weights.
    spacing_px : float or None
        Of the grid of points, px of the model's grid; without it as in training.
    window : int
        Frames that are fused together. Over many attention evens out motion: on simulated beats of patients who choose
        checkpoints the area's excursion was 0.92 of the truth with three frames, 0.83 with six.
    overlap : int
        Frames that two windows share; there one fades into the other.
    span_s : float
        Frames are fused only with those within so much time, however long the window is: what has moved far in between
        would be evened out. Of a pair of end-diastole and end-systole each frame is labelled for itself.
    mirror : bool or None
        Whether the mean of a clip and its mirror image is taken, at twice the time. Without a word it is for clips of
        up to six frames, which have few to be steadied by.
    scales : tuple of float or None
        At which a clip is seen as well, for the mean; each costs as much as the clip itself. Without a word 0.85
        and 0.7 for clips of up to six frames, none for others.
    steady_s : float
        Over which time probabilities are made to vary smoothly (:mod:`.steadying`); 0 leaves them as they come.
    carry_s : float
        Over which time they are then carried along tracks of the wall that they show (:mod:`.carrying`): the standard
        deviation of a Gaussian. 0, or a clip of up to six frames or of frames far apart, leaves it at `steady_s`.
    """

    points: Any = None
    tracker: str | None = None
    tracker_weights: str | None = None
    spacing_px: float | None = None
    window: int = 3
    overlap: int = 1
    span_s: float = 0.1
    mirror: bool | None = None
    scales: tuple[float, ...] | None = None
    steady_s: float = STEADY_S
    carry_s: float = CARRY_S

    def __post_init__(self) -> None:
        check_scales(self.scales)
        check_steady(self.steady_s)
        check_carry(self.carry_s)
        if not 0 <= self.overlap < self.window:
            raise ModelError(f"overlap is {self.overlap}; it lies from 0 to under the window, {self.window} frames")
        if self.span_s < 0:
            raise ModelError(f"span_s is {self.span_s:g}; it is 0 or more seconds")

    def fused(self, interval_s: float) -> tuple[int, int]:
        """Frames of a window and those that two share, for a cine with so much time between frames (NaN: one frame)."""
        within = self.window if not interval_s > 0 else 1 + int(self.span_s / interval_s + _ROUNDING)
        window = min(self.window, within)
        return window, min(self.overlap, window - 1)


class PointGuidedSegmenter:
    """A segmenter made of a PointSeg network, a tracker and their grid; see :class:`~echomotion.models.base.Segmenter`.

    Parameters
    ----------
    name : str
    network : PointSegNetwork
    tracker : Tracker
    grid_shape : (int, int)
    spacing_px : float
    options : PointSegOptions
    classes : mapping of int to str, optional
    """

    def __init__(
        self,
        name: str,
        network: PointSegNetwork,
        tracker: Tracker,
        *,
        grid_shape: tuple[int, int],
        spacing_px: float,
        options: PointSegOptions | None = None,
        classes: Mapping[int, str] = APICAL_CLASSES,
        weights: Weights | None = None,
    ) -> None:
        self.name = name
        # The stubs of torch do not know the word.
        self.network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tracker = tracker
        self.grid_shape = grid_shape
        self.options = options or PointSegOptions()
        self.spacing_px = self.options.spacing_px or spacing_px
        self.classes = classes
        self.weights = weights

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """Track points through a clip and label all frames."""
        frames, geometry = to_model_grid(clip, self.grid_shape)
        queries = cue_queries(clip, frames, geometry, self.spacing_px, self.options.points)
        wanted = self.network.config.token_dim > 0
        tracks, cues = track_cues(self.tracker, clip, queries, geometry, tokens=wanted)
        own = self.options
        mirror = clip.n_frames <= SHORT if own.mirror is None else own.mirror
        looks = placement_matrices(self.grid_shape, mirror=mirror, scales=scales_for(clip.n_frames, own.scales))

        fused = own.fused(clip.frame_interval_s)

        def predict(placed: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
            return self._probability(placed, cues.placed(matrix), fused, progress if matrix is looks[0] else None)

        probability = averaged(frames, looks, predict)
        if own.steady_s > 0 and clip.n_frames > 1:
            probability = steady_in_time(probability, own.steady_s / clip.frame_interval_s)
        if is_carried(clip, own.carry_s):
            carried = carried_along_wall(self.tracker, clip, probability, self.classes, geometry, cues, own.carry_s)
            probability = probability if carried is None else carried
        return masks_of(probability, geometry, self.classes, self.name, tracks)

    @torch.inference_mode()
    def _probability(
        self, frames: NDArray[np.uint8], cues: Cues, fused: tuple[int, int], progress: Progress | None
    ) -> NDArray[np.float32]:
        """Probabilities (T, K + 1, h, w), background first, from windows of so many frames that share so many."""
        window, overlap = fused
        total = np.zeros((len(frames), len(self.classes), *self.grid_shape), dtype=np.float32)
        weight = np.zeros(len(frames), dtype=np.float32)
        known: dict[int, Patches] = {}
        for first, last in spans(len(frames), window, overlap):
            # Frames that the window before has seen are not encoded again.
            known = {t: patches for t, patches in known.items() if t >= first}
            known.update(self._encoded(frames, [t for t in range(first, last) if t not in known]))
            found = self._window([known[t] for t in range(first, last)], cues.part(first, last))
            # From the border of a window, which knows one side of time only, weights rise linearly.
            at = np.arange(last - first)
            fade = np.minimum(np.minimum(at, last - first - 1 - at) + 1, overlap + 1).astype(np.float32)
            total[first:last] += fade[:, None, None, None] * found
            weight[first:last] += fade
            if progress is not None:
                progress(last, len(frames))
        return total / weight[:, None, None, None]

    def _encoded(self, frames: NDArray[np.uint8], wanted: list[int]) -> dict[int, Patches]:
        """Patches of the wanted frames, each on its own."""
        device = next(self.network.parameters()).device
        out: dict[int, Patches] = {}
        for start in range(0, len(wanted), _BATCH):
            some = wanted[start : start + _BATCH]
            found = self.network.encode(torch.from_numpy(frames[some]).to(device).float()[:, None] / 255)
            for i, t in enumerate(some):
                out[t] = Patches(*(tuple(level[i : i + 1] for level in levels) for levels in found))
        return out

    def _window(self, parts: list[Patches], cues: Cues) -> NDArray[np.float32]:
        network = self.network
        skips, maps = (
            tuple(torch.cat(level) for level in zip(*levels, strict=True)) for levels in zip(*parts, strict=True)
        )
        fused = network.fuse(Patches(skips, maps), point_paths([cues], maps[0].device))
        out = []
        for start in range(0, len(parts), _BATCH):
            some = slice(start, start + _BATCH)
            fine, coarse = (tuple(x[some] for x in levels) for levels in (skips, fused.maps))
            logits = network.decode(fine, coarse, fused.tokens[some], self.grid_shape)
            # Classes exclude each other: their odds against the background, whose logit is 0.
            out.append(torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).softmax(dim=1).cpu())
        return torch.cat(out).numpy()


def network_of(told: Mapping[str, Any]) -> PointSegNetwork:
    """The network that a card's options describe; raises as :func:`echomotion.models.weights.card_config`."""
    return PointSegNetwork(card_config(PointSegConfig, told, "PointSeg"))


def _segmenter(name: str, options: PointSegOptions, weights: Weights) -> Segmenter:
    network = network_of(weights.card["options"])
    weights.load_into(network)
    cue = weights.card["points"]
    tracker = create_tracker(options.tracker or cue["tracker"], weights=options.tracker_weights)
    return PointGuidedSegmenter(
        name,
        network,
        tracker,
        grid_shape=(int(weights.card["grid"][0]), int(weights.card["grid"][1])),
        spacing_px=float(cue["spacing_px"]),
        options=options,
        classes=dict(enumerate(weights.card["classes"])),
        weights=weights,
    )


@register("segmenter", learned=True)
def pointseg_small(options: PointSegOptions, *, weights: Weights) -> Segmenter:
    """PointSeg for a CPU: tracked points steer the masks of all frames together."""
    return _segmenter("pointseg_small", options, weights)


@register("segmenter", learned=True)
def pointseg(options: PointSegOptions, *, weights: Weights) -> Segmenter:
    """PointSeg with a ResNet-50, near the size of the paper."""
    return _segmenter("pointseg", options, weights)
