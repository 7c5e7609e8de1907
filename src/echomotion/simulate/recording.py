"""One recording: a heart, its motion, a machine, and the frames that they make together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echomotion.core import View
from echomotion.simulate.acquisition import (
    draw_frame_rate,
    frame_times,
    needed_depth_mm,
    visible_points,
)
from echomotion.simulate.artefacts import (
    Artefacts,
    background_power,
    blood_amplitudes,
    coherence_field,
    draw_artefacts,
    flash_gain,
    scatterer_amplitudes,
    swirl,
)
from echomotion.simulate.checks import check_count, check_range
from echomotion.simulate.draw import draw_heart, draw_motion, draw_rhythm
from echomotion.simulate.heart import HeartParameters, simulated_view
from echomotion.simulate.motion import Motion, heart_motion
from echomotion.simulate.probe import Picture, Probe, draw_probe, fitting_picture
from echomotion.simulate.templates import Template, contracted, template_motion
from echomotion.simulate.tissue import (
    BLOOD,
    LEAFLET,
    LINE,
    MUSCLE,
    SURROUNDINGS,
    TISSUES,
    Echogenicity,
    Scatterers,
    beam_space_points,
    draw_echogenicity,
    place_scatterers,
)
from echomotion.simulate.ultrasound import render

FloatArray = NDArray[np.float64]

# Scatterers for each resolution cell of tissue, and the most that are made.
_PER_CELL = 9.0
_MOST_SCATTERERS = 48_000
_WALL_SHARE = 0.75
# What scatterers are left to contribute to a patient's brightness where noise and haze already make up for it.
_LEAST_SHARE = 0.03


@dataclass(frozen=True)
class Recording:
    """Everything that decides about a sequence, and what is needed to make its frames.

    Attributes
    ----------
    seed : int
    heart : HeartParameters
    template : Template or None
        The patient whose anatomy it has.
    motion : Motion
        At the times of the frames, relative to the end-diastole of the reference frame.
    probe, picture, artefacts, look :
        The machine, the picture, what makes tracking hard, and how strongly tissues scatter.
    frame_rate_hz : float
    reference_frame : int
        The frame at time 0, an end-diastole.
    scatterers : Scatterers
    points_mm : (N, 2)
        Sampled points at end-diastole, those of the wall first.
    point_tissue : tuple of str, N
    """

    seed: int
    heart: HeartParameters
    template: Template | None
    motion: Motion
    probe: Probe
    picture: Picture
    artefacts: Artefacts
    look: Echogenicity
    frame_rate_hz: float
    reference_frame: int
    scatterers: Scatterers
    points_mm: FloatArray
    point_tissue: tuple[str, ...]

    def motion_at(self, times_s: FloatArray) -> Motion:
        """The motion of the same heart at other times."""
        return subject_motion(self.heart, self.template, times_s)

    def parameters(self) -> dict[str, Any]:
        """All parameters in plain values, for JSON."""
        return {
            "seed": self.seed,
            "heart": self.heart.as_dict(),
            "template": None if self.template is None else self.template.outlines(),
            "probe": self.probe.as_dict(),
            "picture": self.picture.as_dict(),
            "artefacts": self.artefacts.as_dict(),
            "echogenicity": self.look.__dict__.copy(),
            "frame_rate_hz": self.frame_rate_hz,
            "n_frames": self.motion.n_times,
            "reference_frame": self.reference_frame,
        }


def subject_motion(heart: HeartParameters, template: Template | None, times_s: FloatArray) -> Motion:
    """The motion of a parametric heart, or of a patient's."""
    return heart_motion(heart, times_s) if template is None else template_motion(heart, template, times_s)


def plan_recording(
    view: View | str = View.A4C,
    seed: int = 0,
    *,
    kind: str | None = None,
    heart: HeartParameters | None = None,
    template: Template | None = None,
    probe: Probe | None = None,
    artefacts: Artefacts | None = None,
    difficulty: float | None = None,
    shape: tuple[int, int] = (256, 256),
    n_frames: int = 36,
    frame_rate_hz: float | None = None,
    reference_frame: int | None = None,
    n_tracks: int = 256,
) -> Recording:
    """Draw what is not given; see :func:`echomotion.simulate.sequence.simulate`."""
    which = simulated_view(view) if heart is None else heart.view
    check_count("seed", seed, 0, 2**62)
    check_count("n_tracks", n_tracks, 1, 100_000)
    rng = np.random.default_rng([int(seed), 20240613])
    if difficulty is not None:
        check_range("difficulty", difficulty, 0.0, 1.0)
    if heart is None and template is None:
        heart = draw_heart(which, rng, kind)
    elif heart is None:
        heart = HeartParameters(
            which, "healthy" if kind is None else kind, rhythm=draw_rhythm(rng), motion=draw_motion(rng)
        )
    check_count("n_frames", n_frames, 1, 2000)
    if frame_rate_hz is None:
        frame_rate_hz = draw_frame_rate(heart, n_frames, rng)
    if reference_frame is None:
        late = int(rng.integers(0, max(1, n_frames // 2)))
        reference_frame = 0 if rng.random() < 0.6 else late
    check_count("reference_frame", reference_frame, 0, n_frames - 1)
    times = frame_times(n_frames, frame_rate_hz, reference_frame)
    motion = subject_motion(heart, template, times)
    if probe is None:
        probe = draw_probe(rng, needed_depth_mm(heart) * rng.uniform(0.95, 1.15))
        probe = probe if template is None else template.probe_like(probe)
    picture = fitting_picture(probe, shape)
    if artefacts is None:
        artefacts = draw_artefacts(rng, difficulty)
        artefacts = artefacts if template is None else template.artefacts_like(artefacts, probe.dynamic_range_db)
    look = draw_echogenicity(rng)
    half, tilt = math.radians(probe.sector_deg) / 2, math.radians(probe.tilt_deg)
    points = beam_space_points(_scatterer_count(probe), half, tilt, probe.depth_mm, rng)
    levels = None if template is None else _patient_levels(template, probe, artefacts)
    scatterers = place_scatterers(motion, points, look, rng, levels)
    samples, tissue = _sample_points(motion, scatterers, probe, picture, n_tracks, rng)
    return Recording(
        int(seed),
        heart,
        template,
        motion,
        probe,
        picture,
        artefacts,
        look,
        float(frame_rate_hz),
        int(reference_frame),
        scatterers,
        samples,
        tissue,
    )


def _patient_levels(
    template: Template, probe: Probe, artefacts: Artefacts
) -> Callable[[FloatArray], tuple[FloatArray, FloatArray]]:
    """Echogenicity in dB of points (N, 2) at end-diastole and end-systole, as the patient's two pictures have it."""

    def at(places: FloatArray, systolic: bool) -> FloatArray:
        power = 10 ** (template.levels(places, probe.dynamic_range_db, systolic) / 10)
        # The patient's picture has its noise and haze in it; what is added here must not come on top.
        rest = power - background_power(artefacts, np.hypot(*places.T), probe.depth_mm)
        return 10 * np.log10(np.maximum(rest, _LEAST_SHARE * power))

    def levels(points: FloatArray) -> tuple[FloatArray, FloatArray]:
        return at(points, False), at(contracted(template, points), True)

    return levels


def _scatterer_count(probe: Probe) -> int:
    """Enough for the speckle of tissue to be fully developed, up to a limit."""
    # The autocovariance of a Gaussian of standard deviation sigma covers 2 sqrt(pi) sigma.
    width = 2 * math.sqrt(math.pi)
    cells = probe.depth_mm / (width * probe.axial_sigma_mm)
    cells *= math.radians(probe.sector_deg) / (width * probe.angular_sigma_rad)
    return int(min(max(_PER_CELL * cells, 8000), _MOST_SCATTERERS))


def _sample_points(
    motion: Motion, scatterers: Scatterers, probe: Probe, picture: Picture, count: int, rng: np.random.Generator
) -> tuple[FloatArray, tuple[str, ...]]:
    """Points to be tracked, in the picture at end-diastole: most in the wall, the rest in other tissue."""
    wall = np.zeros((0, 2))
    wanted = round(_WALL_SHARE * count)
    for _ in range(20):
        s, w = rng.uniform(0.0, 1.0, 4 * count), rng.uniform(0.01, 0.99, 4 * count)
        points = motion.wall.reference(s, w)
        wall = np.concatenate([wall, points[visible_points(points, probe, picture, None)]])
        if len(wall) >= count:
            break
    solid = np.flatnonzero(np.isin(scatterers.tissue, (SURROUNDINGS, LINE, MUSCLE)))
    places = scatterers.reference_mm[solid]
    solid = solid[visible_points(places, probe, picture, None)]
    # Tissue near the heart tells more than the far corners of the fan.
    weight = np.exp(-scatterers.located.distance[solid] / 20.0) + 0.02
    others = min(count - wanted, len(solid))
    chosen = rng.choice(solid, others, replace=False, p=weight / weight.sum()) if others else np.zeros(0, dtype=int)
    inside = wall[: count - others]
    names = ["wall"] * len(inside) + [TISSUES[k] for k in scatterers.tissue[chosen]]
    return np.concatenate([inside, scatterers.reference_mm[chosen]]), tuple(names)


def render_recording(recording: Recording, device: torch.device | str = "cpu") -> Tensor:
    """The frames, uint8 (T, H, W), on the device; they depend on the seed, the device's kind and the version alone."""
    where = torch.device(device)
    generator = torch.Generator(where).manual_seed(recording.seed * 2 + 1)
    motion, scatterers, artefacts = recording.motion, recording.scatterers, recording.artefacts

    def tensor(values: Any) -> Tensor:
        return torch.as_tensor(np.asarray(values, dtype=np.float32), device=where)

    moving = motion.positions(scatterers.reference_mm, located=scatterers.located)
    times = tensor(motion.times_s)
    base = tensor(_strengths(recording))[None]
    tissue = scatterers.all_tissue
    blood = torch.as_tensor(np.flatnonzero(tissue == BLOOD), device=where)
    rest = torch.as_tensor(np.flatnonzero(tissue != BLOOD), device=where)
    positions = torch.cat([tensor(moving), tensor(scatterers.leaflets_mm)], dim=1)[None]
    reference = torch.cat([tensor(scatterers.reference_mm), tensor(scatterers.leaflets_mm[0])])[None]
    amplitudes = torch.empty((1, motion.n_times, len(tissue)), device=where)
    coherence = coherence_field(reference[:, rest], times, artefacts, generator)
    shift = tensor(recording.heart.rhythm.activation(motion.times_s))[None]
    amplitudes[:, :, rest] = scatterer_amplitudes(
        base[:, rest], coherence, times, artefacts, generator, slice_shift=shift
    )
    amplitudes[:, :, blood] = blood_amplitudes(base[:, blood], times, artefacts, generator)
    centre, radius = _swirl_circle(motion)
    positions[:, :, blood] = swirl(positions[:, :, blood], tensor(centre)[None], tensor(radius)[None], times, artefacts)
    contraction = np.clip(recording.heart.rhythm.activation(motion.times_s), 0.0, 1.0)[:, None]
    moving_count = len(scatterers.systolic_db)
    amplitudes[0, :, :moving_count] *= tensor(10 ** (contraction * scatterers.systolic_db / 20))
    leaflet = torch.as_tensor(np.flatnonzero(tissue == LEAFLET), device=where)
    if len(leaflet):
        amplitudes[:, :, leaflet] *= flash_gain(1, times, artefacts, generator)[0][None, :, None]
    frames = render(positions, amplitudes, recording.probe, recording.picture, artefacts, generator, times_s=times)
    return frames[0]


def _strengths(recording: Recording) -> FloatArray:
    """Root-mean-square strength of every scatterer, such that tissue of 0 dB has unit strength on every mm2."""
    scatterers, probe = recording.scatterers, recording.probe
    spare = 2 * math.radians(12.0)
    drawn = _scatterer_count(probe)
    area = (math.radians(probe.sector_deg) + spare) * (probe.depth_mm + 14.0) / drawn
    depth = np.hypot(*scatterers.reference_mm.T)
    moving = 10 ** (scatterers.level_db / 20) * np.sqrt(area * depth)
    leaflets = 10 ** (scatterers.leaflet_level_db / 20) * np.sqrt(scatterers.leaflet_area_mm2)
    return np.concatenate([moving, leaflets])


def _swirl_circle(motion: Motion) -> tuple[FloatArray, FloatArray]:
    """A circle inside the cavity, (T, 2) and (T,), that blood turns in."""
    s = motion.wall.nodes[::4]
    border = motion.wall_positions(s, 0.0)
    centre = border.mean(axis=0)
    radius = np.hypot(*np.moveaxis(border - centre, -1, 0)).min(axis=0)
    return centre, 0.95 * radius
