"""What is known about a simulated heart, computed from its own deformation: strain, thickness, areas, volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Beat, Layer, Phases, View
from echomotion.measure.contours import polygon_area
from echomotion.measure.disks import disk_volume
from echomotion.simulate.deformation import stretch_fields
from echomotion.simulate.heart import HeartParameters, wall_segments
from echomotion.simulate.motion import Motion
from echomotion.simulate.reference import middle_line

FloatArray = NDArray[np.float64]

LAYER_DEPTH: Mapping[Layer, float] = MappingProxyType(
    {Layer.ENDOCARDIAL: 0.0, Layer.MID_WALL: 0.5, Layer.EPICARDIAL: 1.0}
)
_LINE_POINTS = 241


@dataclass(frozen=True)
class Truth:
    """Numbers that a perfect analysis of the sequence would find.

    Strains are Lagrangian, in %, relative to the end-diastole of the reference frame, on every frame. Averages over
    the wall are integrals over its length at end-diastole.

    Attributes
    ----------
    phases : Phases
        On the clock of the clip.
    direction : str
        Of `strain`: ``longitudinal``, or ``circumferential`` in the short axis.
    strain : mapping of layer to (T,)
        Of the whole wall, from the length of its line.
    segment_strain, endocardial_segment_strain : mapping of segment to (T,)
        In the middle of the wall and at its inner edge, each from the length of the segment's part of the line.
    radial_strain : (T,)
        From the mean thickness of the wall.
    segment_radial_strain, thickness_mm : mapping of segment to (T,)
        From the mean thickness of the segment, and that thickness.
    wall_area_mm2, cavity_area_mm2 : (T,)
    out_of_plane_stretch : (T,)
        Harmonic mean over the wall of the stretch out of the plane that its deformation has: an incompressible wall's
        area is that of end-diastole divided by it. With a patient's contours, which decide about the area themselves,
        the stretch that an incompressible wall would need.
    volume_ml : (T,) or None
        Disk summation on the exact border, as a perfect monoplane measurement gives it; None in the short axis.
    end_diastolic_volume_ml, end_systolic_volume_ml, ejection_fraction : float or None
        Of the first beat, at the exact times; `ejection_fraction` in %. In the short axis the fractional area change.
    end_systolic_strain : float
        Of the middle line at the first end-systole, %.
    """

    phases: Phases
    direction: str
    strain: Mapping[str, FloatArray]
    segment_strain: Mapping[str, FloatArray]
    endocardial_segment_strain: Mapping[str, FloatArray]
    radial_strain: FloatArray
    segment_radial_strain: Mapping[str, FloatArray]
    thickness_mm: Mapping[str, FloatArray]
    wall_area_mm2: FloatArray
    cavity_area_mm2: FloatArray
    out_of_plane_stretch: FloatArray
    volume_ml: FloatArray | None
    end_diastolic_volume_ml: float | None
    end_systolic_volume_ml: float | None
    ejection_fraction: float
    end_systolic_strain: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""

        def plain(value: Any) -> Any:
            if isinstance(value, np.ndarray):
                return value.tolist()
            if isinstance(value, Mapping):
                return {str(name): plain(part) for name, part in value.items()}
            return value

        values = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__ if name != "phases"}
        beats = [{"ed_s": b.ed_s, "es_s": b.es_s, "next_ed_s": b.next_ed_s} for b in self.phases.beats]
        return {"beats": beats, **values}


def line_lengths(motion: Motion, w: float, start: float = 0.0, stop: float = 1.0) -> FloatArray:
    """Length (T,) in mm of a line of the wall at depth w between two places s."""
    s = np.linspace(start, stop, max(33, int(_LINE_POINTS * (stop - start))))
    line = motion.wall_positions(s, w)
    return np.hypot(*np.moveaxis(np.diff(line, axis=0), -1, 0)).sum(axis=0)


def _strain(length: FloatArray, start: float) -> FloatArray:
    return 100 * (length / start - 1)


def volume_ml(motion: Motion) -> FloatArray | None:
    """Monoplane volume of the cavity (T,); None in the short axis."""
    if motion.wall.closed:
        return None
    border = motion.wall_positions(np.linspace(0.0, 1.0, _LINE_POINTS), 0.0)
    apex = motion.wall_positions(np.array([motion.apex_s]), 0.0)[0]
    return np.array([disk_volume(border[:, t], border[[0, -1], t], apex[t]) / 1000 for t in range(motion.n_times)])


def cavity_areas(motion: Motion) -> FloatArray:
    """Area (T,) in mm2 within the endocardial line, closed across the annulus."""
    border = motion.wall_positions(np.linspace(0.0, 1.0, _LINE_POINTS), 0.0)
    return np.array([polygon_area(border[:, t]) for t in range(motion.n_times)])


def wall_areas(motion: Motion) -> FloatArray:
    """Area (T,) in mm2 of the wall's section."""
    s = np.linspace(0.0, 1.0, _LINE_POINTS)
    inner, outer = motion.wall_positions(s, 0.0), motion.wall_positions(s, 1.0)
    if motion.wall.closed:
        return np.array([polygon_area(outer[:, t]) - polygon_area(inner[:, t]) for t in range(motion.n_times)])
    ends = np.linspace(0.0, 1.0, 9)[1:-1]
    right, left = motion.wall_positions(np.ones(7), ends), motion.wall_positions(np.zeros(7), ends[::-1])
    outline = np.concatenate([inner, right, outer[::-1], left])
    return np.array([polygon_area(outline[:, t]) for t in range(motion.n_times)])


def end_systoles(heart: HeartParameters, start_s: float, stop_s: float) -> tuple[float, ...]:
    """When the volume is smallest in each beat that begins in an interval, to the millisecond.

    In a heart that contracts evenly this is the closing of the aortic valve. The wall keeps its volume, so the
    cavity is smallest when what the middle of the wall encloses is.
    """
    waves, number = heart.rhythm.beats_between(start_s, stop_s)
    line = middle_line(heart)
    found = []
    for k in np.flatnonzero((waves >= start_s - 1e-9) & (waves <= stop_s + 1e-9)):
        closing = float(waves[k]) + heart.rhythm.systole_s[number[k]]
        if not any(lesion.delay_s for lesion in heart.contraction.lesions):
            found.append(closing)
            continue
        times = np.arange(float(waves[k]) + 0.05, float(waves[k + 1]) - 0.02, 0.002)
        log_eta, log_mu = stretch_fields(heart, line, times)
        if line.closed:
            weight = np.gradient(line.s) * np.sum(line.xz**2, axis=1)
        else:
            weight = np.gradient(np.abs(line.xz[:, 1])) * line.xz[:, 0] ** 2
            weight = np.abs(weight)
        volume = np.exp(2 * log_mu + log_eta) @ weight
        low, high = volume.min(), volume.max()
        # A heart that stands still has no smallest volume of its own.
        first = int(np.argmax(volume <= low + 1e-6 * (high - low)))
        found.append(float(times[first]) if high > low * (1 + 1e-9) else closing)
    return tuple(found)


def known_truth(
    heart: HeartParameters, motion: Motion, motion_at: Callable[[FloatArray], Motion], even: bool = False
) -> Truth:
    """Everything that is known about a heart on the frames of a clip.

    Parameters
    ----------
    motion : Motion
        At the times of the frames.
    motion_at : callable
        The motion of the same heart at other times.
    even : bool
        The heart contracts everywhere at once, so end-systole is the closing of the aortic valve.
    """
    times = motion.times_s
    shift = float(times[0])
    exact = None if even else end_systoles(heart, shift, float(times[-1]))
    phases = heart.rhythm.phases(shift, float(times[-1]), exact)
    on_clip = Phases(
        tuple(Beat(b.ed_s - shift, b.es_s - shift, b.next_ed_s and b.next_ed_s - shift) for b in phases.beats),
        phases.source,
        1.0,
    )
    first = heart.rhythm.systole_s[0]
    if exact is not None:
        first = exact[int(np.argmin(np.abs(heart.rhythm.r_waves(shift, float(times[-1])))))]
    corners = motion_at(np.array([0.0, first]))
    names = wall_segments(heart.view)
    edges = motion.segment_edges
    start = {layer: float(line_lengths(corners, w)[0]) for layer, w in LAYER_DEPTH.items()}
    strain = {str(k): _strain(line_lengths(motion, w), start[k]) for k, w in LAYER_DEPTH.items()}
    mid_wall: dict[str, FloatArray] = {}
    endocardial: dict[str, FloatArray] = {}
    segment_radial, thickness = {}, {}
    for name, low, high in zip(names, edges[:-1], edges[1:], strict=True):
        for w, strains in ((0.5, mid_wall), (0.0, endocardial)):
            before = float(line_lengths(corners, w, low, high)[0])
            strains[name] = _strain(line_lengths(motion, w, low, high), before)
        thickness[name] = _thickness(motion, low, high)
        segment_radial[name] = _strain(thickness[name], float(_thickness(corners, low, high)[0]))
    areas = wall_areas(motion)
    through = motion.mean_through()
    if through is None:
        through = float(wall_areas(corners)[0]) / areas
    volume, ends = volume_ml(motion), volume_ml(corners)
    if ends is None:
        sizes = cavity_areas(corners)
        ed_volume = es_volume = None
    else:
        sizes = ends
        ed_volume, es_volume = float(ends[0]), float(ends[1])
    whole = _thickness(motion, 0.0, 1.0)
    return Truth(
        on_clip,
        "circumferential" if heart.view is View.PSAX else "longitudinal",
        strain,
        mid_wall,
        endocardial,
        _strain(whole, float(_thickness(corners, 0.0, 1.0)[0])),
        segment_radial,
        thickness,
        areas,
        cavity_areas(motion),
        through,
        volume,
        ed_volume,
        es_volume,
        float(100 * (1 - sizes[1] / sizes[0])),
        float(_strain(line_lengths(corners, 0.5), start[Layer.MID_WALL])[1]),
    )


def _thickness(motion: Motion, start: float, stop: float) -> FloatArray:
    """Mean distance (T,) in mm between the two edges of the wall, by the midpoint rule."""
    count = max(32, int(_LINE_POINTS * (stop - start)))
    s = start + (stop - start) * (np.arange(count) + 0.5) / count
    across = motion.wall_positions(s, 1.0) - motion.wall_positions(s, 0.0)
    return np.hypot(across[..., 0], across[..., 1]).mean(axis=0)
