"""Trajectories made of displacements between pairs of frames."""

import numpy as np
import pytest

from echomotion.models.trackers.reconcile import Beliefs, Pairs, deviations, reconcile

LOOSE = Beliefs(1e3, 1e3, 20.0, 1e3, 0.05, 1e6)
TISSUE = Beliefs(2.0, 0.7, 20.0, 0.3, 0.05, 1.5)


def _pairs(truth, lag, information):
    offset = truth[:, lag:] - truth[:, :-lag]
    return Pairs(lag, offset, np.full(offset.shape, float(information)))


def _window(count, length, start=0):
    known = np.zeros((count, length), bool)
    known[:, start] = True
    origin = np.column_stack([10.0 * np.arange(count), np.zeros(count)])
    return np.zeros((count, length, 2)), known, origin, np.full(count, start)


def test_exact_pairs_give_the_exact_trajectory(rng):
    truth = np.cumsum(rng.standard_normal((3, 12, 2)), axis=1)
    truth -= truth[:, 4:5]
    found, factor = reconcile(*_window(3, 12, 4), [_pairs(truth, 1, 10), _pairs(truth, 5, 10)], LOOSE, 0)
    deviation = deviations(factor)
    assert found == pytest.approx(truth, abs=1e-3)
    assert np.all(found[:, 4] == pytest.approx(0, abs=1e-4))
    # Frames further from the query are known less well.
    assert deviation[0, 11] > deviation[0, 6] > deviation[0, 4]


def test_deviation_is_that_of_a_random_walk():
    truth = np.zeros((1, 10, 2))
    _, factor = reconcile(*_window(1, 10), [_pairs(truth, 1, 25)], LOOSE, 0)
    assert deviations(factor)[0] == pytest.approx(0.2 * np.sqrt(np.arange(10)), rel=0.01, abs=2e-3)


def test_a_pair_that_disagrees_loses_its_weight():
    truth = np.zeros((1, 20, 2))
    truth[..., 0] = np.linspace(0, 10, 20)
    pairs = [_pairs(truth, lag, 20) for lag in (1, 2, 3)]
    pairs[1].offset[0, 8] += 30
    robust, _ = reconcile(*_window(1, 20), pairs, TISSUE, 3)
    gaussian, _ = reconcile(*_window(1, 20), pairs, Beliefs(2.0, 0.7, 20.0, 0.3, 0.05, 1e6), 3)
    assert np.abs(robust - truth).max() < 0.5 < np.abs(gaussian - truth).max()


def test_neighbours_decide_where_the_picture_shows_nothing():
    count, length = 7, 15
    strain = np.linspace(0, -0.1, length)[None, :, None] * np.arange(count)[:, None, None]
    truth = np.concatenate([10 * strain, np.zeros_like(strain)], axis=-1) + np.linspace(0, 6, length)[None, :, None]
    pairs = [_pairs(truth, lag, 50) for lag in (1, 4)]
    for p in pairs:
        p.information[3] = 0
        p.offset[3] = 0
    alone, unsure = reconcile(*_window(count, length), pairs, TISSUE, 0)
    together, surer = reconcile(*_window(count, length), pairs, TISSUE, 3)
    assert np.abs(alone[3] - truth[3]).max() > 3
    assert np.abs(together[3] - truth[3]).max() < 0.5
    assert deviations(surer)[3, -1] < 0.5 * deviations(unsure)[3, -1]


def test_known_positions_stay():
    truth = np.random.default_rng(0).standard_normal((2, 8, 2))
    moved, known, origin, start = _window(2, 8)
    known[:, :5] = True
    found, _ = reconcile(moved, known, origin, start, [_pairs(truth, 1, 5)], TISSUE, 2)
    assert np.abs(found[:, :5]).max() < 1e-4
    assert np.abs(found[:, 5:]).max() > 0.1


def test_points_of_other_query_frames_are_no_neighbours():
    truth = np.zeros((2, 10, 2))
    truth[1] = np.linspace(0, 8, 10)[:, None]
    pairs = [_pairs(truth, 1, 50)]
    pairs[0].information[0] = 0
    moved, known, origin, start = _window(2, 10)
    together, _ = reconcile(moved, known, origin, start, pairs, TISSUE, 2)
    start[0], known[0, 0], known[0, 9] = 9, False, True
    apart, _ = reconcile(moved, known, origin, start, pairs, TISSUE, 2)
    assert np.abs(together[0]).max() > 2 > 0.5 > np.abs(apart[0]).max()


def test_one_frame():
    found, factor = reconcile(*_window(2, 1), [], TISSUE, 2)
    assert found.shape == (2, 1, 2)
    assert deviations(factor) == pytest.approx(0, abs=1e-2)
