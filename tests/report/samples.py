"""Analyses with a known answer, made without any model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from echomotion.analysis import compose
from echomotion.analysis_types import Analysis
from echomotion.core import Clip, Keypoints, Masks, Measurement, Phases, Status, Tracks, View, WallPoints
from echomotion.core.clip import Source
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.keypoint_analysis import compose_keypoints
from echomotion.measure.wall_points import wall_points
from echomotion.wall_tracking import LAYERS
from tests.phantoms import beating_ventricle

PROVENANCE: dict[str, Any] = {
    "echomotion": "0.1.0",
    "python": "3.11.2",
    "packages": {"numpy": "2.4.0", "torch": "2.13.0"},
    "models": [
        {"kind": "segmenter", "name": "unet", "weights": "camus-1", "sha256": "ab" * 32, "licence": "CC BY-NC-SA 4.0"},
        {"kind": "tracker", "name": "lucas_kanade", "weights": "not needed", "sha256": "", "licence": "Apache-2.0"},
    ],
    "options": {"segmenter": "unet", "tracker": "lucas_kanade", "points": 61, "ed_s": None, "es_s": None},
    "input": {"name": "case.dcm", "format": "dicom", "sha256": "cd" * 32, "spacing_origin": "DICOM region"},
}


def ventricle(*, seed: int = 5, calibrated: bool = True, name: str = "case.dcm", **shape: Any) -> Analysis:
    """A beating half-ellipsoid ventricle, its points moved by the true motion."""
    # At 75 beats a minute the phantom's beat is a whole number of frames.
    clip, masks, truth = beating_ventricle(rng=np.random.default_rng(seed), **{"bpm": 75.0, **shape})
    source = Source(name, "dicom", "cd" * 32, "DICOM region" if calibrated else "none", "FrameTime", "DICOM")
    clip = clip.with_(source=source, spacing_mm=clip.spacing_mm if calibrated else None)
    rng = np.random.default_rng(seed)
    tracks = {}
    for layer in LAYERS:
        wall = wall_points(masks, frame=0, layer=layer, count=61, view=clip.view, spacing_mm=clip.spacing_mm)
        xy = np.stack([truth.true_map(wall.queries[:, 1:], t) for t in range(clip.n_frames)], axis=1)
        tracks[layer] = wall_tracks(wall, xy, rng)
    warnings = () if calibrated else ("not calibrated: lengths and volumes are in pixels; give --spacing",)
    return compose(clip, masks, tracks, truth.phases, warnings=warnings, provenance=PROVENANCE)


def wall_tracks(wall: WallPoints, xy: np.ndarray, rng: np.random.Generator) -> Tracks:
    """Tracks through given positions (N, T, 2), some of them unsure or hidden."""
    shape = xy.shape[:2]
    confidence = np.clip(rng.normal(0.85, 0.08, shape), 0, 1).astype(np.float32)
    confidence[14:17] = 0.3
    visible = np.ones(shape, dtype=bool)
    visible[40, shape[1] // 2 :] = False
    xy = xy.astype(np.float32)
    xy[:, int(wall.queries[0, 0])] = wall.queries[:, 1:]
    return Tracks(xy, visible, confidence, wall.queries, wall, "lucas_kanade")


def parasternal(*, calibrated: bool = True) -> Analysis:
    """Key-points of a cavity of 50 mm that shrinks to 30 mm and back once a second; on one frame a point is missing."""
    times = np.arange(40) / 25
    cavity = 40 + 10 * np.cos(2 * np.pi * times)
    walls = 12 - 2 * np.cos(2 * np.pi * times)
    depth = np.cumsum([20 + 0 * times, walls, cavity, walls], axis=0) / 0.5
    xy = np.stack([np.full_like(depth, 80.0), depth], axis=-1)
    xy[1, 5] = np.nan
    keypoints = Keypoints(xy, np.full(xy.shape[:2], 0.9, np.float32), PARASTERNAL_POINTS)
    source = Source("plax.dcm", "dicom", "ef" * 32)
    frames = np.full((40, 220, 160), 60, np.uint8)
    clip = Clip(frames, times, (0.5, 0.5) if calibrated else None, View.PLAX, source=source)
    return compose_keypoints(clip, keypoints, provenance=PROVENANCE)


def no_ventricle(name: str = "liver.mp4") -> Analysis:
    """What is left when no ventricle is found: a clip, empty masks, reasons."""
    rng = np.random.default_rng(2)
    frames = rng.integers(20, 90, (12, 90, 120), dtype=np.uint8)
    clip = Clip(frames, np.arange(12) / 25, None, View.UNKNOWN, source=Source(name, "mp4", "ef" * 32))
    reason = "no ventricular cavity was found on most frames"
    phases = Phases((), "area", 0.0, reason)
    warnings = ("the view is not stated", f"the wall could not be tracked: {reason}")
    masks = Masks(np.zeros(clip.frames.shape, np.uint8))
    return compose(clip, masks, {}, phases, warnings=warnings, provenance=PROVENANCE, reason=reason)


def with_strange_text(analysis: Analysis, text: str) -> Analysis:
    """The same analysis with a string in every place where words from outside can stand."""
    source = replace(
        analysis.clip.source, name=text, spacing_origin=text, times_origin=text, view_origin=text, sha256=text
    )
    rows = [
        replace(row, method=text, reason=text, status=Status.LOW_CONFIDENCE, segment=text)
        for row in analysis.measurements[:3]
    ]
    provenance = {**analysis.provenance, "options": {text: text}, "models": [dict.fromkeys(("kind", "name"), text)]}
    curve = analysis.curves["cavity_area"]
    return replace(
        analysis,
        clip=analysis.clip.with_(source=source),
        measurements=(*rows, Measurement.missing(text, text, text)),
        phases=replace(analysis.phases, source=text, reason=text),
        warnings=(text,),
        provenance=provenance,
        curves={**analysis.curves, "longitudinal_strain/x": replace(curve, name="longitudinal_strain", segment=text)},
    )
