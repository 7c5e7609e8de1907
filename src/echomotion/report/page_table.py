"""The part of the page with all measurements, how each was made, and what made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from echomotion.analysis_types import Analysis
from echomotion.core import Measurement
from echomotion.report.html import definitions, plain_value, status_badge, text, value_cell
from echomotion.report.words import PHASE_SOURCES, SHORT, in_words, plain_name

_COLUMNS = ("Measurement", "Where", "Value", "Status", "Frames", "Method")


def measurement_table(analysis: Analysis) -> str:
    """Every measurement: means over beats first, then the single beats, the layers of the wall apart."""
    rows = analysis.measurements
    if not rows:
        return "<p>No measurement was made.</p>"
    methods = _methods(rows)
    head = "".join(f'<th scope="col"{" class=num" if c == "Value" else ""}>{c}</th>' for c in _COLUMNS)
    parts = [f'<table class="all"><thead><tr>{head}</tr></thead><tbody>']
    several = len(analysis.phases.beats) > 1
    for title, group in _groups(rows):
        parts.append(f'<tr class="group"><th colspan="{len(_COLUMNS)}" scope="rowgroup">{text(title)}</th></tr>')
        parts += [_row(row, methods, several) for row in group]
    parts.append("</tbody></table>")
    note = "Frames are counted from 0. M1, M2, … are the methods listed below."
    return "".join(parts) + f'<p class="note">{note}</p>'


def method_list(analysis: Analysis) -> str:
    """How each number was made, and how the heart phases were found."""
    phases = analysis.phases
    source = PHASE_SOURCES.get(phases.source, phases.source)
    beats = "; ".join(
        f"end-diastole {beat.ed_s:.3f} s, end-systole {beat.es_s:.3f} s"
        + ("" if beat.next_ed_s is None else f", next end-diastole {beat.next_ed_s:.3f} s")
        for beat in phases.beats
    )
    if phases.beats:
        sentence = f"Heart phases were taken from {source} with a confidence of {phases.confidence:.2f}: {beats}."
    else:
        sentence = f"No heart beat was found: {phases.reason or 'no reason is known'}."
    methods = _methods(analysis.measurements)
    items = "".join(
        f'<li id="m{k}"><b>M{k}</b><span>{text(_sentence(method))}</span></li>' for method, k in methods.items()
    )
    listed = f'<ul class="methods on-screen">{items}</ul>' if items else ""
    return f"<p>{text(_paragraph(analysis))}</p><p>{text(sentence)}</p>{listed}"


def _paragraph(analysis: Analysis) -> str:
    """What was done, in sentences that can stand in a paper."""
    clip, facts = analysis.clip, analysis.provenance
    options: Mapping[str, Any] = facts.get("options", {})
    how: Mapping[str, Any] = options.get("measure", {})
    strain: Mapping[str, Any] = how.get("strain", {})
    rate = f" at {1 / clip.frame_interval_s:.0f} frames a second" if clip.n_frames > 1 else ""
    parts = [
        f"A recording of {clip.n_frames} frames{rate} (view {clip.view}) was analysed with "
        f"echomotion {facts.get('echomotion', '')}.".replace(" .", ".")
    ]
    if analysis.tracks:
        lines = ", ".join(plain_name(layer) for layer in analysis.tracks)
        held = 100 * facts.get("held_on_outline", 0)
        anchored = f" and, across the wall, moved {held:.0f} % of the way to its segmented outline" if held else ""
        parts.append(
            f"The heart was segmented by {options.get('segmenter', 'given masks')}, and points along the lines of the "
            f"wall ({lines}) were tracked by {options.get('tracker', 'a tracker')}{anchored}."
        )
    if analysis.keypoints is not None:
        parts.append(
            "Key-points of the parasternal long axis were found by "
            f"{options.get('detector', 'a detector')}; septum, cavity and posterior wall are their distances."
        )
    elif strain:
        drift = "with" if strain.get("drift_compensation") else "without"
        closure = strain.get("avc_after_ed_s")
        mirrored = ", in a picture that is displayed mirrored" if how.get("mirrored") else ""
        end = "the end-systole of the heart phases" if closure is None else f"{closure:g} s after end-diastole"
        parts.append(
            f"Strain is {strain.get('kind')}, in percent of the end-diastolic length, negative for shortening, {drift} "
            f"compensation of linear drift, its lengths smoothed by {strain.get('smoothing_s'):g} s; aortic valve "
            f"closure was taken at {end}. Segments follow the {how.get('segment_model')}-segment model{mirrored}."
        )
    if analysis.keypoints is None:
        parts.append("Volumes of a single view take the ventricle as round about its long axis.")
    return " ".join(parts)


def origin(analysis: Analysis) -> str:
    """Versions, models with licences, options and the input's hash."""
    facts: Mapping[str, Any] = analysis.provenance
    models = facts.get("models")
    parts = []
    if models:
        parts.append(_models(models))
    rows: list[tuple[str, str]] = []
    for name, value in facts.items():
        if name == "models":
            continue
        if name == "input" and isinstance(value, Mapping):
            rows += _input_rows(value)
        else:
            rows.append((name.replace("_", " "), text(plain_value(value))))
    parts.append(definitions(rows, "origin"))
    return "".join(parts)


def _input_rows(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    kept = {str(key).replace("_", " "): value for key, value in values.items() if key != "sha256"}
    rows = [("input", text(plain_value(kept)))]
    if values.get("sha256"):
        rows.append(("input SHA-256", f'<span class="code">{text(values["sha256"])}</span>'))
    return rows


def _models(models: Sequence[Mapping[str, Any]]) -> str:
    columns = (
        ("kind", "Model"),
        ("name", "Name"),
        ("weights", "Weights"),
        ("licence", "Licence"),
        ("sha256", "SHA-256"),
    )
    head = "".join(f'<th scope="col">{title}</th>' for _, title in columns)
    body = ""
    for model in models:
        cells = ""
        for key, title in columns:
            kind = ' class="code"' if key == "sha256" else ""
            cells += f'<td data-label="{title}"{kind}>{text(plain_value(model.get(key)))}</td>'
        body += f"<tr>{cells}</tr>"
    return f'<table class="models"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _methods(rows: Sequence[Measurement]) -> dict[str, int]:
    """The methods in use, numbered from 1."""
    return {method: k for k, method in enumerate(dict.fromkeys(row.method for row in rows if row.method), start=1)}


def _groups(rows: Sequence[Measurement]) -> list[tuple[str, list[Measurement]]]:
    """Rows without a layer, then each layer; means over beats before single beats."""
    layers = dict.fromkeys(row.layer for row in rows if row.layer)
    groups = [("Left ventricle", [row for row in rows if not row.layer])]
    groups += [(f"Wall, {plain_name(layer)} line", [row for row in rows if row.layer == layer]) for layer in layers]
    return [(title, sorted(group, key=_beat_order)) for title, group in groups if group]


def _beat_order(row: Measurement) -> int:
    return -1 if row.beat is None else row.beat


def _where(row: Measurement, several_beats: bool) -> str:
    """Segment and beat in words; the layer stands over the group, and a single beat needs no number."""
    part = plain_name(row.segment) if row.segment else ("whole wall" if row.layer else "")
    beat = "" if not several_beats else "mean of beats" if row.beat is None else f"beat {row.beat + 1}"
    return ", ".join(filter(None, (part, beat)))


def _row(row: Measurement, methods: Mapping[str, int], several: bool) -> str:
    name = in_words(row.name) + (f" ({SHORT[row.name]})" if row.name in SHORT else "")
    reason = f'<p class="reason">{text(row.reason)}</p>' if row.reason else ""
    number = methods.get(row.method)
    method = f'<a href="#m{number}">M{number}</a>' if number else "–"
    frames = ", ".join(map(str, row.frames)) or "–"
    return (
        f'<tr><th scope="row" class="what">{text(name)}</th>'
        f'<td class="place">{text(_where(row, several))}</td>'
        f'<td class="num value">{value_cell(row)}</td>'
        f'<td class="why">{status_badge(row.status)}{reason}</td>'
        f'<td class="read" data-label="Frames">{frames}</td>'
        f'<td class="read" data-label="Method">{method}</td></tr>'
    )


def _sentence(method: str) -> str:
    return method[:1].upper() + method[1:] + ("" if method.endswith(".") else ".")
