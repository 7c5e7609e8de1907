"""echomotion: from an echocardiography cine to motion and numbers."""

from echomotion.analysis import Analysis, AnalysisOptions, analyze
from echomotion.core import (
    Beat,
    Clip,
    ClipError,
    DataError,
    DatasetError,
    EchoMotionError,
    EchoMotionWarning,
    Geometry,
    Keypoints,
    Layer,
    Masks,
    Measurement,
    ModelError,
    NotACineError,
    OutputError,
    Phases,
    Source,
    Status,
    Tracks,
    View,
    WallPoints,
)
from echomotion.io import read_clip
from echomotion.measure.wall_points import wall_points
from echomotion.models.base import TrackUpdate, ViewGuess
from echomotion.models.queries import grid_queries, mask_queries, read_queries
from echomotion.models.registry import (
    ModelInfo,
    create_keypoint_detector,
    create_segmenter,
    create_tracker,
    list_models,
)
from echomotion.models.run import (
    dense_motion,
    detect_keypoints,
    guess_display,
    guess_view,
    segment,
    track,
    tracking_session,
)
from echomotion.models.trackers.session import TrackingSession
from echomotion.study import StudyAnalysis, analyze_study
from echomotion.version import __version__

__all__ = [
    "Analysis",
    "AnalysisOptions",
    "Beat",
    "Clip",
    "ClipError",
    "DataError",
    "DatasetError",
    "EchoMotionError",
    "EchoMotionWarning",
    "Geometry",
    "Keypoints",
    "Layer",
    "Masks",
    "Measurement",
    "ModelError",
    "ModelInfo",
    "NotACineError",
    "OutputError",
    "Phases",
    "Source",
    "Status",
    "StudyAnalysis",
    "TrackUpdate",
    "TrackingSession",
    "Tracks",
    "View",
    "ViewGuess",
    "WallPoints",
    "__version__",
    "analyze",
    "analyze_study",
    "create_keypoint_detector",
    "create_segmenter",
    "create_tracker",
    "dense_motion",
    "detect_keypoints",
    "grid_queries",
    "guess_display",
    "guess_view",
    "list_models",
    "mask_queries",
    "read_clip",
    "read_queries",
    "segment",
    "track",
    "tracking_session",
    "wall_points",
]
