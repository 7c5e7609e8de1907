"""Training of the judgement in the echomotion tracker."""

import numpy as np
import pytest
import torch

from echomotion.models.trackers.judging import MARKS, JudgeNetwork
from echomotion.training.cines import Cine, ImpartialMotion, Sample
from echomotion.training.echomotion_tracker import (
    EchomotionTrackerTask,
    EchomotionTrackerTraining,
    Noted,
    asked_together,
    judgement_loss,
    note,
)
from tests.phantoms import affine_clip


def test_points_of_a_sample_are_asked_for_together_and_once(rng):
    visible = np.ones((7, 5), bool)
    visible[4, 2] = False
    xy = rng.random((7, 5, 2)).astype(np.float32)
    xy[6] = xy[0]
    mixed = Sample(np.zeros((5, 8, 8), np.uint8), xy, visible, np.array([2, 2, 0, 2, 1, 4, 2]))
    together = asked_together(mixed)
    assert together.query.tolist() == [2] * 5
    assert {tuple(p) for p in together.xy[:, 2]} == {tuple(p) for p in xy[[0, 1, 2, 3, 5], 2]}


@pytest.fixture(scope="module")
def noted():
    clip, place = affine_clip(shrink=0.06, frames=9, shape=(96, 96))
    y, x = np.mgrid[25:71:9, 25:71:9]
    points = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    xy = np.stack([place(points, t) for t in range(9)], axis=1).astype(np.float32)
    # What is called the truth of the last point is far from where the picture takes it.
    xy[-1, 1:] += 20
    visible = np.ones(xy.shape[:2], bool)
    visible[3, 5:] = False
    cine = Cine(clip.frames, xy, visible, np.full(len(xy), "wall"), (0, 9), "A4C")
    training = EchomotionTrackerTraining(frames=9, points=200, size=256, motion=ImpartialMotion.none())
    return note([cine], training, 0)


def test_positions_are_noted_with_what_is_true_of_them(noted):
    assert noted.marks.shape == (36 * 8, MARKS)
    assert (noted.near == 0).sum() == 8
    assert (noted.visible == 0).sum() == 4
    # The one that is wrong looks as good as the others: the picture cannot tell.
    assert noted.marks[:, 0].min() > 0.5


def test_a_judge_learns_what_marks_tell():
    rng = np.random.default_rng(0)
    marks = torch.from_numpy(rng.standard_normal((4000, MARKS)).astype(np.float32))
    noted = Noted(marks, (marks[:, 0] > 0).float(), (marks[:, 9] > -1).float())
    task = object.__new__(EchomotionTrackerTask)
    torch.manual_seed(0)
    task.network, task.training = JudgeNetwork(8), EchomotionTrackerTraining(batch=512)
    task.noted = task.selection = noted
    before = task.validate(task.network)
    optimiser = torch.optim.Adam(task.network.parameters(), 1e-2)
    for step in range(150):
        loss = task.loss(task.network, task.batch(0, np.random.default_rng(step)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = task.validate(task.network)
    assert after["score"] > 0.4 * before["score"]
    assert after["occlusion_accuracy"] > 0.97
    assert after["squared_error"] < 0.05


def test_nearness_counts_only_where_a_point_can_be_seen():
    logits = torch.tensor([[4.0, 9.0], [4.0, -9.0]])
    seen = judgement_loss(logits, torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]))
    hidden_wrong = judgement_loss(logits, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert float(seen) == pytest.approx(float(hidden_wrong)) == pytest.approx(0.0183, abs=1e-3)
