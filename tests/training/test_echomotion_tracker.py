"""Training of the learned parts of the echomotion tracker."""

import numpy as np
import pytest
import torch

from echomotion.models.trackers.echomotion_tracker import EchomotionTrackerNetwork, EchomotionTrackerParts
from echomotion.models.trackers.pair_reader import PairReader
from echomotion.training.cines import Sample
from echomotion.training.echomotion_tracker import (
    Measured,
    asked_together,
    judgement_loss,
    measure,
    reading_loss,
)
from tests.phantoms import affine_clip


@pytest.fixture(scope="module")
def sample():
    clip, place = affine_clip(shrink=0.06, frames=9, shape=(96, 96))
    y, x = np.mgrid[25:71:9, 25:71:9]
    points = np.column_stack([x.ravel(), y.ravel()]).astype(float)
    xy = np.stack([place(points, t) for t in range(9)], axis=1).astype(np.float32)
    return Sample(clip.frames, xy, np.ones(xy.shape[:2], bool), np.zeros(len(xy), np.int64))


def test_points_of_a_sample_are_asked_for_together(rng):
    visible = np.ones((6, 5), bool)
    visible[4, 2] = False
    mixed = Sample(np.zeros((5, 8, 8), np.uint8), rng.random((6, 5, 2)), visible, np.array([2, 2, 0, 2, 1, 4]))
    together = asked_together(mixed)
    assert together.query.tolist() == [2] * 5
    assert np.array_equal(together.xy, mixed.xy[[0, 1, 2, 3, 5]])


def test_measured_volumes_have_their_peak_at_the_true_displacement(sample):
    torch.manual_seed(0)
    passes = measure(EchomotionTrackerNetwork(EchomotionTrackerParts()), sample)
    assert len(passes) == 2
    assert np.unique(passes[0].lags).tolist() == [1, 2, 3, 4]
    # The second pass has pairs of frames 1, 3 and 8 apart, and every frame with the query's.
    assert np.unique(passes[1].lags).tolist() == list(range(9))
    for found in passes:
        k = found.volumes.shape[-1]
        row, column = np.divmod(found.volumes.reshape(len(found.volumes), -1).argmax(axis=1), k)
        miss = np.abs(np.column_stack([column, row]) - k // 2 - found.truth)[found.seen]
        assert np.median(miss) < 0.5
        assert found.lags.shape == found.spread.shape == found.seen.shape


def test_a_reader_learns_from_displacements_and_every_one_is_as_likely():
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (4000, 2))
    y, x = np.mgrid[-4:5, -4:5]
    blur = ((x - truth[:, :1, None]) ** 2 + (y - truth[:, 1:, None]) ** 2).astype(np.float32)
    volumes = np.exp(-blur / 8) + 0.02 * rng.standard_normal(blur.shape).astype(np.float32)
    measured = Measured(volumes, np.ones(4000, np.int64), np.ones(4000), truth, np.ones(4000, bool))
    torch.manual_seed(0)
    reader = PairReader(2)
    optimiser = torch.optim.Adam(reader.parameters(), 3e-3)
    losses = []
    for _ in range(120):
        loss = reading_loss(reader, measured, 500, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.5


def test_both_parts_get_gradients(sample):
    torch.manual_seed(0)
    network = EchomotionTrackerNetwork(EchomotionTrackerParts(read_passes=1))
    loss = judgement_loss(network, sample)
    loss = loss + reading_loss(network.readers[0], measure(network, sample)[0], 500, np.random.default_rng(0))
    loss.backward()
    assert all(p.grad is not None for p in network.parameters())
    assert sum(float(p.grad.abs().sum()) for p in network.judge.parameters()) > 0
