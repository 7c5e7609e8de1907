"""The results of a study in one folder: one page for the heart, one folder for each view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure

from echomotion.core import Measurement, OutputError, Status
from echomotion.core.views import SegmentModel
from echomotion.io.write import atomic_path, write_json, write_table
from echomotion.measure.beats import headline
from echomotion.report.bullseye import bullseye_figure, bullseye_svg
from echomotion.report.curves import write_svg
from echomotion.report.html import bullets, status_badge, text, value_cell, whole_page
from echomotion.report.key_frames import frame_figures, key_times
from echomotion.report.save import check_folder, save_analysis
from echomotion.report.tables import measurement_table
from echomotion.report.words import SHORT, find, in_words, number, plain_name, unit_sign
from echomotion.study import StudyAnalysis

BULLSEYES = ("bullseye_strain", "bullseye_time_to_peak")
RESULTS = (
    "report.html",
    *(f"{name}.{kind}" for name in BULLSEYES for kind in ("svg", "png", "csv")),
    "measurements.csv",
    "measurements.json",
)
_CARDS = ("ejection_fraction", "global_longitudinal_strain", "mechanical_dispersion", "wall_motion_score_index")
_STRAIN, _PEAK = "longitudinal_strain", "time_to_peak_longitudinal_strain"
# Strain at which the colours of the bull's-eye begin and end, in %.
_WEAK, _STRONG = 0.0, -25.0
# The least range of the colours of times to peak, in ms.
_LEAST_RANGE_MS = 50.0
_DPI = 200


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
        write_table(target / "measurements.csv", measurement_table(study.measurements))
        write_json(target / "measurements.json", study.as_dict())
        for name, bull in zip(BULLSEYES, _bullseyes(study), strict=True):
            write_table(target / f"{name}.csv", measurement_table(list(bull.rows.values())))
            write_svg(target / f"{name}.svg", bull.svg)
            with atomic_path(target / f"{name}.png") as partial:
                bull.figure.savefig(partial, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
        with atomic_path(target / "report.html") as partial:
            partial.write_text(study_page(study), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{target}: cannot write there ({error.strerror}); choose another output folder") from None
    return target


def check_study_folder(folder: Path, views: list[str], *, overwrite: bool) -> None:
    """Refuse an output folder, or one of its views' folders, before any work is done."""
    for place in (folder, *(folder / view for view in views)):
        check_folder(place, overwrite=overwrite)


def study_page(study: StudyAnalysis) -> str:
    """The page of a study as text; HTML that needs no network and no script, with links to the views' pages."""
    rows = headline(study.measurements)
    names = ", ".join(map(str, study.views))
    links = "".join(
        f'<li><a href="{view}/report.html">{view}</a>: {text(found.clip.source.name)}</li>'
        for view, found in study.views.items()
    )
    cards = "".join(_card(name, find(rows, name)) for name in _CARDS)
    notes = f'<section class="warnings" role="note"><h2>Before you read on</h2>{bullets(study.warnings)}</section>'
    strain, peak = _bullseyes(study)
    keys = (
        f"{strain.model}-segment model, mid-wall line, anterior wall on top. Colours run from yellow at "
        f"{number(_WEAK, '%', decimals=0)} to blue at {number(_STRONG, '%', decimals=0)} %. "
        "An asterisk marks low confidence, hatching what could not be measured.",
        f"From end-diastole. Colours run from yellow at {number(peak.low, 'ms')} to blue at "
        f"{number(peak.high, 'ms')} ms.",
    )
    bulls = "".join(
        f'<div><h2>{text(bull.title)}</h2>{bull.svg}<p class="note">{key}</p></div>'
        for bull, key in zip((strain, peak), keys, strict=True)
    )
    body = (
        f'<header><p class="eyebrow">echomotion · echocardiography study</p><h1>{text(names)}</h1></header>'
        f"{notes if study.warnings else ''}"
        f'<div class="numbers">{cards}</div>'
        f'<section class="curves">{bulls}</section>{_pictures(study)}'
        f"<section><h2>The views</h2><ul>{links}</ul></section>"
        f"<section><h2>All measurements of the heart</h2>{_table(rows)}</section>"
    )
    return whole_page("Study – echomotion", body)


@dataclass(frozen=True)
class _Bullseye:
    """What a bull's-eye shows: rows by segment, the values where its colours begin and end, its title."""

    rows: dict[str, Measurement]
    model: SegmentModel
    low: float
    high: float
    title: str

    @property
    def svg(self) -> str:
        """As a part of the page."""
        return bullseye_svg(self.rows, self.model, low=self.low, high=self.high, title=self.title)

    @property
    def figure(self) -> Figure:
        """On white paper."""
        return bullseye_figure(self.rows, self.model, low=self.low, high=self.high, title=self.title)


def _bullseyes(study: StudyAnalysis) -> tuple[_Bullseye, _Bullseye]:
    """Strain, and time to its peak in ms, whose colours run from the earliest segment to the latest."""
    model = study.options.measure.segment_model

    def of(name: str) -> dict[str, Measurement]:
        return {str(row.segment): row for row in study.measurements if row.name == name and row.segment}

    times = {name: replace(row, value=1000 * row.value, unit="ms") for name, row in of(_PEAK).items()}
    known = [row.value for row in times.values() if row.status is not Status.NOT_MEASURABLE] or [0.0]
    low, high = min(known), max(known)
    return (
        _Bullseye(of(_STRAIN), model, _WEAK, _STRONG, "End-systolic longitudinal strain, %"),
        _Bullseye(times, model, low, max(high, low + _LEAST_RANGE_MS), "Time to peak longitudinal strain, ms"),
    )


def _pictures(study: StudyAnalysis) -> str:
    """End-diastole and end-systole of every view."""
    figures = []
    for view, found in study.views.items():
        moments = key_times(found)
        figures += frame_figures(found, [(f"{view}, {name}", time) for name, time in (moments[0], moments[2])])[0]
    return f'<section><h2>Key frames</h2><div class="frames pairs">{"".join(figures)}</div></section>'


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
