"""What every learned point tracker promises, so that one predictor, one training and one set of tests serve all.

A network sees one clip at a time, on a grid of 256 rows with grey levels from 0 to 1; its points are its batch.
Work is split so that each frame is encoded once, however many points and windows there are: `encode` makes features
of frames, `describe` reads what a query looks like, `follow` finds it on the frames of one window.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

# Features of F frames at one or more scales, each (F, C, h, w).
Features = tuple[Tensor, ...]
# What N queries look like; each tensor begins with the axis of the points.
Descriptors = tuple[Tensor, ...]


class Volume(NamedTuple):
    """Scores of a grid of places around an estimate, for the loss of networks that choose among them.

    Attributes
    ----------
    scores : float (N, T, d, d)
        Logits, rows along y; d is odd.
    xy : float (N, T, 2)
        The place of the middle, in px of the model grid.
    stride : float or float (2,)
        Distance of neighbouring places in px of the model grid, along x and y where these differ.
    """

    scores: Tensor
    xy: Tensor
    stride: float | Tensor


class PointOutput(NamedTuple):
    """What a network says of N points on the T frames of a window.

    Attributes
    ----------
    xy : float (N, T, 2)
        Positions in px of the grid.
    visible : float (N, T)
        Logit of the probability that the point can be seen.
    confident : float (N, T)
        Logit of the probability that the position is wrong by less than 2 px of the grid.
    steps : tuple of float (N, T, 2)
        Estimates before the last one, first to last, for the loss.
    tokens : float (N, T, C) or None
        Content of the points for another module (PointSeg); None where a network has none.
    volumes : tuple of Volume
        What was chosen among, first to last, for the loss.
    """

    xy: Tensor
    visible: Tensor
    confident: Tensor
    steps: tuple[Tensor, ...] = ()
    tokens: Tensor | None = None
    volumes: tuple[Volume, ...] = ()


class PointNetwork(nn.Module):
    """Base of all learned point trackers.

    Attributes
    ----------
    window : int
        Frames that :meth:`follow` looks at together; 1 when every frame is found on its own.
    """

    window: int = 1

    @abstractmethod
    def encode(self, frames: Tensor) -> Features:
        """Features of frames (F, 1, H, W) with grey levels from 0 to 1; any H and W of 16 or more."""

    @abstractmethod
    def describe(self, features: Features, frame: Tensor, xy: Tensor) -> Descriptors:
        """What the points (N, 2) look like, each on its own frame, int64 (N,), an index into the features."""

    @abstractmethod
    def follow(self, features: Features, descriptors: Descriptors, start: Tensor) -> PointOutput:
        """Find N points on T frames, T from 1 to `window` (any T when `window` is 1).

        Parameters
        ----------
        features : Features
            Of the T frames in order of time.
        descriptors : Descriptors
        start : float (N, T, 2)
            What is known of the positions beforehand: the query repeated, or the result of the window before.
        """

    def forward(self, frames: Tensor, frame: Tensor, xy: Tensor) -> PointOutput:
        """Whole clip of at most one window: frames (T, 1, H, W), queries by frame (N,) and place (N, 2)."""
        features = self.encode(frames)
        start = xy[:, None].expand(-1, len(frames), -1)
        return self.follow(features, self.describe(features, frame, xy), start)
