"""The bull's-eye: every segment of the left ventricle as a field of a disc, the base outside and the apex inside."""

from __future__ import annotations

import math
from collections.abc import Mapping

from echomotion.core import Measurement, Status
from echomotion.core.views import SegmentModel
from echomotion.report.html import text
from echomotion.report.words import number, plain_name, unit_sign

# From weak to strong, dark blue over grey to light yellow: the order can be told without seeing hue.
_RAMP = ("#FDE725", "#BDBF55", "#8A8678", "#575C6D", "#00336F")
_SIZE = 360
_RADII = (170.0, 120.0, 70.0, 26.0)


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
    apical = 6 if model is SegmentModel.EIGHTEEN else 4
    names = model.segments
    inner = _RADII[3] if model is SegmentModel.SEVENTEEN else 0.0
    rings = ((_RADII[0], _RADII[1], names[:6]), (_RADII[1], _RADII[2], names[6:12]))
    fields = []
    for outer, near, part in (*rings, (_RADII[2], inner, names[12 : 12 + apical])):
        step = 360 / len(part)
        # The anterior wall is at the top; the others follow against the clock.
        fields += [
            _field(outer, near, 90 - step / 2 + k * step, step, rows.get(n), n, low, high) for k, n in enumerate(part)
        ]
    if model is SegmentModel.SEVENTEEN:
        fields.append(_cap(inner, rows.get(names[-1]), names[-1], low, high))
    hatch = (
        '<defs><pattern id="bull-hatch" width="7" height="7" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="7" height="7" fill="#d5dadf"/>'
        '<path d="M0 0V7" stroke="#8b949d" stroke-width="2"/></pattern></defs>'
    )
    half = _SIZE / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-half:g} {-half:g} {_SIZE} {_SIZE}" role="img" '
        f'aria-label="{text(title)}" class="figure bullseye" font-family="system-ui, sans-serif">{hatch}'
        f"{''.join(fields)}</svg>"
    )


def _field(
    outer: float, inner: float, start: float, step: float, row: Measurement | None, name: str, low: float, high: float
) -> str:
    def at(radius: float, degrees: float) -> str:
        return f"{radius * math.cos(math.radians(degrees)):.2f} {-radius * math.sin(math.radians(degrees)):.2f}"

    stop = start + step
    way = f"M{at(outer, start)}A{outer:g} {outer:g} 0 0 0 {at(outer, stop)}L{at(inner, stop)}"
    if inner:
        way += f"A{inner:g} {inner:g} 0 0 1 {at(inner, start)}"
    middle = start + step / 2
    radius = (outer + inner) / 2 if inner else 0.6 * outer
    return _shape(f'<path d="{way}Z"', at(radius, middle), row, name, low, high)


def _cap(radius: float, row: Measurement | None, name: str, low: float, high: float) -> str:
    return _shape(f'<circle r="{radius:g}"', "0 0", row, name, low, high)


def _shape(opening: str, place: str, row: Measurement | None, name: str, low: float, high: float) -> str:
    known = row is not None and row.status is not Status.NOT_MEASURABLE
    x, y = place.split()
    if row is None or not known:
        fill, ink, label, said = "url(#bull-hatch)", "#17212b", "–", "not measurable"
    else:
        share = min(max((row.value - low) / (high - low), 0.0), 1.0)
        fill, ink = _colour(share)
        mark = "*" if row.status is Status.LOW_CONFIDENCE else ""
        label = number(row.value, row.unit) + mark
        said = f"{label} {unit_sign(row.unit)}"
    return (
        f'<g><title>{text(plain_name(name))}: {text(said)}</title>{opening} fill="{fill}" stroke="var(--paper, #fff)" '
        f'stroke-width="1.5"/><text x="{x}" y="{y}" dy=".35em" text-anchor="middle" font-size="13" '
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
