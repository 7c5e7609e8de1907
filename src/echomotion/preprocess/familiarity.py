"""Whether a clip looks like those that the trackers were made on, from simple statistics inside the fan.

Statistics are taken on at most three pairs of neighbouring frames, reduced to 256 rows at most. The fan is here the
convex hull of the largest lit part: rougher than :mod:`echomotion.preprocess.sector`, and fast. The ranges hold what
424 simulated clips of the default draw show (five views), widened to hold real four-chamber recordings too; both are
stated in ``docs/trackers.md``. A clip outside a range may still be tracked well: the trackers were not tried on such.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Clip, View

BoolImage = NDArray[np.bool_]
FloatImage = NDArray[np.float32]

# Views of the heart that the trackers were made on.
VIEWS = (View.A4C, View.A2C, View.A3C, View.PLAX, View.PSAX)

# Attribute of ClipFacts: in words, unit, and the range that does not surprise.
RANGES: dict[str, tuple[str, str, float, float]] = {
    "fan_fill": ("the share of its bounding box that the fan fills", "", 0.4, 0.88),
    "fan_rows": ("the height of the fan", " px", 100.0, np.inf),
    "lit": ("the share of the fan that is lit", "", 0.3, 1.0),
    "grey_median": ("the median grey level of what is lit", "", 30.0, 185.0),
    "grey_high": ("the 95th percentile of grey levels", "", 65.0, 253.0),
    "grain_x": ("the grain of the speckle across", " px", 1.0, 4.5),
    "grain_y": ("the grain of the speckle down", " px", 0.85, 3.6),
    "likeness": ("the likeness of neighbouring frames", "", 0.25, 0.995),
    "frame_rate_hz": ("the number of frames a second", "", 15.0, 160.0),
}

_ROWS = 256
_PAIRS = 3
# Grey level above which a pixel belongs to the fan, and above which it is called lit.
_FAN_LEVEL, _LIT_LEVEL = 8, 20
# Side of the squares that are compared between frames, the distance of their centres, and their least contrast.
_PATCH_PX, _STEP_PX, _MIN_CONTRAST = 15, 9, 3.0
# Standard deviation of the blur that parts speckle from what is broader, and the lag at which its grain is read.
_DETAIL_PX, _GRAIN_LAG = 6.0, 2
_LEAST_PIXELS = 100


@dataclass(frozen=True)
class ClipFacts:
    """What a clip looks like; NaN where it cannot be said. Grains are in px at a height of 256 px at most.

    Attributes
    ----------
    fan_fill : float
        Area of the lit part's hull over that of its box: about 0.65 for a fan, 1 for a full picture.
    fan_rows : float
        Height of the hull in native pixels.
    lit : float
        Share of the hull above a grey level of 20.
    grey_median, grey_high : float
        Median of the lit pixels, and 95th percentile of the hull.
    grain_x, grain_y : float
        Standard deviation of the Gaussian whose autocorrelation falls as that of the detail does over 2 px.
    likeness : float
        Median correlation of squares of 15 px with the same place on the next frame.
    frame_rate_hz : float
    """

    fan_fill: float
    fan_rows: float
    lit: float
    grey_median: float
    grey_high: float
    grain_x: float
    grain_y: float
    likeness: float
    frame_rate_hz: float


def unfamiliar(clip: Clip) -> str | None:
    """One line that says in what a clip differs from those that the trackers were made on; None when in nothing."""
    found = []
    if clip.view not in (*VIEWS, View.UNKNOWN):
        found.append(f"the view is {clip.view}, not one of {', '.join(VIEWS)}")
    if clip.n_frames == 1:
        found.append("a single frame has no motion")
    facts = clip_facts(clip)
    if not facts.lit > 0:
        found.append("nothing is lit")
    else:
        for name, (words, unit, low, high) in RANGES.items():
            value = getattr(facts, name)
            if value < low or value > high:
                wanted = f"{low:g} or more" if np.isinf(high) else f"{low:g} to {high:g}"
                found.append(f"{words} is {value:.3g}{unit} (expected {wanted})")
    if not found:
        return None
    head = f"{clip.source.name} is unlike the clips that the trackers were made on, so check the tracks"
    return f"{head}: {'; '.join(found)}"


def clip_facts(clip: Clip) -> ClipFacts:
    """Statistics of a clip; some 20 ms."""
    scale = min(1.0, _ROWS / clip.shape[0])
    size = (max(1, round(clip.shape[1] * scale)), max(1, round(clip.shape[0] * scale)))

    def small(number: int) -> FloatImage:
        frame = clip.frames[number]
        return (cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame).astype(np.float32)

    firsts = np.unique(np.linspace(0, max(0, clip.n_frames - 2), _PAIRS).round().astype(int))
    frames = [small(int(t)) for t in firsts]
    inside = _hull(np.max(frames, axis=0))
    grey = np.concatenate([frame[inside] for frame in frames])
    lit = grey[grey > _LIT_LEVEL]
    grains = np.array([_grains(frame, inside) for frame in frames])
    alike = [
        _likeness(frame, small(int(t) + 1), inside)
        for t, frame in zip(firsts, frames, strict=True)
        if t + 1 < clip.n_frames
    ]
    rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    return ClipFacts(
        fan_fill=float(inside.sum() / max(1, rows * columns)),
        fan_rows=float(rows / scale),
        lit=len(lit) / max(1, len(grey)),
        grey_median=_median(lit),
        grey_high=float(np.percentile(grey, 95)) if len(grey) else float("nan"),
        grain_x=_median(grains[:, 0]),
        grain_y=_median(grains[:, 1]),
        likeness=_median(np.concatenate(alike)) if alike else float("nan"),
        frame_rate_hz=1 / clip.frame_interval_s,
    )


def _median(values: NDArray[np.floating]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _hull(brightest: FloatImage) -> BoolImage:
    lit = cv2.medianBlur((brightest > _FAN_LEVEL).astype(np.uint8), 5)
    lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    if count < 2:
        return np.zeros(lit.shape, dtype=bool)
    part = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(np.concatenate(contours))
    return cv2.fillConvexPoly(np.zeros_like(part), hull, 1).astype(bool)


def _grains(frame: FloatImage, inside: BoolImage) -> tuple[float, float]:
    """Grain across and down where it is bright enough to have any."""
    detail = frame - cv2.GaussianBlur(frame, (0, 0), _DETAIL_PX)
    bright = inside & (cv2.blur(frame, (9, 9)) > _LIT_LEVEL)
    return _grain(detail, bright), _grain(detail.T, bright.T)


def _grain(detail: FloatImage, where: BoolImage) -> float:
    both = where[:, _GRAIN_LAG:] & where[:, :-_GRAIN_LAG]
    here, there = detail[:, :-_GRAIN_LAG][both], detail[:, _GRAIN_LAG:][both]
    power = float(here.std() * there.std()) if both.sum() >= _LEAST_PIXELS else 0.0
    if power == 0:
        return float("nan")
    correlation = float(np.mean((here - here.mean()) * (there - there.mean()))) / power
    return _GRAIN_LAG / float(np.sqrt(-2 * np.log(np.clip(correlation, 1e-3, 0.9999))))


def _likeness(here: FloatImage, there: FloatImage, inside: BoolImage) -> NDArray[np.float64]:
    """Correlation of squares of two frames, those with contrast."""

    def means(image: FloatImage) -> NDArray[np.float64]:
        return cv2.blur(image, (_PATCH_PX, _PATCH_PX))[::_STEP_PX, ::_STEP_PX].astype(np.float64)

    mean_here, mean_there = means(here), means(there)
    power_here, power_there = means(here * here) - mean_here**2, means(there * there) - mean_there**2
    both = means(here * there) - mean_here * mean_there
    use = inside[::_STEP_PX, ::_STEP_PX] & (np.minimum(power_here, power_there) > _MIN_CONTRAST**2)
    return both[use] / np.sqrt(power_here[use] * power_there[use])
