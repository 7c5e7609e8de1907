"""Confidence and visibility of positions, and reading of volumes, by small networks."""

import numpy as np
import pytest
import torch

from echomotion.models.trackers.correlation import peaks
from echomotion.models.trackers.judging import MARKS, Evidence, JudgeNetwork, judge_by_network, marks
from echomotion.models.trackers.pair_reader import PairReader, read_by_network
from echomotion.models.trackers.windows import Asked


@pytest.fixture
def case(rng):
    frames = [rng.integers(0, 255, (64, 80)).astype(np.uint8)] * 3
    frames[2] = np.zeros((64, 80), np.uint8)
    origin = np.array([[30.0, 30], [50, 40]])
    xy = np.repeat(origin[:, None], 3, axis=1)
    known = np.zeros((2, 3), bool)
    known[:, 0] = True
    asked = Asked(np.zeros(2, np.int64), origin, {0: frames[0]}, xy, known)
    return frames, Evidence(xy, np.full((2, 3), 0.5), np.full((2, 3), 0.1)), asked


def test_marks_tell_the_same_picture_from_a_black_one(case):
    found = marks(*case)
    assert found.shape == (2, 3, MARKS)
    assert np.isfinite(found).all()
    assert found[:, :2, 0] == pytest.approx(1, abs=1e-5)
    assert found[:, 2, 0].tolist() == [0, 0]
    assert found[:, :, 1].tolist() == [[0, 0, 1]] * 2
    # Wholly dark, without contrast or brightness.
    assert found[:, 2, 8:].tolist() == [[0, 0, 1]] * 2


def test_marks_do_not_depend_on_the_size_of_the_grid(case):
    frames, evidence, asked = case
    large = [np.kron(frame, np.ones((4, 4), np.uint8)) for frame in frames]
    xy = 4 * evidence.xy
    scaled = Evidence(xy, 4 * evidence.deviation, 4 * evidence.uneven)
    moved = Asked(asked.start, 4 * asked.origin, {0: large[0]}, xy, asked.known)
    lengths = [4, 5, 7]
    assert marks(large, scaled, moved)[..., lengths] == pytest.approx(marks(*case)[..., lengths], abs=1e-5)


def test_a_judge_gives_probabilities_and_obeys_its_threshold(case):
    network = JudgeNetwork().eval()
    confidence, visible = judge_by_network(network, 0.0)(*case)
    assert confidence.shape == visible.shape == (2, 3)
    assert np.all((confidence > 0) & (confidence < 1))
    assert visible.all()
    assert not judge_by_network(network, 1.0)(*case)[1].any()


def test_an_untrained_reader_gives_the_place_of_the_highest_value(rng):
    volumes = rng.random((5, 3, 9, 9)).astype(np.float32)
    lags = np.tile(np.array([1, 3, 0]), (5, 1))
    offset, information = read_by_network(PairReader(4).eval())(volumes, lags, np.array([1.0, 2, 3]))
    top, _, _ = peaks(volumes)
    assert offset == pytest.approx(np.moveaxis(top, 1, 0), abs=1e-5)
    assert information == pytest.approx(0.5)


def test_a_reader_sees_each_volume_with_its_own_lag_and_spread(rng):
    torch.manual_seed(0)
    reader = PairReader(2)
    torch.nn.init.normal_(reader.layers[-1].weight)
    read = read_by_network(reader.eval())
    volumes = rng.random((4, 3, 5, 5)).astype(np.float32)
    lags = rng.integers(0, 9, (4, 3))
    spread = np.array([1.0, 2, 5])
    offset, information = read(volumes, lags, spread)
    alone = read(volumes[2:3, 1:2], lags[2:3, 1:2], spread[1:2])
    assert offset[1, 2] == pytest.approx(alone[0][0, 0], abs=1e-5)
    assert information[1, 2] == pytest.approx(alone[1][0, 0], rel=1e-4)
