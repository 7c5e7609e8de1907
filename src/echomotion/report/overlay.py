"""The moving picture: every frame with its outlines, points and trails, over curves that run along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from echomotion.analysis_types import Analysis
from echomotion.core import View
from echomotion.io.write import write_video
from echomotion.report.picture import Picture, draw_frame, fit
from echomotion.report.strip import Strip
from echomotion.report.style import DARK, DARK_INK, DARK_MUTED, ORANGE, SKY, rgb
from echomotion.report.words import phase_times, plain_name
from echomotion.wall_tracking import LAYERS

# Largest size of the echo picture, and what stands over and under it, in pixels.
_PICTURE = (960, 720)
_LEAST_WIDTH = 960
_HEAD, _STRIP = 44, 220
# How long before and after its time a phase is named, at least.
_HOLD_S = 0.04
_FONT = "DejaVuSans.ttf"


def overlay_frames(analysis: Analysis) -> Iterator[Picture]:
    """The pictures of ``overlay.mp4``, one a frame of the clip.

    The curves are drawn by the call itself, so what comes after may be read on another thread.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    iterator of uint8 (H, W, 3)
        Red, green, blue; H and W are even and the same for all.
    """
    clip = analysis.clip
    geometry = fit(clip, _PICTURE)
    rows, columns = geometry.grid_shape
    width = max(columns, _LEAST_WIDTH)
    strip = Strip(analysis, width, _STRIP)
    head = _Head(analysis, width)
    left = (width - columns) // 2
    empty = np.full((_HEAD + rows + _STRIP, width, 3), rgb(DARK), dtype=np.uint8)

    def drawn(frame: int) -> Picture:
        canvas = empty.copy()
        canvas[:_HEAD] = head.at(frame)
        canvas[_HEAD : _HEAD + rows, left : left + columns] = draw_frame(analysis, frame, geometry)
        canvas[_HEAD + rows :] = strip.at(float(clip.times_s[frame]))
        return canvas

    return map(drawn, range(clip.n_frames))


def write_overlay(path: str | Path, analysis: Analysis, frames: Iterator[Picture] | None = None) -> None:
    """The overlay as a video in real time, of `frames` where :func:`overlay_frames` was called before.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    interval = analysis.clip.frame_interval_s
    write_video(path, frames or overlay_frames(analysis), 1 / interval if np.isfinite(interval) else 1.0)


def _shown(analysis: Analysis) -> str:
    if analysis.keypoints is not None:
        return "key-points"
    return f"{plain_name(LAYERS[0])} points" if LAYERS[0] in analysis.tracks else "wall not tracked"


class _Head:
    """The line over the picture: what is shown, the phase of the heart, the time."""

    def __init__(self, analysis: Analysis, width: int) -> None:
        folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self._plain = ImageFont.truetype(folder / _FONT, 15)
        self._bold = ImageFont.truetype(folder / "DejaVuSans-Bold.ttf", 15)
        self._analysis = analysis
        self._width = width
        self._ed, self._es = phase_times(analysis)
        view = "view not stated" if analysis.clip.view is View.UNKNOWN else str(analysis.clip.view)
        self._title = f"{view}  ·  {_shown(analysis)}"

    def at(self, frame: int) -> Picture:
        image = Image.new("RGB", (self._width, _HEAD), rgb(DARK))
        draw = ImageDraw.Draw(image)
        middle = _HEAD // 2
        draw.text((18, middle), self._title, DARK_MUTED, self._plain, "lm")
        time = float(self._analysis.clip.times_s[frame])
        clock = f"{time:.3f} s  ·  frame {frame}"
        draw.text((self._width - 18, middle), clock, DARK_INK, self._plain, "rm")
        phase, mark = self._phase(time)
        if mark:
            box = (self._width / 2 - 24, middle - 13, self._width / 2 + 24, middle + 13)
            draw.rounded_rectangle(box, 6, fill=ORANGE if mark == "ES" else SKY)
            draw.text((self._width / 2, middle), mark, DARK, self._bold, "mm")
        elif phase:
            draw.text((self._width / 2, middle), phase, DARK_MUTED, self._plain, "mm")
        return np.asarray(image)

    def _phase(self, time: float) -> tuple[str, str]:
        """Systole or diastole, and ED or ES near their times."""
        hold = max(_HOLD_S, 0.5 * self._analysis.clip.frame_interval_s) + 1e-6
        for name, marks in (("ED", self._ed), ("ES", self._es)):
            if any(abs(time - mark) <= hold for mark in marks):
                return "", name
        for beat in self._analysis.phases.beats:
            if beat.es_s < beat.ed_s:
                # The recording starts in systole; what follows its only end-diastole is the next one.
                return ("diastole" if beat.es_s < time < beat.ed_s else "systole"), ""
            if beat.ed_s <= time < beat.es_s:
                return "systole", ""
            if beat.es_s <= time and (beat.next_ed_s is None or time < beat.next_ed_s):
                return "diastole", ""
        return "", ""
