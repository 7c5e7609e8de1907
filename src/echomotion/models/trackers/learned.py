"""Runs a point network over a clip, in native pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from echomotion.core import ModelError
from echomotion.models.layers.correlation import sample_points
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.network import Features, PointNetwork
from echomotion.models.trackers.windows import Asked, Found
from echomotion.models.weights import Weights

# Rows of the working grid at most; networks are trained at this scale.
WORKING_ROWS = 256
# Where grey levels (0..1) differ by less than this over squares of 9 px, there is nothing to see; told every fourth px.
_CONTRAST, _SQUARE, _EVERY = 1.5 / 255, 9, 4


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
        """Contrast, then features, of one frame (h, w) of the grid."""
        grey = torch.from_numpy(frame.astype(np.float32)).to(self.device)[None, None] / 255
        return (_contrast(grey), *self.network.encode(grey))

    @torch.inference_mode()
    def follow(self, frames: Sequence[Features], asked: Asked, tell: Callable[[], None]) -> Found:
        """Find N points on T frames; where nothing is known, the search starts at the query.

        Where there is nothing to see, the confidence is 0, whatever the network says.
        """
        numbers = np.unique(asked.start)
        _, *looks = _joined([asked.query_frames[int(number)] for number in numbers])
        contrast, *features = _joined(frames)
        origin = self._tensor(asked.origin)
        descriptors = self.network.describe(
            tuple(looks), torch.from_numpy(np.searchsorted(numbers, asked.start)).to(self.device), origin
        )
        known = np.asarray(asked.known.any(axis=1))[:, None, None]
        start = self._tensor(np.where(known, asked.xy, asked.origin[:, None]))
        output = self.network.follow(tuple(features), descriptors, start)
        tell()
        visible = (output.visible.sigmoid() >= self.min_visible).cpu().numpy()
        times = torch.arange(len(frames), device=self.device).expand(len(origin), -1)
        seen = sample_points(contrast, times, output.xy.nan_to_num(), _EVERY)[..., 0] >= _CONTRAST
        confidence = (output.confident.sigmoid() * seen).cpu().numpy().astype(np.float64)
        return Found(output.xy.cpu().numpy().astype(np.float64), visible, confidence)

    def work(self, n_points: int, n_frames: int) -> int:
        """One call of `tell` a window."""
        return 1

    def _tensor(self, values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device, torch.float32)


def tracker_of(name: str, network: PointNetwork, options: LearnedOptions | None = None) -> FollowerTracker:
    """A tracker of native pixels around a network, on its device.

    Parameters
    ----------
    name : str
    network : PointNetwork
    options : LearnedOptions
    """
    options = options or LearnedOptions()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return FollowerTracker(name, PointFollower(network.to(device), options.min_visible), WORKING_ROWS)


def learned_tracker(
    name: str, network: Callable[[Any], PointNetwork], config: type[Any], options: LearnedOptions, weights: Weights
) -> FollowerTracker:
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
    return tracker_of(name, module, options)


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _contrast(grey: torch.Tensor) -> torch.Tensor:
    """Largest less smallest grey level around places, (F, 1, h, w) to (F, 1, h / 4, w / 4)."""
    largest, negative = (functional.max_pool2d(x, _SQUARE, _EVERY, _SQUARE // 2) for x in (grey, -grey))
    return largest + negative


def _joined(frames: Sequence[Features]) -> Features:
    """Features of frames, one by one, as those of all of them."""
    return tuple(torch.cat(parts) for parts in zip(*frames, strict=True))
