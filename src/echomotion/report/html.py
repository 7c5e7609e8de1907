"""Small pieces of HTML. Everything that comes from outside goes through :func:`text`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Any

from echomotion.core import Measurement, Status
from echomotion.report.words import STATUSES, number, unit_sign

# A disc, a triangle and a ring, so that a status is known without its colour.
_SHAPES = {
    Status.OK: '<circle cx="5" cy="5" r="4.5" fill="currentColor"/>',
    Status.LOW_CONFIDENCE: '<path d="M5 .5 9.8 9.5H.2Z" fill="currentColor"/>',
    Status.NOT_MEASURABLE: '<circle cx="5" cy="5" r="3.8" fill="none" stroke="currentColor" stroke-width="1.6"/>',
}


def whole_page(title: str, body: str, *, images: str = "data:") -> str:
    """A page that needs no network and no script.

    Parameters
    ----------
    title, body : str
        The latter already HTML.
    images : str
        Where its pictures may come from, as a Content-Security-Policy says it; they are inside the page by default.
    """
    folder = resources.files("echomotion.report") / "templates"
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=text(title), style=(folder / "page.css").read_text(encoding="utf-8"), body=body, images=images
    )


def text(value: object) -> str:
    """Any value as text that cannot be taken for markup."""
    return escape(str(value), quote=True)


def status_badge(status: Status) -> str:
    """A status as a shape and a word."""
    shape = f'<svg viewBox="0 0 10 10" aria-hidden="true">{_SHAPES[status]}</svg>'
    return f'<span class="status {status}">{shape}{STATUSES[status]}</span>'


def value_cell(row: Measurement) -> str:
    """A measurement's value with its unit, and its interval where it has one; a dash where it is not measurable."""
    unit = f' <span class="unit">{text(unit_sign(row.unit))}</span>'
    if row.status is Status.NOT_MEASURABLE:
        return f"–{unit}"
    interval = ""
    if row.interval is not None:
        low, high = (number(end, row.unit) for end in row.interval)
        interval = f'<br><small class="unit">{low} to {high}</small>'
    return f"<strong>{number(row.value, row.unit)}</strong>{unit}{interval}"


def line_sample(colour: str, dashes: tuple[float, ...] = (), width: float = 2.5) -> str:
    """A piece of a curve for a key."""
    dash = f' stroke-dasharray="{" ".join(f"{v * width / 1.5:g}" for v in dashes)}"' if dashes else ""
    line = f'<line x1="1" y1="4" x2="31" y2="4" stroke="{text(colour)}" stroke-width="{width:g}"{dash}/>'
    return f'<svg viewBox="0 0 32 8" aria-hidden="true">{line}</svg>'


def bullets(items: Iterable[object]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{text(item)}</li>" for item in items) + "</ul>"


def definitions(rows: Iterable[tuple[str, str]], kind: str) -> str:
    """Terms and what they are, the latter already HTML; each pair in a box of its own, so that none is torn apart."""
    body = "".join(f"<div><dt>{text(term)}</dt><dd>{meaning}</dd></div>" for term, meaning in rows)
    return f'<dl class="{kind}">{body}</dl>'


def plain_value(value: Any) -> str:
    """A value of the provenance as one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(plain_value(item) for item in value)
    return "–" if value is None or value == "" else str(value)
