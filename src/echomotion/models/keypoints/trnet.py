"""TR-net: SK-net's key-points, carried through the cycle from the frame on which it is surest.

After Oh et al., "Semi-supervised Key-Point Estimation for Echocardiography Video". Differences from the paper stand in
docs/parasternal.md.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from torch import Tensor
from torch.nn import functional

from echomotion.core import Clip, Keypoints, ModelError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.base import KeypointDetector, Progress, Tracker
from echomotion.models.flow.pwcnet import PWCNetEstimator, pwcnet_network, read_flow
from echomotion.models.keypoints.anchoring import ANCHOR_S, anchored
from echomotion.models.keypoints.heatmaps import read_maps
from echomotion.models.keypoints.sknet import GRID, SKNetwork, as_input, sknet_network
from echomotion.models.keypoints.trnet_network import TRNetConfig, TRNetwork, windows
from echomotion.models.layers.correlation import sample_points
from echomotion.models.losses import trajectory_loss
from echomotion.models.registry import create_tracker, register
from echomotion.models.weights import Weights, find_weights
from echomotion.preprocess.grid import to_model_grid

REFERENCES = ("confident", "first", "random")
FLOW_TEACHER, DEFAULT_TEACHER = "pwcnet", "echomotion_tracker"
# Width (s) of the average over time of SK-net's points from which trajectories start, chosen as ANCHOR_S was.
START_S = 0.03
# Of the parabolas that are fitted to what was found, chosen on the same cines.
STEADY_S = 0.2
# Frames of the shortest stretch: a parabola goes through three points whatever they are.
_PARABOLA = 5
_BATCH = 8
# Of the fitting to one clip.
_ADAPT_RATE = 1e-4


@dataclass(frozen=True)
class TRNetOptions:
    """How TR-net is run.

    Attributes
    ----------
    reference : str
        The frame from which key-points are carried: ``confident`` (the highest summed confidence), ``first`` or
        ``random`` (the same one for the same number of frames).
    steady_s : float
        Seconds over which a parabola is fitted to each stretch of a trajectory; 0 for none, as in the paper.
    anchor : bool
        Hold each trajectory on SK-net's key-points (:mod:`echomotion.models.keypoints.anchoring`). What it learns is
        held on them already, so it gains nothing by it.
    anchor_s : float
        Width in seconds of the average over time of their difference; 0 for one shift of all frames. Pseudo labels for
        `adapt` are held on them in that width too.
    iterations : int or None
        Refinements, where not those of the training.
    adapt : int
        Steps of fitting to the clip itself by the losses that need no key-points.
    teacher : str
        What gives pseudo labels for that: ``pwcnet``, the flow network, or a registered tracker.
    sknet : str or None
        Weights of SK-net, in place of the installed ones.
    """

    reference: str = "confident"
    steady_s: float = STEADY_S
    anchor: bool = False
    anchor_s: float = ANCHOR_S
    iterations: int | None = None
    adapt: int = 0
    teacher: str = DEFAULT_TEACHER
    sknet: str | None = None

    def __post_init__(self) -> None:
        if self.reference not in REFERENCES:
            raise ModelError(f"reference is {self.reference!r}; it is one of {', '.join(REFERENCES)}")
        if self.iterations is not None and self.iterations < 1:
            raise ModelError(f"iterations is {self.iterations}; at least 1 is needed")
        for name, seconds in (("anchor_s", self.anchor_s), ("steady_s", self.steady_s)):
            if not seconds >= 0:
                raise ModelError(f"{name} is {seconds}; it is 0 or more seconds")
        if self.adapt < 0:
            raise ModelError(f"adapt is {self.adapt}; a number of steps from 0 on is needed")


class Seen(NamedTuple):
    """What SK-net says about T frames.

    Attributes
    ----------
    frames : float (T, 1, H, W)
    features : tuple of float16 (T, C, h, w)
    maps : float16 (T, 4, h, w)
    xy : float (T, 4, 2)
    confidence : float (T, 4)
    """

    frames: Tensor
    features: tuple[Tensor, ...]
    maps: Tensor
    xy: Tensor
    confidence: Tensor


@torch.no_grad()
def look(network: SKNetwork, frames: NDArray[np.uint8], progress: Progress | None = None) -> Seen:
    """Run SK-net over frames (T, H, W) and keep what TR-net reads."""
    parts = []
    for start in range(0, len(frames), _BATCH):
        batch = as_input(frames[start : start + _BATCH], network)
        features = network.features(batch)
        maps = network.maps(features)
        xy, confidence = read_maps(maps, network.config.stride)
        parts.append((*(x.half() for x in features), maps.half(), xy, confidence))
        if progress is not None:
            progress(min(start + _BATCH, len(frames)), len(frames))
    *branches, maps, xy, confidence = (torch.cat(part) for part in zip(*parts, strict=True))
    return Seen(as_input(frames, network), tuple(branches), maps, xy, confidence)


def reference_frame(confidence: Tensor, how: str) -> int:
    """The frame from which key-points are carried, from confidence (T, 4)."""
    if how == "first":
        return 0
    if how == "random":
        return int(np.random.default_rng(len(confidence)).integers(len(confidence)))
    return int(confidence.sum(dim=1).argmax())


def window_frames(count: int, size: int) -> list[NDArray[np.int64]]:
    """Numbers of the frames of each window of a clip; windows overlap by half, and short ones repeat the last frame."""
    if count <= size:
        return [np.minimum(np.arange(size), count - 1)]
    starts = sorted({*range(0, count - size, size // 2), count - size})
    return [np.arange(start, start + size) for start in starts]


def first_trajectories(seen: Seen, interval_s: float) -> Tensor:
    """Trajectories (T, 4, 2) that are refined: SK-net's points, averaged over a time in which a wall hardly moves."""
    return anchored(torch.zeros_like(seen.xy), seen.xy, seen.confidence, START_S / interval_s)


def refine_window(
    network: TRNetwork, seen: Seen, reference: int, frames: NDArray[np.int64], first: Tensor
) -> list[Tensor]:
    """Trajectories (N, 4, 2) on N frames of a window after each refinement, from `first` (T, 4, 2)."""
    at = torch.from_numpy(frames)
    return network(
        seen.frames[at],
        [x[at] for x in seen.features],
        (seen.frames[reference : reference + 1], [x[reference : reference + 1] for x in seen.features]),
        first[reference],
        first[at],
        (at - reference).to(first),
    )


def refine(network: TRNetwork, seen: Seen, reference: int, first: Tensor) -> Tensor:
    """Trajectories (T, 4, 2) over all frames, from `first` of that shape; windows that overlap are blended."""
    count = len(first)
    total, weight = torch.zeros_like(first), torch.zeros(count, 1, 1)
    size = network.config.window
    ramp = (torch.arange(size) + 1.0).minimum(size - torch.arange(size))[:, None, None]
    for frames in window_frames(count, size):
        found = refine_window(network, seen, reference, frames, first)[-1]
        known = min(size, count)
        total[frames[:known]] += found[:known] * ramp[:known]
        weight[frames[:known]] += ramp[:known]
    return total / weight


def steadied(xy: Tensor, span: float) -> Tensor:
    """Trajectories (T, 4, 2) by a parabola fitted about each frame, over `span` frames (Savitzky and Golay 1964)."""
    longest = len(xy) - (1 - len(xy) % 2)
    window = min(max(2 * round((span - 1) / 2) + 1, _PARABOLA), longest)
    if span <= 0 or window < _PARABOLA:
        return xy
    return torch.from_numpy(savgol_filter(xy.numpy(), window, 2, axis=0)).to(xy)


def patches_of(frames: Tensor, xy: Tensor, side: int) -> Tensor:
    """Image patches (4, T, side * side) about trajectories (T, 4, 2)."""
    return windows(frames, xy, side, 1).flatten(2).transpose(0, 1)


def make_teacher(name: str, weights: str | None = None) -> PWCNetEstimator | Tracker:
    """What gives pseudo labels: ``pwcnet``, the flow network, or a registered tracker."""
    if name == FLOW_TEACHER:
        return PWCNetEstimator(pwcnet_network(find_weights(name, weights)))
    return create_tracker(name, weights=weights)


@torch.no_grad()
def pseudo_labels(
    teacher: PWCNetEstimator | Tracker,
    frames: NDArray[np.uint8],
    reference: int,
    first: Tensor,
    seen: Seen,
    width: float | None,
) -> Tensor:
    """Trajectories (T, 4, 2) of the key-points of frames (T, H, W) of the grid, without annotation.

    The teacher, the flow from the reference to every frame or a tracker, carries the points that `first` (T, 4, 2) has
    on the reference frame; with a `width` they are then held on those that SK-net sees on all frames
    (:func:`.anchoring.anchored`), the reference too.
    """
    k_ref = first[reference]
    if isinstance(teacher, PWCNetEstimator):
        field = torch.from_numpy(teacher.on_grid(frames, reference))
        full = functional.interpolate(field, size=frames.shape[1:], mode="bilinear", align_corners=False)
        labels = k_ref + read_flow(full, k_ref)
    else:
        # A tracker wants points on the frame, and a clock, which decides nothing.
        limit = np.array(frames.shape[:0:-1]) - 0.5
        start = np.clip(k_ref.numpy().astype(np.float64), -0.5, limit)
        clip = Clip(frames, np.arange(len(frames)) / 30)
        tracks = teacher.track(clip, np.column_stack([np.full(len(start), float(reference)), start]))
        labels = torch.from_numpy(tracks.xy.swapaxes(0, 1).copy())
        labels = torch.where(torch.isfinite(labels), labels, k_ref)
    labels[reference] = k_ref
    return labels if width is None else anchored(labels, seen.xy, seen.confidence, width)


class TRNetDetector:
    """Runs SK-net and TR-net over a clip, in native pixels."""

    def __init__(
        self,
        static: SKNetwork,
        network: TRNetwork,
        options: TRNetOptions | None = None,
        teacher: PWCNetEstimator | Tracker | None = None,
        weights: Weights | None = None,
    ) -> None:
        self.name = "trnet"
        self.static = static.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.eval()
        self.options = options or TRNetOptions()
        self.teacher = teacher
        self.weights = weights

    def detect(self, clip: Clip, *, progress: Progress | None = None) -> Keypoints:
        """Find the key-points on all frames; see :class:`echomotion.models.base.KeypointDetector`."""
        frames, geometry = to_model_grid(clip, GRID)
        interval_s = clip.frame_interval_s if clip.n_frames > 1 else math.inf
        xy, confidence = self.on_grid(frames, interval_s, progress)
        return Keypoints(geometry.to_native(xy.swapaxes(0, 1)).astype(np.float32), confidence.T, PARASTERNAL_POINTS)

    def on_grid(
        self, frames: NDArray[np.uint8], interval_s: float, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points (T, 4, 2) in px of the grid and confidence (T, 4) of frames (T, 224, 224), so many s apart."""
        seen = look(self.static, frames, progress)
        reference = reference_frame(seen.confidence, self.options.reference)
        first = first_trajectories(seen, interval_s)
        width = self.options.anchor_s / interval_s
        network = self._fitted(seen, frames, reference, first, width) if self.options.adapt else self.network
        with torch.no_grad():
            xy = refine(network, seen, reference, first)
            xy = steadied(xy, self.options.steady_s / interval_s)
            if self.options.anchor:
                xy = anchored(xy, seen.xy, seen.confidence, width)
            confidence = self._confidence(seen, reference, xy)
        return xy.numpy(), confidence.numpy()

    def _confidence(self, seen: Seen, reference: int, xy: Tensor) -> Tensor:
        """Mean of SK-net's maps at the points, and of its confidence on the reference times the patches' likeness."""
        at = torch.arange(len(xy))[:, None].expand(-1, xy.shape[1])
        maps = sample_points(seen.maps.float(), at, xy, self.static.config.stride)
        own = maps.diagonal(dim1=1, dim2=2).clamp(0, 1)
        patches = patches_of(seen.frames, xy, self.network.config.patch)
        vectors = functional.normalize(patches - patches.mean(dim=-1, keepdim=True), dim=-1, eps=1e-4)
        alike = (vectors * vectors[:, reference : reference + 1]).sum(dim=-1).T.clamp(0, 1)
        return (own + seen.confidence[reference] * alike) / 2

    def _fitted(self, seen: Seen, frames: NDArray[np.uint8], reference: int, first: Tensor, width: float) -> TRNetwork:
        """A copy of the network, fitted to the clip by the losses that need no key-points."""
        if self.teacher is None:
            raise ModelError("trnet needs a teacher to be fitted to a clip: the flow network, or a tracker")
        network = copy.deepcopy(self.network).train()
        optimiser = torch.optim.AdamW(network.parameters(), _ADAPT_RATE)
        labels = pseudo_labels(self.teacher, frames, reference, first, seen, width)
        parts = window_frames(len(frames), network.config.window)
        for number in range(self.options.adapt):
            at = parts[number % len(parts)]
            index = torch.from_numpy(at)
            steps = refine_window(network, seen, reference, at, first)
            patches = [patches_of(seen.frames[index], xy, network.config.patch) for xy in steps]
            loss = trajectory_loss(steps, labels[index], patches)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        return network.eval()


def trnet_network(weights: Weights, iterations: int | None = None) -> TRNetwork:
    """The network that weights belong to, with them."""
    options: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in weights.card["options"].items()
    }
    if iterations is not None:
        options["iterations"] = iterations
    network = TRNetwork(TRNetConfig(**options))
    weights.load_into(network)
    return network


@register("keypoint_detector", learned=True)
def trnet(options: TRNetOptions, *, weights: Weights) -> KeypointDetector:
    """TR-net over SK-net: key-points carried through the cycle, steadier than frame by frame."""
    static = find_weights("sknet", options.sknet)
    wanted = weights.card.get("sknet")
    if wanted != static.sha256:
        raise ModelError(
            f"trnet was trained on the features of other weights of sknet ({str(wanted)[:12]}, here "
            f"{static.sha256[:12]}); name those it belongs to with the option sknet"
        )
    teacher = make_teacher(options.teacher) if options.adapt else None
    return TRNetDetector(sknet_network(static), trnet_network(weights, options.iterations), options, teacher, weights)
