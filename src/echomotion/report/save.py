"""All results of an analysis in one folder, which appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pandas as pd

from echomotion.analysis import Analysis
from echomotion.core import OutputError
from echomotion.io.write import write_json, write_masks, write_table, write_tracks
from echomotion.report.overlay import write_overlay
from echomotion.report.page import write_page
from echomotion.report.tables import measurement_table

RESULTS = (
    "overlay.mp4",
    "report.html",
    "measurements.csv",
    "measurements.json",
    "tracks.npz",
    "tracks_endocardial.npz",
    "curves.csv",
    "masks.nii.gz",
    "provenance.json",
)


def check_folder(folder: str | Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds earlier results, or cannot be one, before any work is done.

    Raises
    ------
    OutputError
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: a file of that name exists; name a folder")
    if any((path / name).exists() for name in RESULTS) and not overwrite:
        raise OutputError(f"{path}: the folder holds earlier results; choose another or give --overwrite")


def save_analysis(analysis: Analysis, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write pictures, curves, tables and the page.

    Everything is made in a hidden folder beside the target and moved when it is complete, so a run that is stopped
    leaves nothing under a final name. Other files in the folder are left alone.

    Parameters
    ----------
    analysis : Analysis
    folder : path
        Made when absent.
    overwrite : bool
        Replace earlier results.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    OutputError
        When the folder holds earlier results and `overwrite` is off, or cannot be written to.
    """
    path = Path(folder)
    check_folder(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as name:
            partial = Path(name)
            _write_all(analysis, partial)
            path.mkdir(exist_ok=True)
            for old in RESULTS:
                (path / old).unlink(missing_ok=True)
            for made in sorted(partial.iterdir()):
                shutil.move(made, path / made.name)
    except OSError as error:
        raise OutputError(f"{path}: cannot write there ({error.strerror or error}); choose another folder") from None
    return path


def _write_all(analysis: Analysis, folder: Path) -> None:
    clip = analysis.clip
    write_overlay(folder / "overlay.mp4", analysis)
    write_page(folder / "report.html", analysis)
    write_table(folder / "measurements.csv", measurement_table(analysis.measurements))
    write_json(folder / "measurements.json", [m.as_dict() for m in analysis.measurements])
    write_table(folder / "curves.csv", _curve_table(analysis))
    for layer, tracks in analysis.tracks.items():
        # The line that strain is reported from carries the plain name.
        name = "tracks.npz" if layer == next(iter(analysis.tracks)) else f"tracks_{layer}.npz"
        write_tracks(folder / name, tracks)
    write_masks(folder / "masks.nii.gz", analysis.masks, clip.spacing_mm, clip.times_s)
    write_json(folder / "provenance.json", {**analysis.provenance, "warnings": list(analysis.warnings)})


def _curve_table(analysis: Analysis) -> pd.DataFrame:
    columns = {"time_s": analysis.clip.times_s}
    for key, curve in analysis.curves.items():
        columns[f"{key} ({curve.unit})"] = curve.values
    return pd.DataFrame(columns)
