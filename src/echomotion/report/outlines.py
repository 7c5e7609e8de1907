"""Smooth outlines of the segmented structures on one frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from echomotion.core import Geometry, Masks
from echomotion.core.masks import LEFT_ATRIUM, LV_CAVITY, LV_MYOCARDIUM
from echomotion.measure.contours import FloatArray, level_contour

# What each outline encloses.
OUTLINES = {
    "atrium": (LEFT_ATRIUM,),
    "epicardium": (LV_CAVITY, LV_MYOCARDIUM),
    "endocardium": (LV_CAVITY,),
}
# Without probabilities, label images are averaged down to about this many pixels before they are outlined.
_SIDE = 320
_BLUR = 1.6


def outlines(masks: Masks, frame: int) -> dict[str, FloatArray]:
    """Closed outlines of one frame by name, (M, 2) in native pixels; those that are not there are left out.

    They run where the labels change: between pixels, from the probabilities where the masks carry them, else from
    the softened labels.
    """
    found = {}
    for name, classes in OUTLINES.items():
        inside = [label for label, class_name in masks.classes.items() if class_name in classes]
        labels = masks.labels[frame]
        if classes[-1] not in masks.classes.values() or not any((labels == label).any() for label in inside):
            continue
        field, geometry = _margin(masks, frame, inside)
        contour = _outline(field)
        if len(contour) > 2:
            found[name] = geometry.to_native(contour)
    return found


def _margin(masks: Masks, frame: int, inside: list[int]) -> tuple[NDArray[np.float32], Geometry]:
    """By how much the classes inside lead over the others, 0 on the border, with the grid it is on."""
    if masks.probability is not None and masks.geometry is not None:
        within = np.isin(list(masks.classes), inside)
        probability = masks.probability[frame].astype(np.float32)
        return probability[within].max(axis=0) - probability[~within].max(axis=0), masks.geometry
    rows, columns = masks.labels.shape[1:]
    scale = min(1.0, _SIDE / max(rows, columns))
    shape = (max(1, round(rows * scale)), max(1, round(columns * scale)))
    mask = np.isin(masks.labels[frame], inside).astype(np.float32)
    small = cv2.resize(mask, shape[::-1], interpolation=cv2.INTER_AREA)
    field: NDArray[np.float32] = cv2.GaussianBlur(small, (0, 0), _BLUR, borderType=cv2.BORDER_CONSTANT) - 0.5
    return field, Geometry.resize((rows, columns), shape)


def _outline(field: NDArray[np.float32]) -> FloatArray:
    """The longest zero line of a field, looked for only where the field is positive, for speed."""
    rows, columns = np.nonzero(field > 0)
    if len(rows) == 0:
        return np.zeros((0, 2))
    top, left = max(int(rows.min()) - 1, 0), max(int(columns.min()) - 1, 0)
    part = field[top : int(rows.max()) + 2, left : int(columns.max()) + 2]
    return level_contour(part.astype(np.float64), 0.0) + np.array([left, top])
