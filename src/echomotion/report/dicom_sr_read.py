"""Measurements read back from a DICOM Structured Report that :mod:`echomotion.report.dicom_sr` wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage

from echomotion.core import Measurement, Status
from echomotion.report import dicom_codes as codes
from echomotion.report.dicom_header import readable


def read_sr(path: str | Path) -> tuple[Measurement, ...]:
    """Measurements of a Structured Report, in the order of its groups.

    Raises
    ------
    DataError
        When the file is missing, or is not a report of ours.
    """
    with readable(path, "Structured Report"):
        report = pydicom.dcmread(path)
        if report.SOPClassUID != ComprehensiveSRStorage:
            raise ValueError(f"it is {report.SOPClassUID.name}")
        rows = [row for group in _found(report, codes.MEASUREMENT_GROUP) for row in _group(group)]
        if not rows:
            raise ValueError("it holds no measurements")
    return tuple(rows)


def _found(item: Dataset, concept: Code) -> list[Dataset]:
    """All items below `item` of that concept; what they hold themselves is not looked into."""
    found = []
    for child in item.get("ContentSequence") or []:
        found += [child] if _code(child, "ConceptNameCodeSequence") == _key(concept) else _found(child, concept)
    return found


def _group(group: Dataset) -> list[Measurement]:
    views = {_key(code): view for view, code in codes.VIEWS.items()}
    view = _coded(group, codes.IMAGE_VIEW)
    beat = _text(group, codes.BEAT)
    where = {
        "view": None if view is None else views[view],
        "beat": int(beat) - 1 if beat else None,
        "layer": _named(_coded(group, codes.METHOD), codes.LAYERS),
        "segment": None,
    }
    site = _coded(group, codes.FINDING_SITE)
    if site != _key(codes.LEFT_VENTRICLE):
        where["segment"] = _named(site, codes.SEGMENTS)
    return [_measurement(item, where) for item in group.ContentSequence if _own(item, codes.NAME) is not None]


def _measurement(item: Dataset, where: Mapping[str, Any]) -> Measurement:
    texts = {concept: _text(item, concept) for concept in (codes.NAME, codes.STATUS, codes.REASON, codes.IN_WORDS)}
    low, high = _number(item, codes.LOW), _number(item, codes.HIGH)
    value, unit = math.nan, _text(item, codes.UNIT)
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        value = float(measured.FloatingPointValue)
        unit = _unit(measured.MeasurementUnitsCodeSequence[0])
    return Measurement(
        texts[codes.NAME],
        value,
        unit,
        Status(texts[codes.STATUS]),
        texts[codes.REASON],
        texts[codes.IN_WORDS],
        tuple(frame - 1 for frame in _frames(item)),
        **where,
        interval=None if low is None or high is None else (low, high),
    )


def _frames(item: Dataset) -> list[int]:
    """Numbers of the frames, counted from 1: of the image that is referred to, else as they are named."""
    for child in item.ContentSequence:
        if child.ValueType == "IMAGE":
            numbers = child.ReferencedSOPSequence[0].ReferencedFrameNumber
            return [int(number) for number in (numbers if hasattr(numbers, "__iter__") else [numbers])]
    return [int(number) for number in _text(item, codes.FRAMES).split()]


def _key(code: Code) -> tuple[str, str]:
    return code.scheme_designator, code.value


def _code(item: Dataset, sequence: str) -> tuple[str, str] | None:
    if not item.get(sequence):
        return None
    code = item[sequence].value[0]
    return str(code.CodingSchemeDesignator), str(code.get("CodeValue") or code.LongCodeValue)


def _own(item: Dataset, concept: Code) -> Dataset | None:
    """The item directly below that has a concept."""
    children = item.get("ContentSequence") or []
    return next((c for c in children if _code(c, "ConceptNameCodeSequence") == _key(concept)), None)


def _coded(item: Dataset, concept: Code) -> tuple[str, str] | None:
    child = _own(item, concept)
    return None if child is None else _code(child, "ConceptCodeSequence")


def _text(item: Dataset, concept: Code) -> str:
    child = _own(item, concept)
    return "" if child is None else str(child.TextValue)


def _number(item: Dataset, concept: Code) -> float | None:
    child = _own(item, concept)
    if child is None:
        return None
    measured = child.MeasuredValueSequence[0]
    return float(measured.get("FloatingPointValue", measured.NumericValue))


def _named(key: tuple[str, str] | None, names: Mapping[str, Code]) -> str | None:
    """The name behind a code: a standard one, or one of our own scheme."""
    if key is None:
        return None
    known = {_key(code): str(name) for name, code in names.items()}
    return known[key] if key in known or key[0] != codes.OWN else key[1]


def _unit(code: Dataset) -> str:
    known = {_key(unit): name for name, unit in codes.UNITS.items()}
    return known.get((code.CodingSchemeDesignator, code.CodeValue), str(code.CodeMeaning))
