"""Strain of one beat over time: along the wall, round the short axis, or across the wall.

Everything is read at the exact times of the phases: between frames, lengths are interpolated. A segment that was not
tracked well enough is rejected, and the curve of the whole wall is then that of the others' summed length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.errors import DataError
from echomotion.core.measurement import Beat, Phases
from echomotion.core.tracks import Tracks, WallPoints
from echomotion.core.views import SegmentModel, View, segment_names, short_axis_names
from echomotion.measure.beats import frame_at
from echomotion.measure.contours import FloatArray
from echomotion.measure.lengths import StrainKind, compensate_drift, relative_strain, segment_lengths
from echomotion.measure.reading import checked_times, local_fit, value_at
from echomotion.measure.segment_quality import Evidence, SegmentQuality, judge_segments

LONGITUDINAL, CIRCUMFERENTIAL, RADIAL = "longitudinal", "circumferential", "radial"


@dataclass(frozen=True)
class StrainOptions:
    """What can be chosen about strain; each choice is stated in the method of every number.

    Attributes
    ----------
    kind : StrainKind
        Lagrangian or natural.
    drift_compensation : bool
        Take out the linear drift of each curve, where a beat is whole.
    avc_after_ed_s : float, optional
        Aortic valve closure in seconds after end-diastole (the R wave), from Doppler or the three-chamber view. It is
        end-systole for strain in every beat; without it the phases' end-systole stands for it.
    smoothing_s : float
        Standard deviation in seconds of a smoothing of lengths over time; 0 for none.
    rejection : bool
        Leave out segments that were not tracked well enough.
    most_rejected : int
        With more rejected segments a view has no global strain. Lang et al. 2015 (doi 10.1016/j.echo.2014.10.003)
        advise against it from the third badly tracked segment on.
    """

    kind: StrainKind = StrainKind.LAGRANGIAN
    drift_compensation: bool = True
    avc_after_ed_s: float | None = None
    smoothing_s: float = 0.0
    rejection: bool = True
    most_rejected: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", StrainKind(self.kind))
        avc = self.avc_after_ed_s
        if avc is not None and not 0 < avc < 1:
            raise DataError(f"avc_after_ed_s is {avc:g}; aortic valve closure comes 0 to 1 s after end-diastole")
        if not 0 <= self.smoothing_s < 1:
            raise DataError(f"smoothing_s is {self.smoothing_s:g}; it lies between 0 and 1 s")
        if self.most_rejected < 0:
            raise DataError(f"most_rejected is {self.most_rejected}; it cannot be negative")


@dataclass(frozen=True)
class StrainCurves:
    """Strain of one beat over time, in %, relative to its end-diastole.

    Attributes
    ----------
    beat : int
        Number of the beat, from 0.
    times_s : float64 (T,)
        Time of each frame of the clip.
    ed_s, es_s : float
        End-diastole and end-systole (aortic valve closure, where it was given).
    next_ed_s : float or None
        None where the recording ends before.
    whole : float64 (T,)
        Of the whole wall; NaN outside the beat, where too many points are missing, or too many segments rejected.
    segments : mapping of str to float64 (T,)
        Of each segment, likewise, in their order along the wall; rejected ones too.
    raw : float64 (T,)
        Of the whole wall on all frames of the clip, without drift compensation.
    drift : float
        What `raw` fails to return to 0 by at the next end-diastole; NaN without one.
    compensated : bool
        Whether linear drift was taken out of `whole` and `segments`.
    direction, view, layer
        ``longitudinal``, ``circumferential`` or ``radial``; the view; ``mid_wall``, ``full_wall``, ...
    quality : mapping of str to SegmentQuality
    refusal : str
        Why `whole` cannot be used; empty where it can.
    method : str
        How the curves were made.
    end_systole : str
        What `es_s` is.
    uses_rejection : bool
        Whether rejected segments are left out.
    """

    beat: int
    times_s: FloatArray
    ed_s: float
    es_s: float
    next_ed_s: float | None
    whole: FloatArray
    segments: Mapping[str, FloatArray]
    raw: FloatArray
    drift: float
    compensated: bool
    direction: str = LONGITUDINAL
    view: View = View.UNKNOWN
    layer: str = ""
    quality: Mapping[str, SegmentQuality] = field(default_factory=dict)
    refusal: str = ""
    method: str = ""
    end_systole: str = ""
    uses_rejection: bool = True

    @property
    def ed_frame(self) -> int:
        """Frame nearest to end-diastole."""
        return frame_at(self.times_s, self.ed_s)

    @property
    def es_frame(self) -> int:
        """Frame nearest to end-systole."""
        return frame_at(self.times_s, self.es_s)

    @property
    def next_ed_frame(self) -> int | None:
        """Frame nearest to the next end-diastole."""
        return None if self.next_ed_s is None else frame_at(self.times_s, self.next_ed_s)

    @property
    def start_s(self) -> float:
        """Where the curves begin: at end-diastole, or with the recording where that starts in systole."""
        return self.ed_s if self.ed_s < self.es_s else float(self.times_s[0])

    @property
    def stop_s(self) -> float:
        """Where the curves end: at the next end-diastole, or with the recording."""
        return float(self.times_s[-1]) if self.next_ed_s is None else self.next_ed_s

    @property
    def frames(self) -> NDArray[np.int64]:
        """Frames of the beat, (K,)."""
        return np.arange(frame_at(self.times_s, self.start_s), frame_at(self.times_s, self.stop_s) + 1)

    @property
    def rejected(self) -> tuple[str, ...]:
        """Names of the rejected segments."""
        return tuple(name for name, quality in self.quality.items() if quality.rejected)

    def as_dict(self) -> dict[str, Any]:
        """The frames of the beat as ``times``, ``whole`` and ``segments``, in plain lists; NaN becomes None."""

        def plain(values: FloatArray) -> list[float | None]:
            return [float(v) if np.isfinite(v) else None for v in values[self.frames]]

        return {
            "beat": self.beat,
            "frames": self.frames.tolist(),
            "times": plain(self.times_s),
            "whole": plain(self.whole),
            "segments": {name: plain(values) for name, values in self.segments.items()},
            "rejected": list(self.rejected),
            "drift": float(self.drift) if np.isfinite(self.drift) else None,
            "compensated": self.compensated,
        }


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
            how = f"linear drift of {drift:.1f} points compensated"
        else:
            how = "drift not compensated" + ("" if whole_beat else " (no whole beat)")
        smooth = f", smoothed over time by {self.options.smoothing_s:g} s" if self.options.smoothing_s else ""
        return f"{self.options.kind} {self.direction} strain from {self.source}, {how}{smooth}"


def join_beats(curves: Sequence[StrainCurves]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Curves of all beats laid end to end: of the whole line (T,) and of each segment; NaN outside all beats."""
    if not curves:
        raise DataError("there are no beats to join")

    def join(parts: list[FloatArray]) -> FloatArray:
        out = parts[0]
        for part in parts[1:]:
            out = np.where(np.isfinite(out), out, part)
        return out

    names = curves[0].segments
    return join([c.whole for c in curves]), {name: join([c.segments[name] for c in curves]) for name in names}
