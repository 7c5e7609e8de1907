"""Whether masks follow one ventricle: from frame to frame a cavity stays nearly where it was."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from echomotion.core.masks import LV_CAVITY, Masks

# A beating cavity, 20 frames a second or more, overlaps with itself on the next frame by a Dice of 0.85 and more.
LEAST_OVERLAP = 0.5


def unsteady(masks: Masks) -> str:
    """Why the cavity of a clip cannot be one ventricle; empty where it can.

    The median over neighbouring frames of the overlap (Dice) must be at least :data:`LEAST_OVERLAP`; pairs of frames
    without any cavity are left out. A segmenter that is shown no heart draws one somewhere else on every frame.
    """
    if not masks.has(LV_CAVITY):
        return ""
    inside = masks.mask(LV_CAVITY).reshape(masks.n_frames, -1)
    size = inside.sum(axis=1)
    both = np.array([np.count_nonzero(a & b) for a, b in pairwise(inside)])
    total = size[:-1] + size[1:]
    seen = total > 0
    if not seen.any():
        return ""
    overlap = float(np.median(2 * both[seen] / total[seen]))
    if overlap >= LEAST_OVERLAP:
        return ""
    return f"the segmented cavity does not stay in its place from frame to frame (overlap {overlap:.2f})"
