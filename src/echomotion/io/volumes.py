"""NIfTI and MetaImage (MHD) volumes, as CAMUS comes in."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from echomotion.core import ClipError, DataError
from echomotion.core.clip import checked_spacing
from echomotion.io.content import Content, grey_bytes
from echomotion.io.limits import check_size

MHD_ENDINGS = (".mhd", ".mha")

_TO_MM = {"meter": 1000.0, "micron": 0.001}
_TO_S = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_BROKEN = (ImageFileError, HeaderDataError, EOFError, OSError, ValueError, zlib.error)
_MHD_BYTES = {"MET_UCHAR": 1, "MET_CHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_FLOAT": 4}


def read_volume(path: str | Path) -> tuple[NDArray[Any], tuple[float, float]]:
    """Pixels of a NIfTI or MHD file as rows and columns, and the size of a pixel.

    Parameters
    ----------
    path : path
        ``.nii``, ``.nii.gz``, ``.mhd`` or ``.mha``.

    Returns
    -------
    array : (H, W), or (T, H, W) when there is more than one frame
        In the type of the file.
    spacing_mm : (float, float)
        Height and width of a pixel.

    Raises
    ------
    ClipError
        When the file cannot be read, is too large, or its pixel size is not positive.
    """
    path = Path(path)
    volume, spacing_mm, _, _ = _read(path, path.name)
    try:
        spacing_mm = checked_spacing(spacing_mm)
    except DataError as error:
        raise ClipError(f"{path.name}: {error}; repair the header") from None
    return (volume[0] if len(volume) == 1 else volume), spacing_mm


def read_volume_content(path: Path, name: str) -> Content:
    """A cine from a NIfTI file with axes (x, y[, 1], t), or a MetaImage (MHD) with axes (x, y, t).

    Raises
    ------
    ClipError
        When the file cannot be read or is too large, on pixels that are not 8-bit grey levels, when SimpleITK is
        missing for an MHD file, and when its ``.raw`` file is absent.
    """
    volume, spacing, has_unit, interval_s = _read(path, name)
    kind = "MHD" if path.name.lower().endswith(MHD_ENDINGS) else "NIfTI"
    content = Content(grey_bytes(name, volume), kind.lower(), spacing_mm=spacing, spacing_origin=f"{kind} header")
    content.times_origin = f"the {kind} header states no time between frames"
    if interval_s is not None:
        content.times_s = np.arange(len(volume), dtype=np.float64) * interval_s
        content.times_origin = f"{kind} header"
    if spacing == (1.0, 1.0) and not has_unit:
        content.spacing_mm, content.spacing_origin = None, "none"
        content.warnings = [
            "not calibrated: the NIfTI header names no unit of length and pixels of 1; --spacing gives the size in mm"
        ]
    return content


def _read(path: Path, name: str) -> tuple[NDArray[Any], tuple[float, float], bool, float | None]:
    """Frames (T, H, W); (row, column) in mm as the header has it; whether it names a unit; seconds between frames."""
    if not path.is_file():
        raise ClipError(f"{path}: there is no such file; check the path")
    if path.name.lower().endswith(MHD_ENDINGS):
        return *_read_mhd(path, name), True, None
    return _read_nifti(path, name)


def _read_nifti(path: Path, name: str) -> tuple[NDArray[Any], tuple[float, float], bool, float | None]:
    try:
        image: Any = nibabel.load(path)
        shape, kind = image.shape, image.get_data_dtype()
        zooms = [float(zoom) for zoom in image.header.get_zooms()]
        space_unit, time_unit = image.header.get_xyzt_units()
    except _BROKEN as error:
        raise _damaged(name, error) from None
    if len(shape) not in (2, 3, 4) or (len(shape) == 4 and shape[2] != 1) or kind.kind not in "biuf":
        raise ClipError(
            f"{name}: an array of shape {shape} and type {kind} is no grey cine; save it with axes (x, y, t) or "
            "(x, y, 1, t)"
        )
    n_frames = shape[-1] if len(shape) > 2 else 1
    check_size(name, shape[1], shape[0], n_frames)
    try:
        array = _values(image)
    except _BROKEN as error:
        raise _damaged(name, error) from None
    frames = np.ascontiguousarray(array.reshape(shape[0], shape[1], n_frames).transpose(2, 1, 0))
    to_mm = _TO_MM.get(space_unit, 1.0)
    # With axes (x, y, t) the third length is time only if a unit of time is named; else it is a slice thickness.
    interval = zooms[-1] * _TO_S[time_unit] if time_unit in _TO_S and n_frames > 1 else 0.0
    spacing_mm = (zooms[1] * to_mm, zooms[0] * to_mm)
    usable = np.isfinite(interval) and interval > 0
    return frames, spacing_mm, space_unit != "unknown", interval if usable else None


def _values(image: Any) -> NDArray[Any]:
    """Values in the type of the file where the header does not rescale them, else floating ones."""
    if image.dataobj.slope == 1 and image.dataobj.inter == 0:
        return np.asarray(image.dataobj.get_unscaled())
    return np.asarray(image.dataobj)


def _damaged(name: str, error: Exception) -> ClipError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return ClipError(f"{name}: not a whole NIfTI file ({reason}); it may be truncated, copy it again")


def _read_mhd(path: Path, name: str) -> tuple[NDArray[Any], tuple[float, float]]:
    spacing = _checked_header(path, name)
    try:
        import SimpleITK as sitk  # noqa: N813
    except ImportError:
        raise ClipError(
            f'{name}: MHD files need SimpleITK, which is not installed; run: pip install "echomotion[mhd]"'
        ) from None
    try:
        volume = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    except RuntimeError as error:
        reason = " ".join(str(error).strip().splitlines()[-1:])[-120:]
        raise ClipError(f"{name}: SimpleITK cannot read it ({reason}); copy or export it again") from None
    return volume.reshape(-1, *volume.shape[-2:]), spacing


def _checked_header(path: Path, name: str) -> tuple[float, float]:
    """Pixel size (row, column); everything that can be known before pixels are touched is checked."""
    with path.open("rb") as stream:
        lines = stream.read(65536).decode("latin-1").splitlines()
    header: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        header[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    try:
        size = [int(n) for n in header["DimSize"].split()]
        spacing = [float(v) for v in header.get("ElementSpacing", header.get("ElementSize", "1 1")).split()]
        data = header["ElementDataFile"]
        column, row = spacing[:2]
    except (KeyError, ValueError):
        raise ClipError(
            f"{name}: not a MetaImage header with DimSize, ElementSpacing, ElementDataFile; export it again"
        ) from None
    if len(size) not in (2, 3) or header.get("ElementNumberOfChannels", "1") != "1":
        raise ClipError(f"{name}: an image of {len(size)} axes or several channels is no grey cine; save (x, y, t)")
    if not (row > 0 and column > 0):
        raise ClipError(f"{name}: ElementSpacing is {column:g} {row:g}, not positive; correct the header")
    n_frames = size[2] if len(size) == 3 else 1
    check_size(name, size[1], size[0], n_frames)
    if data.upper() not in ("LOCAL", "LIST"):
        _check_raw(path, name, data, header, size[0] * size[1] * n_frames)
    return row, column


def _check_raw(path: Path, name: str, data: str, header: dict[str, str], n_pixels: int) -> None:
    raw = path.parent / data
    if not raw.is_file():
        raise ClipError(f"{name}: its pixels should be in {data}, which is absent; put that file beside it")
    needed = n_pixels * _MHD_BYTES.get(header.get("ElementType", ""), 1)
    if header.get("CompressedData", "False").lower() != "true" and raw.stat().st_size < needed:
        raise ClipError(
            f"{name}: {data} has {raw.stat().st_size} bytes where {needed} are needed; it is truncated, copy it again"
        )
