"""EchoGLAD: who hears whom on its grids, and what comes out."""

import numpy as np
import pytest
import torch

from echomotion.core import Clip, ModelError
from echomotion.models.keypoints.echoglad import EchoGLADConfig, EchoGLADNetwork, GridMessages, neighbours
from echomotion.models.keypoints.sknet import SKNetDetector

SMALL = EchoGLADConfig(widths=(8, 8, 16, 16), hidden=16, layers=2)


def small(config=SMALL):
    torch.manual_seed(0)
    return EchoGLADNetwork(config).eval()


def test_every_grid_has_its_maps_and_every_part_learns():
    network = small()
    frames = torch.rand(2, 1, 64, 96)
    levels = network.levels(frames)
    assert [(tuple(maps.shape), stride) for maps, stride in levels] == [
        ((2, 4, 16, 24), 4),
        ((2, 4, 8, 12), 8),
        ((2, 4, 4, 6), 16),
    ]
    assert torch.equal(network(frames), levels[0][0])
    sum(maps.square().mean() for maps, _ in levels).backward()
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in network.parameters())


def test_neighbours_are_a_mean_of_those_that_there_are():
    nodes = torch.arange(12.0).view(1, 1, 3, 4).repeat(1, 2, 1, 1)
    found = neighbours(nodes)
    assert found[0, 0, 1, 1] == pytest.approx((1 + 4 + 6 + 9) / 4)
    assert found[0, 1, 0, 0] == pytest.approx((1 + 4) / 2)
    assert neighbours(torch.full((1, 3, 1, 1), 7.0)).abs().sum() == 0


def test_one_round_reaches_the_next_grid_and_two_the_one_beyond():
    torch.manual_seed(1)
    grids = [torch.zeros(1, 8, size, size) for size in (16, 8, 4)]
    one, two = GridMessages(8), GridMessages(8)

    def answer(changed, rounds):
        given = [nodes + 0.1 * torch.arange(8.0)[:, None, None] for nodes in grids]
        given[2] = given[2] + changed * torch.linspace(-1, 1, 8)[:, None, None]
        for messages in rounds:
            given = messages(given)
        return given[0]

    with torch.no_grad():
        assert torch.equal(answer(0.0, [one]), answer(1.0, [one]))
        assert not torch.equal(answer(0.0, [one, two]), answer(1.0, [one, two]))


def test_a_frame_is_judged_by_itself_and_comes_back_in_native_pixels():
    network = small(EchoGLADConfig(widths=(8, 8, 16, 16, 16), hidden=16, layers=1))
    frames = torch.rand(3, 1, 64, 64)
    with torch.no_grad():
        assert (network(frames)[1:2] - network(frames[1:2])).abs().max() < 1e-5
    clip = Clip(np.random.default_rng(0).integers(0, 255, (2, 120, 90), dtype=np.uint8), np.arange(2) / 30)
    detector = SKNetDetector(network, name="echoglad")
    assert (detector.name, detector.detect(clip).xy.shape) == ("echoglad", (4, 2, 2))


@pytest.mark.parametrize("wrong", [{"widths": (8, 8)}, {"layers": 0}, {"stride": 2}])
def test_sizes_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ModelError, match="echoglad needs"):
        EchoGLADConfig(**wrong)
