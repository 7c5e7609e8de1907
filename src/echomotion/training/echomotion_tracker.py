"""Training of what is learned in the echomotion tracker: reading of correlation volumes, and judgement.

Volumes are measured around the estimates that the present readers lead to. Their search ranges are shifted at random
(see :mod:`echomotion.models.trackers.pair_reader`), so that every displacement in them is as likely as any other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from echomotion.models.trackers.correlation import peaks
from echomotion.models.trackers.echomotion_tracker import EchomotionTrackerNetwork
from echomotion.models.trackers.judging import marks
from echomotion.models.trackers.multilag import MATERIAL_CALM, Estimate, Reader, refine
from echomotion.models.trackers.neighbours import local_affine
from echomotion.models.trackers.pair_reader import PairReader
from echomotion.models.trackers.windows import Asked
from echomotion.models.trackers.working_grid import shrunk
from echomotion.training.cines import VIEWS, ImpartialMotion, Sample, SimulatedCines, draw_cine
from echomotion.training.points import figures, selection_samples

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
    pairs : int
        Volumes of each pass that a step learns from.
    motion : ImpartialMotion
    templates : str or None
        A CAMUS folder whose training patients give the anatomy of the four-chamber cines.
    sequences, selection : int
        Simulated sequences of each view to train on (twice as many four-chamber ones) and to choose the checkpoint.
    seed, selection_seed : int
    selection_frames, selection_points, selection_cines : int
    """

    frames: int = 36
    points: int = 96
    size: int = 256
    pairs: int = 3000
    motion: ImpartialMotion = field(default_factory=ImpartialMotion)
    templates: str | None = None
    sequences: int = 64
    selection: int = 8
    seed: int = 1
    selection_seed: int = 9001
    selection_frames: int = 36
    selection_points: int = 64
    selection_cines: int = 20


class Measured(NamedTuple):
    """Volumes of one pass over twice its search range, and the true displacements."""

    volumes: NDArray[np.float32]
    lags: NDArray[np.int64]
    spread: FloatArray
    truth: FloatArray
    seen: NDArray[np.bool_]


class EchomotionTrackerTask:
    """Simulated cines; readers learn by the likelihood of true displacements, the judge by cross-entropy."""

    def __init__(
        self, data: str | Path, training: EchomotionTrackerTraining, network: EchomotionTrackerNetwork
    ) -> None:
        self.network: nn.Module = network
        self.training = training
        counts = {view: training.sequences * (2 if view == "A4C" else 1) for view in VIEWS}
        self.cines = SimulatedCines(Path(data) / "fit", VIEWS, counts, training.seed, templates=training.templates)
        chosen = SimulatedCines(Path(data) / "selection", VIEWS, training.selection, training.selection_seed)
        some = np.linspace(0, len(chosen) - 1, min(training.selection_cines, len(chosen))).astype(int)
        self.selection = [
            asked_together(sample)
            for sample in selection_samples(
                [chosen[i] for i in some], training.selection_frames, training.selection_points
            )
        ]

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Frames (T, S, S), places (N, T, 2), visibility (N, T), query frames (N,), and a number to draw from."""
        own = self.training
        cine = self.cines[int(rng.integers(len(self.cines)))]
        sample = draw_cine(cine, rng, own.motion, frames=own.frames, size=own.size, points=own.points)
        sample = asked_together(sample)
        parts = [torch.from_numpy(np.ascontiguousarray(part)) for part in sample]
        return (*parts, torch.tensor(int(rng.integers(2**31))))

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """Negative log-likelihood of displacements in every pass that is read, plus cross-entropy of judgements."""
        *parts, number = batch
        sample = Sample(*(part.numpy() for part in parts))
        rng = np.random.default_rng(int(number))
        own = cast(EchomotionTrackerNetwork, getattr(network, "module", network))
        losses = [judgement_loss(own, sample)]
        for reader, measured in zip(own.readers, measure(own, sample), strict=True):
            losses.append(reading_loss(cast(PairReader, reader), measured, self.training.pairs, rng))
        return torch.stack(losses).sum()

    @torch.inference_mode()
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of positions, and mean cross-entropy of judgements, on fixed samples."""
        own = cast(EchomotionTrackerNetwork, network)
        errors, judgement = [], []
        for sample in self.selection:
            evidence = own.follower(0.5).locate(list(sample.frames), _asked(sample), lambda: None)
            distance = np.linalg.norm(evidence.xy - sample.xy, axis=-1)
            errors.append(distance[sample.visible & ~_asked(sample).known])
            judgement.append(float(judgement_loss(own, sample)))
        found = figures(errors)
        cross_entropy = float(np.mean(judgement))
        # Both count: a hundredth of share is worth as much as a tenth of a nat.
        return {**found, "judgement": cross_entropy, "score": found["score"] - 0.1 * cross_entropy}


def asked_together(sample: Sample) -> Sample:
    """The sample with all points asked for on the frame on which most can be seen; the others are left out."""
    frame = int(np.bincount(sample.query, minlength=sample.visible.shape[1]).argmax())
    kept = sample.visible[:, frame]
    return Sample(sample.frames, sample.xy[kept], sample.visible[kept], np.full(int(kept.sum()), frame, dtype=np.int64))


def _asked(sample: Sample) -> Asked:
    rows, frame = np.arange(len(sample.xy)), int(sample.query[0])
    origin = sample.xy[rows, sample.query].astype(np.float64)
    known = np.zeros(sample.visible.shape, dtype=bool)
    known[rows, sample.query] = True
    start = np.repeat(origin[:, None], len(sample.frames), axis=1)
    return Asked(sample.query, origin, {frame: sample.frames[frame]}, start, known)


def judgement_loss(network: EchomotionTrackerNetwork, sample: Sample) -> Tensor:
    """Cross-entropy of "within 2 px" (where the point is visible) and of visibility."""
    asked = _asked(sample)
    with torch.no_grad():
        evidence = network.follower(0.5).locate(list(sample.frames), asked, lambda: None)
        found = torch.from_numpy(marks(list(sample.frames), evidence, asked))
    near = torch.from_numpy(np.linalg.norm(evidence.xy - sample.xy, axis=-1) < _WITHIN_PX).float()
    visible = torch.from_numpy(sample.visible)
    logits = network.judge(found)
    counted = torch.from_numpy(~asked.known)
    within = functional.binary_cross_entropy_with_logits(logits[..., 0], near, reduction="none")
    seen = functional.binary_cross_entropy_with_logits(logits[..., 1], visible.float(), reduction="none")
    return within[counted & visible].mean() + seen[counted].mean()


@torch.no_grad()
def measure(network: EchomotionTrackerNetwork, sample: Sample) -> list[Measured]:
    """Volumes of the passes that are read by networks, on the way to the result."""
    asked, truth = _asked(sample), sample.xy.astype(np.float64)
    matching = network.parts.matching
    out = []
    xy = asked.xy
    passes = zip(matching.shrink, matching.stages, network.read(), strict=True)
    for _, (shrink, stage, read) in zip(network.readers, passes, strict=False):
        small, down = shrunk(sample.frames, shrink)
        estimate = Estimate(down.to_grid(xy), asked.known, asked.start, down.to_grid(asked.origin))
        gradient, _ = local_affine(estimate.xy, asked.start, estimate.origin, stage.gradient_px, MATERIAL_CALM)
        missing = np.linalg.solve(gradient, (down.to_grid(truth) - estimate.xy)[..., None])[..., 0].astype(np.float64)
        calls: list[tuple[Any, ...]] = []
        queries = {int(t): small[t] for t in np.unique(asked.start)}
        wide = replace(stage, reach=2 * stage.reach)
        found, _ = refine(small, queries, estimate, wide, _noted(read, stage.reach, calls), lambda: None)
        out.append(_with_truth(calls, [lag for lag in stage.lags if lag < len(small)], missing, sample, asked.known))
        xy = down.to_native(found)
    return out


def _noted(read: Reader, reach: int, calls: list[tuple[Any, ...]]) -> Reader:
    """A reader of the middle of wide volumes that keeps what it is given."""

    def noted(
        volumes: NDArray[np.float32], lags: NDArray[np.int64], spread: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        calls.append((volumes, lags, spread))
        return read(np.ascontiguousarray(volumes[..., reach:-reach, reach:-reach]), lags, spread)

    return noted


def _with_truth(
    calls: list[tuple[Any, ...]], lags: list[int], missing: FloatArray, sample: Sample, known: NDArray[np.bool_]
) -> Measured:
    """All volumes of a pass in one list; pairs of frames come first, in the order of their lags, then the query's."""
    volumes, apart, spread, truth, seen = [], [], [], [], []
    for number, (volume, lag, worth) in enumerate(calls):
        k = volume.shape[-1]
        volumes.append(volume.swapaxes(0, 1).reshape(-1, k, k))
        apart.append(lag.T.ravel())
        spread.append(np.repeat(worth, volume.shape[0]))
        if number < len(lags):
            step = lags[number]
            truth.append((missing[:, step:] - missing[:, :-step]).reshape(-1, 2))
            seen.append((sample.visible[:, step:] & sample.visible[:, :-step]).ravel())
        else:
            truth.append(missing.reshape(-1, 2))
            seen.append((sample.visible & ~known).ravel())
    return Measured(*(np.concatenate(part) for part in (volumes, apart, spread, truth, seen)))


def reading_loss(reader: PairReader, measured: Measured, pairs: int, rng: np.random.Generator) -> Tensor:
    """Negative log-likelihood of the true displacements, in search ranges shifted and mirrored at random."""
    reach = reader.reach
    chosen = rng.permutation(np.flatnonzero(measured.seen))[:pairs]
    x, y = (int(part) for part in rng.integers(-reach, reach + 1, 2))
    side = 2 * reach + 1
    volumes = measured.volumes[chosen, reach + y : reach + y + side, reach + x : reach + x + side]
    truth = measured.truth[chosen] - [x, y]
    inside = np.abs(truth).max(axis=1) <= reach + 0.5
    volumes, truth, chosen = volumes[inside], truth[inside], chosen[inside]
    if rng.random() < 0.5:
        volumes, truth = volumes[..., ::-1], truth * [-1, 1]
    if rng.random() < 0.5:
        volumes, truth = volumes[:, ::-1], truth * [1, -1]
    if rng.random() < 0.5:
        volumes, truth = volumes.swapaxes(1, 2), truth[:, ::-1]
    if not len(chosen):
        return torch.zeros(())
    volumes = np.ascontiguousarray(volumes)
    top, _, _ = peaks(volumes)
    offset, width = reader(
        torch.from_numpy(volumes),
        torch.from_numpy(measured.lags[chosen].astype(np.float32)),
        torch.from_numpy(measured.spread[chosen].astype(np.float32)),
        torch.from_numpy(top.astype(np.float32)),
    )
    miss = (torch.from_numpy(truth.astype(np.float32)) - offset).abs()
    return (width + miss * torch.exp(-width)).mean()
