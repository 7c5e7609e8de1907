"""Runs a point network over a clip, in native pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, ModelError, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress
from echomotion.models.trackers.network import Features, PointNetwork
from echomotion.models.trackers.windows import Asked, Found, follow_clip
from echomotion.models.trackers.working_grid import working_frames
from echomotion.models.weights import Weights

# Rows of the working grid at most; networks are trained at this scale.
WORKING_ROWS = 256


@dataclass(frozen=True)
class LearnedOptions:
    """How a learned tracker is run.

    Attributes
    ----------
    device : str or None
        ``"cpu"`` or ``"cuda"``; without it, a GPU where there is one.
    min_visible : float
        Probability from which on a point counts as visible.
    """

    device: str | None = None
    min_visible: float = 0.5

    def __post_init__(self) -> None:
        if self.device not in (None, "cpu", "cuda"):
            raise ModelError(f"device is {self.device!r}; it is 'cpu', 'cuda' or None")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ModelError("device is 'cuda', but PyTorch sees no GPU; use 'cpu' or None")
        if not 0 <= self.min_visible <= 1:
            raise ModelError("min_visible is a probability, from 0 to 1")


class PointFollower:
    """Follows points over one window with a network; see :class:`echomotion.models.trackers.windows.Follower`.

    A network of one frame is followed frame by frame, others over windows of which each shares half with the next.

    Parameters
    ----------
    network : PointNetwork
        On its device.
    min_visible : float
    """

    def __init__(self, network: PointNetwork, min_visible: float = 0.5) -> None:
        self.network = network.eval()
        self.min_visible = min_visible
        self.window = network.window
        self.overlap = network.window // 2
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def prepare(self, frame: NDArray[np.uint8]) -> Features:
        """Features of one frame (h, w) of the grid."""
        grey = torch.from_numpy(frame.astype(np.float32)).to(self.device) / 255
        return self.network.encode(grey[None, None])

    @torch.inference_mode()
    def follow(self, frames: Sequence[Features], asked: Asked, tell: Callable[[], None]) -> Found:
        """Find N points on T frames; where nothing is known, the search starts at the query."""
        numbers = np.unique(asked.start)
        looks = _joined([asked.query_frames[int(number)] for number in numbers])
        origin = self._tensor(asked.origin)
        descriptors = self.network.describe(
            looks, torch.from_numpy(np.searchsorted(numbers, asked.start)).to(self.device), origin
        )
        known = np.asarray(asked.known.any(axis=1)).reshape(-1, 1, 1)
        start = self._tensor(np.where(known, asked.xy, asked.origin[:, None]))
        output = self.network.follow(_joined(frames), descriptors, start)
        tell()
        visible = (output.visible.sigmoid() >= self.min_visible).cpu().numpy()
        confidence = output.confident.sigmoid().cpu().numpy().astype(np.float64)
        return Found(output.xy.cpu().numpy().astype(np.float64), visible, confidence)

    def work(self, n_points: int, n_frames: int) -> int:
        """One call of `tell` a window."""
        return 1

    def _tensor(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)


class LearnedTracker:
    """A tracker made of a point network; see :class:`echomotion.models.base.Tracker`.

    Positions off the frame are brought to its border, with confidence 0.

    Parameters
    ----------
    name : str
    network : PointNetwork
    options : LearnedOptions
    weights : Weights, optional
        Where the network's numbers come from.
    """

    def __init__(
        self, name: str, network: PointNetwork, options: LearnedOptions | None = None, weights: Weights | None = None
    ) -> None:
        options = options or LearnedOptions()
        self.name = name
        self.weights = weights
        device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.follower = PointFollower(network.to(device), options.min_visible)

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip; see :class:`echomotion.models.base.Tracker`."""
        points = checked_queries(queries, clip.n_frames, clip.shape)
        frames, geometry = working_frames(clip, WORKING_ROWS)
        start = points[:, 0].astype(np.int64)
        found = follow_clip(self.follower, frames, np.column_stack([start, geometry.to_grid(points[:, 1:])]), progress)
        xy = geometry.to_native(found.xy)
        limit = np.array(clip.shape[::-1]) - 0.5
        inside = np.all((xy >= -0.5) & (xy <= limit), axis=-1)
        places = np.clip(xy, 0, limit - 0.5).astype(np.float32)
        confidence = np.where(inside, found.confidence, 0).astype(np.float32)
        visible = found.visible & inside
        rows = np.arange(len(points))
        places[rows, start], confidence[rows, start], visible[rows, start] = points[:, 1:], 1, True
        return Tracks(places, visible, confidence, points, model=self.name)


def learned_tracker(
    name: str, network: Callable[[Any], PointNetwork], config: type[Any], options: LearnedOptions, weights: Weights
) -> LearnedTracker:
    """A tracker with trained weights.

    Parameters
    ----------
    name : str
    network : callable
        Makes the network of its config.
    config : type
        The dataclass of its architecture, which the card of the weights describes.
    options : LearnedOptions
    weights : Weights

    Raises
    ------
    ModelError
        When the weights do not fit.
    """
    told = weights.card["options"]
    unknown = sorted(set(told) - {field.name for field in dataclasses.fields(config)})
    if unknown:
        raise ModelError(f"the weights of {name} name options that this version lacks: {', '.join(unknown)}")
    module = network(config(**{key: _tuples(value) for key, value in told.items()}))
    weights.load_into(module)
    return LearnedTracker(name, module, options, weights)


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _joined(frames: Sequence[Features]) -> Features:
    """Features of frames, one by one, as those of all of them."""
    return tuple(torch.cat(parts) for parts in zip(*frames, strict=True))
