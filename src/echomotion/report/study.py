"""The results of a study in one folder: one page for the heart, one folder for each view."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from string import Template

from echomotion.core import Measurement, OutputError
from echomotion.io.write import atomic_path, write_json, write_table
from echomotion.measure.beats import headline
from echomotion.report.bullseye import bullseye_svg
from echomotion.report.html import bullets, status_badge, text, value_cell
from echomotion.report.save import check_folder, save_analysis
from echomotion.report.tables import measurement_table
from echomotion.report.words import SHORT, find, in_words, number, plain_name, unit_sign
from echomotion.study import StudyAnalysis

RESULTS = ("report.html", "bullseye.svg", "bullseye.csv", "measurements.csv", "measurements.json")
_CARDS = ("ejection_fraction", "global_longitudinal_strain", "mechanical_dispersion", "wall_motion_score_index")
_STRAIN = "longitudinal_strain"
# Strain at which the colours of the bull's-eye begin and end, in %.
_WEAK, _STRONG = 0.0, -25.0


def save_study(study: StudyAnalysis, folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write page, bull's-eye and tables of a study, and all results of each view into a folder named after it.

    Raises
    ------
    OutputError
        As :func:`~echomotion.report.save.check_folder`, for the folder and those of the views.
    """
    target = Path(folder)
    check_study_folder(target, [str(view) for view in study.views], overwrite=overwrite)
    for view, found in study.views.items():
        save_analysis(found, target / str(view), overwrite=overwrite)
    try:
        target.mkdir(parents=True, exist_ok=True)
        segments = _segments(study)
        write_table(target / "measurements.csv", measurement_table(study.measurements))
        write_json(target / "measurements.json", study.as_dict())
        write_table(target / "bullseye.csv", measurement_table(segments))
        for name, content in (("bullseye.svg", _bullseye(study)), ("report.html", study_page(study))):
            with atomic_path(target / name) as partial:
                partial.write_text(content, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{target}: cannot write there ({error.strerror}); choose another output folder") from None
    return target


def check_study_folder(folder: Path, views: list[str], *, overwrite: bool) -> None:
    """Refuse an output folder, or one of its views' folders, before any work is done."""
    for place in (folder, *(folder / view for view in views)):
        check_folder(place, overwrite=overwrite)


def study_page(study: StudyAnalysis) -> str:
    """The page of a study as text; HTML that needs no network and no script, with links to the views' pages."""
    parts = resources.files("echomotion.report") / "templates"
    rows = headline(study.measurements)
    names = ", ".join(map(str, study.views))
    links = "".join(
        f'<li><a href="{view}/report.html">{view}</a>: {text(found.clip.source.name)}</li>'
        for view, found in study.views.items()
    )
    model = study.options.measure.segment_model
    cards = "".join(_card(name, find(rows, name)) for name in _CARDS)
    notes = f'<section class="warnings" role="note"><h2>Before you read on</h2>{bullets(study.warnings)}</section>'
    key = (
        f"End-systolic longitudinal strain of the mid-wall line in %, {model} segments; anterior wall on top. Colours "
        f"run from yellow at {number(_WEAK, '%', decimals=0)} to blue at {number(_STRONG, '%', decimals=0)} %. "
        "An asterisk marks low confidence, hatching what could not be measured."
    )
    body = (
        f'<header><p class="eyebrow">echomotion · echocardiography study</p><h1>{text(names)}</h1></header>'
        f"{notes if study.warnings else ''}"
        f'<div class="numbers">{cards}</div>'
        f'<section class="curves"><div><h2>Strain of all segments</h2>{_bullseye(study)}<p class="note">{key}</p></div>'
        f"<div><h2>The views</h2><ul>{links}</ul></div></section>"
        f"<section><h2>All measurements of the heart</h2>{_table(rows)}</section>"
    )
    return Template((parts / "page.html").read_text(encoding="utf-8")).substitute(
        title="Study – echomotion", style=(parts / "page.css").read_text(encoding="utf-8"), body=body
    )


def _segments(study: StudyAnalysis) -> list[Measurement]:
    return [row for row in study.measurements if row.name == _STRAIN and row.segment]


def _bullseye(study: StudyAnalysis) -> str:
    rows = {str(row.segment): row for row in _segments(study)}
    model = study.options.measure.segment_model
    return bullseye_svg(rows, model, low=_WEAK, high=_STRONG, title="Bull's-eye of longitudinal strain")


def _card(name: str, row: Measurement | None) -> str:
    row = row or Measurement.missing(name, "", "it was not measured")
    reason = f'<p class="reason">{text(row.reason)}</p>' if row.reason else ""
    unit = f" <small>{text(unit_sign(row.unit))}</small>"
    return (
        f'<div class="number"><h2><abbr title="{text(in_words(name))}">{SHORT[name]}</abbr>{text(in_words(name))}</h2>'
        f'<p class="value">{number(row.value, row.unit)}{unit}</p>{status_badge(row.status)}{reason}</div>'
    )


def _table(rows: list[Measurement]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Measurement", "Where", "Value", "Status", "Method"))
    body = ""
    for row in rows:
        where = ", ".join(plain_name(part) for part in (row.segment, row.layer) if part)
        reason = f'<p class="reason">{text(row.reason)}</p>' if row.reason else ""
        body += (
            f'<tr><th scope="row" class="what">{text(in_words(row.name))}</th><td class="place">{text(where)}</td>'
            f'<td class="num value">{value_cell(row)}</td><td class="why">{status_badge(row.status)}{reason}</td>'
            f'<td class="read" data-label="Method">{text(row.method) or "–"}</td></tr>'
        )
    return f'<table class="all"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
