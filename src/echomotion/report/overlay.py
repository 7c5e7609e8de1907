"""The recording with what was found in it: contours, wall points with trails, and curves that run along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.analysis import LAYERS, Analysis, Curve
from echomotion.core import Clip, Geometry, Masks, Tracks
from echomotion.core.masks import LEFT_ATRIUM, LV_CAVITY, LV_MYOCARDIUM
from echomotion.io.write import write_video
from echomotion.preprocess.sector import find_sector
from echomotion.report.style import ATRIUM, CAVITY, EPICARDIUM, SEGMENT_COLOURS, rgb, unit_words

# Height in px of the picture and of the strip of curves under it, and the narrowest video.
_PICTURE_HEIGHT, _STRIP_HEIGHT, _MIN_WIDTH = 600, 150, 640
_TRAIL_S = 0.25
_SEEN = 0.5
_LOWEST_FPS = 5.0
# Sub-pixel bits of OpenCV's drawing.
_SHIFT = 4

Image = NDArray[np.uint8]


class Scene:
    """Draws frames of an analysis at a readable size, cropped to the fan."""

    def __init__(self, analysis: Analysis, height: int = _PICTURE_HEIGHT) -> None:
        self.analysis = analysis
        self.geometry = _view_of(analysis.clip, height)
        self.gain = _display_gain(analysis.clip)
        self.tracks = next((analysis.tracks[str(k)] for k in LAYERS if str(k) in analysis.tracks), None)

    def frame(self, t: int, *, trails: bool = True) -> Image:
        """Frame `t` in red, green, blue (H, W, 3)."""
        clip = self.analysis.clip
        grey = self.geometry.warp(clip.frames[t]).astype(np.float32)
        grey = np.clip(grey * self.gain, 0, 255).astype(np.uint8)
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        _draw_contours(image, self.analysis.masks, t, self.geometry)
        if self.tracks is not None:
            _draw_tracks(image, self.tracks, t, self._trail(t) if trails else 0, self.geometry)
        self._label(image, t)
        return image

    def _trail(self, t: int) -> int:
        """Frames of the trail behind frame `t`."""
        interval = self.analysis.clip.frame_interval_s
        return 0 if not np.isfinite(interval) else min(t, max(1, round(_TRAIL_S / interval)))

    def _label(self, image: Image, t: int) -> None:
        clip = self.analysis.clip
        text = f"{clip.times_s[t]:.2f} s"
        for beat in self.analysis.phases.beats:
            if t == clip.frame_at(beat.ed_s) or (beat.next_ed_s is not None and t == clip.frame_at(beat.next_ed_s)):
                text += "   ED"
            elif t == clip.frame_at(beat.es_s):
                text += "   ES"
        _text(image, text, (12, 26))


def overlay_frames(analysis: Analysis) -> Iterator[Image]:
    """Frames of the overlay video, uint8 (H, W, 3) in red, green, blue."""
    scene = Scene(analysis)
    strip = _Strip(analysis, scene.geometry.grid_shape[1])
    for t in range(analysis.clip.n_frames):
        yield np.vstack([scene.frame(t), strip.frame(t)])


def write_overlay(path: str | Path, analysis: Analysis) -> None:
    """The overlay as an MP4 at the recording's own speed (not below 5 frames a second)."""
    rate = max(_LOWEST_FPS, 1 / analysis.clip.frame_interval_s)
    write_video(path, overlay_frames(analysis), min(rate, 120.0))


def class_contours(masks: Masks, t: int, names: tuple[str, ...]) -> list[NDArray[np.float64]]:
    """Outlines (M, 2) in native pixels of the union of some classes on frame `t`, largest part only.

    Where the probabilities are known the outline runs where the union becomes more likely than not, between pixels.
    """
    labels = [masks.label_of(name) for name in names if masks.has(name)]
    if masks.probability is not None and masks.geometry is not None:
        order = list(masks.classes)
        field = masks.probability[t, [order.index(label) for label in labels]].astype(np.float32).sum(axis=0)
        back = masks.geometry.to_native
    else:
        field = np.isin(masks.labels[t], labels).astype(np.float32)
        back = Geometry.identity(masks.labels.shape[1:]).to_native
    # Enlarged fourfold, the outline of a threshold is smooth to a quarter of a cell.
    fine = cv2.resize(field, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    found, _ = cv2.findContours((fine > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not found:
        return []
    outline = max(found, key=cv2.contourArea)[:, 0].astype(np.float64)
    if len(outline) < 16:
        return []
    return [back((_smoothed(outline) + 0.5) / 4 - 0.5)]


def _smoothed(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """A closed line without the steps of its grid."""
    kernel = np.hanning(11)[1:-1]
    kernel /= kernel.sum()
    wrapped = np.concatenate([outline[-4:], outline, outline[:4]])
    return np.stack([np.convolve(wrapped[:, k], kernel, mode="valid") for k in range(2)], axis=1)


def _view_of(clip: Clip, height: int) -> Geometry:
    """From native pixels to the picture shown: the fan with a margin, square pixels, a fixed height."""
    rows, columns = clip.shape
    x0, y0, x1, y1 = -0.5, -0.5, columns - 0.5, rows - 0.5
    sector = find_sector(clip.frames, pixel_aspect=clip.pixel_aspect)
    if sector is not None:
        margin = 0.02 * columns
        left, top, right, bottom = sector.box
        x0, y0 = max(x0, left - margin), max(y0, top - margin)
        x1, y1 = min(x1, right + margin), min(y1, bottom + margin)
    wide = (x1 - x0) / ((y1 - y0) * clip.pixel_aspect)
    width = int(np.clip(round(height * wide), _MIN_WIDTH, 2 * height)) // 2 * 2
    return Geometry.letterbox(clip.shape, (x0, y0, x1, y1), (height, width), clip.pixel_aspect)


def _display_gain(clip: Clip) -> float:
    """A factor that makes dark recordings readable on the screen; it changes no measurement."""
    bright = float(np.percentile(clip.frames[:: max(1, clip.n_frames // 8)], 99))
    return float(np.clip(170 / max(bright, 1.0), 1.0, 2.5))


def _draw_contours(image: Image, masks: Masks, t: int, geometry: Geometry) -> None:
    for names, colour, width in (
        ((LEFT_ATRIUM,), ATRIUM, 1),
        ((LV_CAVITY, LV_MYOCARDIUM), EPICARDIUM, 1),
        ((LV_CAVITY,), CAVITY, 2),
    ):
        if all(masks.has(name) for name in names):
            for outline in class_contours(masks, t, names):
                cv2.polylines(image, [_fixed(geometry.to_grid(outline))], True, colour, width, cv2.LINE_AA, _SHIFT)


def _draw_tracks(image: Image, tracks: Tracks, t: int, trail: int, geometry: Geometry) -> None:
    xy = geometry.to_grid(tracks.xy)
    colours = _point_colours(tracks)
    for n, colour in enumerate(colours):
        path = xy[n, t - trail : t + 1]
        for k in range(1, len(path)):
            fade = 0.25 + 0.55 * k / len(path)
            faded = tuple(int(fade * c) for c in colour)
            cv2.polylines(image, [_fixed(path[k - 1 : k + 1])], False, faded, 1, cv2.LINE_AA, _SHIFT)
    for n, colour in enumerate(colours):
        centre = tuple(int(v) for v in _fixed(xy[n, t]))
        sure = bool(tracks.visible[n, t]) and tracks.confidence[n, t] >= _SEEN
        # A point that cannot be relied upon is a ring.
        cv2.circle(image, centre, int(3.2 * 2**_SHIFT), colour, -1 if sure else 1, cv2.LINE_AA, _SHIFT)


def _point_colours(tracks: Tracks) -> list[tuple[int, int, int]]:
    if tracks.wall is None:
        return [rgb(SEGMENT_COLOURS[0])] * tracks.n_points
    order = tracks.wall.segment_names()
    return [rgb(SEGMENT_COLOURS[order.index(name) % len(SEGMENT_COLOURS)]) for name in tracks.wall.segment]


class _Strip:
    """Curves under the picture: strain of the whole line and its segments, and the cavity's area."""

    def __init__(self, analysis: Analysis, width: int) -> None:
        self.times = analysis.clip.times_s
        strain = [c for c in analysis.curves.values() if c.name == "longitudinal_strain"]
        area = [c for c in analysis.curves.values() if c.name == "cavity_area"]
        half = width // 2
        panels = [self._panel(strain, "strain %", half), self._panel(area, "area", width - half)]
        self.background = np.hstack([panel for panel, _ in panels])
        self.spans = [(x0, x1) for _, (x0, x1) in panels]
        self.spans[1] = (self.spans[1][0] + half, self.spans[1][1] + half)
        for beat in analysis.phases.beats:
            for name, time in (("ED", beat.ed_s), ("ES", beat.es_s), ("ED", beat.next_ed_s)):
                if time is not None:
                    self._mark(name, time)

    def frame(self, t: int) -> Image:
        """The curves with a cursor at frame `t`."""
        image = self.background.copy()
        for span in self.spans:
            x = self._x(self.times[t], span)
            cv2.line(image, (x, 18), (x, _STRIP_HEIGHT - 8), (255, 255, 255), 1, cv2.LINE_AA)
        return image

    def _x(self, time: float, span: tuple[int, int]) -> int:
        share = (time - self.times[0]) / max(self.times[-1] - self.times[0], 1e-9)
        return round(span[0] + share * (span[1] - span[0]))

    def _mark(self, name: str, time: float) -> None:
        for span in self.spans:
            x = self._x(time, span)
            cv2.line(self.background, (x, 18), (x, _STRIP_HEIGHT - 8), (110, 110, 110), 1)
            _text(self.background, name, (min(x + 3, span[1] - 20), 28), 0.36, (150, 150, 150))

    def _panel(self, curves: list[Curve], title: str, width: int) -> tuple[Image, tuple[int, int]]:
        image = np.full((_STRIP_HEIGHT, width, 3), 16, np.uint8)
        span = (52, width - 14)
        values = np.concatenate([curve.values for curve in curves]) if curves else np.array([np.nan])
        if not np.isfinite(values).any():
            _text(image, f"{title}: not measurable", (12, 14), 0.4, (170, 170, 170))
            return image, span
        unit = "" if "%" in title else f" {unit_words(curves[0].unit).replace('²', '2')}"
        _text(image, title + unit, (12, 14), 0.4, (200, 200, 200))
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = 0.08 * max(high - low, 1e-6)
        low, high = low - margin, high + margin

        def y(value: NDArray[np.float64] | float) -> NDArray[np.float64]:
            return 22 + (high - np.asarray(value)) / (high - low) * (_STRIP_HEIGHT - 34)

        for tick in (low + margin, high - margin):
            _text(image, f"{tick:.3g}", (8, int(y(tick)) + 4), 0.34, (150, 150, 150))
        segments = [c.segment for c in curves if c.segment is not None]
        for curve in sorted(curves, key=lambda c: c.segment is None):
            colour, line = (235, 235, 235), 2
            if curve.segment is not None:
                colour, line = rgb(SEGMENT_COLOURS[segments.index(curve.segment) % len(SEGMENT_COLOURS)]), 1
            known = np.isfinite(curve.values)
            x = np.array([self._x(time, span) for time in curve.times_s[known]], dtype=np.float64)
            points = np.column_stack([x, y(curve.values[known])])
            cv2.polylines(image, [_fixed(points)], False, colour, line, cv2.LINE_AA, _SHIFT)
        return image, span


def _fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Points in the fixed-point units of OpenCV's sub-pixel drawing."""
    return np.round(np.nan_to_num(points, nan=-1e4) * 2**_SHIFT).astype(np.int32)


def _text(
    image: Image, text: str, at: tuple[int, int], size: float = 0.55, colour: tuple[int, int, int] = (255, 255, 255)
) -> None:
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
