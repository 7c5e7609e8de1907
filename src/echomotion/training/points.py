"""Training of point trackers on simulated cines: one task for every network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.trackers.network import PointNetwork, PointOutput, Volume
from echomotion.training.cines import VIEWS, Cine, ImpartialMotion, Sample, SimulatedCines, draw_cine

# Thresholds of TAP-Vid, and that of confidence.
_WITHIN = (1, 2, 4, 8, 16)
_CONFIDENT_PX = 2.0


@dataclass(frozen=True)
class PointTraining:
    """Data side of a recipe.

    Attributes
    ----------
    batch : int
        Cines of a step.
    frames, points : int
        Of each sample.
    crop : int
        Side of the frames in px.
    full_every : int
        Every so many steps one cine of a step has frames of 256 px; 0 for never.
    consecutive : bool
        See :func:`echomotion.training.cines.draw_cine`.
    rise : float
        Weight of a step of the network relative to the next one.
    huber_px : float
        Where the loss of positions turns from square to straight.
    positions, volumes, judgement : float
        Weights of the parts of the loss.
    motion : ImpartialMotion
    sequences : int
        Simulated sequences of each view; A4C has twice as many.
    selection : int
        Sequences of each view to choose by.
    seed, selection_seed : int
        Of the simulation.
    selection_frames, selection_points : int
    """

    batch: int = 4
    frames: int = 12
    points: int = 32
    crop: int = 160
    full_every: int = 0
    consecutive: bool = True
    rise: float = 0.8
    huber_px: float = 1.0
    positions: float = 1.0
    volumes: float = 1.0
    judgement: float = 0.3
    motion: ImpartialMotion = field(default_factory=ImpartialMotion)
    sequences: int = 64
    selection: int = 8
    seed: int = 1
    selection_seed: int = 9001
    selection_frames: int = 20
    selection_points: int = 32
    selection_cines: int = 15


class PointTask:
    """Simulated cines, and the share of points within 1, 2, 4, 8 and 16 px on others."""

    def __init__(self, data: str | Path, training: PointTraining, network: PointNetwork) -> None:
        self.network: nn.Module = network
        self.training = training
        counts = {view: training.sequences * (2 if view == "A4C" else 1) for view in VIEWS}
        self.cines = SimulatedCines(Path(data) / "fit", VIEWS, counts, training.seed)
        chosen = SimulatedCines(Path(data) / "selection", VIEWS, training.selection, training.selection_seed)
        some = np.linspace(0, len(chosen) - 1, min(training.selection_cines, len(chosen))).astype(int)
        self.selection = selection_samples(
            [chosen[i] for i in some], training.selection_frames, training.selection_points
        )

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Frames (B, T, 1, S, S), places (B, N, T, 2), visibility (B, N, T) and query frames (B, N)."""
        own = self.training
        full = own.full_every and rng.integers(own.full_every) == 0
        size, count = (256, max(1, own.batch // 2)) if full else (own.crop, own.batch)
        numbers = rng.integers(len(self.cines), size=count)
        samples = [
            draw_cine(
                self.cines[int(i)],
                rng,
                own.motion,
                frames=own.frames,
                size=size,
                points=own.points,
                consecutive=own.consecutive,
            )
            for i in numbers
        ]
        return tuple(torch.stack(parts) for parts in zip(*(tensors(sample) for sample in samples), strict=True))

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Mean over the cines of :func:`point_loss`."""
        total = []
        for frames, xy, visible, query in zip(*batch, strict=True):
            rows = torch.arange(len(xy), device=xy.device)
            output = network(frames.float() / 255, query, xy[rows, query])
            total.append(point_loss(output, xy, visible, query, self.training))
        return torch.stack(total).mean()

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on fixed samples; see :func:`figures`."""
        network.eval()
        device = next(network.parameters()).device
        errors = []
        for sample in self.selection:
            frames, xy, visible, query = (part.to(device) for part in tensors(sample))
            rows = torch.arange(len(xy), device=device)
            output = network(frames.float() / 255, query, xy[rows, query])
            visible[rows, query] = False
            errors.append(torch.linalg.vector_norm(output.xy - xy, dim=-1)[visible].cpu().numpy())
        network.train()
        return figures(errors)


def selection_samples(cines: Iterable[Cine], frames: int, points: int, size: int = 256) -> list[Sample]:
    """Fixed samples, their appearance as simulated: in turn asked for at end-diastole, and on any frame."""
    samples = []
    for number, cine in enumerate(cines):
        motion = ImpartialMotion(*([bool(number % 2)] * 3), *([False] * 5))
        rng = np.random.default_rng([number, 5])
        samples.append(draw_cine(cine, rng, motion, frames=frames, size=size, points=points, consecutive=True))
    return samples


def figures(errors: Iterable[np.ndarray]) -> dict[str, float]:
    """Means over samples of the share within 1, 2, 4, 8 and 16 px (``score``), within 2 px and median error."""
    known = [e for e in errors if len(e)]
    return {
        "score": float(np.mean([[np.mean(e < px) for px in _WITHIN] for e in known])),
        "within_2_px": float(np.mean([np.mean(e < 2) for e in known])),
        "median_px": float(np.mean([np.median(e) for e in known])),
    }


def tensors(sample: Sample) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Frames (T, 1, S, S) uint8, places (N, T, 2), visibility (N, T) and query frames (N,)."""
    frames, xy, visible, query = (torch.from_numpy(part) for part in sample)
    return frames[:, None], xy, visible, query


def point_loss(output: PointOutput, xy: Tensor, visible: Tensor, query: Tensor, training: PointTraining) -> Tensor:
    """Loss of one cine: positions of all steps, choices among places, visibility and confidence.

    Parameters
    ----------
    output : PointOutput
    xy : float (N, T, 2)
    visible : bool (N, T)
    query : int64 (N,)
        Positions on these frames are known and do not count.
    training : PointTraining
    """
    counted = visible.clone()
    counted[torch.arange(len(query), device=query.device), query] = False
    number = counted.sum().clamp(min=1)
    steps = (*output.steps, output.xy)
    weights = [training.rise ** (len(steps) - 1 - i) for i in range(len(steps))]
    position = xy.new_zeros(())
    for weight, step in zip(weights, steps, strict=True):
        apart = functional.huber_loss(step, xy, reduction="none", delta=training.huber_px).sum(dim=-1)
        position = position + weight * (apart * counted).sum() / number
    choice = xy.new_zeros(())
    for volume in output.volumes:
        choice = choice + volume_loss(volume, xy, counted)
    near = torch.linalg.vector_norm(output.xy.detach() - xy, dim=-1) < _CONFIDENT_PX
    judged = functional.binary_cross_entropy_with_logits(output.visible, visible.to(xy))
    sure = functional.binary_cross_entropy_with_logits(output.confident, near.to(xy), reduction="none")
    judged = judged + (sure * counted).sum() / number
    return training.positions * position / sum(weights) + training.volumes * choice + training.judgement * judged


def volume_loss(volume: Volume, xy: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of the places of a volume, the true one shared by the four around it; off the volume, none."""
    side = volume.scores.shape[-1]
    place = (xy - volume.xy) / volume.stride + side // 2
    inside = counted & ((place >= 0) & (place <= side - 1)).all(dim=-1)
    steps = torch.arange(side, dtype=xy.dtype, device=xy.device)
    share = (1 - (place[..., None] - steps).abs()).clamp(min=0)
    target = share[..., 1, :, None] * share[..., 0, None, :]
    likely = volume.scores.flatten(-2).log_softmax(dim=-1)
    loss = -(target.flatten(-2) * likely).sum(dim=-1)
    return (loss * inside).sum() / inside.sum().clamp(min=1)
