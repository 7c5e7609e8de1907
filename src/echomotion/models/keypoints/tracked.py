"""Any registered point tracker, started from SK-net's key-points on the frame where it is surest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from echomotion.core import Clip, Keypoints, ModelError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.models.base import KeypointDetector, Progress, Tracker
from echomotion.models.keypoints.anchoring import ANCHOR_S, anchored
from echomotion.models.keypoints.sknet import SKNetDetector, sknet_network
from echomotion.models.keypoints.trnet import REFERENCES, reference_frame
from echomotion.models.registry import create_tracker, register
from echomotion.models.weights import find_weights


@dataclass(frozen=True)
class TrackedOptions:
    """How key-points are tracked.

    Attributes
    ----------
    tracker : str
        A registered tracker.
    reference : str
        As for TR-net: ``confident``, ``first`` or ``random``.
    anchor : bool
        As for TR-net: hold each track on SK-net's key-points of all frames.
    anchor_s : float
        As for TR-net.
    sknet : str or None
        Weights of SK-net, in place of the installed ones.
    """

    tracker: str = "echomotion_tracker"
    reference: str = "confident"
    anchor: bool = True
    anchor_s: float = ANCHOR_S
    sknet: str | None = None

    def __post_init__(self) -> None:
        if self.reference not in REFERENCES:
            raise ModelError(f"reference is {self.reference!r}; it is one of {', '.join(REFERENCES)}")
        if not self.anchor_s >= 0:
            raise ModelError(f"anchor_s is {self.anchor_s}; it is 0 or more seconds")


class TrackedDetector:
    """Detects on one frame and tracks from there."""

    def __init__(self, static: SKNetDetector, tracker: Tracker, options: TrackedOptions | None = None) -> None:
        self.options = options or TrackedOptions(tracker.name)
        self.name = f"{tracker.name} from sknet"
        self.static, self.tracker = static, tracker

    def detect(self, clip: Clip, *, progress: Progress | None = None) -> Keypoints:
        """Find the key-points on all frames; see :class:`echomotion.models.base.KeypointDetector`."""
        own = self.static.detect(clip)
        reference = reference_frame(torch.from_numpy(own.confidence.T.copy()), self.options.reference)
        limit = np.array(clip.shape[::-1]) - 0.5
        start = np.clip(own.xy[:, reference].astype(np.float64), -0.5, limit)
        queries = np.column_stack([np.full(len(start), float(reference)), start])
        tracks = self.tracker.track(clip, queries, progress=progress)
        xy = tracks.xy.astype(np.float32)
        if self.options.anchor:
            path, points = (torch.from_numpy(part.swapaxes(0, 1).copy()) for part in (xy, own.xy))
            width = self.options.anchor_s / clip.frame_interval_s if clip.n_frames > 1 else 0.0
            xy = anchored(path, points, torch.from_numpy(own.confidence.T.copy()), width).numpy().swapaxes(0, 1)
        confidence = own.confidence[:, reference : reference + 1] * tracks.confidence
        return Keypoints(xy, confidence, PARASTERNAL_POINTS)


@register("keypoint_detector")
def tracked(options: TrackedOptions) -> KeypointDetector:
    """A registered point tracker from SK-net's surest frame; needs the weights of both."""
    static = SKNetDetector(sknet_network(find_weights("sknet", options.sknet)))
    return TrackedDetector(static, create_tracker(options.tracker), options)
