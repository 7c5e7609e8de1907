"""Masks on every frame of a beat against the truth: agreement, steadiness, and whether the motion is kept.

Two kinds of beats of CAMUS validation patients, of whom no released segmenter has seen anything:

simulated
    Their anatomy, beating, under the simulator's machine: speckle that changes as in a recording, true masks.
joined
    Their recorded end-diastole and end-systole and frames between them (:mod:`echomotion.simulate.joined`): real grey
    levels, expert masks carried by the motion, but little flicker.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from echomotion.core import APICAL_CLASSES, Clip, DataError, Geometry, Masks, View
from echomotion.core.masks import LV_CAVITY
from echomotion.datasets.camus import read_camus
from echomotion.evaluation.stability import area_excursion, area_roughness, contour_jitter, smooth_motion
from echomotion.models.segmenters.native import masks_of
from echomotion.models.segmenters.steadying import STEADY_S, steady_in_time
from echomotion.simulate.joined import joined_beat, square_geometry
from echomotion.simulate.sequence import simulate
from echomotion.simulate.templates import read_template, template_names

KINDS = ("simulated", "joined")
FRAMES = 32
# At this height a fan has about the pixels of a recording.
_SHAPE = (256, 352)
_SEED = 20250601
_INTERVAL_S = 0.03
_JOINED_SIDE = 384
_JITTER_TOLERANCE, _WIDEST_S = 0.02, 0.3
# While both valves are shut the area is level: which of those frames is the smallest, by a few pixels of thousands,
# says nothing. Frames within this share of the excursion count as end-systole alike.
_LEVEL = 0.01


@dataclass(frozen=True)
class LabelledBeat:
    """A clip with a mask on every frame.

    Attributes
    ----------
    name : str
    clip : Clip
    labels : uint8 (T, H, W)
        Numbers of the apical classes.
    """

    name: str
    clip: Clip
    labels: NDArray[np.uint8]


def validation_beats(data: str | Path, kind: str, count: int) -> Iterator[LabelledBeat]:
    """Beats of the first validation patients whose contours give a motion.

    Parameters
    ----------
    data : path
        CAMUS folder.
    kind : {"simulated", "joined"}
    count : int

    Raises
    ------
    DataError
        When there is no such kind.
    DatasetError
        When CAMUS cannot be read.
    """
    if kind not in KINDS:
        raise DataError(f"beats are {' or '.join(KINDS)}; there are none called {kind!r}")
    yield from islice(_simulated(data) if kind == "simulated" else _joined(data), count)


def _simulated(data: str | Path) -> Iterator[LabelledBeat]:
    for number, patient in enumerate(template_names(data, "validation")):
        try:
            template = read_template(data, patient)
            sequence = simulate(View.A4C, _SEED + number, template=template, shape=_SHAPE, n_frames=FRAMES, n_tracks=1)
        except DataError:
            continue
        labels = np.zeros_like(sequence.masks.labels)
        for label, name in APICAL_CLASSES.items():
            if sequence.masks.has(name):
                labels[sequence.masks.mask(name)] = label
        yield LabelledBeat(patient, sequence.clip, labels)


def _joined(data: str | Path) -> Iterator[LabelledBeat]:
    frames = list(read_camus(data, "validation"))
    parts = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / (FRAMES - 1))
    for pair in zip(frames[::2], frames[1::2], strict=True):
        try:
            beat = joined_beat(pair[0], pair[1], _JOINED_SIDE)
        except DataError:
            continue
        moments = [beat.render(float(part)) for part in parts]
        scale = square_geometry(pair[0], _JOINED_SIDE).scale
        spacing = np.array(pair[0].clip.spacing_mm or (1.0, 1.0)) / np.asarray(scale)[::-1]
        clip = Clip(
            np.stack([picture for picture, _ in moments]),
            np.arange(FRAMES) * np.float64(_INTERVAL_S),
            (float(spacing[0]), float(spacing[1])),
            View.A4C,
        )
        yield LabelledBeat(beat.patient, clip, np.stack([labels for _, labels in moments]))


def judge_beat(beat: LabelledBeat, masks: Masks, name: str) -> dict[str, float]:
    """Figures of one class.

    Returns
    -------
    dict
        ``dice`` (mean over frames), ``area_roughness`` (%), ``contour_jitter`` (mm); and of the cavity alone, since the
        wall's area hardly changes: ``excursion_ratio`` (found over true range of the smooth area curve) and
        ``es_shift_frames`` (between the smallest areas of the two, the largest of them over the beats of a clip), and
        ``es_shift_beyond_level_frames`` (to the nearest frame of the level stretch about the smallest true area).
    """
    clip = beat.clip
    label = next(number for number, known in APICAL_CLASSES.items() if known == name)
    true, found = beat.labels == label, masks.mask(name)
    both = 2 * (true & found).sum(axis=(1, 2)) / np.maximum(1, true.sum(axis=(1, 2)) + found.sum(axis=(1, 2)))
    curves = [mask.sum(axis=(1, 2)).astype(np.float64) for mask in (found, true)]
    figures = {
        "dice": float(both.mean()),
        "area_roughness": area_roughness(curves[0], clip.times_s),
        "contour_jitter": contour_jitter(found, clip.times_s, clip.spacing_mm or (1.0, 1.0)),
    }
    if name == LV_CAVITY:
        excursions = [area_excursion(curve, clip.times_s) for curve in curves]
        figures["excursion_ratio"] = excursions[0] / excursions[1]
        found_area, true_area = (smooth_motion(curve, clip.times_s) for curve in curves)
        figures["es_shift_frames"] = float(end_systole_shift(found_area, true_area))
        figures["es_shift_beyond_level_frames"] = float(end_systole_shift(found_area, true_area, _LEVEL))
    return figures


def end_systole_shift(found: NDArray[np.float64], true: NDArray[np.float64], level: float = 0.0) -> int:
    """Frames between the smallest areas of two smooth curves (T,) in the beat where they lie farthest apart.

    A beat of the clip is what lies between two of the true curve's maxima and falls by at least half of its range: two
    end-systoles with nearly the same area are not to be taken for each other.

    Parameters
    ----------
    found, true : (T,)
    level : float
        Frames next to the true end-systole whose true area is larger by no more than this share of the range count as
        end-systole as well.
    """
    deep = find_peaks(np.pad(-true, 1, constant_values=-true.max()), prominence=np.ptp(true) / 2)[0] - 1
    ends = [int(k) for k in deep] or [int(true.argmin())]
    borders = [0, *(a + int(true[a:b].argmax()) for a, b in pairwise(ends)), len(true)]
    return max(_beyond(int(found[a:b].argmin()), true[a:b], level * float(np.ptp(true))) for a, b in pairwise(borders))


def _beyond(frame: int, true: NDArray[np.float64], above: float) -> int:
    """Frames from one to the nearest of those about a curve's minimum that lie above it by no more than so much."""
    least = int(true.argmin())
    outside = np.flatnonzero(true > true[least] + above)
    first = max(outside[outside < least], default=-1) + 1
    last = min(outside[outside > least], default=len(true)) - 1
    return int(max(first - frame, frame - last, 0))


def filtered(masks: Masks, clip: Clip, width_s: float) -> Masks:
    """Masks made from probabilities that a Gaussian of that width has evened out over time, pixel by pixel."""
    probability, geometry = _uncertain(masks)
    if width_s <= 0:
        return masks
    even = gaussian_filter1d(probability, width_s / clip.frame_interval_s, axis=0, mode="nearest")
    return masks_of(even, geometry, masks.classes, f"{masks.model} filtered")


def steadied(masks: Masks, clip: Clip) -> Masks:
    """Masks steadied over time as the networks that see several frames do it (:mod:`..models.segmenters.steadying`)."""
    probability, geometry = _uncertain(masks)
    even = steady_in_time(probability, STEADY_S / clip.frame_interval_s)
    return masks_of(even, geometry, masks.classes, f"{masks.model} steadied")


def _uncertain(masks: Masks) -> tuple[NDArray[np.float32], Geometry]:
    """Probabilities and where they lie."""
    if masks.probability is None or masks.geometry is None:
        raise DataError(f"{masks.model} gives no probabilities to filter")
    return masks.probability.astype(np.float32), masks.geometry


def as_steady(beats: list[LabelledBeat], found: list[Masks], name: str, jitter_mm: float) -> tuple[float, list[Masks]]:
    """The width (s) of the filter over time that brings the mean jitter of masks down to a given one, and the result.

    By halving intervals; the widest that is tried where none is wide enough.
    """

    def tried(width: float) -> tuple[float, list[Masks]]:
        masks = [filtered(one, beat.clip, width) for beat, one in zip(beats, found, strict=True)]
        jitters = [judge_beat(beat, one, name)["contour_jitter"] for beat, one in zip(beats, masks, strict=True)]
        return float(np.nanmean(jitters)), masks

    low, high = 0.0, _WIDEST_S
    reached, masks = tried(high)
    if reached > jitter_mm:
        return high, masks
    width = high
    for _ in range(6):
        width = (low + high) / 2
        reached, masks = tried(width)
        if abs(reached - jitter_mm) <= _JITTER_TOLERANCE * jitter_mm:
            break
        low, high = (low, width) if reached < jitter_mm else (width, high)
    return width, masks


def means(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Mean of each figure over beats; of shifts of end-systole the median and the largest as well."""
    out: dict[str, Any] = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
    for kind in ("es_shift", "es_shift_beyond_level"):
        if shifts := [row[f"{kind}_frames"] for row in rows if f"{kind}_frames" in row]:
            out[f"{kind}_median"], out[f"{kind}_largest"] = float(np.median(shifts)), float(max(shifts))
    return out
