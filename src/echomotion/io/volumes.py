"""NIfTI and MHD (MetaImage): volumes whose axes are (x, y[, z = 1][, t])."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from echomotion.core import ClipError
from echomotion.io.content import Content, grey_bytes
from echomotion.io.limits import check_size

_TIME_UNITS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_LENGTH_UNITS = {"meter": 1e3, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}
_BROKEN = (ImageFileError, HeaderDataError, OSError, EOFError, ValueError)

Volume = tuple[NDArray[Any], tuple[float, float], float | None]


def read_volume(path: str | Path) -> tuple[NDArray[Any], tuple[float, float]]:
    """Values and pixel size of a NIfTI or MHD file.

    Returns
    -------
    array : (H, W) for a still, else (T, H, W)
        In the file's own type.
    spacing_mm : (float, float)
        Row and column spacing.

    Raises
    ------
    ClipError
        When the file is missing, truncated, or not a still or a series of stills.
    """
    array, spacing_mm, _ = _read(Path(path), Path(path).name)
    return (array[0] if len(array) == 1 else array), spacing_mm


def read_volume_content(path: Path, name: str) -> Content:
    """A NIfTI or MHD cine; its frame time counts when the header states a unit of time."""
    array, spacing_mm, interval_s = _read(path, name)
    kind, header = ("mhd", "MHD") if _is_metaimage(path) else ("nifti", "NIfTI")
    times = None if interval_s is None else np.arange(len(array)) * interval_s
    origin = f"{header} header" if times is not None else "the header states no frame time"
    return Content(grey_bytes(name, array), kind, times, origin, spacing_mm, f"{header} header")


def _is_metaimage(path: Path) -> bool:
    return path.name.lower().endswith((".mhd", ".mha"))


def _read(path: Path, name: str) -> Volume:
    if not path.is_file():
        raise ClipError(f"{path}: there is no such file; check the path")
    return _read_metaimage(path, name) if _is_metaimage(path) else _read_nifti(path, name)


def _read_nifti(path: Path, name: str) -> Volume:
    try:
        image = nibabel.load(path)
        shape = image.shape
        zooms = [float(z) for z in image.header.get_zooms()]
        length_unit, time_unit = image.header.get_xyzt_units()
    except _BROKEN as error:
        raise ClipError(f"{name}: not a readable NIfTI file ({_short(error)}); copy or export it again") from None
    if len(shape) not in (2, 3, 4) or (len(shape) == 4 and shape[2] != 1):
        raise ClipError(f"{name}: a volume of shape {shape} is no cine; axes (x, y, 1, t) or (x, y, t) are needed")
    check_size(name, shape[1], shape[0], math.prod(shape[2:]))
    try:
        values = np.asanyarray(image.dataobj)
    except _BROKEN as error:
        raise ClipError(f"{name}: the file is truncated ({_short(error)}); copy or export it again") from None
    # Axes (x, y, 1, t) and (x, y, t) both become (t, y, x).
    array = np.ascontiguousarray(values.reshape(shape[0], shape[1], -1).transpose(2, 1, 0))
    to_mm = _LENGTH_UNITS.get(length_unit, 1.0)
    spacing = _spacing(name, zooms[1] * to_mm, zooms[0] * to_mm)
    step = zooms[-1] if len(zooms) > 2 and len(array) > 1 else 0.0
    interval = step * _TIME_UNITS[time_unit] if time_unit in _TIME_UNITS and step > 0 else None
    return array, spacing, interval


def _read_metaimage(path: Path, name: str) -> Volume:
    header = _metaimage_header(path)
    data_file = header.get("ElementDataFile", "")
    if not data_file:
        raise ClipError(f"{name}: not an MHD header (it names no ElementDataFile); copy or export it again")
    if data_file not in ("LOCAL", "LIST") and not (path.parent / data_file).is_file():
        raise ClipError(f"{name}: its header points to {data_file}, which is absent; put that file beside it")
    sizes = [int(n) for n in header.get("DimSize", "").split() if n.isdigit()]
    if len(sizes) not in (2, 3):
        raise ClipError(f"{name}: DimSize {header.get('DimSize')!r} is no cine; axes (x, y[, t]) are needed")
    check_size(name, sizes[1], sizes[0], sizes[2] if len(sizes) == 3 else 1)
    try:
        import SimpleITK
    except ImportError:
        raise ClipError(f'{name}: reading MHD needs SimpleITK; run: pip install "echomotion[mhd]"') from None
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        reason = _short(str(error).strip().splitlines()[-1])
        raise ClipError(f"{name}: not a readable MHD file ({reason}); copy or export it again") from None
    array = np.ascontiguousarray(SimpleITK.GetArrayFromImage(image))
    spacing = image.GetSpacing()
    # The third spacing of these files is no frame time (CAMUS writes 1.54 there).
    return array.reshape(-1, *array.shape[-2:]), _spacing(name, spacing[1], spacing[0]), None


def _metaimage_header(path: Path) -> dict[str, str]:
    fields: dict[str, str] = {}
    with path.open("rb") as lines:
        for raw in lines:
            key, _, value = raw[:1000].decode("latin-1").partition("=")
            fields[key.strip()] = value.strip()
            # What follows this field is pixels.
            if key.strip() == "ElementDataFile" or len(fields) > 100:
                break
    return fields


def _spacing(name: str, row: float, column: float) -> tuple[float, float]:
    if not (math.isfinite(row) and math.isfinite(column) and row > 0 and column > 0):
        raise ClipError(f"{name}: the header's pixel size {row:g} x {column:g} mm is not positive; repair the header")
    return row, column


def _short(error: object) -> str:
    return " ".join(str(error).split())[:120]
