"""What DICOM results take over from the recording they describe: patient, study, and the image they refer to."""

from __future__ import annotations

import hashlib
import importlib.util
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID, UltrasoundMultiFrameImageStorage, generate_uid
from pydicom.valuerep import validate_value

from echomotion.core import Clip, DataError, OutputError

# Names this software among the observers of a report; made once from its name, so that it is always the same.
DEVICE_UID = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'urn:echomotion').int}")
MANUFACTURER = "echomotion"

# Elements that must be there, be they empty.
_REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Elements that are taken over where the recording has them.
_OPTIONAL = (
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyDescription",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "PatientOrientation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_SEXES = ("M", "F", "O", "")
# By how many kinds of exception a damaged file shows.
BROKEN = (InvalidDicomError, OSError, EOFError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Header:
    """What results take over from a recording.

    Attributes
    ----------
    name : str
        The recording's file name.
    facts : pydicom Dataset
        Patient and study, empty where the recording says nothing; with an image also what identifies it.
    has_image : bool
        Whether the recording is a DICOM image that results can refer to.
    """

    name: str
    facts: Dataset
    has_image: bool

    @property
    def no_masks(self) -> str:
        """Why there is no DICOM Segmentation, in one sentence; empty where there is one."""
        if self.has_image:
            return ""
        return (
            f"no DICOM Segmentation was written: {self.name} is not a DICOM file, so there is no DICOM image that "
            "the masks could refer to; they are in masks.nii.gz"
        )


def read_header(path: str | Path, clip: Clip) -> Header:
    """What results of a clip take over from the file it was read from.

    Nothing is invented: a recording that is no DICOM file gives an empty patient and a study of its own.

    Parameters
    ----------
    path : path
        The file that `clip` was read from.
    clip : Clip

    Raises
    ------
    OutputError
        When the file is another than the clip was read from, or lacks what identifies it; or the extra ``dicom`` is
        not installed.
    """
    if importlib.util.find_spec("highdicom") is None:
        raise OutputError('DICOM results need further packages; install them with: pip install "echomotion[dicom]"')
    file, name = Path(path), clip.source.name
    if clip.source.format != "dicom":
        return Header(name, _empty(), has_image=False)
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != clip.source.sha256:
            raise OutputError(f"{path}: this is not the file that was analysed; name that one for DICOM results")
        with quiet():
            source = pydicom.dcmread(file, stop_before_pixels=True)
            return Header(name, _taken_over(source, name, clip), has_image=True)
    except OSError as error:
        raise OutputError(f"{path}: it cannot be read again for DICOM results ({error.strerror})") from None
    except BROKEN:
        raise OutputError(
            f"{path}: its header cannot be taken over into DICOM results; export the file again"
        ) from None


@contextmanager
def readable(path: str | Path, what: str) -> Iterator[None]:
    """Whatever a file or its parser objects to becomes one line, a :class:`DataError`."""
    try:
        with quiet():
            yield
    except BROKEN as error:
        reason = " ".join(str(error).split())[:100]
        raise DataError(
            f"{path}: not a {what} of echomotion ({reason}); write one with echomotion analyze --dicom"
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings: those of DICOM libraries quote values of the header, which may be a patient's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _empty() -> Dataset:
    facts = Dataset()
    for keyword in _REQUIRED:
        setattr(facts, keyword, "")
    # The library that writes reports asks what its subject is; nothing of this but the study is written.
    facts.SOPClassUID, facts.Modality = UltrasoundMultiFrameImageStorage, "US"
    facts.SOPInstanceUID, facts.SeriesInstanceUID, facts.StudyInstanceUID = (generate_uid() for _ in range(3))
    facts.SpecificCharacterSet = "ISO_IR 192"
    return facts


def _taken_over(source: Dataset, name: str, clip: Clip) -> Dataset:
    for keyword in _IDENTIFIERS:
        if not UID(str(source.get(keyword, "") or "")).is_valid:
            raise OutputError(f"{name}: it has no valid {keyword}, so no DICOM result can refer to it; export it again")
    shape = (int(source.get("NumberOfFrames", 1)), int(source.Rows), int(source.Columns))
    if shape != clip.frames.shape:
        raise OutputError(f"{name}: the clip's frames are not those of the file, so no DICOM result can refer to them")
    facts = _empty()
    for keyword in _IDENTIFIERS:
        setattr(facts, keyword, str(source[keyword].value))
    facts.NumberOfFrames, facts.Rows, facts.Columns = shape
    facts.Modality = str(source.get("Modality", "") or "US")
    for keyword in (*_REQUIRED, *_OPTIONAL):
        value = source.get(keyword)
        if value is not None and _is_valid(keyword, value):
            # Decoded with the recording's character set, since results have their own.
            setattr(facts, keyword, str(value) if source[keyword].VR == "PN" else value)
    return facts


def _is_valid(keyword: str, value: Any) -> bool:
    """Whether a value may be written: what the standard forbids is left empty."""
    if keyword == "PatientSex" and value not in _SEXES:
        return False
    try:
        for item in value if isinstance(value, MultiValue) else [value]:
            validate_value(dictionary_VR(keyword), str(item), RAISE)
    except ValueError:
        return False
    return True
