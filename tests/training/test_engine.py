"""Training can be stopped and resumed, keeps the best, and stops in time."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from echomotion.core import DataError
from echomotion.training.engine import CURVE, Schedule, fit
from echomotion.training.precision import fabric_precision

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


class Rounded(Line):
    """Says what kind of numbers its network multiplied."""

    def __init__(self):
        super().__init__()
        self.kinds = set()
        self.network.register_forward_hook(lambda module, given, found: self.kinds.add(found.dtype))

    def loss(self, network, batch):
        found = network(batch[0])
        assert found.dtype == torch.float32
        return (found - batch[1]).square().mean()


def test_bfloat16_is_for_the_products_of_training_alone(tmp_path):
    task = Rounded()
    fit(task, replace(SCHEDULE, precision="bfloat16"), tmp_path)
    # The validation, of a copy of the network, is in float32.
    assert task.kinds == {torch.bfloat16, torch.float32}
    assert all(weight.dtype == torch.float32 for weight in task.network.parameters())
    task = Rounded()
    fit(task, replace(SCHEDULE, precision="float32"), tmp_path / "plain")
    assert task.kinds == {torch.float32}


@pytest.mark.parametrize(("amx", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_takes_bfloat16_where_the_processor_has_units_for_it(monkeypatch, amx, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert fabric_precision("auto") == expected
    assert fabric_precision("float32") == "32-true"


def test_a_gpu_is_asked_whether_it_has_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert fabric_precision("auto") == expected


def test_the_teacher_multiplies_as_its_pupil_does(tmp_path):
    class Taught(Line):
        def meet_teacher(self, teacher):
            self.teacher = teacher

        def loss(self, network, batch):
            kinds = {module.weight.dtype for module in (network.module, self.teacher.module)}
            assert kinds == {torch.float32}
            with torch.no_grad():
                torch.testing.assert_close(self.teacher(batch[0]), self.teacher.module(batch[0]), atol=0.05, rtol=0.05)
                assert not torch.equal(self.teacher(batch[0]), self.teacher.module(batch[0]))
            return super().loss(network, batch)

    fit(Taught(), replace(SCHEDULE, precision="bfloat16"), tmp_path)
