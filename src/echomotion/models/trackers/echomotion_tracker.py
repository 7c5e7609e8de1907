"""Our own tracker: many pairs of frames reconciled jointly, with a learned judgement of every position.

Positions are those of :mod:`.multilag_matching`, which needs no training: networks that read its correlation volumes
in place of their peaks were no better on simulated hearts and worse on an independent simulator. Learned is how sure
a position is and whether the point can be seen there, from all that the measuring tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from echomotion.core import ModelError
from echomotion.models.base import Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.judging import JudgeNetwork, judge_by_network
from echomotion.models.trackers.multilag import read_peaks
from echomotion.models.trackers.multilag_matching import MultilagFollower, MultilagMatchingConfig
from echomotion.models.weights import Weights


@dataclass(frozen=True)
class EchomotionTrackerConfig:
    """Options of the tracker.

    Attributes
    ----------
    min_visible : float
        Probability from which on a point counts as visible.
    window : int
        Frames that are looked at together; half of them are shared with the window before.
    """

    min_visible: float = 0.5
    window: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.min_visible <= 1:
            raise ModelError("min_visible is a probability, from 0 to 1")


@register("tracker", learned=True)
def echomotion_tracker(config: EchomotionTrackerConfig, *, weights: Weights) -> Tracker:
    """Many pairs of frames reconciled over time and neighbours; confidence and visibility learned."""
    network = JudgeNetwork(**weights.card["options"])
    weights.load_into(network)
    matching = MultilagMatchingConfig(window=config.window)
    judge = judge_by_network(network.eval(), config.min_visible)
    follower = MultilagFollower(matching, (read_peaks,) * len(matching.stages), judge)
    return FollowerTracker("echomotion_tracker", follower, matching.max_height)
