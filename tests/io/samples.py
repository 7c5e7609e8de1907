"""Small recordings of every kind, made for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from echomotion.preprocess.sector import Sector

ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"


def grey_cine(frames: int = 4, shape: tuple[int, int] = (48, 64), seed: int = 0) -> NDArray[np.uint8]:
    """Smooth grey pictures that differ from frame to frame, from black to white, without any symmetry."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    waves = [120 + 60 * np.sin(x / 7 + t / 2 + seed) + 60 * np.cos(y / 5 - t / 3) + 0.2 * x for t in range(frames)]
    return np.stack(waves).clip(0, 255).astype(np.uint8)


def fan_cine(sector: Sector, frames: int = 6, seed: int = 3) -> NDArray[np.uint8]:
    """Speckle in a fan."""
    speckle = np.random.default_rng(seed).rayleigh(80, (frames, *sector.shape)).clip(0, 255)
    return (speckle * sector.mask()).astype(np.uint8)


def dicom(frames: NDArray[Any] | None, **tags: Any) -> FileDataset:
    """A multi-frame ultrasound dataset: grey (T, H, W) or colour (T, H, W, 3), 8 bits, frames 40 ms apart."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ULTRASOUND_MULTIFRAME
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.FrameTime = "US", 40
    if frames is not None:
        data.NumberOfFrames, data.Rows, data.Columns = frames.shape[:3]
        data.SamplesPerPixel = 3 if frames.ndim == 4 else 1
        data.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
        if frames.ndim == 4:
            data.PlanarConfiguration = 0
        data.BitsAllocated = data.BitsStored = 8 * frames.dtype.itemsize
        data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
        data.PixelData = frames.tobytes()
    for keyword, value in tags.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    return data


def jpeg_dicom(frames: NDArray[np.uint8], **tags: Any) -> FileDataset:
    """The same, coded as JPEG baseline."""
    coded = [
        cv2.imencode(".jpg", f[..., ::-1] if f.ndim == 3 else f, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
        for f in frames
    ]
    photometric = "YBR_FULL_422" if frames.ndim == 4 else "MONOCHROME2"
    data = dicom(frames, PhotometricInterpretation=photometric, **tags)
    return encapsulated(data, coded, "1.2.840.10008.1.2.4.50")


def encapsulated(data: FileDataset, coded: list[bytes], syntax: str) -> FileDataset:
    """`data` with these coded frames in place of its pixels."""
    data.PixelData = encapsulate(coded)
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = syntax
    return data


def cine_of_still(name: str, frames: int = 3) -> FileDataset:
    """One of pydicom's example stills, repeated, as an ultrasound cine in its own coding."""
    still = dcmread(str(get_testdata_file(name, download=False)))
    still.Modality, still.FrameTime, still.NumberOfFrames = "US", 40, frames
    if still.file_meta.TransferSyntaxUID.is_encapsulated:
        coded = list(generate_frames(still.PixelData, number_of_frames=1))
        return encapsulated(still, coded * frames, still.file_meta.TransferSyntaxUID)
    still.PixelData = still.PixelData * frames
    return still


def region(bounds: tuple[int, int, int, int], delta_cm: float | tuple[float, float] = 0.05, **tags: Any) -> Dataset:
    """An item of SequenceOfUltrasoundRegions; `delta_cm` along rows and columns."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 2
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = bounds
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    row, column = delta_cm if isinstance(delta_cm, tuple) else (delta_cm, delta_cm)
    item.PhysicalDeltaY, item.PhysicalDeltaX = row, column
    for keyword, value in tags.items():
        if value is None:
            del item[keyword]
        else:
            setattr(item, keyword, value)
    return item


def saved(data: FileDataset, path: Path) -> Path:
    """Write a dataset as it is and return its path."""
    data.save_as(path, enforce_file_format=True)
    return path
