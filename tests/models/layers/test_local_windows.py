"""Sums over local windows agree with the same sums written place by place, and so do their gradients."""

import pytest
import torch
from torch import Tensor

from echomotion.models.layers.local_windows import correlate, gather

REACH, RADIUS, FRAMES, ROWS, COLUMNS = 1, 1, 2, 3, 4


def _padded(seed: int = 0) -> Tensor:
    shape = (1, FRAMES + 2 * REACH, 2, 3, ROWS + 2 * RADIUS, COLUMNS + 2 * RADIUS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double, requires_grad=True)


def _query() -> Tensor:
    shape = (1, FRAMES, 2, 3, ROWS, COLUMNS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.double, requires_grad=True)


def _weights() -> Tensor:
    shape = (27, 1, FRAMES, 2, ROWS, COLUMNS)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.double, requires_grad=True)


def test_a_place_of_the_window_is_compared_with_its_pixel() -> None:
    query, padded = _query(), _padded()
    found = correlate(query, padded, REACH, RADIUS)
    assert found.shape == (27, 1, FRAMES, 2, ROWS, COLUMNS)
    # The frame after, a row up, a column to the right: 2 * 9 + 0 * 3 + 2.
    expected = (query[0, 1, 1, :, 2, 1] * padded[0, 3, 1, :, 2, 3]).sum()
    assert found[20, 0, 1, 1, 2, 1].item() == pytest.approx(expected.item())


def test_gathering_with_one_weight_moves_the_map() -> None:
    padded = _padded()
    weights = torch.zeros(27, 1, FRAMES, 2, ROWS, COLUMNS, dtype=torch.double)
    weights[13] = 1
    centre = padded[:, REACH:-REACH, ..., RADIUS:-RADIUS, RADIUS:-RADIUS]
    torch.testing.assert_close(gather(weights, padded, REACH, RADIUS), centre)


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(lambda q, p: correlate(q, p, REACH, RADIUS), (_query(), _padded()))
    assert torch.autograd.gradcheck(lambda w, p: gather(w, p, REACH, RADIUS), (_weights(), _padded()))
