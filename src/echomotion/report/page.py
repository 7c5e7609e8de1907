"""``report.html``: one self-contained page to judge an analysis by. No script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import html
from importlib.resources import files
from pathlib import Path
from string import Template

import cv2
import numpy as np

from echomotion.analysis import Analysis, describe_clip
from echomotion.core import Clip, Measurement, Phases, Status
from echomotion.io.write import atomic_path
from echomotion.report.curves import size_svg, strain_svg
from echomotion.report.overlay import Scene
from echomotion.report.style import STATUS_WORDS, in_words, value_words
from echomotion.version import __version__

_HEADLINES = ("ejection_fraction", "global_longitudinal_strain", "end_diastolic_volume", "end_systolic_volume")
_FRAME_HEIGHT = 440


def write_page(path: str | Path, analysis: Analysis) -> None:
    """Write the page of an analysis."""
    with atomic_path(path) as partial:
        partial.write_text(page(analysis), encoding="utf-8")


def page(analysis: Analysis) -> str:
    """The page as text."""
    template = Template((files("echomotion.report") / "templates" / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_text(analysis.clip.source.name),
        facts=_facts(analysis),
        numbers="".join(_number(analysis[name]) for name in _HEADLINES),
        warnings=_warnings(analysis.warnings),
        frames="".join(_key_frame(analysis, t, name) for t, name in key_frames(analysis.clip, analysis.phases)),
        curves=_curves(analysis),
        rows="".join(_row(m) for m in analysis.measurements),
        methods=_methods(analysis.measurements),
        provenance=_provenance(analysis),
        version=_text(__version__),
    )


def key_frames(clip: Clip, phases: Phases) -> list[tuple[int, str]]:
    """Four frames to look at, in the order of the beat, with their names; evenly spread where there is no beat."""
    last = clip.n_frames - 1
    if not phases.beats:
        return [(int(t), f"{clip.times_s[int(t)]:.2f} s") for t in np.linspace(0, last, 4).round()]
    beat = phases.beats[0]
    ed, es = clip.frame_at(beat.ed_s), clip.frame_at(beat.es_s)
    middle = (ed + es) // 2
    if es < ed:
        chosen = [(es, "end-systole"), (middle, "filling"), (ed, "end-diastole"), ((ed + last) // 2, "next systole")]
    else:
        end = last if beat.next_ed_s is None else clip.frame_at(beat.next_ed_s)
        chosen = [(ed, "end-diastole"), (middle, "systole"), (es, "end-systole"), ((es + end) // 2, "diastole")]
    return [(t, f"{name}, {clip.times_s[t]:.2f} s, frame {t}") for t, name in chosen]


def _text(value: object) -> str:
    return html.escape(str(value))


def _facts(analysis: Analysis) -> str:
    facts = describe_clip(analysis.clip)
    pixel = f"{facts['pixel_mm']} mm, {facts['pixel_size_from']}" if facts["pixel_mm"] else "unknown (not calibrated)"
    items = {
        "View": facts["view"],
        "Frames": facts["frames"],
        "Duration": f"{facts['duration_s']} s",
        "Frame rate": f"{facts['frame_rate_hz']} per second, {facts['times_from']}",
        "Pixel": pixel,
    }
    for k, beat in enumerate(analysis.phases.beats):
        name = "Phases" if len(analysis.phases.beats) == 1 else f"Beat {k + 1}"
        items[name] = f"ED {beat.ed_s:.3f} s, ES {beat.es_s:.3f} s ({analysis.phases.source})"
    return "".join(f"<li>{_text(name)} <b>{_text(value)}</b></li>" for name, value in items.items())


def _number(m: Measurement) -> str:
    return (
        f'<div class="number"><div class="name">{_text(in_words(m.name))}</div>'
        f'<div class="value">{_text(value_words(m))}</div>{_status(m)}</div>'
    )


def _status(m: Measurement) -> str:
    reason = f": {m.reason}" if m.reason else ""
    return f'<div class="status {m.status}">{_text(STATUS_WORDS[m.status] + reason)}</div>'


def _warnings(warnings: tuple[str, ...]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_text(w)}</li>" for w in warnings)
    return f'<section class="warnings"><strong>Before you rely on this</strong><ul>{items}</ul></section>'


def _key_frame(analysis: Analysis, t: int, name: str) -> str:
    image = Scene(analysis, _FRAME_HEIGHT).frame(t, trails=False)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    encoded = base64.b64encode(data.tobytes()).decode() if done else ""
    return (
        f'<figure><img alt="{_text(name)}" src="data:image/jpeg;base64,{encoded}">'
        f"<figcaption>{_text(name[0].upper() + name[1:])}</figcaption></figure>"
    )


def _curves(analysis: Analysis) -> str:
    figures = []
    if "longitudinal_strain" in analysis.curves:
        figures.append(("Longitudinal strain", strain_svg(analysis)))
    for key, words in (("cavity_area", "Cavity area"), ("volume", "Volume, single-plane disks")):
        if np.isfinite(analysis.curves[key].values).any():
            figures.append((words, size_svg(analysis, key)))
    if not figures:
        return '<p class="soft">No curve could be measured.</p>'
    return "".join(f"<figure>{svg}<figcaption>{_text(words)}</figcaption></figure>" for words, svg in figures)


def _row(m: Measurement) -> str:
    where = [in_words(part) for part in (m.segment, m.layer) if part]
    if m.beat is not None:
        where.append(f"beat {m.beat + 1}")
    cells = [
        f"<td>{_text(in_words(m.name))}</td>",
        f"<td>{_text(', '.join(where))}</td>",
        f'<td class="value">{_text(value_words(m))}</td>',
        f"<td>{_status(m)}</td>",
        f'<td class="nowrap">{_text(", ".join(map(str, m.frames)))}</td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _methods(measurements: tuple[Measurement, ...]) -> str:
    made: dict[str, list[str]] = {}
    for m in measurements:
        if m.method and m.status is not Status.NOT_MEASURABLE and m.method not in made.setdefault(m.name, []):
            made[m.name].append(m.method)
    if not any(made.values()):
        return "<dt>–</dt><dd>Nothing could be measured; the table says why.</dd>"
    return "".join(
        f"<dt>{_text(in_words(name))}</dt><dd>{'<br>'.join(map(_text, methods))}</dd>"
        for name, methods in made.items()
        if methods
    )


def _provenance(analysis: Analysis) -> str:
    known = analysis.provenance
    items = [("echomotion", known.get("echomotion", "")), ("Python", known.get("python", ""))]
    items += [("Packages", ", ".join(f"{k} {v}" for k, v in known.get("packages", {}).items()))]
    for model in known.get("models", []):
        tag = f"{model['weights']}, sha256 {model['sha256'][:16]}" if model["sha256"] else "no weights needed"
        items.append((model["kind"].capitalize(), f"{model['name']} ({tag}), {model['licence']}"))
    items += [("Options", ", ".join(f"{k} = {v}" for k, v in known.get("options", {}).items() if v is not None))]
    items += [(f"Input {k.replace('_', ' ')}", v) for k, v in known.get("input", {}).items() if v]
    return "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in items)
