"""The frames that tell most of a beat, as pictures for a page and as a file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from echomotion.analysis_types import Analysis
from echomotion.io.write import atomic_path
from echomotion.report.html import text
from echomotion.report.picture import draw_frame, fit, region_of_interest

# Largest size of a key frame in pixels: sharp on a phone, small in the file.
_PICTURE = (640, 640)
# Wider pictures stand two in a row, others four.
_WIDE = 1.15
_ED, _ES = "End-diastole (ED)", "End-systole (ES)"
# Largest size of each half of the preview, and the dark gap between them.
_HALF = (360, 360)
_GAP = 4


def key_times(analysis: Analysis) -> list[tuple[str, float]]:
    """Names and times of the four key frames: of the first whole beat, else spread over the clip."""
    times, beats = analysis.clip.times_s, analysis.phases.beats
    first, last = float(times[0]), float(times[-1])
    if not beats:
        return [(f"Frame {analysis.clip.frame_at(t)}", t) for t in (first + (last - first) * k / 3 for k in range(4))]
    beat = next((beat for beat in beats if beat.next_ed_s is not None), beats[0])
    if beat.es_s < beat.ed_s:
        # The recording starts in systole: its end-systole comes first.
        return [
            (_ES, beat.es_s),
            ("Mid-diastole", (beat.es_s + beat.ed_s) / 2),
            (_ED, beat.ed_s),
            ("Systole", (beat.ed_s + last) / 2),
        ]
    end = last if beat.next_ed_s is None else beat.next_ed_s
    return [
        (_ED, beat.ed_s),
        ("Mid-systole", (beat.ed_s + beat.es_s) / 2),
        (_ES, beat.es_s),
        ("Mid-diastole", (beat.es_s + max(end, beat.es_s)) / 2),
    ]


def frame_figures(analysis: Analysis, moments: Sequence[tuple[str, float]]) -> tuple[list[str], bool]:
    """Frames nearest to named times as HTML figures that hold their pictures, and whether these are wide."""
    geometry = fit(analysis.clip, _PICTURE, region_of_interest(analysis))
    rows, columns = geometry.grid_shape
    figures = []
    for name, time in moments:
        frame = analysis.clip.frame_at(time)
        picture = draw_frame(analysis, frame, geometry, trails=False)
        data = base64.b64encode(cv2.imencode(".png", picture[..., ::-1])[1].tobytes()).decode("ascii")
        when = f"{analysis.clip.times_s[frame]:.3f} s, frame {frame}"
        figures.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{columns}" height="{rows}" '
            f'alt="{text(name)}, {when}"><figcaption>{text(name)}<span>{when}</span></figcaption></figure>'
        )
    return figures, columns > _WIDE * rows


def write_key_frames(path: str | Path, analysis: Analysis) -> None:
    """Write end-diastole (left) and end-systole with what was found on them, side by side, as a PNG.

    Where no beat was found these are the first frame and one two thirds into the clip.
    """
    moments = key_times(analysis)
    named = dict(moments)
    times = [named[_ED], named[_ES]] if _ED in named else [moments[0][1], moments[2][1]]
    geometry = fit(analysis.clip, _HALF, region_of_interest(analysis))
    halves = [draw_frame(analysis, analysis.clip.frame_at(time), geometry, trails=False) for time in times]
    gap = np.zeros((halves[0].shape[0], _GAP, 3), dtype=np.uint8)
    with atomic_path(path) as partial:
        partial.write_bytes(cv2.imencode(".png", np.hstack([halves[0], gap, halves[1]])[..., ::-1])[1].tobytes())
