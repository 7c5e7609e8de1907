"""Track, segment, detect key-points and tell the view in one call, with the default models."""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import ArrayLike

from echomotion.core import Clip, DataError, EchoMotionWarning, Keypoints, Masks, Tracks, View, WallPoints
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress, ViewGuess
from echomotion.models.flow.pwcnet import DenseMotion
from echomotion.models.registry import (
    create_flow_estimator,
    create_keypoint_detector,
    create_segmenter,
    create_tracker,
    create_view_classifier,
)
from echomotion.models.segmenters.native import empty_where_dark
from echomotion.models.trackers.session import TrackingSession
from echomotion.preprocess.familiarity import unfamiliar

DEFAULT_TRACKER = "echomotion_tracker"
DEFAULT_SEGMENTER = "pointseg_small"
DEFAULT_DETECTOR = "tracked"
DEFAULT_FLOW = "pwcnet"
DEFAULT_VIEW_CLASSIFIER = "view_classifier"
DEFAULT_DISPLAY_CLASSIFIER = "display_classifier"


def track(
    clip: Clip,
    queries: ArrayLike | WallPoints,
    *,
    model: str = DEFAULT_TRACKER,
    weights: str | None = None,
    progress: Progress | None = None,
    warn: bool = True,
    **options: Any,
) -> Tracks:
    """Follow points through a clip, forward and backward from each query's frame.

    Parameters
    ----------
    clip : Clip
    queries : array-like (N, 3) or WallPoints
        ``(t, x, y)`` in native pixels; a wall's line is remembered in the result.
    model, weights, options
        As in :func:`echomotion.create_tracker`.
    progress : callable, optional
        Called with (done, total).
    warn : bool
        Issue an :class:`~echomotion.core.EchoMotionWarning` when the clip looks unlike those that the trackers were
        made on (:mod:`echomotion.preprocess.familiarity`).

    Returns
    -------
    Tracks
        Native pixels; each track passes exactly through its query.

    Raises
    ------
    DataError
        When there are no queries, or one lies off the clip.
    ModelError
        As :func:`echomotion.create_tracker`.
    """
    if not isinstance(clip, Clip):
        raise DataError(
            f"track needs a Clip, not {type(clip).__name__}; make one with read_clip(path) or Clip(frames, times_s)"
        )
    tracker = create_tracker(model, weights=weights, **options)
    wall = queries if isinstance(queries, WallPoints) else None
    points = checked_queries(wall.queries if wall is not None else queries, clip.n_frames, clip.shape)
    strange = unfamiliar(clip) if warn else None
    if strange is not None:
        warnings.warn(strange, EchoMotionWarning, stacklevel=2)
    tracks = tracker.track(clip, points, progress=progress)
    return Tracks(tracks.xy, tracks.visible, tracks.confidence, tracks.queries, wall, tracker.name)


def tracking_session(
    *,
    model: str = DEFAULT_TRACKER,
    weights: str | None = None,
    spacing_mm: tuple[float, float] | None = None,
    **options: Any,
) -> TrackingSession:
    """Follow points through frames that come one by one, with bounded memory.

    For the frames of the window that holds a query and all later ones the result is that of :func:`track` on the whole
    clip; trackers that go from frame to frame tell every frame at once, from the query on.

    Parameters
    ----------
    model, weights, options
        As in :func:`echomotion.create_tracker`.
    spacing_mm : (float, float), optional
        Height and width of a pixel.

    Returns
    -------
    TrackingSession
        ``add(queries)``, ``push(frame)``, ``finish()``, ``reset()``.

    Raises
    ------
    ModelError
        As :func:`echomotion.create_tracker`, or when the tracker needs a whole clip.
    """
    return TrackingSession(create_tracker(model, weights=weights, **options), spacing_mm)


def segment(
    clip: Clip,
    *,
    model: str = DEFAULT_SEGMENTER,
    weights: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Masks:
    """Label the pixels of every frame.

    Parameters
    ----------
    clip : Clip
    model, weights, options
        As in :func:`echomotion.create_segmenter`.
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    Masks
        Labels in native pixels with named classes.

    Raises
    ------
    ModelError
        As :func:`echomotion.create_segmenter`.
    """
    masks = create_segmenter(model, weights=weights, **options).segment(clip, progress=progress)
    return empty_where_dark(masks, clip.frames)


def detect_keypoints(
    clip: Clip,
    *,
    model: str = DEFAULT_DETECTOR,
    weights: str | None = None,
    progress: Progress | None = None,
    warn: bool = True,
    **options: Any,
) -> Keypoints:
    """The four key-points of a parasternal long-axis view on every frame.

    Parameters
    ----------
    clip : Clip
        Seen in the parasternal long axis.
    model, weights, options
        As in :func:`echomotion.create_keypoint_detector`.
    progress : callable, optional
        Called with (done, total).
    warn : bool
        Issue an :class:`~echomotion.core.EchoMotionWarning` when the clip is said to show another view.

    Returns
    -------
    Keypoints
        Native pixels, names of :data:`~echomotion.core.masks.PARASTERNAL_POINTS`; confidence 0 to 1.

    Raises
    ------
    DataError
        When `clip` is no Clip.
    ModelError
        As :func:`echomotion.create_keypoint_detector`.
    """
    if not isinstance(clip, Clip):
        raise DataError(f"detect_keypoints needs a Clip, not {type(clip).__name__}; make one with read_clip(path)")
    detector = create_keypoint_detector(model, weights=weights, **options)
    if warn and clip.view not in (View.PLAX, View.UNKNOWN):
        message = f"the key-points belong to a parasternal long-axis view (PLAX); this clip shows {clip.view}"
        warnings.warn(message, EchoMotionWarning, stacklevel=2)
    return detector.detect(clip, progress=progress)


def dense_motion(
    clip: Clip,
    *,
    reference: int = 0,
    model: str = DEFAULT_FLOW,
    weights: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> DenseMotion:
    """Where every pixel of one frame goes, on every frame.

    Parameters
    ----------
    clip : Clip
    reference : int
        The frame whose pixels are followed.
    model, weights, options
        As in :func:`echomotion.models.registry.create_flow_estimator`.
    progress : callable, optional
        Called with (done, total).

    Returns
    -------
    DenseMotion
        ``.at(points)`` gives displacement in native pixels.

    Raises
    ------
    DataError
        When `clip` is no Clip, or the reference no frame of it.
    ModelError
        As :func:`echomotion.create_tracker`.
    """
    if not isinstance(clip, Clip):
        raise DataError(f"dense_motion needs a Clip, not {type(clip).__name__}; make one with read_clip(path)")
    return create_flow_estimator(model, weights=weights, **options).estimate(clip, reference, progress=progress)


def guess_view(clip: Clip, *, weights: str | None = None, **options: Any) -> ViewGuess:
    """Say which kind of view a clip seems to show, and how sure that is.

    Parameters
    ----------
    clip : Clip
        One frame or more.
    weights : str, optional
        Folder of weights in place of the installed ones.
    **options
        Of the classifier: `frames` that have a say, 8 unless told otherwise.

    Returns
    -------
    ViewGuess
        ``apical``, ``parasternal_long_axis``, ``short_axis`` or ``other``.

    Raises
    ------
    ModelError
        When an option is unknown, or weights are missing or do not fit.
    """
    return create_view_classifier(DEFAULT_VIEW_CLASSIFIER, weights=weights, **options).guess(clip)


def guess_display(clip: Clip, *, weights: str | None = None, **options: Any) -> ViewGuess:
    """Say whether an apical four-chamber view is displayed as usual or mirrored, and how sure that is.

    Parameters, errors
        As :func:`guess_view`; the installed weights come with the package ``echomotion-camus``.

    Returns
    -------
    ViewGuess
        ``standard``, the left ventricle on the right of the picture, or ``mirrored``; without meaning for other views.
    """
    return create_view_classifier(DEFAULT_DISPLAY_CLASSIFIER, weights=weights, **options).guess(clip)
