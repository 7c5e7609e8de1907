"""What lies round the wall at end-diastole: atria, the other ventricle, aorta, pericardium, leaflets, muscles.

Everything is in scan space (mm). A part is a polygon that moves with the tissue round it; it is made of the wall's
own edge where it borders on the wall, so that no gap opens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from echomotion.core import View
from echomotion.simulate.heart import HeartParameters

FloatArray = NDArray[np.float64]

# Names of the labels in masks, by view. The ventricle whose wall is followed comes first.
CLASSES: dict[View, tuple[str, ...]] = {
    View.A4C: ("background", "lv_cavity", "lv_myocardium", "left_atrium", "right_ventricle"),
    View.A2C: ("background", "lv_cavity", "lv_myocardium", "left_atrium"),
    View.A3C: ("background", "lv_cavity", "lv_myocardium", "left_atrium", "aorta"),
    View.PLAX: ("background", "lv_cavity", "septum", "posterior_wall", "left_atrium", "aorta", "right_ventricle"),
    View.PSAX: ("background", "lv_cavity", "lv_myocardium", "right_ventricle"),
    View.RV_FOCUSED: ("background", "rv_cavity", "rv_myocardium", "right_atrium", "lv_cavity"),
}
# Part of the base that the aortic ring takes.
_AORTIC_SHARE = 0.45


@dataclass(frozen=True)
class Valve:
    """A valve of two leaflets: hinges (2, 2), length of each leaflet, and how it opens (``mitral``, ``aortic``)."""

    hinges: FloatArray
    lengths: tuple[float, float]
    kind: str


@dataclass(frozen=True)
class Anatomy:
    """The parts round the wall.

    Attributes
    ----------
    blood : dict of str to (K, 2)
        Polygons of the chambers other than the cavity, in the order of painting. Those that the view's masks have
        no class for (:data:`CLASSES`) are seen, but not labelled.
    edges : dict of str to (K, 2)
        Bright lines: walls of the atria and of the other ventricle, pericardium.
    edge_widths : dict of str to float
        In mm.
    free_wall : (K, 2)
        Free wall of the other ventricle, which moves on its own; empty where there is none.
    anchors : (K, 2)
        Points that stay where they are.
    valves : tuple of Valve
    muscles : tuple of (K, 2)
        Papillary muscles.
    """

    blood: dict[str, FloatArray] = field(default_factory=dict)
    edges: dict[str, FloatArray] = field(default_factory=dict)
    edge_widths: dict[str, float] = field(default_factory=dict)
    free_wall: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    anchors: FloatArray = field(default_factory=lambda: np.zeros((0, 2)))
    valves: tuple[Valve, ...] = ()
    muscles: tuple[FloatArray, ...] = ()


def surroundings_of(heart: HeartParameters, endo: FloatArray, epi: FloatArray) -> Anatomy:
    """The parts round a wall that is given by its two lines (S, 2) at end-diastole, in scan space."""
    if heart.view is View.PSAX:
        return _short_axis(heart, endo, epi)
    return _long_axis(heart, endo, epi)


def _pouch(first: FloatArray, second: FloatArray, depth: float, outward: FloatArray, bulge: float) -> FloatArray:
    """A sac hung between two points, `depth` mm deep, bulging sidewards, from the first to the second."""
    turn = np.linspace(0.0, np.pi, 41)
    middle, half = (first + second) / 2, (second - first) / 2
    sideward = half / np.hypot(*half)
    wide = -np.cos(turn)[:, None] * half + (bulge * np.sin(turn) * -np.cos(turn))[:, None] * sideward
    return middle + wide + (depth * np.sin(turn) ** 0.85)[:, None] * outward


def _long_axis(heart: HeartParameters, endo: FloatArray, epi: FloatArray) -> Anatomy:
    """Apical and parasternal long-axis views."""
    view, sizes = heart.view, heart.surroundings
    first, second = endo[0], endo[-1]
    apex = epi[int(np.argmax(np.hypot(*(epi - (first + second) / 2).T)))]
    outward = (first + second) / 2 - apex
    outward = outward / np.hypot(*outward)
    blood: dict[str, FloatArray] = {}
    edges: dict[str, FloatArray] = {}
    valves: list[Valve] = []
    free_wall = np.zeros((0, 2))
    chamber = "right_atrium" if view is View.RV_FOCUSED else "left_atrium"
    if view in (View.A3C, View.PLAX):
        # The aorta leaves beside the septum: on the image's right in A3C, above in the parasternal view.
        aortic, mitral = (second, first) if view is View.A3C else (first, second)
        border = aortic + _AORTIC_SHARE * (mitral - aortic)
        # The atrium lies against the back of the aorta, which is painted over it.
        atrium = blood[chamber] = _pouch(border, mitral, sizes.atrium_length_mm, outward, 12.0)
        edges["atrium"] = atrium[len(atrium) // 3 :]
        edges["aorta"], edges["aorta_back"] = _aorta(aortic, border, outward)
        blood["aorta"] = np.concatenate([edges["aorta"], edges["aorta_back"][::-1]])
        valves.append(Valve(np.stack([aortic, border]), (8.0, 8.0), "aortic"))
        valves.append(Valve(np.stack([border, mitral]), (sizes.leaflet_mm, 0.6 * sizes.leaflet_mm), "mitral"))
    else:
        edges["atrium"] = blood[chamber] = _pouch(first, second, sizes.atrium_length_mm, outward, 11.0)
        valves.append(Valve(np.stack([first, second]), (sizes.leaflet_mm, 0.75 * sizes.leaflet_mm), "mitral"))
    count = len(epi)
    far = (first + second) / 2 + 1.5 * sizes.atrium_length_mm * outward
    anchors = [far + t * np.array([outward[1], -outward[0]]) for t in np.linspace(-50.0, 50.0, 11)]
    if view is View.A4C:
        blood["right_ventricle"], free_wall = _neighbour(
            epi[: int(0.36 * count)], apex, outward, sizes.right_ventricle_mm
        )
        hinge = free_wall[0]
        edges["right_atrium"] = _pouch(hinge, epi[0], 0.85 * sizes.atrium_length_mm, outward, 6.0)
        blood["right_atrium"] = edges["right_atrium"]
        valves.append(Valve(np.stack([hinge, epi[0]]), (0.7 * sizes.leaflet_mm, 0.6 * sizes.leaflet_mm), "mitral"))
    elif view is View.RV_FOCUSED:
        # The left ventricle lies behind the septum.
        blood["lv_cavity"], free_wall = _neighbour(
            epi[count - int(0.42 * count) :][::-1], apex, outward, 1.5 * sizes.right_ventricle_mm, 1.15
        )
        hinge = free_wall[0]
        edges["left_atrium"] = _pouch(epi[-1], hinge, 0.9 * sizes.atrium_length_mm, outward, 8.0)
        blood["left_atrium"] = edges["left_atrium"]
        valves.append(Valve(np.stack([epi[-1], hinge]), (sizes.leaflet_mm, 0.75 * sizes.leaflet_mm), "mitral"))
    elif view is View.PLAX:
        blood["right_ventricle"], free_wall = _neighbour(
            epi[: int(0.5 * count)], apex, outward, sizes.right_ventricle_mm
        )
    widths = dict.fromkeys(edges, 1.8)
    if len(free_wall):
        edges["free_wall"] = free_wall
        widths["free_wall"] = 3.5 if view is not View.RV_FOCUSED else 9.0
    edges["pericardium"] = _pericardium(view, endo, epi)
    widths["pericardium"] = 2.0
    return Anatomy(blood, edges, widths, free_wall, np.asarray(anchors), tuple(valves))


def _aorta(front: FloatArray, back: FloatArray, outward: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The aorta's front and back wall (K, 2) from its ring on, wider in the sinuses above the ring."""
    across = (front - back) / np.hypot(*(front - back))
    direction = outward + 0.3 * across
    direction = direction / np.hypot(*direction)
    far = np.linspace(0.0, 55.0, 23)
    swell = 3.0 * np.sin(np.pi * np.clip(far / 22.0, 0.0, 1.0)) ** 2 + 1.5 * np.clip(far / 22.0, 0.0, 1.0)
    along, beside = far[:, None] * direction, swell[:, None] * across
    return front + along + beside, back + along - 0.5 * beside


def _pericardium(view: View, endo: FloatArray, epi: FloatArray) -> FloatArray:
    """A line just outside the free wall."""
    count = len(epi)
    part = slice(int(0.05 * count), int(0.5 * count)) if view is View.RV_FOCUSED else slice(int(0.5 * count), count)
    across = epi - endo
    return (epi + 1.2 * across / np.hypot(*across.T)[:, None])[part]


def _neighbour(
    septum: FloatArray, apex: FloatArray, outward: FloatArray, width: float, bulge: float = 0.75
) -> tuple[FloatArray, FloatArray]:
    """A ventricle on the outside of a stretch of wall (given from its base): its polygon and its free wall."""
    base, tip = septum[0], septum[-1]
    side = septum[len(septum) // 2] - apex
    side = side - np.dot(side, outward) * outward
    side = side / np.hypot(*side)
    hinge = base + width * side - 2.0 * outward
    u = np.linspace(0.0, 1.0, 31)[:, None]
    bow = tip + bulge * width * side + 0.15 * (base - tip)
    middle = hinge + 0.5 * (tip - hinge) + (bulge - 0.5) * width * side
    free = (1 - u) ** 3 * hinge + 3 * (1 - u) ** 2 * u * middle + 3 * (1 - u) * u**2 * bow + u**3 * tip
    return np.concatenate([septum[::-1], free]), free


def _short_axis(heart: HeartParameters, endo: FloatArray, epi: FloatArray) -> Anatomy:
    """Short axis: the right ventricle hugs the septum on the left; two papillary muscles stand in the cavity."""
    centre = endo[:-1].mean(axis=0)
    # From the inferior to the anterior insertion, clockwise: the first third of the ring.
    septum = epi[: len(epi) // 3 + 1]
    ray = (septum - centre) / np.hypot(*(septum - centre).T)[:, None]
    swell = np.sin(np.linspace(0.0, np.pi, len(septum))) ** 0.6
    free = septum + 0.8 * heart.surroundings.right_ventricle_mm * swell[:, None] * ray
    edges = {"free_wall": free, "pericardium": epi[len(epi) // 3 :] + 1.2 * _unit(epi[len(epi) // 3 :] - centre)}
    turn = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    radius = 0.17 * heart.shape.cavity_radius_mm
    muscles = []
    # At two and at half past six.
    for place in (0.6, 0.91):
        wall = endo[int(place * (len(endo) - 1))]
        middle = wall - 0.8 * radius * _unit(wall - centre)
        muscles.append(middle + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1))
    return Anatomy(
        {"right_ventricle": np.concatenate([septum[::-1], free])},
        edges,
        {"free_wall": 3.5, "pericardium": 2.0},
        free,
        np.zeros((0, 2)),
        (),
        tuple(muscles),
    )


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.sqrt(np.sum(np.atleast_2d(vectors) ** 2, axis=-1))
    return vectors / (length[:, None] if np.ndim(vectors) > 1 else length)
