"""Strain of one beat over time: along the wall, round the short axis, or across the wall.

Everything is read at the exact times of the phases: between frames, lengths are interpolated. A segment that was not
tracked well enough is rejected, and the curve of the whole wall is then that of the others' summed length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Phases
from echomotion.core.tracks import Tracks, WallPoints
from echomotion.core.views import SegmentModel, View, segment_names, short_axis_names
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import compensate_drift, relative_strain, segment_lengths
from echomotion.measure.reading import checked_times, local_fit, value_at
from echomotion.measure.segment_quality import Evidence, SegmentQuality, judge_segments
from echomotion.measure.strain_types import LONGITUDINAL, StrainCurves, StrainOptions


def strain_curves(
    tracks: Tracks,
    phases: Phases,
    times_s: ArrayLike,
    spacing_mm: tuple[float, float] | None = None,
    *,
    options: StrainOptions | None = None,
    direction: str = LONGITUDINAL,
    forward_backward_px: ArrayLike | None = None,
    frames: NDArray[np.uint8] | None = None,
) -> list[StrainCurves]:
    """Strain curves of every beat, of the whole line and of its segments.

    Parameters
    ----------
    tracks : Tracks
        With their wall: a line from base to base, or a closed one round the short axis.
    phases : Phases
    times_s : float (T,)
        Time of each frame.
    spacing_mm : (float, float), optional
        Height and width of a pixel; without it pixels are taken as square.
    options : StrainOptions, optional
    direction : str
        ``longitudinal``, or ``circumferential`` for a line round the short axis.
    forward_backward_px : float (N,) or (N, T), optional
        Distance of each point from its start after tracking forth and back; judged where given.
    frames : uint8 (T, H, W), optional
        The pictures, to see whether points lie on a bright annulus.

    Returns
    -------
    list of StrainCurves
        Drift is compensated only where a beat is whole and its ends are known; `compensated` says whether.

    Raises
    ------
    DataError
        Where the tracks do not form a line of the wall, or times do not increase.
    """
    wall = wall_of(tracks)
    times = checked_times(times_s, tracks.n_frames)

    def lengths(ed_frame: int) -> dict[str, FloatArray]:
        return segment_lengths(tracks.xy, wall, spacing_mm, ed_frame=ed_frame)

    def judge(names: tuple[str, ...], evidence: Evidence) -> dict[str, SegmentQuality]:
        picture = None if frames is None else frames[int(evidence.frames[0])]
        return judge_segments(
            tracks,
            names,
            Evidence(
                evidence.frames,
                evidence.strain,
                evidence.drift,
                direction,
                spacing_mm,
                forward_backward_px,
                picture,
            ),
        )

    maker = CurveMaker(
        times,
        phases,
        options or StrainOptions(),
        direction,
        wall.view,
        str(wall.layer),
        expected_segments(wall),
        f"the length of the {wall.layer} line" + ("" if spacing_mm is not None else ", square pixels assumed"),
    )
    return [maker.curves(k, beat, lengths, judge) for k, beat in enumerate(phases.beats)]


def wall_of(tracks: Tracks) -> WallPoints:
    """The line that tracks form, or :class:`DataError`."""
    if tracks.wall is None:
        raise DataError("these tracks do not form a line of the wall; track the queries of wall_points()")
    return tracks.wall


def expected_segments(wall: WallPoints) -> tuple[str, ...]:
    """The segments that a line should have, in its order, those without a point too."""
    given = wall.segment_names()
    models = [segment_names(wall.view, model) for model in SegmentModel]
    if wall.view is View.PSAX:
        levels = ("basal", "mid", "apical")
        models = [short_axis_names(level, model) for model in SegmentModel for level in levels]
    for names in models:
        if given and set(given) <= set(names):
            # A mirrored picture has them in the opposite order.
            order = [names.index(name) for name in given]
            return names[::-1] if order != sorted(order) and order == sorted(order, reverse=True) else names
    return given


@dataclass(frozen=True)
class CurveMaker:
    """Makes the curves of beats from lengths that add up: of line, or of thickness."""

    times: FloatArray
    phases: Phases
    options: StrainOptions
    direction: str
    view: View
    layer: str
    names: tuple[str, ...]
    source: str

    def curves(
        self,
        k: int,
        beat: Beat,
        lengths: Callable[[int], Mapping[str, FloatArray]],
        judge: Callable[[tuple[str, ...], Evidence], Mapping[str, SegmentQuality]],
    ) -> StrainCurves:
        """The curves of one beat.

        Parameters
        ----------
        lengths : callable
            Length of each segment on every frame, for a frame of end-diastole.
        judge : callable
            The judgement of the segments from what is known of their strain.
        """
        times, options = self.times, self.options
        ed = self._on_clip(beat.ed_s)
        end = None if beat.next_ed_s is None else self._on_clip(beat.next_ed_s)
        es_s, end_systole = self._end_systole(beat)
        es = self._on_clip(es_s)
        missing = np.full(len(times), np.nan)
        measured = lengths(frame_at(times, ed))
        parts = {name: self._smoothed(measured.get(name, missing)) for name in self.names}
        inside = np.zeros(len(times), dtype=bool)
        first = frame_at(times, ed) if ed < es else 0
        inside[first : len(times) if end is None else frame_at(times, end) + 1] = True

        def raw_of(length: FloatArray) -> FloatArray:
            return relative_strain(length, value_at(times, length, ed), options.kind)

        def drift_of(raw: FloatArray) -> float:
            return float("nan") if end is None else value_at(times, raw, end)

        def finish(raw: FloatArray) -> FloatArray:
            # What is lost at the end of the beat has no drift to be compensated, and no curve.
            if options.drift_compensation and end is not None:
                return compensate_drift(raw, times, ed, end) if np.isfinite(drift_of(raw)) else missing
            return np.where(inside, raw, np.nan)

        raws = {name: raw_of(length) for name, length in parts.items()}
        segments = {name: finish(raw) for name, raw in raws.items()}
        drifts = {name: drift_of(raw) for name, raw in raws.items()}
        way = 1 if es > ed else -1
        frames = np.arange(frame_at(times, ed), frame_at(times, es) + way, way)
        strain = {name: value_at(times, curve, es) for name, curve in segments.items()}
        quality = dict(judge(self.names, Evidence(frames, strain, drifts, self.direction)))
        rejected = [name for name in self.names if quality[name].rejected] if options.rejection else []
        raw = raw_of(np.sum([length for name, length in parts.items() if name not in rejected] or [missing], axis=0))
        refusal = ""
        if beat.ed_s < es_s and es_s > times[-1] + float(np.median(np.diff(times))):
            refusal = f"end-systole at {es_s:.3g} s lies after the end of the recording"
            segments = dict.fromkeys(segments, missing)
        elif len(rejected) > options.most_rejected:
            refusal = (
                f"{len(rejected)} of {len(self.names)} segments were rejected: " + quality[rejected[0]].failures[0]
            )
        drift = drift_of(raw)
        compensated = options.drift_compensation and bool(np.isfinite(drift))
        whole = missing if refusal else finish(raw)
        return StrainCurves(
            k,
            times,
            ed,
            es,
            end,
            whole,
            segments,
            raw,
            drift,
            compensated,
            self.direction,
            self.view,
            self.layer,
            quality,
            refusal,
            self._method(drift, compensated=compensated, whole_beat=end is not None),
            end_systole,
            options.rejection,
        )

    def _on_clip(self, time_s: float) -> float:
        """A phase at most half a frame off the recording is that of its first or last frame."""
        return float(np.clip(time_s, self.times[0], self.times[-1]))

    def _end_systole(self, beat: Beat) -> tuple[float, str]:
        avc = self.options.avc_after_ed_s
        if avc is not None and beat.ed_s < beat.es_s:
            return beat.ed_s + avc, f"at aortic valve closure, {avc:.3g} s after end-diastole as given"
        if self.phases.source == "user":
            return beat.es_s, "at end-systole as given"
        return beat.es_s, "at end-systole as seen in the pictures (for aortic valve closure)"

    def _smoothed(self, length: FloatArray) -> FloatArray:
        if not self.options.smoothing_s:
            return length
        smooth = local_fit(self.times, length, self.options.smoothing_s, self.times)[0]
        return np.where(np.isfinite(length), smooth, np.nan)

    def _method(self, drift: float, *, compensated: bool, whole_beat: bool) -> str:
        if compensated:
            how = f"linear drift of {round(drift, 1) + 0.0:.1f} points compensated"
        else:
            how = "drift not compensated" + ("" if whole_beat else " (no whole beat)")
        smooth = f", smoothed over time by {self.options.smoothing_s:g} s" if self.options.smoothing_s else ""
        return f"{self.options.kind} {self.direction} strain from {self.source}, {how}{smooth}"
