"""What a tracker and a segmenter promise, whatever is inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from numpy.typing import ArrayLike

from echomotion.core import Clip, Masks, Tracks

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
