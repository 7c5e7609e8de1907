"""Confidence and visibility of positions by a small network."""

import numpy as np
import pytest

from echomotion.models.trackers.judging import MARKS, Evidence, JudgeNetwork, judge_by_network, marks
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
    assert np.all((confidence[:, :2] > 0) & (confidence[:, :2] < 1))
    assert visible[:, :2].all()
    # Nothing is claimed of a black picture.
    assert not confidence[:, 2].any()
    assert not visible[:, 2].any()
    assert not judge_by_network(network, 1.0)(*case)[1].any()
