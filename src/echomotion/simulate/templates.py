"""Anatomy from patients: the two contours of a patient give shape and motion, the image gives echogenicity.

From the end-diastolic and end-systolic frame of a CAMUS recording and their expert masks. Material points keep their
part of the way from the annulus to the apex along the endocardium, their part of the epicardium's length, and their
part of the way through the wall, and go straight from their place at end-diastole to that at end-systole as the rhythm
contracts. The contours decide about area, so the stretch out of the plane that an incompressible wall needs is derived
from them, not prescribed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from echomotion.core import DataError, DatasetError, Masks, View
from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.datasets.camus import CamusFrame, camus_patients, camus_root, read_camus_frame
from echomotion.measure.contours import (
    arc_length,
    largest_component,
    level_contour,
    points_at,
    resample,
    smooth_open,
)
from echomotion.measure.wall import WallLines, WallNotFoundError, find_wall
from echomotion.preprocess.sector import find_sector
from echomotion.simulate.anatomy import Anatomy, Valve
from echomotion.simulate.artefacts import Artefacts
from echomotion.simulate.deformation import mesh_depths
from echomotion.simulate.heart import HeartParameters
from echomotion.simulate.motion import Motion
from echomotion.simulate.probe import Probe
from echomotion.simulate.wall_map import WallMap

FloatArray = NDArray[np.float64]

# The official testing patients judge published methods: nothing may be learnt from them.
SPLITS = ("fit", "selection", "training", "validation")
# Labels of CAMUS masks.
_CAVITY, _WALL, _ATRIUM = 1, 2, 3
_NODES = 193
_BLACK = 0.06
_SMOOTHING_MM = 2.0
# Of the wall, in the middle of the training patients.
_USUAL_WALL_GREY = 0.38
# Of the outline of cavity and wall together, which is drawn with the steps of its pixels.
_CONTOUR_SMOOTHING_MM = 0.7
_CONTOUR_POINTS = 1440
# The outline's rounded corners at the annulus: how long they are at most, and how straight (cosine) it runs after them.
_CORNER_MM = 4.0
_ALONG = 0.9
_END_NODES = 8
_MIN_JACOBIAN = 0.05


@dataclass(frozen=True)
class Template:
    """One patient's ventricle, in scan space (mm, the fan's tip at (0, 0)).

    Attributes
    ----------
    name : str
    endo_ed, epi_ed, endo_es, epi_es : (S, 2)
        Contours at end-diastole and end-systole; points of the same index are the same material.
    apex_s : float
        Where the apex lies along them, 0 to 1.
    atrium : (K, 2)
        Outline of the left atrium at end-diastole; empty where it is not seen.
    grey, grey_es : float32 (H, W)
        The smoothed images at end-diastole and end-systole, 0 black to 1 white.
    wall_grey : float
        Its median in the wall at end-diastole.
    dark_grey : float
        The level below which a tenth of wall and cavity lies.
    spacing_mm : (float, float)
        Height and width of its pixels.
    tip_px : (float, float)
        The fan's tip ``(x, y)`` in it.
    sector_deg, tilt_deg, depth_mm : float
        The fan.
    """

    name: str
    endo_ed: FloatArray
    epi_ed: FloatArray
    endo_es: FloatArray
    epi_es: FloatArray
    apex_s: float
    atrium: FloatArray
    grey: NDArray[np.float32]
    grey_es: NDArray[np.float32]
    wall_grey: float
    dark_grey: float
    spacing_mm: tuple[float, float]
    tip_px: tuple[float, float]
    sector_deg: float
    tilt_deg: float
    depth_mm: float

    def __post_init__(self) -> None:
        for name in ("endo_ed", "epi_ed", "endo_es", "epi_es"):
            set_field(self, name, frozen_array(getattr(self, name), name, shape=(None, 2), dtype=np.float64))
        set_field(self, "atrium", frozen_array(self.atrium, "atrium", shape=(None, 2), dtype=np.float64))
        for name in ("grey", "grey_es"):
            set_field(self, name, frozen_array(getattr(self, name), name, shape=(None, None), dtype=np.float32))

    def levels(self, points_mm: FloatArray, dynamic_range_db: float, systolic: bool = False) -> FloatArray:
        """Echogenicity in dB relative to the wall at points (N, 2); outside the image that of its nearest edge.

        Of the image at end-diastole, or `systolic` of that at end-systole.

        The grey levels taken back through the log compression of a machine with this dynamic range.
        """
        x = points_mm[:, 0] / self.spacing_mm[1] + self.tip_px[0]
        y = points_mm[:, 1] / self.spacing_mm[0] + self.tip_px[1]
        image = self.grey_es if systolic else self.grey
        grey = ndimage.map_coordinates(image, [y, x], order=1, mode="nearest").astype(np.float64)
        # Black only says "at least this weak".
        grey = np.where(grey < _BLACK, grey - 0.15 * (1 - grey / _BLACK), grey)
        return (grey - self.wall_grey) * dynamic_range_db

    def probe_like(self, probe: Probe) -> Probe:
        """A machine with the fan of the patient's recording, set so that the wall is about as bright as there.

        A quarter of what its gain was off the usual is put right.
        """
        # The mean of the logarithm of speckle lies 2.5 dB below the logarithm of its mean; the wall's edges, which
        # the beam spreads into the cavity, take another decibel.
        bright = self.wall_grey + 0.25 * (_USUAL_WALL_GREY - self.wall_grey)
        gain = (bright - 1) * probe.dynamic_range_db + 3.5
        return replace(
            probe,
            sector_deg=self.sector_deg,
            tilt_deg=self.tilt_deg,
            depth_mm=self.depth_mm,
            gain_db=float(np.clip(gain, -60.0, -5.0)),
            time_gain_db=(),
            gamma=1.0,
            contrast=0.0,
            n_lines=None,
            n_samples=None,
        )

    def artefacts_like(self, artefacts: Artefacts, dynamic_range_db: float) -> Artefacts:
        """Artefacts that leave the patient's picture as bright as it is.

        Noise makes up what is darkest in the patient's heart, haze no more than it; the image is uneven by itself.
        """
        noise_db = float(np.clip((self.dark_grey - self.wall_grey) * dynamic_range_db, -40.0, 0.0))
        return replace(
            artefacts,
            noise_db=noise_db,
            noise_slope_db=min(artefacts.noise_slope_db, 3.0),
            haze_db=min(artefacts.haze_db, noise_db),
            clutter_db=min(artefacts.clutter_db, noise_db - 6.0),
            window_db=0.0,
            gain_offset_db=0.0,
        )

    def outlines(self) -> dict[str, Any]:
        """What the motion needs, in plain lists; the image is left out."""
        names = ("name", "apex_s", "sector_deg", "tilt_deg", "depth_mm")
        lines = ("endo_ed", "epi_ed", "endo_es", "epi_es", "atrium")
        return {n: getattr(self, n) for n in names} | {n: np.round(getattr(self, n), 6).tolist() for n in lines}

    @classmethod
    def from_outlines(cls, values: dict[str, Any]) -> Template:
        """A template without image, from :meth:`outlines`: enough for motion, not for echogenicity."""
        lines = {n: np.asarray(values[n], dtype=np.float64).reshape(-1, 2) for n in ("endo_ed", "epi_ed", "endo_es")}
        return cls(
            values["name"],
            **lines,
            epi_es=np.asarray(values["epi_es"], dtype=np.float64),
            apex_s=values["apex_s"],
            atrium=np.asarray(values["atrium"], dtype=np.float64).reshape(-1, 2),
            grey=np.zeros((1, 1), dtype=np.float32),
            grey_es=np.zeros((1, 1), dtype=np.float32),
            wall_grey=0.0,
            dark_grey=0.0,
            spacing_mm=(1.0, 1.0),
            tip_px=(0.0, 0.0),
            sector_deg=values["sector_deg"],
            tilt_deg=values["tilt_deg"],
            depth_mm=values["depth_mm"],
        )


def template_names(root: str | Path, split: str = "fit") -> list[str]:
    """Patients that may serve as templates.

    Raises
    ------
    DatasetError
        When the folder is no CAMUS folder, or the split is unknown or the testing one.
    """
    if split not in SPLITS:
        raise DatasetError(
            f"templates from the CAMUS split {split!r} are refused; one of {', '.join(SPLITS)} is needed "
            "(the official testing patients are never used)"
        )
    return camus_patients(root, split)


def read_template(root: str | Path, patient: str, view: str = "4CH") -> Template:
    """The template of one patient.

    Raises
    ------
    DatasetError
        When a frame cannot be read.
    DataError
        When the wall or the fan cannot be found on it, or the two contours do not fit together.
    """
    base = camus_root(root)
    testing = base / "database_split" / "subgroup_testing.txt"
    if testing.is_file() and patient in testing.read_text().split():
        raise DatasetError(f"{patient} is an official testing patient and is never used as a template")
    return make_template(read_camus_frame(base, patient, "ED", view), read_camus_frame(base, patient, "ES", view))


def iter_templates(root: str | Path, split: str = "fit") -> Iterator[Template]:
    """All templates of a split in the order of their names; patients whose contours do not fit are left out."""
    for patient in template_names(root, split):
        try:
            yield read_template(root, patient)
        except DataError:
            continue


def make_template(ed: CamusFrame, es: CamusFrame) -> Template:
    """A template from the two frames of a patient; see :func:`read_template`."""
    name = ed.patient
    spacing = ed.clip.spacing_mm or (1.0, 1.0)
    sector = find_sector(ed.clip.frames, pixel_aspect=spacing[0] / spacing[1])
    if sector is None:
        raise DataError(f"template {name}: the fan is not found")
    angles = np.rad2deg(np.asarray(sector.angles, dtype=np.float64))
    grey = _smooth_grey(ed, spacing, sector.mask())
    return replace(
        make_outlines(ed, es, np.asarray(sector.apex, dtype=np.float64)),
        grey=grey,
        grey_es=_smooth_grey(es, spacing, sector.mask()),
        wall_grey=float(np.median(grey[ed.labels == _WALL])),
        dark_grey=float(np.quantile(grey[(ed.labels == _CAVITY) | (ed.labels == _WALL)], 0.1)),
        sector_deg=float(np.clip(angles[1] - angles[0], 25.0, 115.0)),
        tilt_deg=float(angles.mean()),
        depth_mm=float(sector.r_max * spacing[1]),
    )


def make_outlines(ed: CamusFrame, es: CamusFrame, tip: FloatArray) -> Template:
    """A template without image from the two frames of a patient: enough for motion; `tip` (2,) becomes (0, 0) mm."""
    name = ed.patient
    spacing = ed.clip.spacing_mm or (1.0, 1.0)
    step = np.array([spacing[1], spacing[0]])
    lines = []
    for frame in (ed, es):
        try:
            lines.append(find_wall(Masks(frame.labels[None]), 0, spacing))
        except WallNotFoundError as error:
            raise DataError(f"template {name}, {frame.phase}: {error.reason}") from None
    apex_s = float(np.mean([line.apex_index / (len(line.endocardial) - 1) for line in lines]))
    outer = [_outer_contour(frame, step) for frame in (ed, es)]
    (endo_ed, epi_ed), (endo_es, epi_es) = (
        ((endo - tip) * step, epi - tip * step) for endo, epi in _material_lines(lines, outer, step, apex_s, name)
    )
    template = Template(
        name,
        endo_ed,
        epi_ed,
        endo_es,
        epi_es,
        apex_s,
        (_outline(ed.labels == _ATRIUM) - tip) * step,
        grey=np.zeros((1, 1), dtype=np.float32),
        grey_es=np.zeros((1, 1), dtype=np.float32),
        wall_grey=0.0,
        dark_grey=0.0,
        spacing_mm=spacing,
        tip_px=(float(tip[0]), float(tip[1])),
        sector_deg=90.0,
        tilt_deg=0.0,
        depth_mm=160.0,
    )
    _refuse_folds(template)
    return template


def _outer_contour(frame: CamusFrame, step: FloatArray) -> FloatArray:
    """The outline (K, 2) in mm of cavity and wall together, without the steps of its pixels."""
    region = largest_component((frame.labels == _CAVITY) | (frame.labels == _WALL))
    smooth = ndimage.gaussian_filter(region.astype(np.float64), _CONTOUR_SMOOTHING_MM / step[::-1])
    return resample(level_contour(smooth) * step, _CONTOUR_POINTS, closed=True)


def _material_lines(
    lines: list[WallLines], outer: list[FloatArray], step: FloatArray, apex_s: float, name: str
) -> list[tuple[FloatArray, FloatArray]]:
    """Endocardium (S, 2) in px and epicardium (S, 2) in mm of both phases, each point the same material in both."""
    found, shares = [], []
    for line, contour in zip(lines, outer, strict=True):
        endo, epi = _opposite_lines(line, apex_s, name)
        edge, share = _along(contour, epi * step)
        found.append((endo, edge))
        shares.append(share)
    # One share for both phases: the epicardium is stretched evenly, so that it does not fold.
    share = np.mean(shares, axis=0)
    return [(endo, points_at(edge, share * arc_length(edge)[-1])) for endo, edge in found]


def _opposite_lines(lines: WallLines, apex_s: float, name: str) -> tuple[FloatArray, FloatArray]:
    """Endo- and, roughly, epicardium at equal parts of the way from either annulus to the apex, in px."""
    if lines.epicardial is None:
        raise DataError(f"template {name}: too little myocardium is seen for the epicardial line")
    count = len(lines.endocardial) - 1
    s = np.linspace(0.0, 1.0, _NODES)
    index = np.interp(s, [0.0, apex_s, 1.0], [0, lines.apex_index, count])
    # A break in the spacing at the apex would be a break in strain.
    index = ndimage.gaussian_filter1d(index - s * count, 0.02 * _NODES, mode="nearest") + s * count
    index[0], index[-1] = 0, count
    at = np.arange(count + 1)
    endo, epi = (
        np.column_stack([np.interp(index, at, line[:, k]) for k in range(2)])
        for line in (lines.endocardial, lines.epicardial)
    )
    return smooth_open(endo, 0.01), epi


def _along(contour: FloatArray, line: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of a closed contour that a line (S, 2) follows roughly, and the share of its length for each point."""
    count = len(contour)
    _, nearest = cKDTree(contour).query(line)
    place = np.unwrap(nearest.astype(np.float64), period=count)
    if place[-1] < place[0]:
        return _along(contour[::-1], line)
    first = _past_corner(contour, int(place[0]), 1, line[_END_NODES] - line[0])
    last = _past_corner(contour, int(place[-1]), -1, line[-1 - _END_NODES] - line[-1])
    place = np.clip(place, first, last)
    part = contour[np.arange(first, last + 1) % count]
    # Where the line bends more than the contour, several of its points have one nearest place.
    share = np.clip((np.maximum.accumulate(place) - place[0]) / (place[-1] - place[0]), 0.0, 1.0)
    s = np.linspace(0.0, 1.0, len(share))
    # Odd at the ends, which therefore stay where they are.
    uneven = np.pad(share - s, len(s) - 1, mode="reflect", reflect_type="odd")
    return part, s + ndimage.gaussian_filter1d(uneven, 0.02 * len(s))[len(s) - 1 : 1 - len(s)]


def _past_corner(contour: FloatArray, place: int, way: int, inward: FloatArray) -> int:
    """The place nearest to a line's end from where the contour runs along the line, not round the wall's corner."""
    step = float(np.hypot(*(contour[1] - contour[0])))
    for k in range(int(_CORNER_MM / step)):
        here = place + way * k
        ahead = contour[(here + way) % len(contour)] - contour[here % len(contour)]
        if ahead @ inward > _ALONG * np.hypot(*ahead) * np.hypot(*inward):
            return here
    return place


def _outline(mask: NDArray[np.bool_]) -> FloatArray:
    part = largest_component(mask)
    if np.count_nonzero(part) < 64:
        return np.zeros((0, 2))
    return resample(level_contour(ndimage.gaussian_filter(part.astype(np.float64), 2.0)), 80, closed=True)


def _smooth_grey(frame: CamusFrame, spacing: tuple[float, float], fan: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Grey levels from 0 to 1 without speckle; outside the fan those of its nearest edge, which may move in.

    Smoothed within each labelled part, so that the borders between wall and blood stay sharp.
    """
    sigma = [_SMOOTHING_MM / v for v in spacing]
    inside = ndimage.binary_erosion(fan, iterations=3)
    image = frame.clip.frames[0].astype(np.float32) / 255.0
    grey = np.zeros_like(image)
    for label in np.unique(frame.labels):
        part = (frame.labels == label) & inside
        weight = ndimage.gaussian_filter(part.astype(np.float32), sigma)
        smooth = ndimage.gaussian_filter(part * image, sigma) / np.maximum(weight, 1e-6)
        grey[part] = smooth[part]
    if not inside.any():
        return grey
    nearest = ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return grey[tuple(nearest)]


def _refuse_folds(template: Template) -> None:
    """Raise when any part of the wall would turn over on its way to end-systole."""
    start = np.stack([template.endo_ed, template.epi_ed], axis=1)
    end = np.stack([template.endo_es, template.epi_es], axis=1)
    before = _jacobian(start)
    if np.min(before) < 0 < np.max(before):
        raise DataError(f"template {template.name}: its contours cross at end-diastole")
    for part in (0.25, 0.5, 0.75, 1.0, 1.3):
        ratio = _jacobian(start + part * (end - start)) / before
        if np.min(ratio) < _MIN_JACOBIAN:
            raise DataError(f"template {template.name}: its contours make the wall fold on the way to end-systole")


def _jacobian(mesh: FloatArray) -> FloatArray:
    """Signed area element of a ruled band (S, 2, 2) at its two edges, (S, 2)."""
    along = np.gradient(mesh, axis=0)
    across = (mesh[:, 1] - mesh[:, 0])[:, None]
    return along[..., 0] * across[..., 1] - along[..., 1] * across[..., 0]


def template_motion(heart: HeartParameters, template: Template, times_s: ArrayLike) -> Motion:
    """The motion of a patient's ventricle with the rhythm and the movement as a whole of `heart`.

    Raises
    ------
    DataError
        When the heart is not seen in the four-chamber view, or `times_s` is empty.
    """
    if heart.view is not View.A4C:
        raise DataError(f"view is {heart.view}: templates show the apical four-chamber view; A4C is needed")
    times = frozen_array(times_s, "times_s", shape=(None,), dtype=np.float64)
    if len(times) == 0:
        raise DataError("times_s is empty; at least one time is needed")
    depths = mesh_depths()
    active = heart.rhythm.activation(times)
    endo, epi = template.endo_es - template.endo_ed, template.epi_es - template.epi_ed
    shift = endo[:, None] + depths[None, :, None] * (epi - endo)[:, None]
    moved = shift[:, :, None] * active[None, None, :, None]
    mesh = WallMap(template.endo_ed, template.epi_ed, moved, depths, closed=False)
    middle = (template.endo_ed + template.epi_ed) / 2
    part = arc_length(middle) / arc_length(middle)[-1]
    apex_part = float(np.interp(template.apex_s, mesh.nodes, part))
    thirds = np.concatenate([np.linspace(0.0, apex_part, 4), np.linspace(apex_part, 1.0, 4)[1:]])
    edges = np.interp(thirds, part, mesh.nodes)
    return Motion(heart, mesh, times, edges, template.apex_s, _template_anatomy(heart, template))


def contracted(template: Template, points_mm: FloatArray) -> FloatArray:
    """Where points (N, 2) of end-diastole lie at the patient's end-systole, in mm."""
    # The rhythm decides when, not where; a heart without movement as a whole leaves the picture in its place.
    heart = HeartParameters(View.A4C, "healthy")
    motion = template_motion(heart, template, [0.0, heart.rhythm.systole_s[0]])
    return points_mm + motion.displacement(points_mm)[:, 1]


def _template_anatomy(heart: HeartParameters, template: Template) -> Anatomy:
    first, second = template.endo_ed[0], template.endo_ed[-1]
    width = float(np.hypot(*(second - first)))
    valves = (Valve(np.stack([first, second]), (0.7 * width, 0.5 * width), "mitral"),)
    outward = (first + second) / 2 - template.endo_ed[int(template.apex_s * (len(template.endo_ed) - 1))]
    outward = outward / np.hypot(*outward)
    far = (first + second) / 2 + 1.5 * heart.surroundings.atrium_length_mm * outward
    anchors = [far + t * np.array([outward[1], -outward[0]]) for t in np.linspace(-50.0, 50.0, 11)]
    blood = {"left_atrium": template.atrium} if len(template.atrium) else {}
    return Anatomy(blood, anchors=np.asarray(anchors), valves=valves)
