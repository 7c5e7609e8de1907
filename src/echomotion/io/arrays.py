"""NumPy files: ``.npy`` holds frames (T, H, W), ``.npz`` also ``spacing_mm``, ``times_s`` or ``fps``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.core import ClipError
from echomotion.core.clip import checked_spacing
from echomotion.core.errors import DataError
from echomotion.io.content import Content, grey_bytes
from echomotion.io.limits import MAX_TOTAL_PIXELS, check_size


def read_array_content(path: Path, name: str) -> Content:
    """A cine from a NumPy file; without a clock in it the caller must give frames per second."""
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            return Content(_frames(name, loaded), "npy")
        with loaded:
            return _from_archive(name, loaded)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, DataError):
            raise ClipError(f"{name}: {error}") from None
        reason = " ".join(str(error).split())[:120]
        raise ClipError(f"{name}: not a readable NumPy file ({reason}); save it again without pickles") from None


def _from_archive(name: str, archive: Any) -> Content:
    if "frames" not in archive:
        raise ClipError(f"{name}: there is no array 'frames' in it, only {', '.join(archive.files)}; save frames (T, H, W)")
    declared = archive.zip.getinfo("frames.npy").file_size
    if declared > 4 * MAX_TOTAL_PIXELS:
        raise ClipError(f"{name}: 'frames' takes {declared / 1e9:.0f} GB, over the limit of {MAX_TOTAL_PIXELS // 10**9} "
                        "thousand million pixels; cut the recording into shorter clips")
    content = Content(_frames(name, archive["frames"]), "npz")
    if "times_s" in archive:
        content.times_s, content.times_origin = np.asarray(archive["times_s"], dtype=np.float64), "times_s in the file"
    elif "fps" in archive:
        fps = float(archive["fps"])
        if not fps > 0:
            raise ClipError(f"{name}: fps is {fps:g}; it must be positive, give --fps")
        content.times_s, content.times_origin = np.arange(len(content.frames)) / fps, "fps in the file"
    if "spacing_mm" in archive:
        numbers = np.atleast_1d(np.asarray(archive["spacing_mm"], dtype=np.float64)).ravel()
        content.spacing_mm = checked_spacing((numbers[0], numbers[-1]))
        content.spacing_origin = "spacing_mm in the file"
    return content


def _frames(name: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim != 3:
        raise ClipError(f"{name}: the array has shape {array.shape}; grey frames (T, H, W) are needed")
    check_size(name, array.shape[1], array.shape[2], array.shape[0])
    return grey_bytes(name, np.asarray(array))
