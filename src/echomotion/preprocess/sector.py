"""Find the ultrasound fan in the pixels of a cine, and black out what lies outside it.

A fan is the part of a ring between two radii and two angles around a tip. It is fitted to the pixels that change
over time (text and scales do not), or, for a still, to those that are lit; several thresholds are tried, since the
flanks of a fan may be almost black, and the fan that agrees best with its pixels is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize

BoolImage = NDArray[np.bool_]

# Overlap (intersection over union) of fan and pixels under which the picture is not taken for a fan.
_MIN_OVERLAP = 0.9
# A near arc deeper than this share of the far one is looked at again: of what lies between it and the tip, so many px
# from both, at most this share may be lit.
_DEEP, _NEAR_LIT, _MARGIN = 0.3, 0.25, 4.0
# Openings in radians (15 and 130 degrees) that a cardiac probe may have.
_MIN_OPENING, _MAX_OPENING = 0.26, 2.27
# Longer side in px on which thresholds are compared, and on which the best is fitted; finer gains nothing.
_COARSE_SIDE, _FINE_SIDE = 128, 320
_MAX_FRAMES = 24
# What a step of one means for tip (px), angles (radians) and radii (px).
_STEPS = (1.0, 1.0, 0.01, 0.01, 1.0, 1.0)
# Share of a row or column that must be lit for it to count as part of the fan; a tick of the scale is less.
_MIN_LINE = 0.04
# Grey levels: standard deviation over time, and largest value over time, above which a pixel counts as lit.
_CHANGE_LEVELS, _LIGHT_LEVELS = (0.4, 0.8, 1.6), (2.5, 6.0, 12.0)
# Further light levels that only place the outline, as shares of the upper quartile of what is lit: above the rim
# that compression leaves around the fan.
_EDGE_LEVELS = (0.2, 0.3, 0.4)


@dataclass(frozen=True)
class Sector:
    """A fan in native pixels.

    Attributes
    ----------
    apex : (float, float)
        Tip ``(x, y)``, where the edges meet; it may lie above the picture.
    angles : (float, float)
        Left and right edge in radians from straight down, positive to the right.
    r_min, r_max : float
        Inner and outer radius, in pixel widths.
    shape : (int, int)
        Rows and columns of the frame.
    pixel_aspect : float
        Height of a pixel divided by its width.
    overlap : float
        Intersection over union of the fan with the lit pixels.
    extent : (float, float, float, float)
        Bounding box (x0, y0, x1, y1) in px of all connected pixels that are lit at all, flanks and the faint
        rim that compression leaves included.
    """

    apex: tuple[float, float]
    angles: tuple[float, float]
    r_min: float
    r_max: float
    shape: tuple[int, int]
    pixel_aspect: float = 1.0
    overlap: float = 1.0
    extent: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def mask(self) -> BoolImage:
        """Pixels whose centre lies in the fan, bool (H, W)."""
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        return _inside(_params(self), x.astype(np.float64), y * self.pixel_aspect) > 0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Outer edges (x0, y0, x1, y1) of the whole fan; it may reach beyond the frame."""
        left, right = self.angles
        edges = np.array([left, right, np.clip(0.0, left, right)])
        x = np.outer([self.r_min, self.r_max], np.sin(edges)) + self.apex[0]
        y = np.outer([self.r_min, self.r_max], np.cos(edges)) / self.pixel_aspect + self.apex[1]
        return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def find_sector(frames: NDArray[np.uint8], *, pixel_aspect: float = 1.0) -> Sector | None:
    """The fan of a cine, or None where the picture is not one.

    Parameters
    ----------
    frames : uint8 (T, H, W)
        One frame or more.
    pixel_aspect : float
        Height of a pixel divided by its width; a fan is round in mm, not in pixels.

    Returns
    -------
    Sector or None
    """
    rows, columns = frames.shape[1:]
    coarse = _fitting_size(rows * pixel_aspect, columns, _COARSE_SIDE)
    guesses = []
    for rank, lit in enumerate(_lit_fields(frames, coarse)):
        start = None if lit is None else _first_guess(lit)
        if lit is not None and start is not None:
            overlap, params = _refine(start, lit)
            guesses.append((overlap, rank, params))
    if not guesses:
        return None
    _, rank, params = max(guesses, key=lambda guess: guess[0])
    fine = _fitting_size(rows * pixel_aspect, columns, _FINE_SIDE)
    fields = _lit_fields(frames, fine, shares=_EDGE_LEVELS)
    lit = fields[rank]
    if lit is None:
        return None
    ratio = fine[0] / coarse[0]
    overlap, params = _refine(_scaled(params, ratio, ratio), lit)
    if overlap < _MIN_OVERLAP:
        return None
    # The centre of the last lit pixel lies half a pixel inside; a shrunk pixel is lit even where the fan covers
    # little of it.
    inset = 0.5 if fine[0] == columns else 0.1
    params = _on_the_edge(params, fields, stretch=rows * pixel_aspect / fine[1] * fine[0] / columns, inset=inset)
    if not _MIN_OPENING <= params[3] - params[2] <= _MAX_OPENING:
        return None
    faintest = next(field for field in fields if field is not None)
    params = _with_near_field(params, faintest)
    # Both grids have square pixels; their centres stay in place.
    x, y, left, right, r_min, r_max = _scaled(params, columns / fine[0], columns / fine[0])
    (x0, x1), (y0, y1) = (
        ((np.flatnonzero(faintest.mean(axis=axis) >= _MIN_LINE)[[0, -1]] + 0.5) * n / m - 0.5).tolist()
        for axis, n, m in ((0, columns, fine[0]), (1, rows, fine[1]))
    )
    return Sector(
        apex=(float(x), float((y + 0.5) / pixel_aspect - 0.5)),
        angles=(float(left), float(right)),
        r_min=float(max(r_min, 0.0)),
        r_max=float(r_max),
        shape=(rows, columns),
        pixel_aspect=pixel_aspect,
        overlap=overlap,
        extent=(x0, y0, x1, y1),
    )


def mask_outside(frames: NDArray[np.uint8], sector: Sector) -> NDArray[np.uint8]:
    """A copy of frames (T, H, W) that is black outside the fan."""
    return frames * sector.mask()[None].astype(np.uint8)


def _fitting_size(height: float, width: float, side: int) -> tuple[int, int]:
    """Columns and rows of a grid of square pixels, not finer than the frame."""
    scale = min(1.0, side / max(height, width))
    return max(8, round(width * scale)), max(8, round(height * scale))


def _scaled(params: NDArray[np.float64], sx: float, sy: float) -> NDArray[np.float64]:
    x, y, left, right, r_min, r_max = params
    return np.array([(x + 0.5) * sx - 0.5, (y + 0.5) * sy - 0.5, left, right, r_min * sx, r_max * sx])


def _lit_fields(
    frames: NDArray[np.uint8], size: tuple[int, int], *, shares: tuple[float, ...] = ()
) -> list[BoolImage | None]:
    """Lit pixels at several thresholds, faintest first of each kind; None where there are hardly any."""
    chosen = frames[np.linspace(0, len(frames) - 1, min(len(frames), _MAX_FRAMES)).astype(int)]
    small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in chosen]).astype(np.float32)
    brightest = small.max(axis=0)
    fields = [(brightest, level) for level in _LIGHT_LEVELS]
    if len(small) >= 4:
        change = small.std(axis=0)
        fields = [(change, level) for level in _CHANGE_LEVELS] + fields
    lit_values = brightest[brightest > _LIGHT_LEVELS[0]]
    if lit_values.size:
        fields += [(brightest, share * float(np.percentile(lit_values, 75))) for share in shares]
    found: list[BoolImage | None] = []
    for field, level in fields:
        lit = cv2.medianBlur((field > level).astype(np.uint8), 5 if max(size) > _COARSE_SIDE else 3)
        part = _largest(cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)))
        found.append(part if part is not None and part.mean() > 0.05 else None)
    return found


def _largest(lit: NDArray[np.uint8]) -> BoolImage | None:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    if count < 2:
        return None
    part = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    # Dark chambers are holes in the lit part; some open to its side, so close before filling.
    width = max(3, round(0.06 * max(part.shape))) | 1
    padded = cv2.copyMakeBorder(part, width, width, width, width, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(closed), contours, -1, 1, cv2.FILLED)
    return filled[width:-width, width:-width].astype(bool)


def _first_guess(lit: BoolImage) -> NDArray[np.float64] | None:
    """Edges from the first and last lit pixel of each row, their crossing as the tip, radii from the lit pixels."""
    rows = np.flatnonzero(lit.any(axis=1))
    first = np.array([np.argmax(lit[y]) for y in rows], dtype=float)
    last = np.array([lit.shape[1] - 1 - np.argmax(lit[y, ::-1]) for y in rows], dtype=float)
    lines = []
    for x, widest, border in ((first, int(np.argmin(first)), 0), (last, int(np.argmax(last)), lit.shape[1] - 1)):
        low, high = int(0.1 * widest), int(0.95 * widest)
        use = np.arange(low, high)
        use = use[np.abs(x[use] - border) > 1]
        if len(use) < 8:
            return None
        lines.append(_robust_line(rows[use].astype(float), x[use]))
    (a, b), (c, d) = lines
    if c - a < 0.1:
        return None
    y0 = (b - d) / (c - a)
    x0 = a * y0 + b
    left, right = np.arctan(a), np.arctan(c)
    y, x = np.nonzero(lit)
    radius = np.hypot(x - x0, y - y0)
    return np.array([x0, y0, left, right, max(0.0, np.percentile(radius, 0.2)), np.percentile(radius, 99.5)])


def _robust_line(y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept of x over y; points off the line lose their say."""
    keep = np.ones(len(y), bool)
    slope, start = np.polyfit(y, x, 1)
    for _ in range(5):
        off = np.abs(x - slope * y - start)
        keep = off <= max(1.5, 1.5 * float(np.median(off)))
        slope, start = np.polyfit(y[keep], x[keep], 1)
    return float(slope), float(start)


def _refine(start: NDArray[np.float64], lit: BoolImage) -> tuple[float, NDArray[np.float64]]:
    """The fan near `start` with the largest overlap, and that overlap."""
    rows, columns = lit.shape
    y, x = np.arange(rows, dtype=np.float64)[:, None], np.arange(columns, dtype=np.float64)[None]
    target = lit.astype(np.float64)
    total = target.sum()

    def missing(params: NDArray[np.float64]) -> float:
        fan = _inside(params, x, y)
        fan += 0.5
        np.clip(fan, 0, 1, out=fan)
        both = float(np.einsum("ij,ij->", fan, target))
        return 1 - both / (float(fan.sum()) + total - both)

    steps = np.array([3, 3, 0.05, 0.05, 3, 3.0])
    simplex = np.vstack([start, start + np.diag(steps)])
    found = minimize(
        missing,
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 500, "xatol": 1e-2, "fatol": 1e-5},
    )
    return 1 - float(found.fun), found.x


def _on_the_edge(
    params: NDArray[np.float64], fields: list[BoolImage | None], *, stretch: float, inset: float
) -> NDArray[np.float64]:
    """The fan whose outline runs along the borders of the lit parts.

    Borders at all thresholds count together: where the fan ends sharply they coincide, in dark flanks and where a
    trace or a mark touches the fan they scatter, and a Cauchy loss gives scattered ones no say. `stretch` undoes
    the rounding of the grid's rows; `inset` is how far inside the fan the border pixels lie.
    """
    borders = []
    for lit in fields:
        if lit is not None:
            contours, _ = cv2.findContours(lit.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            rows, columns = lit.shape
            x, y = np.vstack(contours)[:, 0].astype(np.float64).T
            # Where the frame cuts the fan off, the border says nothing about the fan.
            use = (x > 1) & (y > 1) & (x < columns - 2) & (y < rows - 2)
            borders.append(np.stack([x[use], (y[use] + 0.5) * stretch - 0.5]))
    x, y = np.hstack(borders)

    def misses(moved: NDArray[np.float64]) -> NDArray[np.float64]:
        # Few border pixels hold the inner radius.
        return np.append(_inside(moved, x, y) - inset, 0.3 * (moved[4] - params[4]))

    best = params
    for scale in (4.0, 1.0):
        fit = least_squares(misses, best, loss="cauchy", f_scale=scale, x_scale=_STEPS, max_nfev=30)
        best = fit.x
    return best


def _with_near_field(params: NDArray[np.float64], faintest: BoolImage) -> NDArray[np.float64]:
    """Without the near arc where too much above it is lit: a dark near field is no curved array."""
    if params[4] < _DEEP * params[5]:
        return params
    whole = params.copy()
    whole[4] = 0.0
    y, x = np.arange(faintest.shape[0])[:, None].astype(float), np.arange(faintest.shape[1])[None].astype(float)
    above = (_inside(whole, x, y) > _MARGIN) & (_inside(params, x, y) < -_MARGIN)
    return whole if above.any() and faintest[above].mean() > _NEAR_LIT else params


def _inside(params: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed distance in pixels to the nearest border of the fan, positive inside.

    `x` and `y` are broadcast: a grid is given as one row and one column, since this is where the time goes.
    """
    x0, y0, left, right, r_min, r_max = params
    dx, dy = x - x0, y - y0
    nearest = dx * np.cos(left) - dy * np.sin(left)
    other = dy * np.sin(right) - dx * np.cos(right)
    np.minimum(nearest, other, out=nearest)
    radius = np.sqrt(dx * dx + dy * dy)
    np.minimum(nearest, np.subtract(radius, r_min, out=other), out=nearest)
    return np.minimum(nearest, np.subtract(r_max, radius, out=other), out=nearest)


def _params(sector: Sector) -> NDArray[np.float64]:
    x, y = sector.apex
    return np.array([x, y * sector.pixel_aspect, *sector.angles, sector.r_min, sector.r_max])
