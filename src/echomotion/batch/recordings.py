"""Which files of a folder are recordings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from echomotion.core import DataError
from echomotion.io.images import IMAGE_ENDINGS
from echomotion.io.read import looks_like_recording

# Files that tell a folder of our own results.
_RESULTS = ("measurements.json", "provenance.json")
# The table of contents of a DICOM medium: it begins as recordings do.
_CONTENTS = "DICOMDIR"


@dataclass(frozen=True)
class Recording:
    """A recording in a folder.

    Attributes
    ----------
    name : str
        Its path inside that folder, with forward slashes.
    path : Path
    """

    name: str
    path: Path


def find_recordings(folder: str | Path, *, without: str | Path | None = None) -> tuple[list[Recording], int]:
    """The recordings in a folder and the folders below it.

    A file counts by its first bytes, so DICOM files need no ending. A folder below that holds two or more PNG or JPEG
    pictures and no recording is one recording: its frames. Hidden files, links to folders, and folders that hold
    results of echomotion are passed over.

    Parameters
    ----------
    folder : path
    without : path, optional
        A folder that is not looked into: where results go.

    Returns
    -------
    list of Recording
        In the order of their names.
    int
        How many files were none.

    Raises
    ------
    DataError
        When the folder does not exist or holds no recording.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{folder}: there is no such folder; check the path")
    apart = None if without is None else Path(without).resolve()
    found: list[Recording] = []
    others = 0
    for place, below, names in os.walk(root):
        here = Path(place)
        below[:] = sorted(name for name in below if not name.startswith(".") and (here / name).resolve() != apart)
        files = sorted(here / name for name in names if not name.startswith("."))
        if all(here / name in files for name in _RESULTS):
            below.clear()
            continue
        recordings = [path for path in files if path.name != _CONTENTS and looks_like_recording(path)]
        pictures = [path for path in files if path.suffix.lower() in IMAGE_ENDINGS]
        if not recordings and len(pictures) > 1 and here != root:
            recordings, files = [here], [path for path in files if path not in pictures]
            others += len(files)
        else:
            others += len(files) - len(recordings)
        found += [Recording(path.relative_to(root).as_posix(), path) for path in recordings]
    if not found:
        raise DataError(
            f"{folder}: no recording was found in it ({others} other files); name a folder of DICOM files, videos or "
            "other cines, or a folder of frames"
        )
    return sorted(found, key=lambda recording: recording.name), others
