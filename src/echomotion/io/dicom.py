"""DICOM ultrasound cines: pixels of every common coding, frame times, pixel size, view and R waves.

Nothing that identifies a patient is read into the clip.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, iter_pixels

from echomotion.core import ClipError, View
from echomotion.io.calibration import calibrate
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content
from echomotion.io.limits import check_size

_ULTRASOUND = ("US", "IVUS")
# Decoders report damage by many kinds of exception.
_BROKEN = (InvalidDicomError, ValueError, AttributeError, RuntimeError, KeyError, TypeError, OSError, EOFError,
           NotImplementedError, IndexError)

# Words by which machines and archives name a view; the first that fits counts.
_VIEW_WORDS = (
    (View.A4C, r"a4c|ap4|4ch|4c|apical (four|4)|four.?chamber|4.?chamber"),
    (View.A2C, r"a2c|ap2|2ch|2c|apical (two|2)|two.?chamber|2.?chamber"),
    (View.A3C, r"a3c|ap3|3ch|3c|aplax|apical (three|3|long)|three.?chamber|3.?chamber"),
    (View.PLAX, r"plax|parasternal long"),
    (View.PSAX, r"psax|parasternal short"),
)
_VIEW_TAGS = ("ViewName", "ImageComments", "SeriesDescription", "ProtocolName", "StageName", "AcquisitionDescription")


def read_dicom_content(path: Path, name: str) -> Content:
    """A cine from a DICOM file.

    Raises
    ------
    ClipError
        When it is no DICOM file, no ultrasound cine, too large, damaged, or wider than 8 bits.
    """
    try:
        dataset = pydicom.dcmread(path)
    except _BROKEN as error:
        raise ClipError(f"{name}: not a readable DICOM file ({_short(error)}); check what it is, or copy it "
                        "again") from None
    _check_header(dataset, name)
    grey = GreyMaker()
    frames = _frames(dataset, name, grey)
    calibration = calibrate(list(dataset.get("SequenceOfUltrasoundRegions") or []), frames)
    times, times_origin = _times(dataset, len(frames))
    view, view_origin = _view(dataset)
    r_waves = _numbers(dataset.get("RWaveTimeVector"))
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
        [*grey.warnings, *([calibration.warning] if calibration.warning else [])],
    )


def _check_header(dataset: Any, name: str) -> None:
    modality = str(dataset.get("Modality", "") or "")
    if modality and modality not in _ULTRASOUND:
        raise ClipError(f"{name}: the modality is {modality}, not ultrasound (US); give an echocardiography cine")
    if "PixelData" not in dataset:
        raise ClipError(f"{name}: the DICOM file has no pixel data; export the cine, not its report or measurements")
    try:
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        n_frames = int(dataset.get("NumberOfFrames", 1) or 1)
        bits = int(dataset.BitsAllocated)
        dataset.PhotometricInterpretation  # noqa: B018  (present or the file is damaged)
    except (AttributeError, TypeError, ValueError) as error:
        raise ClipError(f"{name}: the header does not describe its pixels ({_short(error)}); export it again") from None
    check_size(name, rows, columns, n_frames)
    if bits != 8:
        raise ClipError(f"{name}: pixels have {bits} bits; ultrasound cines have 8, convert it to 8-bit grey levels "
                        "first")
    if n_frames < 2:
        raise ClipError(f"{name}: a single frame (a still) has no motion; give a cine of two frames or more")


def _frames(dataset: Any, name: str, grey: GreyMaker) -> NDArray[np.uint8]:
    photometric = str(dataset.PhotometricInterpretation)
    declared = int(dataset.NumberOfFrames)
    frames = []
    try:
        for frame in iter_pixels(dataset, raw=False):
            if photometric == "PALETTE COLOR":
                frame = _eight_bits(apply_color_lut(frame, dataset))
            elif photometric == "MONOCHROME1":
                frame = 255 - frame
            frames.append(grey(np.ascontiguousarray(frame)))
    except _BROKEN as error:
        raise ClipError(f"{name}: frame {len(frames)} cannot be decoded ({_short(error)}); the file may be truncated, "
                        "copy it again") from None
    if len(frames) != declared:
        raise ClipError(f"{name}: {declared} frames are declared but {len(frames)} can be read; the file is truncated, "
                        "copy it again")
    return np.stack(frames)


def _eight_bits(colours: NDArray[Any]) -> NDArray[np.uint8]:
    """A palette may hold 16-bit colours, whose upper byte is the 8-bit one."""
    return colours.astype(np.uint8) if colours.dtype == np.uint8 else (colours >> 8).astype(np.uint8)


def _times(dataset: Any, n_frames: int) -> tuple[NDArray[np.float64] | None, str]:
    """Frame times in seconds from the first tag that is usable, and its name; or None and why."""
    refused = []
    interval = _numbers(dataset.get("FrameTime"))
    if interval:
        if interval[0] > 0:
            return np.arange(n_frames) * interval[0] / 1000, "DICOM FrameTime"
        refused.append(f"FrameTime is {interval[0]:g}")
    steps = _numbers(dataset.get("FrameTimeVector"))
    if steps:
        if len(steps) == n_frames and min(steps[1:]) > 0:
            return np.cumsum([0.0, *steps[1:]]) / 1000, "DICOM FrameTimeVector"
        refused.append("FrameTimeVector does not give every frame a later time")
    for keyword in ("CineRate", "RecommendedDisplayFrameRate"):
        rate = _numbers(dataset.get(keyword))
        if rate:
            if rate[0] > 0:
                return np.arange(n_frames) / rate[0], f"DICOM {keyword}"
            refused.append(f"{keyword} is {rate[0]:g}")
    return None, "; ".join(refused) or "the file states no frame time"


def _view(dataset: Any) -> tuple[View, str]:
    words = [str(item.get("CodeMeaning", "")) for item in dataset.get("ViewCodeSequence") or []]
    tagged = [(keyword, str(dataset.get(keyword, "") or "")) for keyword in _VIEW_TAGS]
    for origin, text in [("ViewCodeSequence", word) for word in words] + tagged:
        for view, pattern in _VIEW_WORDS:
            if re.search(rf"(?<![a-z0-9])({pattern})(?![a-z0-9])", text.lower()):
                return view, f"DICOM {origin}"
    return View.UNKNOWN, "none"


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    items = [value] if isinstance(value, str | int | float) else list(value)
    return [float(item) for item in items]


def _short(error: object) -> str:
    return " ".join(str(error).split())[:120]
