"""Leaflets: thin, bright and fast. They hang at hinges that move with the tissue and open with the flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echomotion.simulate.anatomy import Valve
from echomotion.simulate.motion import Motion

FloatArray = NDArray[np.float64]


def leaflet_positions(motion: Motion, valve: Valve, which: int, u: FloatArray, v: FloatArray) -> FloatArray:
    """Places (T, N, 2) in mm of points of a leaflet.

    Parameters
    ----------
    which : {0, 1}
        Leaflet at the first or the second hinge.
    u : (N,)
        0 at the hinge to 1 at the tip.
    v : (N,)
        Distance from the leaflet's middle line, mm.
    """
    hinges = motion.positions(valve.hinges).astype(np.float64)
    near, far = hinges[:, which], hinges[:, 1 - which]
    span = np.hypot(*(far - near).T)
    sideward = (far - near) / span[:, None]
    ahead = np.stack([-sideward[:, 1], sideward[:, 0]], axis=-1)
    apex = motion.positions(motion.wall.reference(np.array([motion.apex_s]), np.zeros(1)))[:, 0]
    ahead = ahead * np.sign(np.sum((apex - near) * ahead, axis=1))[:, None]
    rhythm = motion.heart.rhythm
    if valve.kind == "aortic":
        ahead, opening = -ahead, rhythm.aortic_opening(motion.times_s)
    else:
        opening = rhythm.mitral_opening(motion.times_s)
    share = valve.lengths[which] / sum(valve.lengths)
    # Closed: the tip lies on the line between the hinges where the leaflets meet, a little ahead of it.
    reach = np.maximum(share * span, 1.0)
    shut = np.arctan2(0.18 * span, reach)
    angle = shut + opening * (np.deg2rad(80.0) - shut)
    length = np.hypot(reach, 0.18 * span) * (1 - opening) + valve.lengths[which] * opening
    along = np.cos(angle)[:, None] * sideward + np.sin(angle)[:, None] * ahead
    normal = -np.sin(angle)[:, None] * sideward + np.cos(angle)[:, None] * ahead
    bow = (0.5 * u * (1 - u))[None] * length[:, None] + v[None]
    return near[:, None] + (u[None] * length[:, None])[..., None] * along[:, None] + bow[..., None] * normal[:, None]
