"""The training loop that all recipes share.

It can be stopped and resumed at any step, keeps the best weights on validation, stops at a time limit and writes
its curve. A batch depends on the seed and the step alone, so a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import copy
import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning_fabric as lightning
import numpy as np
import torch
from torch import Tensor, nn

from echomotion.core import DataError
from echomotion.models.base import Progress
from echomotion.training.precision import Precision, fabric_precision

STATE, CURVE = "state.pt", "curve.csv"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    steps : int
        Optimiser steps of the whole run.
    learning_rate, weight_decay : float
        Of AdamW; the rate rises over `warmup` steps and falls along a cosine to one hundredth.
    warmup : int
    clip_norm : float
        Largest gradient norm.
    average : float
        Decay of the exponential moving average of the weights, which is what is validated and kept.
    validate_every : int
        Steps between validations.
    seed : int
    precision : str
        ``"float32"``, ``"bfloat16"``, or ``"auto"``, the latter where the device gains from it; see
        :func:`~echomotion.training.precision.fabric_precision`. Validation is always in float32.
    """

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warmup: int = 100
    clip_norm: float = 1.0
    average: float = 0.998
    validate_every: int = 250
    seed: int = 0
    precision: Precision = "auto"


@runtime_checkable
class Taught(Protocol):
    """A task whose loss asks a teacher: the moving average of the network, which it is introduced to at the start."""

    def meet_teacher(self, teacher: nn.Module) -> None:
        """Keep the module, whose weights follow those of the network."""


class Task(Protocol):
    """What a recipe brings: a network, batches, a loss and a validation."""

    network: nn.Module

    def batch(self, share: float, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """Tensors of one step; `share` is how much of the run is done, 0..1."""

    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        """A scalar to make small."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures of the averaged weights; ``score`` is the one that grows with quality."""


def fit(
    task: Task,
    schedule: Schedule,
    folder: str | Path,
    *,
    max_minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train until the steps or the minutes are used up; go on from `folder` when it holds an earlier state.

    With `max_minutes` the learning rate follows whichever is further spent, steps or minutes, so that a short run
    also ends with a small rate.

    Parameters
    ----------
    task : Task
        Its network ends as the best averaged weights.
    schedule : Schedule
    folder : path
        Receives ``state.pt`` (everything needed to go on) and ``curve.csv``.
    max_minutes : float, optional
        Limit on the time spent in training, earlier parts of a resumed run included.
    progress : callable, optional

    Returns
    -------
    dict
        The figures of the best validation.

    Raises
    ------
    DataError
        When the loss is not finite; the last saved state remains usable.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    fabric = lightning.Fabric(accelerator="auto", devices=1, precision=fabric_precision(schedule.precision))
    averaged = copy.deepcopy(task.network).requires_grad_(False).to(fabric.device)
    optimiser = torch.optim.AdamW(task.network.parameters(), schedule.learning_rate, weight_decay=schedule.weight_decay)
    network, optimiser = fabric.setup(task.network, optimiser)
    run = _Run(path, network, averaged, optimiser)
    run.resume()
    if isinstance(task, Taught):
        task.meet_teacher(fabric.setup_module(averaged))
    started = time.monotonic() - run.seconds

    while True:
        run.seconds = time.monotonic() - started
        share = min(1.0, max(run.step / schedule.steps, run.seconds / 60 / max_minutes if max_minutes else 0.0))
        if share >= 1.0:
            break
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * _rate(run.step, share, schedule.warmup)
        batch = task.batch(share, np.random.default_rng([schedule.seed, run.step]))
        loss = task.loss(network, tuple(tensor.to(fabric.device) for tensor in batch))
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss became {float(loss.detach())} at step {run.step}; lower the learning rate and resume"
            )
        fabric.backward(loss)
        fabric.clip_gradients(network, optimiser, max_norm=schedule.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        run.step += 1
        _average(averaged, network, min(schedule.average, (1 + run.step) / (10 + run.step)))
        run.losses.append(float(loss.detach()))
        if run.step % schedule.validate_every == 0:
            run.record(task.validate(averaged))
            run.save()
        if progress is not None:
            progress(round(1000 * share), 1000)
    if run.losses:
        run.record(task.validate(averaged))
        run.save()
    task.network.load_state_dict(run.best_state)
    return run.best


class _Run:
    """The state of a run, in memory and on disk."""

    def __init__(self, folder: Path, network: nn.Module, averaged: nn.Module, optimiser: Any) -> None:
        self.folder, self.network, self.averaged, self.optimiser = folder, network, averaged, optimiser
        self.step, self.seconds = 0, 0.0
        self.losses: list[float] = []
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, float] = {}
        self.best_state = copy.deepcopy(averaged.state_dict())

    def record(self, figures: dict[str, float]) -> None:
        row = {"step": self.step, "minutes": round(self.seconds / 60, 2), "loss": float(np.mean(self.losses))}
        self.curve.append({**row, **{name: round(value, 5) for name, value in figures.items()}})
        self.losses = []
        if not self.best or figures["score"] > self.best["score"]:
            self.best = {"step": self.step, **figures}
            self.best_state = copy.deepcopy(self.averaged.state_dict())

    def save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
            "best": self.best,
            "best_state": self.best_state,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = self.folder / f".{STATE}.part"
        torch.save(state, partial)
        partial.replace(self.folder / STATE)
        with (self.folder / CURVE).open("w", newline="") as lines:
            writer = csv.DictWriter(lines, list(self.curve[0]))
            writer.writeheader()
            writer.writerows(self.curve)

    def resume(self) -> None:
        path = self.folder / STATE
        if not path.is_file():
            return
        state = torch.load(path, map_location=next(self.averaged.parameters()).device, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve, self.best, self.best_state = state["curve"], state["best"], state["best_state"]
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])


def _rate(step: int, share: float, warmup: int) -> float:
    rise = min(1.0, (step + 1) / max(1, warmup))
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
