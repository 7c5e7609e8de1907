"""Training of TR-net on cines without key-points: pseudo-flow and the likeness of patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from echomotion.models.keypoints.anchoring import ANCHOR_S
from echomotion.models.keypoints.sknet import GRID, sknet_network
from echomotion.models.keypoints.trnet import (
    DEFAULT_TEACHER,
    STEADY_S,
    Seen,
    first_trajectories,
    look,
    make_teacher,
    patches_of,
    pseudo_labels,
    reference_frame,
    refine,
    steadied,
)
from echomotion.models.keypoints.trnet_network import TRNetConfig, TRNetwork
from echomotion.models.losses import trajectory_loss
from echomotion.models.weights import find_weights
from echomotion.training.parasternal_cines import parasternal_cines
from echomotion.training.sknet import WITHIN


@dataclass(frozen=True)
class TRNetTraining:
    """Data side of the recipe.

    Attributes
    ----------
    sequences, selection, seed, selection_seed : int
        As for SK-net; the key-points of what is trained on are not used.
    batch : int
        Cines of a step.
    references : int
        Reference frames of each cine: its surest one, and random ones beside it.
    jitter_px : float
        Standard deviation of what is added to the first trajectories.
    reverse : bool
        Half of the samples run backward.
    alpha, beta, decay : float
        Of :func:`~echomotion.models.losses.trajectory_loss`.
    pseudo, patch : bool
        Whether the pseudo-flow and the patch correlation loss are used.
    teacher : str
        What gives pseudo labels: ``pwcnet``, the flow network, as in the paper, or a registered tracker.
    held : bool
        Whether pseudo labels are held on SK-net's key-points of all frames
        (:mod:`echomotion.models.keypoints.anchoring`); in the paper they start from those of the reference alone.
    sknet, teacher_weights : str or None
        Folders of weights, in place of the installed ones.
    """

    sequences: int = 200
    selection: int = 24
    seed: int = 11
    selection_seed: int = 9011
    batch: int = 2
    references: int = 2
    jitter_px: float = 0.5
    reverse: bool = True
    alpha: float = 0.8
    beta: float = 0.8
    decay: float = 0.9
    pseudo: bool = True
    patch: bool = True
    teacher: str = DEFAULT_TEACHER
    held: bool = True
    sknet: str | None = None
    teacher_weights: str | None = None


class TRNetTask:
    """Simulated cines without their key-points; on others, the share of key-points within 1, 2, 4, 8 and 16 px."""

    def __init__(self, data: str | Path, training: TRNetTraining, config: TRNetConfig) -> None:
        self.network: nn.Module = TRNetwork(config)
        self.config, self.training = config, training
        self.static_weights = find_weights("sknet", training.sknet)
        self.static = sknet_network(self.static_weights).eval()
        self.teacher = make_teacher(training.teacher, training.teacher_weights)
        self.cines = parasternal_cines(Path(data) / "fit", training.sequences, training.seed, side=GRID[0])
        chosen = parasternal_cines(Path(data) / "selection", training.selection, training.selection_seed, side=GRID[0])
        self.selection = [(cine, look(self.static, cine.frames)) for cine in chosen]
        self._seen: dict[int, Seen] = {}
        self._labels: dict[tuple[int, int], Tensor] = {}

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """What :meth:`loss` takes, cine after cine, each of its tensors stacked over the batch."""
        samples = [self._sample(int(number), rng) for number in rng.integers(len(self.cines), size=self.training.batch)]
        return tuple(torch.stack(parts) for parts in zip(*samples, strict=True))

    def _sample(self, number: int, rng: np.random.Generator) -> list[Tensor]:
        cine = self.cines[number]
        if number not in self._seen:
            self._seen[number] = look(self.static, cine.frames)
        seen = self._seen[number]
        extra = np.random.default_rng([self.training.seed, number]).permutation(len(cine.frames))
        choice = int(rng.integers(self.training.references))
        reference = reference_frame(seen.confidence, "confident") if choice == 0 else int(extra[choice])
        first = first_trajectories(seen, cine.frame_interval_s)
        if (number, reference) not in self._labels:
            width = ANCHOR_S / cine.frame_interval_s if self.training.held else None
            labels = pseudo_labels(self.teacher, cine.frames, reference, first, seen, width)
            self._labels[number, reference] = labels
        size = self.config.window
        count = len(cine.frames)
        order = np.arange(size) % count if count >= size else np.minimum(np.arange(size), count - 1)
        if self.training.reverse and rng.random() < 0.5:
            order = order[::-1].copy()
        at = torch.from_numpy(order)
        noise = torch.from_numpy(rng.normal(0, self.training.jitter_px, (size, *first.shape[1:]))).float()
        away = at - reference if order[0] <= order[-1] else reference - at
        return [
            seen.frames[at],
            seen.frames[reference : reference + 1],
            first[reference],
            first[at] + noise,
            away.float(),
            self._labels[number, reference][at],
            *(x[at] for x in seen.features),
            *(x[reference : reference + 1] for x in seen.features),
        ]

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean over the cines of :func:`~echomotion.models.losses.trajectory_loss`."""
        total = []
        for frames, first, k_ref, initial, away, labels, *features in zip(*batch, strict=True):
            half = len(features) // 2
            steps = network(frames, features[:half], (first, features[half:]), k_ref, initial, away)
            total.append(self._loss(frames, steps, labels))
        return torch.stack(total).mean()

    def _loss(self, frames: Tensor, steps: Sequence[Tensor], labels: Tensor) -> Tensor:
        own = self.training
        patches = [patches_of(frames, xy, self.config.patch) for xy in steps] if own.patch else None
        return trajectory_loss(
            steps,
            labels if own.pseudo else None,
            patches,
            alpha=own.alpha,
            beta=own.beta,
            decay=own.decay,
        )

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Share within thresholds (``score``), the mean error in px at 256 px, and the same of SK-net.

        ``tissue_px`` is the mean error of the motion itself: of vectors from the reference frame against those of the
        tissue.
        """
        network.eval()
        found: dict[str, list[np.ndarray]] = {"trnet": [], "sknet": [], "tissue": []}
        for cine, seen in self.selection:
            reference = reference_frame(seen.confidence, "confident")
            first = first_trajectories(seen, cine.frame_interval_s)
            xy = refine(network, seen, reference, first)  # type: ignore[arg-type]
            xy = steadied(xy, STEADY_S / cine.frame_interval_s)
            true, tissue = (torch.from_numpy(part.swapaxes(0, 1).copy()) for part in (cine.xy, cine.tissue))
            moved = (xy - xy[reference]) - (tissue - tissue[reference])
            apart = {"trnet": xy - true, "sknet": seen.xy - true, "tissue": moved}
            for name, vectors in apart.items():
                found[name].append(vectors.norm(dim=-1).numpy() * 256 / GRID[0])
        network.train()
        errors = {name: np.concatenate(parts) for name, parts in found.items()}
        shares = {name: float(np.mean([np.mean(e < px) for px in WITHIN])) for name, e in errors.items()}
        return {
            "score": shares["trnet"],
            "sknet_score": shares["sknet"],
            **{f"{name}_px": float(e.mean()) for name, e in errors.items()},
        }
