"""DICOM ultrasound cines: pixels of every common coding, frame times, pixel size, view and R waves.

Nothing that identifies a patient is read into the clip.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, iter_pixels, pixel_array

from echomotion.core import ClipError, NotACineError, View
from echomotion.io.calibration import calibrate
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content
from echomotion.io.limits import check_size

_NO_PIXELS = "the DICOM file has no pixel data; export the cine itself, or copy it again if it was cut off"

# Decoders report damage by many kinds of exception.
_BROKEN = (InvalidDicomError, ValueError, AttributeError, RuntimeError, KeyError, TypeError, OSError, EOFError,
           NotImplementedError, IndexError, ArithmeticError)  # fmt: skip

# Words by which machines and archives name a view; the first that fits counts.
_VIEW_WORDS = (
    (View.RV_FOCUSED, r"rv[ -]?focus(ed)?"),
    (View.A4C, r"a4c|ap4|4ch|4c|apical (four|4)|four.?chamber|4.?chamber"),
    (View.A2C, r"a2c|ap2|2ch|2c|apical (two|2)|two.?chamber|2.?chamber"),
    (View.A3C, r"a3c|ap3|3ch|3c|aplax|apical (three|3|long)|three.?chamber|3.?chamber"),
    (View.PLAX, r"plax|parasternal long"),
    (View.PSAX, r"psax|parasternal short"),
)
# Windows from which four chambers are seen too, but not from the apex.
_OTHER_WINDOWS = r"subcostal|subxiphoid|trans.?o?esophageal|tee|toe|suprasternal"
_VIEW_TAGS = ("ViewName", "ImageComments", "SeriesDescription", "ProtocolName", "StageName", "AcquisitionDescription")


def read_dicom_content(path: Path, name: str) -> Content:
    """A cine from a DICOM file.

    Raises
    ------
    ClipError
        When it is no DICOM file, no ultrasound cine, too large, damaged, or wider than 8 bits.
    """
    with warnings.catch_warnings():
        # Such warnings quote values of the header, which may be a patient's.
        warnings.simplefilter("ignore")
        return _read(path, name)


def _read(path: Path, name: str) -> Content:
    with _readable(name):
        header = pydicom.dcmread(path, stop_before_pixels=True)
    _check_header(header, name)
    with _readable(name):
        dataset = pydicom.dcmread(path)
    if "PixelData" not in dataset:
        # The header describes pixels: they were cut off.
        raise ClipError(f"{name}: {_NO_PIXELS}")
    grey = GreyMaker()
    frames = _frames(dataset, name, grey)
    with _readable(name):
        calibration = calibrate(dataset, frames)
        times, times_origin = _times(dataset, len(frames))
        view, view_origin = _view(dataset)
    r_waves = _numbers(dataset, "RWaveTimeVector")
    return Content(
        frames,
        "dicom",
        times,
        times_origin,
        calibration.spacing_mm,
        calibration.origin,
        view,
        view_origin,
        np.array(r_waves) / 1000 if r_waves else None,
        [*grey.warnings, *calibration.warnings],
    )


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Whatever the header or its parser objects to becomes one line."""
    try:
        yield
    except _BROKEN as error:
        raise ClipError(
            f"{name}: not a readable DICOM file ({_short(error)}); check what it is, or copy it again"
        ) from None


def _check_header(dataset: Any, name: str) -> None:
    modality = str(dataset.get("Modality", "") or "")
    if modality not in ("US", ""):
        raise NotACineError(f"{name}: the modality is {modality}, not ultrasound (US); give an echocardiography cine")
    if "Rows" not in dataset:
        raise NotACineError(f"{name}: {_NO_PIXELS}")
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        n_frames = int(dataset.get("NumberOfFrames", 1) or 1)
        bits = int(dataset.BitsAllocated)
        signed = int(dataset.get("PixelRepresentation", 0) or 0)
        str(dataset.PhotometricInterpretation)
    except (AttributeError, TypeError, ValueError) as error:
        raise ClipError(f"{name}: the header does not describe its pixels ({_short(error)}); export it again") from None
    check_size(name, rows, columns, n_frames)
    if bits != 8 or signed:
        kind = "signed" if bits == 8 else f"{bits}-bit"
        raise ClipError(f"{name}: the pixels are {kind}; export the cine with 8-bit grey levels or colours")
    if n_frames < 2:
        raise NotACineError(f"{name}: a single frame (a still) has no motion; give a cine of two frames or more")


def _frames(dataset: Any, name: str, grey: GreyMaker) -> NDArray[np.uint8]:
    photometric = str(dataset.PhotometricInterpretation)
    declared = int(dataset.NumberOfFrames)
    frames = []
    try:
        for frame in _decoded(dataset, declared):
            if photometric == "PALETTE COLOR":
                frame = _eight_bits(apply_color_lut(frame, dataset))
            elif photometric == "MONOCHROME1":
                frame = 255 - frame
            frames.append(grey(np.ascontiguousarray(frame)))
    except _BROKEN as error:
        raise ClipError(
            f"{name}: frame {len(frames)} cannot be decoded ({_short(error)}); the file may be truncated, copy it again"
        ) from None
    if len(frames) != declared:
        raise ClipError(
            f"{name}: {declared} frames are declared but {len(frames)} can be read; the file is truncated, "
            "copy it again"
        )
    return np.stack(frames)


def _decoded(dataset: Any, declared: int) -> Iterator[NDArray[Any]]:
    """Frames one by one, colours as red, green, blue."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset, raw=False)
        return
    # pydicom's iterator miscounts uncompressed frames with sub-sampled colour; asking for each does not.
    for index in range(declared):
        yield pixel_array(dataset, index=index, raw=False)


def _eight_bits(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """A palette may hold 16-bit colours, whose upper byte is the 8-bit one."""
    return colours.astype(np.uint8) if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


def _times(dataset: Any, n_frames: int) -> tuple[NDArray[np.float64] | None, str]:
    """Frame times in seconds from the first tag that is usable, and its name; or None and why."""
    refused = []
    interval = _numbers(dataset, "FrameTime")
    if interval:
        if interval[0] > 0:
            return np.arange(n_frames) * interval[0] / 1000, "DICOM FrameTime"
        refused.append(f"FrameTime is {interval[0]:g}")
    steps = _numbers(dataset, "FrameTimeVector")
    if steps:
        if len(steps) == n_frames and min(steps[1:]) > 0:
            return np.cumsum([0.0, *steps[1:]]) / 1000, "DICOM FrameTimeVector"
        refused.append("FrameTimeVector does not give every frame a later time")
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = _numbers(dataset, keyword)
        if rate:
            if rate[0] > 0:
                return np.arange(n_frames) / rate[0], f"DICOM {keyword}"
            refused.append(f"{keyword} is {rate[0]:g}")
    return None, "; ".join(refused) or "the file states no frame time"


def _view(dataset: Any) -> tuple[View, str]:
    codes = [str(item.get("CodeMeaning", "")) for item in dataset.get("ViewCodeSequence") or []]
    tagged = [(keyword, str(dataset.get(keyword, "") or "")) for keyword in _VIEW_TAGS]
    for origin, text in [("ViewCodeSequence", code) for code in codes] + tagged:
        if _says(_OTHER_WINDOWS, text):
            return View.UNKNOWN, "none"
        for view, pattern in _VIEW_WORDS:
            if _says(pattern, text):
                return view, f"DICOM {origin}"
    return View.UNKNOWN, "none"


def _says(pattern: str, text: str) -> bool:
    return re.search(rf"(?<![a-z0-9])({pattern})(?![a-z0-9])", text.lower().replace("_", " ")) is not None


def _numbers(dataset: Any, keyword: str) -> list[float]:
    """The numbers of an element; none where it is absent, empty or no number."""
    try:
        value: Any = dataset.get(keyword)
        if value is None or value == "":
            return []
        numbers = [float(item) for item in (value if hasattr(value, "__iter__") else [value])]
    except (TypeError, ValueError, OverflowError):
        return []
    return numbers if np.isfinite(numbers).all() else []


def _short(error: object) -> str:
    return " ".join(str(error).split())[:120]
