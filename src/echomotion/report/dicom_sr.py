"""Measurements as a DICOM Structured Report: a Comprehensive SR after template 1500 with the codes of echocardiography.

A group holds the numbers of one view, beat, layer and segment. Every number has its unit in UCUM, its status and the
reason of it, its method, and the frames that it was read from. It needs the extra ``dicom``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from echomotion.analysis_types import Analysis
from echomotion.core import Measurement, OutputError, Status
from echomotion.io.write import atomic_path
from echomotion.report import dicom_codes as codes
from echomotion.report.dicom_header import DEVICE_UID, MANUFACTURER, Header, quiet
from echomotion.report.words import plain_name
from echomotion.version import __version__

if TYPE_CHECKING:
    import highdicom

# Its number in a study, out of the way of the machine's own series.
_SERIES = 9001


def write_sr(path: str | Path, analysis: Analysis, header: Header) -> None:
    """Write the measurements of an analysis as a Structured Report; :func:`read_sr` reads them back.

    Parameters
    ----------
    path : path
    analysis : Analysis
    header : Header
        From :func:`echomotion.report.dicom_header.read_header`. Where it has an image, numbers refer to its frames;
        otherwise they name them.

    Raises
    ------
    OutputError
        When the report cannot be made or written.
    """
    with quiet():
        try:
            document = _document(analysis, header)
            with atomic_path(path) as partial:
                document.save_as(partial)
        except ValueError as error:
            # The message of the library may quote a patient's values.
            kind = type(error).__name__
            raise OutputError(f"{path}: the Structured Report of {header.name} cannot be made ({kind})") from None


def _document(analysis: Analysis, header: Header) -> highdicom.sr.ComprehensiveSR:
    import highdicom as hd
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    facts = header.facts
    observer = hd.sr.ObserverContext(
        hd.sr.CodedConcept("121007", "DCM", "Device"),
        hd.sr.DeviceObserverIdentifyingAttributes(DEVICE_UID, MANUFACTURER, MANUFACTURER, serial_number=__version__),
    )
    report = hd.sr.MeasurementReport(
        hd.sr.ObservationContext(observer_device_context=observer),
        codes.ECHOCARDIOGRAPHY,
        [_group(rows, analysis, header) for rows in _grouped(analysis.measurements)],
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(codes.ENGLISH),
        referenced_images=[facts] if header.has_image else None,
    )
    for comment in (*analysis.warnings, header.no_masks):
        if comment:
            report[0].ContentSequence.append(_text(codes.COMMENT, comment, "CONTAINS"))
    document = hd.sr.ComprehensiveSR(
        [facts],
        report[0],
        generate_uid(),
        _SERIES,
        generate_uid(),
        1,
        MANUFACTURER,
        is_complete=True,
        series_description="echomotion measurements",
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        coding_schemes=[
            CodingSchemeIdentificationItem(codes.OWN, "Names of echomotion", responsible_organization=MANUFACTURER)
        ],
    )
    if not header.has_image:
        # Without an image there is no evidence to name.
        del document.CurrentRequestedProcedureEvidenceSequence
    return document


def _grouped(measurements: Sequence[Measurement]) -> list[list[Measurement]]:
    groups: dict[tuple[Any, ...], list[Measurement]] = {}
    for row in measurements:
        groups.setdefault((row.view, row.beat, row.layer, row.segment), []).append(row)
    return list(groups.values())


def _group(rows: list[Measurement], analysis: Analysis, header: Header) -> Any:
    """Numbers of one view, beat, layer and segment."""
    import highdicom as hd

    first, facts = rows[0], header.facts
    where = [str(first.view or ""), "" if first.beat is None else f"beat {first.beat + 1}"]
    where += [plain_name(str(name)) for name in (first.layer, first.segment) if name]
    site = codes.LEFT_VENTRICLE if first.segment is None else codes.SEGMENTS.get(first.segment)
    models = [f"{model['kind']} {model['name']}" for model in analysis.provenance.get("models", [])]
    layer = None if first.layer is None else codes.LAYERS.get(first.layer) or codes.own(first.layer)
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        hd.sr.TrackingIdentifier(generate_uid(), ", ".join(filter(None, where)) or "all"),
        method=layer,
        algorithm_id=hd.sr.AlgorithmIdentification(MANUFACTURER, __version__, models or None),
        finding_sites=[hd.sr.FindingSite(site or codes.own(str(first.segment)))],
        measurements=[_measurement(row, header) for row in rows if row.status is not Status.NOT_MEASURABLE],
        source_images=[hd.sr.SourceImageForMeasurementGroup(facts.SOPClassUID, facts.SOPInstanceUID)]
        if header.has_image
        else None,
    )
    content = group[0].ContentSequence
    content.extend(_missing(row, header) for row in rows if row.status is Status.NOT_MEASURABLE)
    if first.beat is not None:
        # As a number it would be taken for a measurement.
        content.insert(0, _text(codes.BEAT, str(first.beat + 1), "HAS OBS CONTEXT"))
    if first.view is not None:
        content.insert(0, hd.sr.CodeContentItem(codes.IMAGE_VIEW, codes.VIEWS[first.view], "HAS ACQ CONTEXT"))
    return group


def _measurement(row: Measurement, header: Header) -> Any:
    """A number with what is known of it."""
    import highdicom as hd

    # A row that has no beat is the mean over beats.
    derivation = codes.MEAN if row.beat is None else None
    measurement = hd.sr.Measurement(codes.concept_of(row), row.value, codes.unit_code(row.unit), derivation=derivation)
    _add_properties(measurement[0], row, header)
    return measurement


def _missing(row: Measurement, header: Header) -> Any:
    """Why there is no number, under the name that the number would have.

    The standard also knows numbers without a value, but not every reader does.
    """
    item = _text(codes.concept_of(row), f"not measurable: {row.reason}", "CONTAINS")
    _add_properties(item, row, header)
    item.ContentSequence.append(_text(codes.UNIT, row.unit))
    return item


def _add_properties(item: Any, row: Measurement, header: Header) -> None:
    import highdicom as hd

    content = item.get("ContentSequence") or hd.sr.ContentSequence()
    numbers = [frame + 1 for frame in row.frames]
    if numbers and header.has_image:
        facts = header.facts
        content.append(hd.sr.SourceImageForMeasurement(facts.SOPClassUID, facts.SOPInstanceUID, numbers))
    elif numbers:
        content.append(_text(codes.FRAMES, " ".join(map(str, numbers))))
    said = (
        (codes.NAME, row.name),
        (codes.STATUS, row.status),
        (codes.REASON, row.reason),
        (codes.IN_WORDS, row.method),
    )
    content.extend(_text(concept, str(text)) for concept, text in said if text)
    for concept, value in zip((codes.LOW, codes.HIGH), row.interval or (), strict=False):
        unit = codes.unit_code(row.unit)
        content.append(hd.sr.NumContentItem(concept, float(value), unit, None, "HAS PROPERTIES"))
    item.ContentSequence = content


def _text(concept: Code, text: str, relationship: str = "HAS PROPERTIES") -> Any:
    import highdicom as hd

    return hd.sr.TextContentItem(concept, text, relationship)
