"""Key-points of a parasternal clip as files: tables, curves of septum, cavity and posterior wall, and the overlay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from echomotion.core import Clip, DataError, Keypoints, OutputError
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.io.write import atomic_path, write_json, write_table, write_video
from echomotion.measure.cycle_features import cycle_features
from echomotion.measure.dimensions import CAVITY, PARTS, POSTERIOR, SEPTUM
from echomotion.measure.keypoint_measurements import KeypointMeasurements
from echomotion.report.picture import Picture, fit
from echomotion.report.style import BLUE, DARK_INK, GREEN, ORANGE, SKY, VERMILLION, rgb
from echomotion.report.tables import measurement_table

RESULTS = (
    "keypoints.csv",
    "curves.csv",
    "features.csv",
    "measurements.csv",
    "measurements.json",
    "curves.png",
    "curves.svg",
    "overlay.mp4",
)
LABELS = {SEPTUM: "IVS", CAVITY: "LVID", POSTERIOR: "LVPW"}
_COLOURS = {SEPTUM: ORANGE, CAVITY: BLUE, POSTERIOR: GREEN}
_POINT_COLOURS = (ORANGE, SKY, SKY, GREEN)
_PICTURE = (960, 720)
# Under this confidence a point is drawn as a ring.
_SURE = 0.5
_SHIFT = 4


def check_keypoint_folder(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse an output folder before any work is done.

    Raises
    ------
    OutputError
        When it is a file, or holds earlier results and `overwrite` is not given.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: this is a file; name a folder for the results")
    earlier = [name for name in RESULTS if (path / name).exists()]
    if earlier and not overwrite:
        raise OutputError(f"{path}: the folder holds earlier results ({earlier[0]}); give another or --overwrite")


def save_keypoints(
    folder: str | Path, clip: Clip, keypoints: Keypoints, found: KeypointMeasurements, *, overwrite: bool = False
) -> Path:
    """Write the tables, the curves and the overlay into a folder.

    Parameters
    ----------
    folder : path
        Made where it does not exist.
    clip : Clip
    keypoints : Keypoints
    found : KeypointMeasurements
        From :func:`echomotion.measure.keypoint_measurements.keypoint_measurements`.
    overwrite : bool

    Raises
    ------
    OutputError
        As :func:`check_keypoint_folder`.
    """
    check_keypoint_folder(folder, overwrite=overwrite)
    target = Path(folder)
    write_table(target / "keypoints.csv", keypoint_table(clip, keypoints))
    write_table(target / "curves.csv", curve_table(clip, found))
    write_table(target / "measurements.csv", measurement_table(found.measurements))
    features, reason = feature_row(clip, found)
    write_table(target / "features.csv", pd.DataFrame([features]))
    beats = [{"ed_s": b.ed_s, "es_s": b.es_s, "next_ed_s": b.next_ed_s} for b in found.phases.beats]
    values = {
        "clip": clip.source.name,
        "phases": {"source": found.phases.source, "confidence": found.phases.confidence, "beats": beats},
        "features": reason or "features.csv",
        "measurements": [row.as_dict() for row in found.measurements],
    }
    write_json(target / "measurements.json", values)
    for kind in ("png", "svg"):
        with atomic_path(target / f"curves.{kind}") as partial, mpl.rc_context({"svg.hashsalt": "keypoints"}):
            metadata = {"Date": None} if kind == "svg" else {"Software": None}
            curve_figure(clip, found).savefig(partial, format=kind, dpi=150, metadata=metadata)
    interval = clip.frame_interval_s
    write_video(target / "overlay.mp4", keypoint_frames(clip, keypoints, found), 1 / interval if interval > 0 else 1.0)
    return target


def keypoint_table(clip: Clip, keypoints: Keypoints) -> pd.DataFrame:
    """One row a frame and point: ``frame, time_s, point, x, y, confidence``, native pixels."""
    rows = [
        (t, clip.times_s[t], name, *keypoints.xy[k, t].tolist(), float(keypoints.confidence[k, t]))
        for t in range(clip.n_frames)
        for k, name in enumerate(keypoints.names)
    ]
    return pd.DataFrame(rows, columns=["frame", "time_s", "point", "x", "y", "confidence"])


def curve_table(clip: Clip, found: KeypointMeasurements) -> pd.DataFrame:
    """The three curves, one row a frame, their unit in the column's name."""
    unit = found.curves.unit
    return pd.DataFrame({"time_s": clip.times_s, **{f"{name} ({unit})": found.curves.values[name] for name in PARTS}})


def feature_row(clip: Clip, found: KeypointMeasurements) -> tuple[dict[str, Any], str]:
    """One row of a cohort table, ``patient`` and features, and why there are no features; empty where there are."""
    row: dict[str, Any] = {"patient": Path(clip.source.name).stem}
    try:
        return row | cycle_features(found.curves, found.phases, clip.times_s), ""
    except DataError as error:
        return row, str(error)


def curve_figure(clip: Clip, found: KeypointMeasurements) -> Figure:
    """Cavity above, walls below, end-diastole (dashed) and end-systole (solid) marked."""
    figure = Figure(figsize=(7.0, 4.6), facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1))
    unit = found.curves.unit
    for axes, names in ((above, (CAVITY,)), (below, (SEPTUM, POSTERIOR))):
        for name in names:
            axes.plot(clip.times_s, found.curves.values[name], color=_COLOURS[name], linewidth=2, label=LABELS[name])
        for beat in found.phases.beats:
            axes.axvline(beat.ed_s, color="#5B6570", linewidth=0.9, linestyle=(0, (4, 3)))
            axes.axvline(beat.es_s, color=VERMILLION, linewidth=0.9)
        axes.set_ylabel(unit)
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, ncols=2)
        axes.spines[["top", "right"]].set_visible(False)
    below.set_xlabel("Time (s)")
    figure.align_ylabels()
    figure.tight_layout()
    return figure


def keypoint_frames(clip: Clip, keypoints: Keypoints, found: KeypointMeasurements) -> Iterator[Picture]:
    """The pictures of ``overlay.mp4``: the measuring line, its points, and the three lengths.

    A point of low confidence is a ring, one that was not found is left out.
    """
    geometry = fit(clip, _PICTURE)
    order = [keypoints.names.index(name) for name in PARASTERNAL_POINTS]
    for t in range(clip.n_frames):
        grey = geometry.warp(clip.frames[t])
        picture = np.repeat(grey[:, :, None], 3, axis=2)
        places = geometry.to_grid(keypoints.xy[order, t])
        for i, name in enumerate(PARTS):
            if np.isfinite(places[i : i + 2]).all():
                first, last = (_fixed(p) for p in places[i : i + 2])
                cv2.line(picture, first, last, rgb(_COLOURS[name]), 2, cv2.LINE_AA, _SHIFT)
        for place, sure, colour in zip(places, keypoints.confidence[order, t], _POINT_COLOURS, strict=True):
            if np.isfinite(place).all():
                thick = -1 if sure >= _SURE else 2
                cv2.circle(picture, _fixed(place), 6 << _SHIFT, rgb(colour), thick, cv2.LINE_AA, _SHIFT)
        for i, name in enumerate(PARTS):
            value = found.curves.values[name][t]
            text = f"{LABELS[name]} {value:.1f} {found.curves.unit}" if np.isfinite(value) else f"{LABELS[name]} -"
            place = (14, 30 + 26 * i)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 4, cv2.LINE_AA)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, rgb(DARK_INK), 1, cv2.LINE_AA)
        yield picture


def _fixed(place: np.ndarray) -> tuple[int, int]:
    """A point as OpenCV's fixed-point numbers."""
    return round(float(place[0]) * (1 << _SHIFT)), round(float(place[1]) * (1 << _SHIFT))
