"""How a heart is recorded: depth, frame times, and what the fan lets one see."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from echomotion.core import View
from echomotion.simulate.artefacts import Artefacts
from echomotion.simulate.checks import check_range
from echomotion.simulate.heart import HeartParameters
from echomotion.simulate.probe import Picture, Probe

FloatArray = NDArray[np.float64]

FRAME_RATES_HZ = (20.0, 120.0)
FRAME_COUNTS = (1, 2000)
# A point behind a shadow that takes this much is not seen.
_HIDDEN_DB = 12.0


def needed_depth_mm(heart: HeartParameters) -> float:
    """Depth at which the ventricle and, in the apical views, most of the atrium can be seen."""
    shape, pose = heart.shape, heart.pose
    if heart.view is View.PSAX:
        return pose.y_mm + shape.cavity_radius_mm + 2 * shape.thickness_second_mm
    if heart.view is View.PLAX:
        return pose.y_mm + 1.5 * shape.cavity_radius_mm + 2 * shape.thickness_second_mm
    return pose.y_mm + shape.cavity_length_mm + 0.9 * heart.surroundings.atrium_length_mm


def frame_times(n_frames: int, frame_rate_hz: float, reference_frame: int) -> FloatArray:
    """Times (T,) in seconds of the frames, 0 at the reference frame.

    Raises
    ------
    DataError
        When the rate lies outside 20 to 120 frames a second, or the reference is no frame.
    """
    check_range("frame_rate_hz", frame_rate_hz, *FRAME_RATES_HZ)
    check_range("n_frames", n_frames, *FRAME_COUNTS)
    check_range("reference_frame", reference_frame, 0, n_frames - 1)
    return (np.arange(n_frames) - reference_frame) / frame_rate_hz


def draw_frame_rate(heart: HeartParameters, n_frames: int, rng: np.random.Generator) -> float:
    """A frame rate at random with which the frames last two thirds of a beat to one and a half, where it can be."""
    duration = rng.uniform(0.7, 1.6) * heart.rhythm.rr_s[0]
    return float(np.clip(n_frames / duration, *FRAME_RATES_HZ))


def shadow_loss_db(points_mm: FloatArray, probe: Probe, artefacts: Artefacts) -> FloatArray:
    """What echoes from points (..., 2) lose to ribs and lung, in dB."""
    depth = np.hypot(points_mm[..., 0], points_mm[..., 1])
    angle = np.arctan2(points_mm[..., 0], points_mm[..., 1]) - math.radians(probe.tilt_deg)
    loss = np.zeros(depth.shape)
    for shadow in artefacts.shadows:
        half = math.radians(shadow.width_deg) / 2
        wedge = 0.5 ** (((angle - math.radians(shadow.angle_deg)) / half) ** 2)
        loss += shadow.loss_db * wedge / (1 + np.exp(-np.clip((depth - shadow.start_mm) / 2.0, -40, 40)))
    return loss


def visible_points(
    points_mm: FloatArray, probe: Probe, picture: Picture, artefacts: Artefacts | None
) -> NDArray[np.bool_]:
    """Which points (..., 2) in mm lie in the picture and in the fan, and not behind a rib or the lung."""
    depth = np.hypot(points_mm[..., 0], points_mm[..., 1])
    angle = np.arctan2(points_mm[..., 0], points_mm[..., 1]) - math.radians(probe.tilt_deg)
    pixels = to_px(points_mm, picture)
    rows, columns = picture.shape
    seen = (depth <= probe.depth_mm) & (np.abs(angle) <= math.radians(probe.sector_deg) / 2)
    seen &= np.all((pixels > -0.5) & (pixels < [columns - 0.5, rows - 0.5]), axis=-1)
    if artefacts is not None and artefacts.shadows:
        seen &= shadow_loss_db(points_mm, probe, artefacts) < _HIDDEN_DB
    return seen


def to_px(points_mm: FloatArray, picture: Picture) -> FloatArray:
    """Scan space (..., 2) in mm to pixels ``(x, y)``, in double precision."""
    return np.asarray(points_mm, dtype=np.float64) / picture.spacing_mm + np.asarray(picture.origin_px)


def to_mm(points_px: FloatArray, picture: Picture) -> FloatArray:
    """Pixels ``(x, y)`` (..., 2) to scan space in mm, in double precision."""
    return (np.asarray(points_px, dtype=np.float64) - np.asarray(picture.origin_px)) * picture.spacing_mm
