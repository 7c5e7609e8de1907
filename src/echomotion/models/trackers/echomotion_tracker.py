"""Our own tracker: joint reconciliation of many pairs of frames, with what can be learned, learned.

The measuring and the joint estimate over time and neighbours are those of :mod:`.multilag_matching`, whose result
needs no training. Learned are how the correlation volumes of the coarse passes are read (where the tissue went, and
how much that is worth) and how sure the end result is and whether the point can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from echomotion.core import ModelError
from echomotion.models.base import Tracker
from echomotion.models.registry import register
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.judging import JudgeNetwork, judge_by_network
from echomotion.models.trackers.multilag import Reader, read_peaks
from echomotion.models.trackers.multilag_matching import MultilagFollower, MultilagMatchingConfig
from echomotion.models.trackers.pair_reader import PairReader, read_by_network
from echomotion.models.weights import Weights


@dataclass(frozen=True)
class EchomotionTrackerConfig:
    """Options of the tracker.

    Attributes
    ----------
    min_visible : float
        Probability from which on a point counts as visible.
    """

    min_visible: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.min_visible <= 1:
            raise ModelError("min_visible is a probability, from 0 to 1")


@dataclass(frozen=True)
class EchomotionTrackerParts:
    """Sizes of the learned parts.

    Attributes
    ----------
    read_passes : int
        So many first passes are read by networks, the others by their peaks.
    reader_width, judge_width : int
        Hidden units.
    matching : MultilagMatchingConfig
        The method around them; not part of the weights' options, so that all weights run with the present one.
    """

    read_passes: int = 2
    reader_width: int = 64
    judge_width: int = 32
    matching: MultilagMatchingConfig = field(default_factory=MultilagMatchingConfig)


class EchomotionTrackerNetwork(nn.Module):
    """All that is learned: a reader for each of the first passes, and a judge."""

    def __init__(self, parts: EchomotionTrackerParts) -> None:
        super().__init__()
        self.parts = parts
        stages = parts.matching.stages
        self.readers = nn.ModuleList(
            PairReader(stage.reach, parts.reader_width) for stage in stages[: parts.read_passes]
        )
        self.judge = JudgeNetwork(parts.judge_width)

    def read(self) -> tuple[Reader, ...]:
        """A reader for each pass."""
        learned = [read_by_network(reader) for reader in self.readers if isinstance(reader, PairReader)]
        return (*learned, *[read_peaks] * (len(self.parts.matching.stages) - len(learned)))

    def follower(self, min_visible: float) -> MultilagFollower:
        """The method with these parts in it."""
        return MultilagFollower(self.parts.matching, self.read(), judge_by_network(self.judge, min_visible))


@register("tracker", learned=True)
def echomotion_tracker(config: EchomotionTrackerConfig, *, weights: Weights) -> Tracker:
    """Many pairs of frames reconciled over time and neighbours; reading and confidence learned."""
    network = EchomotionTrackerNetwork(EchomotionTrackerParts(**weights.card["options"]))
    weights.load_into(network)
    follower = network.eval().follower(config.min_visible)
    return FollowerTracker("echomotion_tracker", follower, network.parts.matching.max_height)
