"""What holds for a recording whatever is measured on it: phases set by hand, warnings, provenance."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from echomotion.analysis_types import AnalysisOptions
from echomotion.core import Clip, DataError, Phases
from echomotion.measure.phases import phases_from_user
from echomotion.models.registry import list_models
from echomotion.version import __version__


def phases_by_hand(clip: Clip, options: AnalysisOptions) -> Phases | None:
    """Phases from the times that the user set; None where there are none, :class:`DataError` where they lie off."""
    if options.ed_s is None or options.es_s is None:
        return None
    first, last = float(clip.times_s[0]), float(clip.times_s[-1])
    for name, time in (("end-diastole", options.ed_s), ("end-systole", options.es_s)):
        if not first <= time <= last:
            raise DataError(f"{clip.source.name}: {name} at {time:g} s lies off the clip ({first:g} to {last:g} s)")
    return phases_from_user(options.ed_s, options.es_s)


def recording_warnings(clip: Clip) -> list[str]:
    """What a reader must know of the recording itself."""
    found = list(clip.source.warnings)
    if clip.spacing_mm is None:
        found.append("not calibrated: lengths and volumes are in pixels; --spacing gives the pixel size in mm")
    if clip.n_frames > 1 and clip.frame_interval_s > 0.05:
        found.append(f"{1 / clip.frame_interval_s:.0f} frames a second are few for tracking; peaks may be missed")
    return found


def provenance(clip: Clip, options: AnalysisOptions, models: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Versions, models (of given kinds and names) with hashes and licences, options, name and hash of the input."""
    used = set(models)
    packages = ("torch", "numpy", "scipy", "opencv-python-headless", "pydicom")
    return {
        "echomotion": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "models": [
            {key: getattr(info, key) for key in ("kind", "name", "weights", "sha256", "licence")}
            for info in list_models()
            if (info.kind, info.name) in used
        ],
        "options": asdict(options),
        "input": {key: value for key, value in asdict(clip.source).items() if key != "warnings"},
    }
