"""What a tracker, a segmenter, a detector of key-points and a classifier of views promise, whatever is inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, Keypoints, Masks, Tracks

if TYPE_CHECKING:
    from echomotion.models.flow.pwcnet import DenseMotion

# Called as progress(done, total) while work goes on.
Progress = Callable[[int, int], None]


@runtime_checkable
class Tracker(Protocol):
    """Follows points through a clip."""

    @property
    def name(self) -> str:
        """The name it is registered by."""

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip, forward and backward.

        Parameters
        ----------
        clip : Clip
            The cine; any size, one frame or more.
        queries : array-like (N, 3)
            ``(t, x, y)`` in native pixels.
        progress : callable, optional
            Called with (done, total).

        Returns
        -------
        Tracks
            N trajectories over all T frames, in native pixels.

        Raises
        ------
        DataError
            When there are no queries, or one lies off the clip.
        """


@dataclass(frozen=True)
class TrackUpdate:
    """What became final with a frame that was pushed, of all N points in the order in which they were added.

    Attributes
    ----------
    first_frame : int
        The frame of the first column, counted from the first frame that was pushed. Where points were found for the
        first time, it may lie before what was returned earlier, as far as their window reaches back; what had been
        returned of other points then comes again unchanged.
    xy : float32 (N, F, 2)
        Native pixels; NaN on the frames before a point's own window. F may be 0.
    visible : bool (N, F)
        False there.
    confidence : float32 (N, F)
        As in :class:`~echomotion.core.Tracks`; 0 there.
    """

    first_frame: int
    xy: NDArray[np.float32]
    visible: NDArray[np.bool_]
    confidence: NDArray[np.float32]

    @property
    def n_frames(self) -> int:
        """Number of frames F."""
        return self.xy.shape[1]


class Stream(Protocol):
    """Follows points through frames that come one by one; made by a :class:`StreamingTracker`.

    What is handed in has been checked by :class:`echomotion.models.trackers.session.TrackingSession`.
    """

    @property
    def oldest(self) -> int:
        """The first frame on which a point may still be added."""

    def add(self, queries: NDArray[np.float64]) -> None:
        """Add points (N, 3), ``(t, x, y)`` in native pixels, t from `oldest` on, be it in the future."""

    def push(self, frame: NDArray[np.uint8]) -> TrackUpdate:
        """Take the next frame (h, w), which nobody else writes to."""

    def finish(self) -> TrackUpdate:
        """What is left when no frame will come."""


@runtime_checkable
class StreamingTracker(Tracker, Protocol):
    """A tracker that can also be used frame by frame."""

    def stream(self, clip: Clip) -> Stream:
        """A new stream of frames with the size and spacing of `clip`, whose pictures do not matter."""


@runtime_checkable
class Segmenter(Protocol):
    """Labels every pixel of every frame."""

    name: str

    def segment(self, clip: Clip, *, progress: Progress | None = None) -> Masks:
        """Label all frames of a clip.

        Parameters
        ----------
        clip : Clip
            The cine; any size, one frame or more.
        progress : callable, optional
            Called with (done, total).

        Returns
        -------
        Masks
            Labels in native pixels, with the class probabilities on the model's grid.
        """


@runtime_checkable
class KeypointDetector(Protocol):
    """Finds named points on every frame."""

    name: str

    def detect(self, clip: Clip, *, progress: Progress | None = None) -> Keypoints:
        """Find the points on all frames of a clip.

        Parameters
        ----------
        clip : Clip
            The cine; any size, one frame or more.
        progress : callable, optional
            Called with (done, total).

        Returns
        -------
        Keypoints
            Native pixels.
        """


@runtime_checkable
class FlowEstimator(Protocol):
    """Finds where every pixel of one frame goes."""

    name: str

    def estimate(self, clip: Clip, reference: int = 0, *, progress: Progress | None = None) -> DenseMotion:
        """Displacement from the reference frame to every frame of a clip.

        Raises
        ------
        DataError
            When the reference is no frame of the clip.
        """


@dataclass(frozen=True)
class ViewGuess:
    """What a clip seems to show.

    Attributes
    ----------
    kind : str
        The most probable kind of view.
    probability : float
        Of that.
    probabilities : mapping of str to float
        Of all kinds.
    """

    kind: str
    probability: float
    probabilities: Mapping[str, float]


class ViewClassifier(Protocol):
    """Says which kind of view a clip shows."""

    name: str

    def guess(self, clip: Clip) -> ViewGuess:
        """The kind of view, and how sure that is; one frame or more."""
        ...
