"""What came of one recording, read back from its results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from echomotion.core import DataError, Measurement, OutputError


class CaseStatus(StrEnum):
    """What became of a recording."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Case:
    """One recording of a batch.

    Attributes
    ----------
    name : str
        Its path inside the folder of recordings; its results lie under the same path in the output folder.
    status : CaseStatus
        ``skipped`` is what holds no cine: a still, a report, another modality.
    reason : str
        Why it is not done; empty where it is.
    clip : mapping
        Facts of the recording, as ``measurements.json`` has them; empty where it is not done.
    beats : int
    warnings : tuple of str
    measurements : tuple of Measurement
    """

    name: str
    status: CaseStatus
    reason: str = ""
    clip: Mapping[str, Any] = field(default_factory=dict)
    beats: int = 0
    warnings: tuple[str, ...] = ()
    measurements: tuple[Measurement, ...] = ()


def read_case(name: str, folder: Path) -> Case:
    """The case whose results lie in a folder.

    Raises
    ------
    OutputError
        When ``measurements.json`` is not there or cannot be read.
    """
    path = folder / "measurements.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Case(
            name,
            CaseStatus.DONE,
            clip=found["clip"],
            beats=len(found["phases"]["beats"]),
            warnings=tuple(found["warnings"]),
            measurements=tuple(Measurement.from_dict(row) for row in found["measurements"]),
        )
    except (OSError, ValueError, KeyError, TypeError, DataError) as error:
        raise OutputError(f"{path}: these results cannot be read ({error}); delete them, or give --overwrite") from None


def analysed_hash(folder: Path) -> str:
    """SHA-256 of the recording whose results lie in a folder; empty where there are none."""
    try:
        found = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
        return str(found["input"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
