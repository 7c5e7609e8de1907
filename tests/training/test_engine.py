"""Training can be stopped and resumed, keeps the best, and stops in time."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from torch import nn

from echomotion.core import DataError
from echomotion.training.engine import CURVE, Schedule, fit

SCHEDULE = Schedule(steps=40, learning_rate=0.3, warmup=2, average=0.5, validate_every=10, weight_decay=0.0)


class Line:
    """Learns y = 2x + 1."""

    def __init__(self):
        torch.manual_seed(0)
        self.network = nn.Linear(1, 1)

    def batch(self, share, rng):
        x = torch.from_numpy(rng.uniform(-1, 1, (16, 1)).astype(np.float32))
        return x, 2 * x + 1

    def loss(self, network, batch):
        return (network(batch[0]) - batch[1]).square().mean()

    def validate(self, network):
        with torch.no_grad():
            return {"score": -float((network(torch.tensor([[0.5]])) - 2).abs())}


def test_it_learns_and_writes_its_curve(tmp_path):
    task = Line()
    best = fit(task, SCHEDULE, tmp_path)
    assert best["score"] > -0.1
    assert task.validate(task.network)["score"] == pytest.approx(best["score"])
    rows = list(csv.DictReader((tmp_path / CURVE).open()))
    assert [int(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole = Line()
    fit(whole, SCHEDULE, tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stop_after(done, total):
        if done >= 500:
            raise StoppedError

    parts = Line()
    with pytest.raises(StoppedError):
        fit(parts, SCHEDULE, tmp_path / "parts", progress=stop_after)
    parts = Line()
    fit(parts, SCHEDULE, tmp_path / "parts")
    for a, b in zip(whole.network.parameters(), parts.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_it_stops_in_time(tmp_path):
    seen = []
    fit(
        Line(),
        Schedule(steps=10**7, validate_every=10**6),
        tmp_path,
        max_minutes=0.02,
        progress=lambda done, total: seen.append(done),
    )
    assert seen[-1] >= 990
    assert len(seen) < 10**6


def test_a_loss_that_explodes_is_an_error(tmp_path):
    task = Line()
    task.loss = lambda network, batch: network(batch[0]).mean() * float("nan")
    with pytest.raises(DataError, match="learning rate"):
        fit(task, SCHEDULE, tmp_path)
