"""All results of an analysis in one folder, complete or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from echomotion.analysis import describe_clip
from echomotion.analysis_types import Analysis
from echomotion.core import Layer, OutputError, Tracks
from echomotion.io.write import write_json, write_masks, write_table, write_tracks
from echomotion.report.calipers import feature_table, keypoint_table
from echomotion.report.dicom_header import Header, read_header
from echomotion.report.dicom_seg import write_seg
from echomotion.report.dicom_sr import write_sr
from echomotion.report.figures import FIGURES, vector_figures, write_figures
from echomotion.report.key_frames import write_key_frames
from echomotion.report.overlay import overlay_frames, write_overlay
from echomotion.report.page import write_page
from echomotion.report.tables import measurement_table
from echomotion.wall_tracking import LAYERS

# Tracks of the first layer have the plain name, those of the others carry their layer's.
_TRACKS = {layer: "tracks.npz" if layer == LAYERS[0] else f"tracks_{layer}.npz" for layer in Layer}
RESULTS = (
    "overlay.mp4",
    "report.html",
    "key_frames.png",
    "measurements.csv",
    "measurements.json",
    "masks.nii.gz",
    "provenance.json",
    "keypoints.csv",
    "features.csv",
    *_TRACKS.values(),
    "measurements.dcm",
    "masks.dcm",
    *FIGURES,
)


def check_folder(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse an output folder before any work is done.

    Raises
    ------
    OutputError
        When it is a file, or holds earlier results and `overwrite` is not given.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: this is a file; name a folder for the results")
    if overwrite or not path.is_dir():
        return
    earlier = [name for name in RESULTS if (path / name).exists()]
    if earlier:
        raise OutputError(f"{path}: the folder holds earlier results ({earlier[0]}); give another or --overwrite")


def save_analysis(
    analysis: Analysis, folder: str | Path, *, overwrite: bool = False, dicom: str | Path | None = None
) -> Path:
    """Write the video, the page, the tables, tracks, masks and provenance into a folder.

    Everything is first made in a hidden folder of its own. A new folder then appears as a whole; in one that exists,
    the new files take their places once all are complete. What else lies there is never touched.

    Parameters
    ----------
    analysis : Analysis
    folder : path
        Made where it does not exist.
    overwrite : bool
        Replace earlier results.
    dicom : path, optional
        The file that the clip was read from: also write the measurements as a DICOM Structured Report and, where that
        file is DICOM, the masks as a Segmentation.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        As :func:`check_folder`, or when nothing can be written there, or no DICOM results can be made.
    """
    check_folder(folder, overwrite=overwrite)
    header = None if dicom is None else read_header(dicom, analysis.clip)
    target = Path(folder)
    try:
        with _workspace(target.absolute()) as partial:
            _write_all(analysis, partial, header)
            _move(partial, target.absolute())
    except OSError as error:
        raise OutputError(f"{target}: cannot write there ({error.strerror}); choose another output folder") from None
    return target


def _write_all(analysis: Analysis, folder: Path, header: Header | None) -> None:
    # Matplotlib stays on this thread; pictures of frames are drawn and coded beside it.
    frames = overlay_frames(analysis)
    with ThreadPoolExecutor(max_workers=1) as pool:
        video = pool.submit(write_overlay, folder / "overlay.mp4", analysis, frames)
        _write_rest(analysis, folder, header)
        video.result()


def _write_rest(analysis: Analysis, folder: Path, header: Header | None) -> None:
    """All but the video."""
    clip = analysis.clip
    figures = vector_figures(analysis)
    write_page(folder / "report.html", analysis, figures)
    write_key_frames(folder / "key_frames.png", analysis)
    write_figures(folder, analysis, figures)
    write_table(folder / "measurements.csv", measurement_table(analysis.measurements))
    write_json(folder / "measurements.json", _values(analysis))
    write_json(folder / "provenance.json", analysis.provenance)
    if analysis.keypoints is None:
        _write_wall(analysis, folder)
    else:
        write_table(folder / "keypoints.csv", keypoint_table(analysis))
        write_table(folder / "features.csv", feature_table(analysis)[0])
    if header is not None:
        write_sr(folder / "measurements.dcm", analysis, header)
        if header.has_image and analysis.keypoints is None:
            write_seg(folder / "masks.dcm", analysis.masks, clip.spacing_mm, header)


def _write_wall(analysis: Analysis, folder: Path) -> None:
    """Masks and tracks."""
    clip = analysis.clip
    write_masks(folder / "masks.nii.gz", analysis.masks, clip.spacing_mm, clip.times_s)
    tracks = analysis.tracks or {str(LAYERS[0]): _no_tracks(clip.n_frames)}
    for layer, found in tracks.items():
        write_tracks(folder / _TRACKS[Layer(layer)], found)


def _values(analysis: Analysis) -> dict[str, Any]:
    """Numbers and curves with what is needed to read them; what is not known is null."""
    phases = analysis.phases
    return {
        "clip": {"name": analysis.clip.source.name, **describe_clip(analysis.clip)},
        "phases": {
            "source": phases.source,
            "confidence": phases.confidence,
            "reason": phases.reason,
            "beats": [{"ed_s": b.ed_s, "es_s": b.es_s, "next_ed_s": b.next_ed_s} for b in phases.beats],
        },
        "warnings": list(analysis.warnings),
        **({} if analysis.keypoints is None else {"features": feature_table(analysis)[1] or "features.csv"}),
        "measurements": [row.as_dict() for row in analysis.measurements],
        "curves": {
            name: {
                "unit": curve.unit,
                "segment": curve.segment,
                "times_s": curve.times_s.tolist(),
                "values": [float(v) if np.isfinite(v) else None for v in curve.values],
            }
            for name, curve in analysis.curves.items()
        },
    }


def _no_tracks(frames: int) -> Tracks:
    """The file of a clip in which no wall was found: no points."""
    grid = np.zeros((0, frames))
    return Tracks(np.zeros((0, frames, 2), np.float32), grid.astype(bool), grid.astype(np.float32), np.zeros((0, 3)))


@contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    """A hidden folder to work in: inside the target where that exists (it may be a mount), else beside it."""
    if target.is_dir():
        place = target
    else:
        place = target.parent
        place.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.partial-", dir=place))
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _move(partial: Path, target: Path) -> None:
    if not target.exists():
        # A folder made by mkdtemp is private; results get the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)
        partial.rename(target)
        return
    made = {path.name for path in partial.iterdir()}
    for name in sorted(made):
        (partial / name).replace(target / name)
    # Results of an earlier run that this one does not have would be taken for its own.
    for name in set(RESULTS) - made:
        (target / name).unlink(missing_ok=True)
