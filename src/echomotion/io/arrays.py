"""NumPy files: ``.npy`` holds frames, ``.npz`` also ``spacing_mm``, ``times_s`` or ``fps``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import ClipError
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content, grey_bytes
from echomotion.io.limits import check_size

_BROKEN = (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)


def read_array_content(path: Path, name: str) -> Content:
    """A cine from a NumPy file; without a clock in it the caller must give frames per second.

    `frames` is (T, H, W), or uint8 (T, H, W, 3) in red, green, blue.

    Raises
    ------
    ClipError
        When the file is damaged, holds pickled objects, or its frames are no grey levels.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(6) == b"\x93NUMPY":
                stream.seek(0)
                _check_shape(name, _declared_shape(stream))
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _content(name, loaded, "npy")
        with loaded:
            return _from_archive(path, name, loaded)
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:120]
        raise ClipError(f"{name}: not a readable NumPy file ({reason}); save it again without pickles") from None


def _from_archive(path: Path, name: str, archive: Any) -> Content:
    if "frames" not in archive:
        listed = ", ".join(archive.files)
        raise ClipError(f"{name}: there is no array 'frames' in it, only {listed}; save frames (T, H, W)")
    with zipfile.ZipFile(path) as members, members.open("frames.npy") as stream:
        _check_shape(name, _declared_shape(stream))
    content = _content(name, archive["frames"], "npz")
    if "times_s" in archive:
        content.times_s, content.times_origin = np.asarray(archive["times_s"], dtype=np.float64), "times_s in the file"
    elif "fps" in archive:
        fps = float(np.asarray(archive["fps"]).item())
        if np.isfinite(fps) and fps > 0:
            content.times_s, content.times_origin = np.arange(len(content.frames)) / fps, "fps in the file"
        else:
            content.times_origin = f"fps in the file is {fps:g}"
    if "spacing_mm" in archive:
        numbers = np.atleast_1d(np.asarray(archive["spacing_mm"], dtype=np.float64)).ravel()
        content.spacing_mm = (float(numbers[0]), float(numbers[-1]))
        content.spacing_origin = "spacing_mm in the file"
    return content


def _declared_shape(stream: IO[bytes]) -> tuple[int, ...]:
    """The shape of an array, from its header alone."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, _ = read(stream)
    return shape


def _check_shape(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 and not (len(shape) == 4 and shape[3] == 3):
        raise ClipError(f"{name}: the array has shape {shape}; frames (T, H, W) or (T, H, W, 3) are needed")
    check_size(name, shape[1], shape[2], shape[0])


def _content(name: str, array: NDArray[Any], kind: str) -> Content:
    grey = GreyMaker()
    frames = grey_bytes(name, array)
    if frames.ndim == 4:
        frames = np.stack([grey(frame) for frame in frames])
    return Content(frames, kind, warnings=grey.warnings)
