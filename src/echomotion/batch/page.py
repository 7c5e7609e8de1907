"""The page of a batch: every recording with its picture and headline numbers, those that need a look first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from echomotion.batch.case import Case, CaseStatus
from echomotion.core import Measurement, Status, View
from echomotion.io.write import atomic_path
from echomotion.measure.dimensions import IVSD, LVIDD, LVPWD, SHORTENING
from echomotion.report.html import bullets, definitions, status_badge, text, whole_page
from echomotion.report.words import SHORT, find, headline_rows, in_words, number, unit_sign

_APICAL = ("ejection_fraction", "global_longitudinal_strain", "end_diastolic_volume", "end_systolic_volume")
_PARASTERNAL = (IVSD, LVIDD, LVPWD, SHORTENING)
_SHORT_AXIS = ("global_circumferential_strain", "global_radial_strain")
# Pictures lie beside the page; browsers differ in what they call a file's own place.
_IMAGES = "'self' file:"


def batch_page(cases: Sequence[Case], *, title: str, total: int) -> str:
    """The page as text.

    Parameters
    ----------
    cases : sequence of Case
        That have ended.
    title : str
        Name of the folder of recordings.
    total : int
        Recordings there are, ended or not.
    """
    done = [case for case in cases if case.status is CaseStatus.DONE]
    sure = [case for case in done if all(row.status is Status.OK for row in headline_numbers(case))]
    doubtful = [case for case in done if case not in sure]
    counts = [
        ("Recordings", str(total)),
        ("Measured, all ok", str(len(sure))),
        ("Measured, look first", str(len(doubtful))),
        ("No cine", str(sum(case.status is CaseStatus.SKIPPED for case in cases))),
        ("Failed", str(sum(case.status is CaseStatus.FAILED for case in cases))),
    ]
    head = (
        f'<header><p class="eyebrow">echomotion · folder of recordings</p><h1>{text(title)}</h1>'
        f"{definitions(counts, 'facts')}</header>"
    )
    if len(cases) < total:
        notes = [f"{total - len(cases)} recordings have not been looked at yet; run the same command again to go on"]
        head += f'<section class="warnings" role="note"><h2>Before you read on</h2>{bullets(notes)}</section>'
    parts = (
        _cases("Look at these first", "A headline number of theirs is of low confidence or missing.", doubtful),
        _cases("The others", "", sure),
        _without_results(cases),
        '<p class="note">Pictures: end-diastole on the left, end-systole on the right. All numbers of all recordings: '
        '<a href="cases.csv">cases.csv</a>, a row for each recording, and <a href="measurements.csv">measurements.csv'
        "</a>, a row for each measurement.</p>",
    )
    return whole_page(f"{title} – echomotion", head + "".join(parts), images=_IMAGES)


def write_page(path: str | Path, cases: Sequence[Case], *, title: str, total: int) -> None:
    """Write ``index.html``; see :func:`batch_page`."""
    with atomic_path(path) as partial:
        partial.write_text(batch_page(cases, title=title, total=total), encoding="utf-8")


def headline_numbers(case: Case) -> list[Measurement]:
    """The few numbers that stand for a recording: of an apical view, a parasternal long axis or a short axis."""
    view = str(case.clip.get("view", "")).split(" ")[0]
    rows = headline_rows(case.measurements)
    names = _PARASTERNAL if find(rows, LVIDD) else _SHORT_AXIS if view == View.PSAX else _APICAL
    return [find(rows, name) or Measurement.missing(name, "", "it was not measured") for name in names]


def _cases(title: str, note: str, cases: Sequence[Case]) -> str:
    if not cases:
        return ""
    told = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{title}</h2>{told}{''.join(_case(case) for case in cases)}</section>"


def _case(case: Case) -> str:
    place = quote(case.name)
    view = str(case.clip.get("view", View.UNKNOWN))
    facts = ["view not stated" if view == View.UNKNOWN else view, f"{case.clip.get('frames')} frames"]
    facts += [f"{case.beats} beat{'' if case.beats == 1 else 's'}"]
    facts += ["not calibrated"] if case.clip.get("pixel_mm") is None else []
    rows = [
        (SHORT.get(row.name, in_words(row.name)), f"<strong>{_value(row)}</strong>{status_badge(row.status)}")
        for row in headline_numbers(case)
    ]
    values = "".join(f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in rows)
    return (
        f'<article class="case"><a href="{place}/report.html"><img src="{place}/key_frames.png" loading="lazy" '
        f'alt="End-diastole and end-systole of {text(case.name)}"></a><div>'
        f'<h3><a href="{place}/report.html">{text(case.name)}</a></h3><p class="note">{text(" · ".join(facts))}</p>'
        f"<dl>{values}</dl>{bullets(case.warnings) if case.warnings else ''}</div></article>"
    )


def _value(row: Measurement) -> str:
    return f'{number(row.value, row.unit)} <span class="unit">{text(unit_sign(row.unit))}</span>'


def _without_results(cases: Sequence[Case]) -> str:
    rows = [case for case in cases if case.status is not CaseStatus.DONE]
    if not rows:
        return ""
    # What failed can be mended; a still cannot.
    rows.sort(key=lambda case: case.status is CaseStatus.SKIPPED)
    body = "".join(
        f'<tr><th scope="row" class="what">{text(case.name)}</th>'
        f'<td class="value">{"failed" if case.status is CaseStatus.FAILED else "no cine"}</td>'
        f'<td class="why">{text(case.reason)}</td></tr>'
        for case in rows
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Recording", "", "Why"))
    return (
        f'<section><h2>Without results</h2><table class="all"><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></section>"
    )
