"""What every part of echomotion speaks: clips, points, masks, phases, measurements, coordinates, errors."""

from echomotion.core.clip import Clip, Source
from echomotion.core.coordinates import Geometry
from echomotion.core.errors import (
    ClipError,
    DataError,
    DatasetError,
    EchoMotionError,
    EchoMotionWarning,
    ModelError,
    NotACineError,
    OutputError,
)
from echomotion.core.masks import APICAL_CLASSES, Keypoints, Masks
from echomotion.core.measurement import Beat, Measurement, Phases, Status
from echomotion.core.subject import Sex, Subject
from echomotion.core.tracks import Layer, Tracks, WallPoints
from echomotion.core.views import SegmentModel, View, segment_names, short_axis_names

__all__ = [
    "APICAL_CLASSES",
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
    "NotACineError",
    "OutputError",
    "Phases",
    "SegmentModel",
    "Sex",
    "Source",
    "Status",
    "Subject",
    "Tracks",
    "View",
    "WallPoints",
    "segment_names",
    "short_axis_names",
]
