"""Masks as a DICOM Segmentation that refers, frame by frame, to the recording they were found in.

Ultrasound cines seldom lie in a frame of reference, and highdicom makes no Segmentation of many frames without one; so
the object is put together here from highdicom's parts. It has a frame of reference where the recording has one, and
refers to the recording's frames in any case. It needs the extra ``dicom``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

from echomotion.core import Masks, OutputError
from echomotion.core.masks import BACKGROUND
from echomotion.io.write import atomic_path
from echomotion.report import dicom_codes as codes
from echomotion.report.dicom_header import MANUFACTURER, Header, quiet, readable
from echomotion.version import __version__

if TYPE_CHECKING:
    from highdicom.base import SOPClass

_SERIES = 9002


def write_seg(path: str | Path, masks: Masks, spacing_mm: tuple[float, float] | None, header: Header) -> None:
    """Write masks as a binary DICOM Segmentation; :func:`read_seg` reads them back.

    Every class but the background is a segment, and every segment has a frame for each frame of the recording, empty
    ones too.

    Parameters
    ----------
    path : path
    masks : Masks
    spacing_mm : (float, float) or None
        Height and width of a pixel; without it the Segmentation states none.
    header : Header
        From :func:`echomotion.report.dicom_header.read_header`, with an image.

    Raises
    ------
    OutputError
        When the recording is no DICOM image, or the Segmentation cannot be made or written.
    """
    if not header.has_image:
        raise OutputError(f"{path}: {header.no_masks}")
    with quiet():
        try:
            segmentation = _segmentation(masks, spacing_mm, header)
            with atomic_path(path) as partial:
                segmentation.save_as(partial)
        except ValueError as error:
            kind = type(error).__name__
            raise OutputError(f"{path}: the Segmentation of {header.name} cannot be made ({kind})") from None


def read_seg(path: str | Path) -> tuple[Masks, tuple[float, float] | None]:
    """Masks, and height and width of a pixel in mm where stated, from a Segmentation of a recording's frames.

    Labels are the numbers of the segments, classes their names.

    Raises
    ------
    DataError
        When the file is missing, or is no binary Segmentation that refers to frames.
    """
    with readable(path, "Segmentation"):
        data = pydicom.dcmread(path)
        if data.SOPClassUID != SegmentationStorage or data.SegmentationType != "BINARY":
            raise ValueError(f"it is {data.SOPClassUID.name}")
        return _masks(data), _spacing(data)


def _segmentation(masks: Masks, spacing_mm: tuple[float, float] | None, header: Header) -> SOPClass:
    labels = sorted(label for label, name in masks.classes.items() if name != BACKGROUND)
    data = _object(header)
    data.ImageType, data.PatientOrientation = ["DERIVED", "PRIMARY"], header.facts.get("PatientOrientation", "")
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 1, 1, 0, 0
    data.SegmentationType, data.SegmentsOverlap = "BINARY", "NO"
    data.ContentLabel, data.ContentDescription, data.ContentCreatorName = "MASKS", "Masks of the heart", None
    data.LossyImageCompression = header.facts.get("LossyImageCompression", "00")
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if data.LossyImageCompression == "01" and keyword in header.facts:
            data[keyword] = header.facts[keyword]
    data.SegmentSequence = [_segment(k, masks.classes[label], masks.model) for k, label in enumerate(labels, start=1)]

    data.NumberOfFrames = len(labels) * masks.n_frames
    data.Rows, data.Columns = masks.labels.shape[1:]
    _add_dimensions(data)
    shared = Dataset()
    if spacing_mm is not None:
        shared.PixelMeasuresSequence = [_item(PixelSpacing=[float(f"{side:.10g}") for side in spacing_mm])]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        _frame(segment, frame, header)
        for segment in range(1, len(labels) + 1)
        for frame in range(1, masks.n_frames + 1)
    ]
    data.PixelData = pack_bits(np.concatenate([masks.labels == label for label in labels]).astype(np.uint8))
    return data


def _object(header: Header) -> SOPClass:
    """Patient, study, series, equipment, and what the object refers to."""
    from highdicom.base import SOPClass

    facts = header.facts
    data = SOPClass(
        study_instance_uid=facts.StudyInstanceUID,
        series_instance_uid=generate_uid(),
        series_number=_SERIES,
        sop_instance_uid=generate_uid(),
        sop_class_uid=SegmentationStorage,
        instance_number=1,
        modality="SEG",
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number="not applicable",
        series_description="echomotion masks",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
    )
    data.copy_patient_and_study_information(facts)
    if facts.get("FrameOfReferenceUID"):
        data.FrameOfReferenceUID = facts.FrameOfReferenceUID
        data.PositionReferenceIndicator = facts.get("PositionReferenceIndicator", "")
    data.ReferencedSeriesSequence = [
        _item(SeriesInstanceUID=facts.SeriesInstanceUID, ReferencedInstanceSequence=[_reference(header)])
    ]
    return data


def _segment(number: int, name: str, model: str) -> Dataset:
    import highdicom as hd

    return hd.seg.SegmentDescription(
        number,
        name,
        codes.ANATOMY,
        codes.STRUCTURES.get(name) or codes.own(name),
        "AUTOMATIC",
        hd.AlgorithmIdentificationSequence(
            model or "not stated", codes.ARTIFICIAL_INTELLIGENCE, __version__, source=MANUFACTURER
        ),
    )


def _add_dimensions(data: Dataset) -> None:
    """Frames are ordered by segment, then by time."""
    organization = generate_uid()
    data.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    pointers = (
        ("ReferencedSegmentNumber", "SegmentIdentificationSequence"),
        ("TemporalPositionIndex", "FrameContentSequence"),
    )
    data.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=Tag(element),
            FunctionalGroupPointer=Tag(sequence),
        )
        for element, sequence in pointers
    ]


def _frame(segment: int, frame: int, header: Header) -> Dataset:
    """What one plane shows: a segment on a frame of the recording, both counted from 1."""
    source = _reference(header)
    source.ReferencedFrameNumber = frame
    source.PurposeOfReferenceCodeSequence = [_coded(codes.SOURCE_IMAGE)]
    source.SpatialLocationsPreserved = "YES"
    derivation = _item(SourceImageSequence=[source], DerivationCodeSequence=[_coded(codes.SEGMENTATION)])
    return _item(
        FrameContentSequence=[_item(DimensionIndexValues=[segment, frame], TemporalPositionIndex=frame)],
        SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=segment)],
        DerivationImageSequence=[derivation],
    )


def _reference(header: Header) -> Dataset:
    return _item(ReferencedSOPClassUID=header.facts.SOPClassUID, ReferencedSOPInstanceUID=header.facts.SOPInstanceUID)


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _coded(code: Code) -> Dataset:
    return _item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _masks(data: Dataset) -> Masks:
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in data.SegmentSequence}
    segments, frames = [], []
    for group in data.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        segments.append(int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber))
        frames.append(int(source.ReferencedFrameNumber) - 1)
    planes: NDArray[np.uint8] = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    labels = np.zeros((max(frames) + 1, data.Rows, data.Columns), dtype=np.uint8)
    for plane, segment, frame in zip(planes, segments, frames, strict=True):
        labels[frame][plane > 0] = segment
    algorithm = data.SegmentSequence[0].get("SegmentationAlgorithmIdentificationSequence")
    model = str(algorithm[0].AlgorithmName) if algorithm else ""
    return Masks(labels, {0: BACKGROUND, **names}, model=model)


def _spacing(data: Dataset) -> tuple[float, float] | None:
    measures = data.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence")
    if not measures:
        return None
    row, column = (float(side) for side in measures[0].PixelSpacing)
    return row, column
