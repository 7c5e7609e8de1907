"""One door for all recordings: what a file is, is told from its content first, then from its name."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, ClipError, DataError, NotACineError, Source, View
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
        When the recording cannot be read or is not a cine, or `spacing_mm`, `fps` or `view` is out of range; the
        message is one line that names the file, the cause and the remedy.
    """
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory(prefix="echomotion-") as folder:
            path = Path(folder) / "bytes"
            path.write_bytes(source)
            return _read(path, "bytes", spacing_mm, fps, view)
    path = Path(source)
    if not path.exists():
        raise ClipError(f"{source}: there is no such file; check the path")
    return _read(path, path.name or path.resolve().name, spacing_mm, fps, view)


def _read(path: Path, name: str, spacing_mm: Any, fps: float | None, view: View | str | None) -> Clip:
    spacing = None if spacing_mm is None else _users_spacing(name, spacing_mm)
    if fps is not None and not (np.isfinite(fps) and fps > 0):
        raise ClipError(f"{name}: the frame rate given is {fps:g}; give a positive number of frames per second")
    chosen_view = None if view is None else _users_view(name, view)
    try:
        content, digest = _load(path, name)
    except OSError as error:
        raise ClipError(f"{name}: it cannot be read ({error.strerror}); check the file and its permissions") from None
    if len(content.frames) < 2:
        raise NotACineError(f"{name}: a single frame (a still) has no motion; give a cine of two frames or more")
    warnings = list(content.warnings or [])
    if spacing is not None:
        content.spacing_mm, content.spacing_origin = spacing, "user"
        warnings = [w for w in warnings if "--spacing" not in w]
    if fps is not None:
        content.times_s, content.times_origin = np.arange(len(content.frames)) / fps, "user"
        warnings = [w for w in warnings if "--fps" not in w]
    if chosen_view is not None:
        content.view, content.view_origin = chosen_view, "user"
    origin = Source(
        name,
        content.format,
        digest,
        content.spacing_origin,
        content.times_origin,
        content.view_origin,
        tuple(warnings),
    )
    return Clip(
        content.frames, _times(name, content), _spacing(name, content), content.view, content.r_wave_times_s, origin
    )


def _times(name: str, content: Content) -> NDArray[np.float64]:
    times = content.times_s
    if times is None:
        raise ClipError(f"{name}: no frame rate ({content.times_origin}); give frames per second with --fps")
    if times.shape != (len(content.frames),) or not np.isfinite(times).all() or np.any(np.diff(times) <= 0):
        raise ClipError(
            f"{name}: {content.times_origin} gives no later time to every frame; give frames per second with --fps"
        )
    return times


def _spacing(name: str, content: Content) -> tuple[float, float] | None:
    if content.spacing_mm is None:
        return None
    try:
        return checked_spacing(content.spacing_mm)
    except DataError as error:
        raise ClipError(f"{name}: {error} ({content.spacing_origin}); give the true size with --spacing") from None


def looks_like_recording(path: Path) -> bool:
    """Whether a file is of a kind that :func:`read_clip` reads, by its first bytes or else its ending.

    A damaged recording with a known ending counts, so that it is named where it fails; archives that are no NumPy
    files, and single pictures, do not.
    """
    name = path.name.lower()
    try:
        reader, _ = _reader(path, path.name)
    except ClipError:
        return False
    except OSError:
        return name.endswith(tuple(_BY_ENDING))
    # Office documents and archives begin as .npz files do.
    return reader is not read_array_content or name.endswith((".npy", ".npz"))


def content_hash(path: Path) -> str:
    """SHA-256 of a file, or of the frames of a folder in their order: what ``Source.sha256`` holds.

    Raises
    ------
    ClipError
        For a folder without frames.
    OSError
        When it cannot be read.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        for frame in image_paths(path):
            digest.update(frame.read_bytes())
        return digest.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _load(path: Path, name: str) -> tuple[Content, str]:
    if path.is_dir():
        return read_folder_content(path, name), content_hash(path)
    if path.stat().st_size == 0:
        raise ClipError(f"{name}: the file is empty; copy it again")
    reader, ending = _reader(path, name)
    digest_hex = content_hash(path)
    if path.name.lower().endswith(ending) or ending == ".dcm":
        return reader(path, name), digest_hex
    # Libraries that choose by ending are given one that fits the content.
    with tempfile.TemporaryDirectory(prefix="echomotion-") as folder:
        link = Path(folder) / f"clip{ending}"
        try:
            link.symlink_to(path.resolve())
        except OSError:
            shutil.copyfile(path, link)
        return reader(link, name), digest_hex


def _reader(path: Path, name: str) -> tuple[Reader, str]:
    with path.open("rb") as stream:
        head = stream.read(352)
    if head[:2] == b"\x1f\x8b" and _unzipped_head(path)[344:347] in (b"n+1", b"ni1"):
        return read_volume_content, ".nii.gz"
    for test, reader, ending in _SIGNATURES:
        if test(head):
            return reader, ending
    if head[:8] == b"\x89PNG\r\n\x1a\n" or head[:3] == b"\xff\xd8\xff":
        raise NotACineError(f"{name}: a single picture (a still) has no motion; give a cine, or a folder of frames")
    lower = path.name.lower()
    for ending, (reader, as_ending) in _BY_ENDING.items():
        if lower.endswith(ending):
            return reader, as_ending
    raise ClipError(f"{name}: the kind of file is not known; known are {KNOWN}")


def _unzipped_head(path: Path) -> bytes:
    try:
        with gzip.open(path) as stream:
            return stream.read(352)
    except (OSError, EOFError, zlib.error):
        # A damaged archive is known by its name, and refused by its reader.
        return b""


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


def _users_spacing(name: str, spacing_mm: Any) -> tuple[float, float]:
    try:
        return checked_spacing((spacing_mm, spacing_mm) if np.isscalar(spacing_mm) else spacing_mm)
    except DataError as error:
        raise ClipError(f"{name}: {error}; give the height and width of a pixel in mm") from None


def _users_view(name: str, view: View | str) -> View:
    try:
        return View(str(view).upper())
    except ValueError:
        raise ClipError(f"{name}: there is no view {view!r}; give one of {', '.join(View)}") from None
