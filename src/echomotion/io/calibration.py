"""The size of a pixel from a DICOM file's ultrasound regions, believed only where it is plausible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echomotion.preprocess.sector import find_sector

# Codes of the DICOM standard, PS3.3 C.8.5.5: a 2D region of tissue, measured in centimetres.
_SPATIAL_2D, _TISSUE, _CENTIMETRES = 1, 1, 3
# Depths in cm that a transthoracic picture of a heart, from neonate to large adult, may have.
_MIN_DEPTH_CM, _MAX_DEPTH_CM = 2.0, 35.0
# Factors by which a picture may have been shrunk after its regions were written.
_SCALES = (2, 3, 4)
_TOLERANCE_PX = 3.0


@dataclass(frozen=True)
class Calibration:
    """Pixel size (row, column) in mm or None, where it came from, and what to warn of."""

    spacing_mm: tuple[float, float] | None
    origin: str
    warning: str = ""


def calibrate(regions: list[Any], frames: NDArray[np.uint8]) -> Calibration:
    """The pixel size that the regions of a picture state.

    A region that reaches beyond the picture was written for a larger one. A factor of 2, 3 or 4 is then accepted
    only if the region divided by it coincides with the fan found in the pixels within 3 px.

    Parameters
    ----------
    regions : list of pydicom Dataset
        Items of SequenceOfUltrasoundRegions.
    frames : uint8 (T, H, W)

    Returns
    -------
    Calibration
        Without a pixel size where nothing credible is stated; the warning says why.
    """
    tissue = [r for r in regions if _number(r, "RegionSpatialFormat") == _SPATIAL_2D
              and _number(r, "RegionDataType") == _TISSUE]
    if not tissue:
        return _uncalibrated("the file has no 2D tissue region with a pixel size" if regions else
                             "the file states no ultrasound region, hence no pixel size")
    region = max(tissue, key=_area)
    units = {_number(region, f"PhysicalUnits{axis}Direction") for axis in "XY"}
    deltas = [_number(region, f"PhysicalDelta{axis}") for axis in "YX"]
    if units != {_CENTIMETRES}:
        return _uncalibrated("the region's pixel size is not in cm along both axes")
    if any(delta is None or not np.isfinite(delta) or delta == 0 for delta in deltas):
        return _uncalibrated("the region states no pixel size along both axes")
    row_cm, column_cm = (abs(float(delta)) for delta in deltas if delta is not None)
    x0, y0, x1, y1 = _bounds(region)
    if not (x1 > x0 and y1 > y0):
        return _uncalibrated("the region is empty")
    depth_cm = (y1 - y0 + 1) * row_cm
    if not _MIN_DEPTH_CM <= depth_cm <= _MAX_DEPTH_CM:
        return _uncalibrated(f"the region would be {depth_cm:.1f} cm deep, which no picture of a heart is")
    rows, columns = frames.shape[1:]
    # Some writers give the size where the last pixel is asked for; one pixel beyond is not another picture.
    if x1 <= columns and y1 <= rows:
        return Calibration((10 * row_cm, 10 * column_cm), "DICOM region")
    return _inferred((x0, y0, x1, y1), (row_cm, column_cm), frames)


def _inferred(
    bounds: tuple[float, float, float, float], delta_cm: tuple[float, float], frames: NDArray[np.uint8]
) -> Calibration:
    rows, columns = frames.shape[1:]
    why = f"the region reaches beyond the picture of {columns} x {rows} px"
    sector = find_sector(frames, pixel_aspect=delta_cm[0] / delta_cm[1])
    if sector is None:
        return _uncalibrated(f"{why}, and no fan was found to infer the scale from")
    for scale in _SCALES:
        off = np.abs(np.array(bounds) / scale - np.array(sector.extent))
        if off.max() <= _TOLERANCE_PX:
            spacing = (10 * delta_cm[0] * scale, 10 * delta_cm[1] * scale)
            return Calibration(
                spacing,
                "inferred from the fan",
                f"{why}; divided by {scale} it coincides with the fan in the pixels (within {off.max():.1f} px), so "
                f"a pixel is taken as {spacing[0]:.3f} x {spacing[1]:.3f} mm: check against the depth scale",
            )
    return _uncalibrated(f"{why}, and no factor of {', '.join(map(str, _SCALES))} makes it coincide with the fan")


def _uncalibrated(why: str) -> Calibration:
    return Calibration(None, "none", f"not calibrated: {why}; --spacing gives the pixel size in mm")


def _number(region: Any, keyword: str) -> float | None:
    value = region.get(keyword)
    return None if value is None or value == "" else float(value)


def _bounds(region: Any) -> tuple[float, float, float, float]:
    names = ("MinX0", "MinY0", "MaxX1", "MaxY1")
    x0, y0, x1, y1 = (_number(region, f"RegionLocation{name}") or 0.0 for name in names)
    return x0, y0, x1, y1


def _area(region: Any) -> float:
    x0, y0, x1, y1 = _bounds(region)
    return max(0.0, x1 - x0) * max(0.0, y1 - y0)
