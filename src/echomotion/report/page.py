"""The page ``report.html``: one file with pictures, curves, numbers and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from echomotion.analysis_types import Analysis
from echomotion.core import Keypoints, Measurement, Status, View
from echomotion.io.write import atomic_path
from echomotion.measure.dimensions import IVSD, LVIDD, LVPWD, MIN_CONFIDENCE, PARTS, SHORTENING
from echomotion.report.calipers import COLOURS
from echomotion.report.curves import STRAIN, has_values, segment_curves, strain_svg
from echomotion.report.figures import vector_figures
from echomotion.report.html import bullets, definitions, line_sample, status_badge, text, value_cell, whole_page
from echomotion.report.key_frames import frame_figures, key_times
from echomotion.report.page_table import measurement_table, method_list, origin
from echomotion.report.style import ATRIUM, ENDOCARDIUM, EPICARDIUM, segment_colours, segment_dashes
from echomotion.report.words import (
    PHASE_SOURCES,
    SHORT,
    closure_times,
    find,
    headline_rows,
    in_words,
    number,
    phase_times,
    pixel_size,
    plain_name,
    unit_sign,
)
from echomotion.wall_tracking import LAYERS

_CARDS = ("ejection_fraction", "global_longitudinal_strain", "end_diastolic_volume", "end_systolic_volume")
_PARASTERNAL_CARDS = (IVSD, LVIDD, LVPWD, SHORTENING)
_LONG = 7


def report_page(analysis: Analysis, figures: Mapping[str, str] | None = None) -> str:
    """The page as text.

    Parameters
    ----------
    analysis : Analysis
    figures : mapping of str to str, optional
        From :func:`~echomotion.report.figures.vector_figures`, where they were drawn before.

    Returns
    -------
    str
        HTML that needs no other file, no network and no script.
    """
    drawn = vector_figures(analysis) if figures is None else figures
    sections = (
        _header(analysis),
        _warnings(analysis),
        _cards(analysis),
        _key_frames(analysis),
        _curves(analysis, drawn),
        _wall(analysis, drawn),
        _section("All measurements", measurement_table(analysis), "on-screen"),
        _section("How the numbers were made", method_list(analysis)),
        _section("What made them", origin(analysis), "on-screen"),
        _elsewhere(analysis),
    )
    return whole_page(f"{analysis.clip.source.name} – echomotion", "\n".join(part for part in sections if part))


def write_page(path: str | Path, analysis: Analysis, figures: Mapping[str, str] | None = None) -> None:
    """Write ``report.html``; see :func:`report_page`."""
    with atomic_path(path) as partial:
        partial.write_text(report_page(analysis, figures), encoding="utf-8")


def _section(title: str, body: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<section{attribute}><h2>{title}</h2>{body}</section>"


def _header(analysis: Analysis) -> str:
    clip, source = analysis.clip, analysis.clip.source

    def fact(value: str, small: str = "") -> str:
        return text(value) + (f"<small>{text(small)}</small>" if small else "")

    view = "not stated" if clip.view is View.UNKNOWN else str(clip.view)
    view_origin = "" if source.view_origin == "none" else f"from {source.view_origin}"
    size, size_origin = pixel_size(clip)
    rows, columns = clip.shape
    rate = f"{1 / clip.frame_interval_s:.1f} per s" if clip.n_frames > 1 else "–"
    facts = [
        ("View", fact(view, view_origin)),
        ("Frames", fact(str(clip.n_frames), f"{columns} x {rows} px")),
        ("Duration", fact(f"{clip.times_s[-1] - clip.times_s[0]:.2f} s")),
        ("Frame rate", fact(rate, f"from {source.times_origin}")),
        ("Pixel size", fact(size, _origin(size_origin))),
        ("Heart phases", fact(*_phases(analysis))),
    ]
    return (
        f'<header><p class="eyebrow">echomotion · echocardiography report</p><h1>{text(source.name)}</h1>'
        f"{definitions(facts, 'facts')}</header>"
    )


def _origin(origin: str) -> str:
    """Where a value came from; some origins say "from" themselves."""
    return f"from {origin}" if origin and " from " not in origin else origin


def _phases(analysis: Analysis) -> tuple[str, str]:
    phases = analysis.phases
    if not phases.beats:
        return "none found", ""
    count = len(phases.beats)
    source = PHASE_SOURCES.get(phases.source, phases.source)
    return f"{count} beat{'s' if count > 1 else ''}", f"from {source}, confidence {phases.confidence:.2f}"


def _warnings(analysis: Analysis) -> str:
    if not analysis.warnings:
        return ""
    return f'<section class="warnings" role="note"><h2>Before you read on</h2>{bullets(analysis.warnings)}</section>'


def _cards(analysis: Analysis) -> str:
    rows = headline_rows(analysis.measurements)
    names = _CARDS if analysis.keypoints is None else _PARASTERNAL_CARDS
    return f'<div class="numbers">{"".join(_card(name, find(rows, name)) for name in names)}</div>'


def _card(name: str, row: Measurement | None) -> str:
    row = row or Measurement.missing(name, "", "it was not measured")
    # Strain and millimetres are read to a tenth; the others are not that sure.
    shown = number(row.value, row.unit, decimals=1 if name.endswith("strain") or row.unit == "mm" else 0)
    unit = f" <small>{text(unit_sign(row.unit))}</small>" if row.status is not Status.NOT_MEASURABLE else ""
    reason = f'<p class="reason">{text(row.reason)}</p>' if row.reason else ""
    long = " long" if len(shown) > _LONG else ""
    return (
        f'<div class="number"><h2><abbr title="{text(in_words(name))}">{SHORT[name]}</abbr>{text(in_words(name))}</h2>'
        f'<p class="value{long}">{shown}{unit}</p>{status_badge(row.status)}{reason}</div>'
    )


def _key_frames(analysis: Analysis) -> str:
    figures, wide = frame_figures(analysis, key_times(analysis))
    kind = "frames wide" if wide else "frames"
    return _section("Key frames", f'<div class="{kind}">{"".join(figures)}</div>{_picture_key(analysis)}')


def _picture_key(analysis: Analysis) -> str:
    items = []
    if analysis.keypoints is not None:
        parts = (f"{SHORT[name]}, {in_words(name).lower()}" for name in PARTS)
        items += [
            f"<li>{line_sample(COLOURS[name])}{text(words)}</li>" for name, words in zip(PARTS, parts, strict=True)
        ]
        items.append("<li>Rings: points of low confidence</li>")
    if (analysis.masks.labels > 0).any():
        for name, colour in (("Endocardium", ENDOCARDIUM), ("Epicardium", EPICARDIUM), ("Left atrium", ATRIUM)):
            items.append(f"<li>{line_sample(colour)}{name}</li>")
    if LAYERS[0] in analysis.tracks:
        dot = '<svg viewBox="0 0 32 14" aria-hidden="true"><circle cx="16" cy="7" r="4" {}/></svg>'
        layer = plain_name(LAYERS[0])
        full = dot.format('fill="#CCD3DA"')
        hollow = dot.format('fill="none" stroke="#CCD3DA" stroke-width="1.4"')
        items.append(f"<li>{full}Tracked {layer} point, in the colour of its segment</li>")
        items.append(f"<li>{hollow}Hidden or of low confidence</li>")
    if not items:
        return '<p class="note">No ventricle was found, so the frames are shown as they are.</p>'
    return f'<ul class="key">{"".join(items)}</ul>'


def _curves(analysis: Analysis, figures: Mapping[str, str]) -> str:
    if analysis.keypoints is not None:
        drawn = figures["dimensions"] + _marks(analysis)
        quality = _point_quality(analysis.keypoints)
        return f'<section class="curves break"><div><h2>Dimensions</h2>{drawn}</div><div>{quality}</div></section>'
    if has_values(analysis, STRAIN):
        strain = strain_svg(analysis, legend=False) + _segments(analysis)
    else:
        reason = _reason(analysis, "global_longitudinal_strain")
        strain = f"<p>There is no strain curve: {text(reason)}.</p>"
    size = figures.get("volume")
    if size is None:
        size = f"<p>There is no curve: {text(_reason(analysis, 'end_diastolic_volume'))}.</p>"
    return (
        f'<section class="curves break"><div><h2>Longitudinal strain, {plain_name(LAYERS[0])}</h2>{strain}</div>'
        f"<div><h2>Volume and area of the cavity</h2>{size}{_marks(analysis)}</div></section>"
    )


def _point_quality(keypoints: Keypoints) -> str:
    """How sure each key-point is over the recording."""
    body = ""
    for name, sure in zip(keypoints.names, keypoints.confidence, strict=True):
        share = 100 * float((sure >= MIN_CONFIDENCE).mean())
        body += (
            f'<tr><th scope="row">{text(plain_name(name).capitalize())}</th>'
            f'<td class="num">{float(sure.mean()):.2f}</td><td class="num">{share:.0f} %</td></tr>'
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Point", "Confidence", "Sure"))
    note = f"Mean over all frames, and the share of frames on which it is {MIN_CONFIDENCE:g} or more."
    return (
        f'<h2>Key-points</h2><table class="segments"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'<p class="note">{note}</p>'
    )


def _marks(analysis: Analysis) -> str:
    """What the lines across the curves mean."""
    if not phase_times(analysis)[0]:
        return ""
    closure = ", dashed lines the closing of the aortic valve (AVC)" if closure_times(analysis) else ""
    return f'<p class="note">Dotted lines mark end-diastole (ED), solid lines end-systole (ES){closure}.</p>'


def _wall(analysis: Analysis, figures: Mapping[str, str]) -> str:
    """The strip of wall thickness beside how well each segment was tracked."""
    strip = figures.get("wall_thickness")
    if strip is None:
        return ""
    line = analysis.tracks[LAYERS[0]]
    rows = {row.segment: row for row in headline_rows(analysis.measurements) if row.name == STRAIN}
    owner = np.asarray(line.wall.segment if line.wall else ())
    misses = analysis.forward_backward_px.get(LAYERS[0])
    unit, size = ("px", 1.0) if analysis.clip.spacing_mm is None else ("mm", float(np.mean(analysis.clip.spacing_mm)))
    body = ""
    for name in line.wall.segment_names() if line.wall else ():
        part = owner == name
        sure, seen = float(line.confidence[part].mean()), 100 * float(line.visible[part].mean())
        gap = np.nan if misses is None else size * float(np.median(misses[part]))
        back = "-" if np.isnan(gap) else f"{gap:.1f} {unit}" if np.isfinite(gap) else "lost"
        badge = status_badge(rows[name].status) if name in rows else ""
        body += (
            f'<tr><th scope="row">{text(plain_name(name).capitalize())}</th><td class="num">{sure:.2f}</td>'
            f'<td class="num">{seen:.0f} %</td><td class="num">{back}</td><td>{badge}</td></tr>'
        )
    titles = "".join(f'<th scope="col">{name}</th>' for name in ("Segment", "Confidence", "Visible", "There and back"))
    head = f"<tr>{titles}<th></th></tr>"
    table = f'<table class="segments"><thead>{head}</thead><tbody>{body}</tbody></table>'
    note = (
        "Means over all points and frames; there and back: by how much the segment's middle point misses its start "
        "when it is followed to end-systole and back. What is doubtful about a segment stands with its numbers below."
    )
    return (
        f'<section class="curves"><div><h2>Thickness of the wall</h2>{strip}</div>'
        f'<div><h2>Quality of tracking, {plain_name(LAYERS[0])}</h2>{table}<p class="note">{note}</p></div></section>'
    )


def _elsewhere(analysis: Analysis) -> str:
    """Where paper leaves off."""
    return (
        f'<p class="on-paper note">All {len(analysis.measurements)} measurements with status, frames and method, and '
        "the models, versions and options behind them, are on the screen's page, report.html; the numbers also in "
        "measurements.csv.</p>"
    )


def _reason(analysis: Analysis, name: str) -> str:
    row = find(headline_rows(analysis.measurements), name)
    return (row.reason if row else "").rstrip(".") or "it was not measured"


def _segments(analysis: Analysis) -> str:
    """Key to the strain curves, with the end-systolic strain of each."""
    names = list(segment_curves(analysis))
    colours, dashes = segment_colours(names), segment_dashes(names)
    rows = headline_rows(analysis.measurements)
    whole = find(rows, "global_longitudinal_strain")
    by_segment = {row.segment: row for row in rows if row.name == STRAIN}
    lines = [("whole", line_sample("var(--ink)", width=3.5), "Whole wall (GLS)", whole)]
    lines += [("", line_sample(colours[n], dashes[n]), plain_name(n).capitalize(), by_segment.get(n)) for n in names]
    body = ""
    for kind, sample, label, row in lines:
        value = value_cell(row) if row else "–"
        badge = status_badge(row.status) if row else ""
        body += (
            f'<tr class="{kind}"><td class="line">{sample}</td><th scope="row">{text(label)}</th>'
            f'<td class="num">{value}</td><td>{badge}</td></tr>'
        )
    caption = "End-systolic strain" + (", mean of beats" if len(analysis.phases.beats) > 1 else "")
    return f'<table class="segments"><caption class="label">{caption}</caption><tbody>{body}</tbody></table>'
