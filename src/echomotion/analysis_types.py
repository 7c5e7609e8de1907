"""What an analysis is asked for, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, DataError, Keypoints, Masks, Measurement, Phases, Tracks
from echomotion.measure.beats import headline
from echomotion.measure.clip_measurements import MeasureOptions
from echomotion.models.run import DEFAULT_DETECTOR, DEFAULT_SEGMENTER, DEFAULT_TRACKER
from echomotion.wall_tracking import LAYERS


@dataclass(frozen=True)
class AnalysisOptions:
    """What can be chosen about an analysis.

    Attributes
    ----------
    segmenter, tracker, detector : str
        Names from :func:`echomotion.list_models`; the detector finds the key-points of a parasternal long axis.
    detector_options : mapping of str to value
        As in :func:`echomotion.create_keypoint_detector`, ``weights`` among them.
    points : int
        Points per line of the wall.
    anchor : float, optional
        How far the tracked lines are held on the segmented wall, 0 (not) to 1; apical views only. Without a word half
        of the way where both have seen the same beat, and not where they have not (:mod:`echomotion.measure.anchor`).
    ed_s, es_s : float, optional
        Times of end-diastole and end-systole in seconds, set by hand (both or neither).
    measure : MeasureOptions
        How numbers are made: kind of strain, drift, smoothing, segments, volumes, body size.
    """

    segmenter: str = DEFAULT_SEGMENTER
    tracker: str = DEFAULT_TRACKER
    detector: str = DEFAULT_DETECTOR
    detector_options: Mapping[str, Any] = field(default_factory=dict)
    points: int = 61
    anchor: float | None = None
    ed_s: float | None = None
    es_s: float | None = None
    measure: MeasureOptions = field(default_factory=MeasureOptions)

    def __post_init__(self) -> None:
        if self.anchor is not None and not 0 <= self.anchor <= 1:
            raise DataError(f"anchor is {self.anchor}; a share from 0 to 1 is needed")


@dataclass(frozen=True)
class Curve:
    """A quantity over time: `values` (T,) in `unit` at `times_s` (T,); NaN where not measurable."""

    name: str
    times_s: NDArray[np.float64]
    values: NDArray[np.float64]
    unit: str
    segment: str | None = None


@dataclass(frozen=True)
class Analysis:
    """Everything that was found in one clip.

    Attributes
    ----------
    clip : Clip
    masks : Masks
        Empty where key-points were measured.
    tracks : dict of str to Tracks
        By layer name (``mid_wall``, ``endocardial``, ``epicardial``), each with its wall; empty where none was found.
    phases : Phases
    measurements : tuple of Measurement
    curves : dict of str to Curve
        ``cavity_area``, ``volume``, ``longitudinal_strain`` and ``radial_strain`` of the whole wall, and
        ``longitudinal_strain/<segment>`` and ``radial_strain/<segment>``; in the short axis ``circumferential_strain``
        in place of the longitudinal. Of key-points ``septal_thickness``, ``lv_internal_diameter`` and
        ``posterior_wall_thickness``.
    warnings : tuple of str
        What a reader must know before believing the numbers.
    provenance : dict
        Versions, models with hashes and licences, options, input name and hash.
    forward_backward_px : dict of str to float (N,)
        By layer name: how far each point misses its start when it is followed to end-systole and back; empty where that
        was not tried.
    wall_doubts : dict of int to list of str
        By the number of the beat: why the border of the ventricle is uncertain, and its volumes with it.
    keypoints : Keypoints, optional
        Of a parasternal long axis.
    """

    clip: Clip
    masks: Masks
    tracks: dict[str, Tracks]
    phases: Phases
    measurements: tuple[Measurement, ...]
    curves: dict[str, Curve]
    warnings: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    forward_backward_px: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    wall_doubts: dict[int, list[str]] = field(default_factory=dict)
    keypoints: Keypoints | None = None

    def __getitem__(self, name: str) -> Measurement:
        """The headline measurement of that name: mean over beats, whole wall, first layer.

        Raises
        ------
        KeyError
            When no measurement has that name.
        """
        rows = [m for m in headline(self.measurements) if m.name == name and m.segment is None]
        if not rows:
            names = ", ".join(sorted({m.name for m in self.measurements}))
            raise KeyError(f"no measurement {name!r}; there are {names}")
        return next((m for m in rows if m.layer in (None, LAYERS[0])), rows[0])

    def save(self, folder: str | Path, *, overwrite: bool = False, dicom: str | Path | None = None) -> Path:
        """Write pictures, curves, tables and the page into a folder; see :mod:`echomotion.report.save`.

        `dicom` names the file that the clip was read from, for results in DICOM as well.
        """
        from echomotion.report.save import save_analysis

        return save_analysis(self, folder, overwrite=overwrite, dicom=dicom)
