"""One door for all recordings: what a file is, is told from its content first, then from its name."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, ClipError, DataError, Source, View
from echomotion.core.clip import checked_spacing
from echomotion.io.arrays import read_array_content
from echomotion.io.content import Content
from echomotion.io.dicom import read_dicom_content
from echomotion.io.images import image_paths, read_folder_content, read_tiff_content
from echomotion.io.video import read_video_content
from echomotion.io.volumes import read_volume_content

Reader = Callable[[Path, str], Content]

KNOWN = "DICOM, AVI, MP4, MOV, GIF, TIFF, NIfTI, MHD, NPY, NPZ, or a folder of PNG or JPEG frames"

_BY_ENDING: dict[str, tuple[Reader, str]] = {
    ".dcm": (read_dicom_content, ".dcm"),
    ".dicom": (read_dicom_content, ".dcm"),
    **{end: (read_video_content, end) for end in (".avi", ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".wmv", ".gif")},
    **{end: (read_tiff_content, end) for end in (".tif", ".tiff")},
    **{end: (read_array_content, end) for end in (".npy", ".npz")},
    **{end: (read_volume_content, end) for end in (".nii", ".nii.gz", ".mhd", ".mha")},
}


def read_clip(
    source: str | Path | bytes,
    *,
    spacing_mm: float | tuple[float, float] | None = None,
    fps: float | None = None,
    view: View | str | None = None,
) -> Clip:
    """Read a cine from a file, a folder of frames, or bytes.

    Parameters
    ----------
    source : path or bytes
        DICOM, AVI, MP4, MOV, GIF, multi-page TIFF, NIfTI, MHD, NPY, NPZ, or a folder of PNG or JPEG frames.
    spacing_mm : float or (row, column), optional
        Pixel size, in place of what the file says.
    fps : float, optional
        Frames per second, in place of what the file says.
    view : View or str, optional
        The view of the heart, in place of what the file says.

    Returns
    -------
    Clip
        Grey frames; `source` says where time and scale came from, and what to be careful about. It holds nothing
        that identifies a patient but the file name.

    Raises
    ------
    ClipError
        When the recording cannot be read or is not a cine; the message is one line that names the file, the cause
        and the remedy.
    DataError
        When `spacing_mm`, `fps` or `view` is out of range.
    """
    wanted_spacing = _wanted_spacing(spacing_mm)
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise DataError(f"fps is {fps:g}; it must be a positive number of frames per second")
    wanted_view = _wanted_view(view)
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bytes"
            path.write_bytes(source)
            content, digest, name = *_load(path, "bytes"), "bytes"
    else:
        path = Path(source)
        name = path.name or str(path)
        content, digest = _load(path, name if path.exists() else str(path))
    if len(content.frames) < 2:
        raise ClipError(f"{name}: a single frame (a still) has no motion; give a cine of two frames or more")
    warnings = list(content.warnings or [])
    if wanted_spacing is not None:
        content.spacing_mm, content.spacing_origin = wanted_spacing, "user"
        warnings = [w for w in warnings if not w.startswith("not calibrated")]
    if fps is not None:
        content.times_s, content.times_origin = np.arange(len(content.frames)) / fps, "user"
        warnings = [w for w in warnings if "--fps" not in w]
    if content.times_s is None:
        raise ClipError(f"{name}: no frame rate ({content.times_origin}); give frames per second with --fps")
    if wanted_view is not None:
        content.view, content.view_origin = wanted_view, "user"
    return _clip(content, content.times_s, name, digest, tuple(warnings))


def _clip(
    content: Content, times_s: NDArray[np.float64], name: str, digest: str, warnings: tuple[str, ...]
) -> Clip:
    origin = Source(
        name,
        content.format,
        digest,
        content.spacing_origin,
        content.times_origin,
        content.view_origin,
        warnings,
    )
    try:
        return Clip(content.frames, times_s, content.spacing_mm, content.view, content.r_wave_times_s, origin)
    except DataError as error:
        raise ClipError(f"{name}: {error}") from None


def _load(path: Path, name: str) -> tuple[Content, str]:
    if path.is_dir():
        digest = hashlib.sha256()
        for frame in image_paths(path):
            digest.update(frame.read_bytes())
        return read_folder_content(path, name), digest.hexdigest()
    if not path.is_file():
        raise ClipError(f"{name}: there is no such file; check the path")
    if path.stat().st_size == 0:
        raise ClipError(f"{name}: the file is empty; copy it again")
    reader, ending = _reader(path, name)
    with path.open("rb") as stream:
        digest_hex = hashlib.file_digest(stream, "sha256").hexdigest()
    if path.name.lower().endswith(ending) or ending == ".dcm":
        return reader(path, name), digest_hex
    # Libraries that choose by ending are given one that fits the content.
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"clip{ending}"
        link.symlink_to(path.resolve())
        return reader(link, name), digest_hex


def _reader(path: Path, name: str) -> tuple[Reader, str]:
    with path.open("rb") as stream:
        head = stream.read(352)
    if head[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as stream:
                if stream.read(352)[344:347] in (b"n+1", b"n+2", b"ni1"):
                    return read_volume_content, ".nii.gz"
        except (OSError, EOFError):
            # A damaged archive is told apart by its name, below, and refused by its reader.
            head = b""
    for test, reader, ending in _SIGNATURES:
        if test(head):
            return reader, ending
    if head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff":
        raise ClipError(f"{name}: a single picture (a still) has no motion; give a cine, or a folder of frames")
    lower = path.name.lower()
    for ending, (reader, as_ending) in _BY_ENDING.items():
        if lower.endswith(ending):
            return reader, as_ending
    raise ClipError(f"{name}: the kind of file is not known; known are {KNOWN}")


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


_SIGNATURES: tuple[tuple[Callable[[bytes], bool], Reader, str], ...] = (
    (lambda head: head[128:132] == b"DICM", read_dicom_content, ".dcm"),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", read_video_content, ".avi"),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"), read_video_content, ".mp4"),
    (_starts(b"\x1a\x45\xdf\xa3"), read_video_content, ".mkv"),
    (_starts(b"GIF87a", b"GIF89a"), read_video_content, ".gif"),
    (_starts(b"II*\x00", b"MM\x00*"), read_tiff_content, ".tif"),
    (_starts(b"\x93NUMPY"), read_array_content, ".npy"),
    (_starts(b"PK\x03\x04"), read_array_content, ".npz"),
    (lambda head: head[344:347] in (b"n+1", b"ni1"), read_volume_content, ".nii"),
    (lambda head: head[4:8] == b"n+2\x00", read_volume_content, ".nii"),
)


def _wanted_spacing(spacing_mm: Any) -> tuple[float, float] | None:
    if spacing_mm is None:
        return None
    return checked_spacing((spacing_mm, spacing_mm) if np.isscalar(spacing_mm) else spacing_mm)


def _wanted_view(view: View | str | None) -> View | None:
    if view is None:
        return None
    try:
        return View(str(view).upper())
    except ValueError:
        raise DataError(f"unknown view {view!r}; one of {', '.join(View)} is needed") from None
