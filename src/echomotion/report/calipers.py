"""The calipers of a parasternal long axis: on a frame, and as curves of septum, cavity and posterior wall."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from echomotion.analysis_types import Analysis
from echomotion.core import DataError, Geometry
from echomotion.core.masks import PARASTERNAL_POINTS
from echomotion.measure.cycle_features import cycle_features
from echomotion.measure.dimensions import CAVITY, MIN_CONFIDENCE, PARTS, POSTERIOR, SEPTUM, DimensionCurves
from echomotion.report.curves import Palette, finish_axes
from echomotion.report.style import BLUE, DARK_INK, GREEN, ORANGE, SKY, rgb
from echomotion.report.words import SHORT

COLOURS = {SEPTUM: ORANGE, CAVITY: BLUE, POSTERIOR: GREEN}
WALLS = (SEPTUM, POSTERIOR)
_POINT_COLOURS = (ORANGE, SKY, SKY, GREEN)
_SHIFT = 4


def draw_calipers(picture: np.ndarray, analysis: Analysis, frame: int, geometry: Geometry) -> None:
    """Draw the measuring line, its points and the three lengths into a picture (H, W, 3) on the grid of `geometry`.

    A point of low confidence is a ring, one that was not found is left out.
    """
    keypoints = analysis.keypoints
    if keypoints is None:
        return
    unit = max(picture.shape[:2]) / 800
    order = [keypoints.names.index(name) for name in PARASTERNAL_POINTS]
    places = geometry.to_grid(keypoints.xy[order, frame].astype(np.float64))
    for k, name in enumerate(PARTS):
        if np.isfinite(places[k : k + 2]).all():
            first, last = (_fixed(place) for place in places[k : k + 2])
            cv2.line(picture, first, last, rgb(COLOURS[name]), max(1, round(2.5 * unit)), cv2.LINE_AA, _SHIFT)
            _write(picture, places[k : k + 2].mean(axis=0), _length(analysis, name, frame), unit)
    size = max(3, round(5 * unit))
    for place, sure, colour in zip(places, keypoints.confidence[order, frame], _POINT_COLOURS, strict=True):
        if np.isfinite(place).all():
            cv2.circle(picture, _fixed(place), (size + 1) << _SHIFT, (0, 0, 0), -1, cv2.LINE_AA, _SHIFT)
            thick = -1 if sure >= MIN_CONFIDENCE else max(1, size // 2)
            cv2.circle(picture, _fixed(place), size << _SHIFT, rgb(colour), thick, cv2.LINE_AA, _SHIFT)


def draw_lengths(axes: Axes, analysis: Analysis, palette: Palette, names: tuple[str, ...], label: str) -> None:
    """Curves of septum, cavity or posterior wall."""
    for name in names:
        curve = analysis.curves[name]
        axes.plot(curve.times_s, curve.values, color=COLOURS[name], linewidth=2.0, label=SHORT[name])
    finish_axes(axes, analysis, palette, f"{label} ({analysis.curves[names[0]].unit})")


def dimension_figure(analysis: Analysis, palette: Palette) -> Figure:
    """Cavity above, walls below."""
    figure = Figure(figsize=(5.2, 4.2))
    above, below = figure.subplots(2, 1, sharex=True)
    draw_lengths(above, analysis, palette, (CAVITY,), f"Cavity, {SHORT[CAVITY]}")
    draw_lengths(below, analysis, palette, WALLS, "Walls")
    key = below.legend(loc="lower right", bbox_to_anchor=(1, 1.02), ncols=2, frameon=False, fontsize=8.5)
    for text in key.get_texts():
        text.set_color(palette.ink)
    below.set_xlabel("Time (s)", color=palette.muted, fontsize=8.5)
    figure.subplots_adjust(left=0.09, right=0.97, top=0.88, bottom=0.12, hspace=0.5)
    return figure


def keypoint_table(analysis: Analysis) -> pd.DataFrame:
    """One row a frame and point: ``frame, time_s, point, x, y, confidence``, native pixels."""
    keypoints, times = analysis.keypoints, analysis.clip.times_s
    rows = (
        []
        if keypoints is None
        else [
            (t, times[t], name, *keypoints.xy[k, t].tolist(), float(keypoints.confidence[k, t]))
            for t in range(len(times))
            for k, name in enumerate(keypoints.names)
        ]
    )
    return pd.DataFrame(rows, columns=["frame", "time_s", "point", "x", "y", "confidence"])


def feature_table(analysis: Analysis) -> tuple[pd.DataFrame, str]:
    """One row of a cohort table, ``patient`` and features, and why there are no features; empty where there are."""
    row: dict[str, object] = {"patient": analysis.clip.source.name.rsplit(".", 1)[0]}
    values = {name: analysis.curves[name].values for name in PARTS}
    curves = DimensionCurves(values, analysis.curves[CAVITY].unit, (), ())
    try:
        return pd.DataFrame([row | cycle_features(curves, analysis.phases, analysis.clip.times_s)]), ""
    except DataError as error:
        return pd.DataFrame([row]), str(error)


def _length(analysis: Analysis, name: str, frame: int) -> str:
    curve = analysis.curves[name]
    value = curve.values[frame]
    return f"{SHORT[name]} {value:.1f} {curve.unit}" if np.isfinite(value) else f"{SHORT[name]} -"


def _write(picture: np.ndarray, place: np.ndarray, words: str, unit: float) -> None:
    """Words right of a place, light on dark edges, so that they read on any tissue."""
    at = (round(float(place[0]) + 14 * unit), round(float(place[1]) + 6 * unit))
    size = max(0.4, 0.62 * unit)
    for colour, width in (((0, 0, 0), 3), (rgb(DARK_INK), 1)):
        cv2.putText(picture, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)


def _fixed(place: np.ndarray) -> tuple[int, int]:
    """A point as OpenCV's fixed-point numbers."""
    return round(float(place[0]) * (1 << _SHIFT)), round(float(place[1]) * (1 << _SHIFT))
