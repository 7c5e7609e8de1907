"""Training of the judgement in the echomotion tracker.

Positions do not depend on it: they are found once, on simulated cines whose appearance is changed in part, and the
network learns from what was noted of each (:func:`echomotion.models.trackers.judging.marks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.trackers.judging import Evidence, JudgeNetwork, marks
from echomotion.models.trackers.multilag import read_peaks
from echomotion.models.trackers.multilag_matching import MultilagFollower, MultilagMatchingConfig
from echomotion.models.trackers.stepwise import Frame
from echomotion.models.trackers.windows import Asked
from echomotion.training.cines import VIEWS, Cine, ImpartialMotion, Sample, SimulatedCines, draw_cine

FloatArray = NDArray[np.float64]

# An error below this many px is within what confidence claims.
_WITHIN_PX = 2.0


@dataclass(frozen=True)
class EchomotionTrackerTraining:
    """Data side of the recipe.

    Attributes
    ----------
    frames, points, size : int
        Of a training sample.
    draws : int
        Samples of each cine.
    batch : int
        Positions in a step.
    motion : ImpartialMotion
    changed : float
        Share of samples whose appearance may be changed.
    templates : str or None
        A CAMUS folder whose training patients give the anatomy of the four-chamber cines; a relative path starts at
        the folder of the data.
    sequences, selection : int
        Simulated sequences of each view to train on (twice as many four-chamber ones) and to choose the checkpoint.
    seed, selection_seed : int
    """

    frames: int = 36
    points: int = 64
    size: int = 256
    draws: int = 1
    batch: int = 8192
    motion: ImpartialMotion = field(default_factory=ImpartialMotion)
    changed: float = 0.3
    templates: str | None = None
    sequences: int = 64
    selection: int = 8
    seed: int = 1
    selection_seed: int = 9001


@dataclass(frozen=True)
class Noted:
    """Positions found on simulated cines.

    Attributes
    ----------
    marks : float32 (K, MARKS)
    near : float32 (K,)
        1 where the error is under 2 px.
    visible : float32 (K,)
        1 where the point can be seen.
    """

    marks: Tensor
    near: Tensor
    visible: Tensor


class EchomotionTrackerTask:
    """Cross-entropy of "within 2 px" (where the point can be seen) and of visibility."""

    def __init__(self, data: str | Path, training: EchomotionTrackerTraining, network: JudgeNetwork) -> None:
        self.network: nn.Module = network
        self.training = training
        counts = {view: training.sequences * (2 if view == "A4C" else 1) for view in VIEWS}
        patients = None if training.templates is None else Path(data) / training.templates
        fit = SimulatedCines(Path(data) / "fit", VIEWS, counts, training.seed, templates=patients)
        chosen = SimulatedCines(Path(data) / "selection", VIEWS, training.selection, training.selection_seed)
        self.noted = note(fit.cines, training, training.seed)
        self.selection = note(chosen.cines, training, training.selection_seed)

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Marks (B, MARKS), nearness (B,) and visibility (B,)."""
        chosen = torch.from_numpy(rng.integers(len(self.noted.near), size=self.training.batch))
        return self.noted.marks[chosen], self.noted.near[chosen], self.noted.visible[chosen]

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Sum of both cross-entropies."""
        found, near, visible = batch
        return judgement_loss(network(found), near, visible)

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Cross-entropy, mean squared error of the confidence and accuracy of visibility, on other cines."""
        noted = self.selection
        logits = network(noted.marks)
        loss = float(judgement_loss(logits, noted.near, noted.visible))
        seen = noted.visible.bool()
        miss = torch.sigmoid(logits[seen, 0]) - noted.near[seen]
        return {
            "score": -loss,
            "squared_error": float(miss.square().mean()),
            "occlusion_accuracy": float(((logits[:, 1] > 0) == seen).float().mean()),
        }


def judgement_loss(logits: Tensor, near: Tensor, visible: Tensor) -> Tensor:
    """Cross-entropy of nearness, where visible, plus that of visibility; logits (B, 2)."""
    within = functional.binary_cross_entropy_with_logits(logits[:, 0], near, reduction="none")
    seen = functional.binary_cross_entropy_with_logits(logits[:, 1], visible)
    return (within * visible).sum() / visible.sum().clamp(min=1) + seen


def note(cines: list[Cine], training: EchomotionTrackerTraining, seed: int) -> Noted:
    """Find points on samples of all cines, and note what there is to be judged."""
    matching = MultilagMatchingConfig()
    rows = []

    def keep(frames: Sequence[Frame], evidence: Evidence, asked: Asked) -> tuple[FloatArray, NDArray[np.bool_]]:
        rows.append(_true_of(marks(frames, evidence, asked), evidence, asked, sample))
        return np.ones(asked.known.shape), asked.known

    follower = MultilagFollower(matching, (read_peaks,) * len(matching.stages), keep)
    plain = replace(training.motion, appearance=False)
    for number, cine in enumerate(cines):
        for draw in range(training.draws):
            rng = np.random.default_rng([seed, number, draw])
            # Most as simulated: a judge that has seen poor pictures above all is too humble on good ones.
            motion = training.motion if rng.random() < training.changed else plain
            sample = draw_cine(cine, rng, motion, frames=training.frames, size=training.size, points=training.points)
            sample = asked_together(sample)
            follower.follow(list(sample.frames), _asked(sample), lambda: None)
    found, near, visible = (torch.from_numpy(np.concatenate(part)) for part in zip(*rows, strict=True))
    return Noted(found, near.float(), visible.float())


def asked_together(sample: Sample) -> Sample:
    """The sample with all points asked for on the frame on which most were; those hidden there are left out."""
    frame = int(np.bincount(sample.query, minlength=sample.visible.shape[1]).argmax())
    kept = np.flatnonzero(sample.visible[:, frame])
    # A point may have been drawn twice.
    kept = kept[np.unique(sample.xy[kept, frame], axis=0, return_index=True)[1]]
    return Sample(sample.frames, sample.xy[kept], sample.visible[kept], np.full(len(kept), frame, dtype=np.int64))


def _asked(sample: Sample) -> Asked:
    rows, frame = np.arange(len(sample.xy)), int(sample.query[0])
    origin = sample.xy[rows, sample.query].astype(np.float64)
    known = np.zeros(sample.visible.shape, dtype=bool)
    known[rows, sample.query] = True
    start = np.repeat(origin[:, None], len(sample.frames), axis=1)
    return Asked(sample.query, origin, {frame: sample.frames[frame]}, start, known)


def _true_of(
    found: NDArray[np.float32], evidence: Evidence, asked: Asked, sample: Sample
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Marks (K, MARKS), nearness (K,) and visibility (K,) of all positions but the queries.

    Those judged are some of the sample's points: the ones that were measured.
    """
    apart = np.linalg.norm(asked.origin[:, None] - _asked(sample).origin, axis=-1)
    which = apart.argmin(axis=1)
    near = np.linalg.norm(evidence.xy - sample.xy[which], axis=-1) < _WITHIN_PX
    rest = ~asked.known
    return found[rest], near[rest], sample.visible[which][rest]
