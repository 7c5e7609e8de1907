"""The bull's-eye: every segment of the left ventricle as a field of a disc, the base outside and the apex inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Wedge

from echomotion.core import Measurement, Status
from echomotion.core.views import SegmentModel
from echomotion.report.html import text
from echomotion.report.words import number, plain_name, unit_sign

# From weak to strong, dark blue over grey to light yellow: the order can be told without seeing hue.
_RAMP = ("#FDE725", "#BDBF55", "#8A8678", "#575C6D", "#00336F")
_SIZE = 360
_RADII = (170.0, 120.0, 70.0, 26.0)
_INK, _UNKNOWN, _HATCH = "#17212b", "#d5dadf", "#8b949d"


@dataclass(frozen=True)
class _Field:
    """Where a segment lies: radii, first angle and width in degrees against the clock from the right."""

    name: str
    outer: float
    inner: float
    start: float
    step: float

    @property
    def middle(self) -> tuple[float, float]:
        """Where its value stands; y runs upwards."""
        if self.step == 360:
            return 0.0, 0.0
        radius = (self.outer + self.inner) / 2 if self.inner else 0.6 * self.outer
        return _at(radius, self.start + self.step / 2)


def bullseye_svg(rows: Mapping[str, Measurement], model: SegmentModel, *, low: float, high: float, title: str) -> str:
    """A bull's-eye as SVG text.

    Parameters
    ----------
    rows : mapping of segment to Measurement
        Segments that are missing, or not measurable, are hatched and carry a dash.
    model : SegmentModel
    low, high : float
        Values at which the colours begin (yellow) and end (blue).
    title : str
        What is shown, for readers who do not see it.

    Returns
    -------
    str
        A marked value (``low_confidence``) carries an asterisk. No script, no outside resource.
    """
    hatch = (
        '<defs><pattern id="bull-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="#d5dadf"/>'
        '<path d="M0 0V7" stroke="#8b949d" stroke-width="2"/></pattern></defs>'
    )
    half = _SIZE / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-half:g} {-half:g} {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{text(title)}" class="figure bullseye" font-family="system-ui, sans-serif">{hatch}'
        f"{''.join(_shape(field, rows.get(field.name), low, high) for field in _fields(model))}</svg>"
    )


def bullseye_figure(
    rows: Mapping[str, Measurement], model: SegmentModel, *, low: float, high: float, title: str
) -> Figure:
    """The same bull's-eye as a figure on white paper, with its title; see :func:`bullseye_svg`."""
    figure = Figure(figsize=(4.0, 4.3))
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.9))
    half = _SIZE / 2
    axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal")
    axes.axis("off")
    axes.set_title(title, fontsize=9.5, color=_INK)
    for field in _fields(model):
        fill, ink, label = _look(rows.get(field.name), low, high)
        wedge = Wedge((0, 0), field.outer, field.start, field.start + field.step, width=field.outer - field.inner)
        wedge.set(facecolor=fill or _UNKNOWN, edgecolor="white", linewidth=1.2)
        axes.add_patch(wedge)
        if fill is None:
            hatched = Wedge((0, 0), field.outer, field.start, field.start + field.step, width=field.outer - field.inner)
            hatched.set(facecolor="none", edgecolor=_HATCH, linewidth=0, hatch="///")
            axes.add_patch(hatched)
        axes.text(*field.middle, label, color=ink, fontsize=10, ha="center", va="center")
    return figure


def _fields(model: SegmentModel) -> list[_Field]:
    apical = 6 if model is SegmentModel.EIGHTEEN else 4
    names = model.segments
    inner = _RADII[3] if model is SegmentModel.SEVENTEEN else 0.0
    rings = (
        (_RADII[0], _RADII[1], names[:6]),
        (_RADII[1], _RADII[2], names[6:12]),
        (_RADII[2], inner, names[12 : 12 + apical]),
    )
    fields = []
    for outer, near, part in rings:
        step = 360 / len(part)
        # The anterior wall is at the top; the others follow against the clock.
        fields += [_Field(name, outer, near, 90 - step / 2 + k * step, step) for k, name in enumerate(part)]
    if model is SegmentModel.SEVENTEEN:
        fields.append(_Field(names[-1], inner, 0.0, 0.0, 360.0))
    return fields


def _at(radius: float, degrees: float) -> tuple[float, float]:
    return radius * math.cos(math.radians(degrees)), radius * math.sin(math.radians(degrees))


def _outline(field: _Field) -> str:
    """The opening of the SVG element of a field."""
    if field.step == 360:
        return f'<circle r="{field.outer:g}"'

    def at(radius: float, degrees: float) -> str:
        x, y = _at(radius, degrees)
        return f"{x:.2f} {-y:.2f}"

    stop = field.start + field.step
    way = f"M{at(field.outer, field.start)}A{field.outer:g} {field.outer:g} 0 0 0 {at(field.outer, stop)}"
    way += f"L{at(field.inner, stop)}"
    if field.inner:
        way += f"A{field.inner:g} {field.inner:g} 0 0 1 {at(field.inner, field.start)}"
    return f'<path d="{way}Z"'


def _look(row: Measurement | None, low: float, high: float) -> tuple[str | None, str, str]:
    """Colour of a field (None where nothing is known), of the text on it, and that text."""
    if row is None or row.status is Status.NOT_MEASURABLE:
        return None, _INK, "–"
    share = min(max((row.value - low) / (high - low), 0.0), 1.0)
    mark = "*" if row.status is Status.LOW_CONFIDENCE else ""
    return *_colour(share), number(row.value, row.unit) + mark


def _shape(field: _Field, row: Measurement | None, low: float, high: float) -> str:
    fill, ink, label = _look(row, low, high)
    said = "not measurable" if row is None or fill is None else f"{label} {unit_sign(row.unit)}"
    x, y = field.middle
    return (
        f"<g><title>{text(plain_name(field.name))}: {text(said)}</title>{_outline(field)} "
        f'fill="{fill or "url(#bull-hatch)"}" stroke="var(--paper, #fff)" '
        f'stroke-width="1.5"/><text x="{x:.2f}" y="{-y:.2f}" dy=".35em" text-anchor="middle" font-size="13" '
        f'fill="{ink}">{text(label)}</text></g>'
    )


def _colour(share: float) -> tuple[str, str]:
    """Colour of a field at a share of the range, and that of the text on it."""
    at = share * (len(_RAMP) - 1)
    k = min(int(at), len(_RAMP) - 2)
    ends = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _RAMP[k : k + 2])
    mixed = [round(a + (b - a) * (at - k)) for a, b in zip(*ends, strict=True)]
    light = 0.299 * mixed[0] + 0.587 * mixed[1] + 0.114 * mixed[2]
    return "#" + "".join(f"{v:02X}" for v in mixed), "#111111" if light > 125 else "#FFFFFF"
