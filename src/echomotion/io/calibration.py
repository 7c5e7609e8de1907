"""The size of a pixel from a DICOM file's ultrasound regions, believed only where it is plausible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.preprocess.sector import Sector, find_sector

# Codes of the DICOM standard, PS3.3 C.8.5.5: a 2D region of tissue, measured in centimetres.
_SPATIAL_2D, _TISSUE, _CENTIMETRES = 1, 1, 3
# Depths in cm that a transthoracic picture of a heart, from neonate to large adult, may have.
_MIN_DEPTH_CM, _MAX_DEPTH_CM = 3.0, 40.0
# Factors by which a picture may have been shrunk after its regions were written.
_SCALES = (2, 3, 4)
_TOLERANCE_PX = 3.0
_LOST_CORNER_PX = 4.0
_REGION = "DICOM region"

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Calibration:
    """Pixel size (row, column) in mm or None, where it came from, and what to warn of."""

    spacing_mm: tuple[float, float] | None
    origin: str
    warnings: tuple[str, ...] = ()


def calibrate(dataset: Any, frames: NDArray[np.uint8]) -> Calibration:
    """The pixel size that a DICOM ultrasound file states, where it is credible.

    It is taken from the largest 2D tissue region of SequenceOfUltrasoundRegions; in files without any region from
    PixelSpacing. A region that reaches beyond the picture was written for a larger one: a factor of 2, 3 or 4 is then
    accepted only if the region divided by it coincides with the fan found in the pixels within 3 px.

    Parameters
    ----------
    dataset : pydicom Dataset
    frames : uint8 (T, H, W)

    Returns
    -------
    Calibration
        Without a pixel size where nothing credible is stated; the warning says why. A size that is zero or negative
        is passed on as it is, for the reader to refuse unless the caller gives a better one.
    """
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or [])
    if not regions:
        return _from_pixel_spacing(dataset, frames.shape[1])
    tissue = [
        region
        for region in regions
        if _number(region, "RegionSpatialFormat") == _SPATIAL_2D and _number(region, "RegionDataType") == _TISSUE
    ]
    if not tissue:
        return _uncalibrated("the file has no 2D tissue region with a pixel size")
    region = max(tissue, key=_area)
    units = {_number(region, f"PhysicalUnits{axis}Direction") for axis in "XY"}
    row_cm, column_cm = (_number(region, f"PhysicalDelta{axis}") for axis in "YX")
    if units != {_CENTIMETRES}:
        return _uncalibrated("the region's pixel size is not in cm along both axes")
    if row_cm is None or column_cm is None:
        return _uncalibrated("the region states no pixel size along both axes")
    spacing_mm = (10 * row_cm, 10 * column_cm)
    if not min(spacing_mm) > 0:
        return Calibration(spacing_mm, _REGION)
    x0, y0, x1, y1 = bounds = _bounds(region)
    if not (x1 > x0 and y1 > y0):
        return _uncalibrated("the region is empty")
    if problem := _impossible_depth((y1 - y0 + 1) * row_cm):
        return _uncalibrated(problem)
    rows, columns = frames.shape[1:]
    # Some writers give the size where the last pixel is asked for; one pixel beyond is not another picture.
    if x1 > columns or y1 > rows:
        return _inferred(bounds, spacing_mm, frames)
    return Calibration(spacing_mm, _REGION, _doubts(bounds, spacing_mm, frames))


def _from_pixel_spacing(dataset: Any, rows: int) -> Calibration:
    spacing = dataset.get("PixelSpacing")
    if spacing is None or len(spacing) != 2:
        return _uncalibrated("the file states no ultrasound region, hence no pixel size")
    row, column = (float(value) for value in spacing)
    # The fan may be a part of the picture only, so that a small depth says nothing here.
    if row > 0 and (problem := _impossible_depth(max(rows * row / 10, _MIN_DEPTH_CM))):
        return _uncalibrated(problem)
    said = "the pixel size comes from PixelSpacing, which ultrasound machines seldom fill; check it"
    return Calibration((row, column), "DICOM PixelSpacing", (said,))


def _impossible_depth(depth_cm: float) -> str:
    if _MIN_DEPTH_CM <= depth_cm <= _MAX_DEPTH_CM:
        return ""
    return f"the picture would be {depth_cm:.1f} cm deep, which no picture of a heart is"


def _doubts(bounds: Bounds, spacing_mm: tuple[float, float], frames: NDArray[np.uint8]) -> tuple[str, ...]:
    """A warning where the fan in the pixels lies clearly outside the region that claims to hold it."""
    sector = find_sector(frames, pixel_aspect=spacing_mm[0] / spacing_mm[1])
    if sector is None:
        return ()
    x0, y0, x1, y1 = bounds
    left, top, right, bottom = sector.extent
    slack = 0.1 * (y1 - y0)
    if left >= x0 - slack and top >= y0 - slack and right <= x1 + slack and bottom <= y1 + slack:
        return ()
    return ("the fan in the pixels reaches beyond the region that states the pixel size; check lengths",)


def _inferred(bounds: Bounds, spacing_mm: tuple[float, float], frames: NDArray[np.uint8]) -> Calibration:
    rows, columns = frames.shape[1:]
    why = f"the region reaches beyond the picture of {columns} x {rows} px"
    sector = find_sector(frames, pixel_aspect=spacing_mm[0] / spacing_mm[1])
    if sector is None:
        return _uncalibrated(f"{why}, and no fan was found to infer the scale from")
    for scale in _SCALES:
        off = _off(bounds, scale, sector)
        if off.max() <= _TOLERANCE_PX:
            row, column = spacing_mm[0] * scale, spacing_mm[1] * scale
            return Calibration(
                (row, column),
                "inferred from the fan",
                (
                    f"{why}; divided by {scale} it coincides with the fan in the pixels (within {off.max():.1f} px), "
                    f"so a pixel is taken as {row:.3f} x {column:.3f} mm: check against the depth scale",
                ),
            )
    return _uncalibrated(f"{why}, and no factor of {', '.join(map(str, _SCALES))} makes it coincide with the fan")


def _off(bounds: Bounds, scale: int, sector: Sector) -> NDArray[np.float64]:
    """How far each side of a region, divided by `scale`, lies from the fan, in px.

    A side may agree with the fitted fan or with its outermost lit pixels: compression smears the rim outwards, and
    the outermost pixels of a weak corner are lost; where more than that is lost, the pixels say nothing.
    """
    outwards = np.array([-1, -1, 1, 1])
    # The bounds are indices of pixels; compared are outer edges, the first pixel's being -0.5.
    region = (np.array(bounds) + (outwards > 0)) / scale - 0.5
    fitted, lit = np.array(sector.box), np.array(sector.extent) + 0.5 * outwards
    lost = (fitted - lit) * outwards > _LOST_CORNER_PX
    return np.abs(region - np.stack([fitted, np.where(lost, fitted, lit)])).min(axis=0)


def _uncalibrated(why: str) -> Calibration:
    return Calibration(None, "none", (f"not calibrated: {why}; --spacing gives the pixel size in mm",))


def _number(region: Any, keyword: str) -> float | None:
    value = region.get(keyword)
    return None if value is None or value == "" else float(value)


def _bounds(region: Any) -> Bounds:
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    x0, y0, x1, y1 = (_number(region, f"RegionLocation{name}") or 0.0 for name in names)
    return x0, y0, x1, y1


def _area(region: Any) -> float:
    x0, y0, x1, y1 = _bounds(region)
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)
