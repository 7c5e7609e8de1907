"""What every learned point tracker must do, whatever it is made of."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from echomotion.models.layers.encoder import ResidualEncoder
from echomotion.models.trackers.echotracker import EchoTrackerConfig, EchoTrackerNetwork
from echomotion.models.trackers.specknet import SpeckNetConfig, SpeckNetNetwork
from echomotion.models.trackers.taptr import TAPTRConfig, TAPTRNetwork
from echomotion.training.points import volume_loss

SMALL_ECHO = {
    "widths": (8, 8, 16, 16), "blocks": 1, "features": 16, "coarse": (32, 32), "fine": (32, 32), "local": 32,
}  # fmt: skip
SMALL_TAPTR = {"widths": (8, 16, 16), "blocks": 1, "levels": 2, "dim": 32, "heads": 2, "hidden": 64, "layers": 3}

NETWORKS = {
    "echotracker": lambda: EchoTrackerNetwork(EchoTrackerConfig(**SMALL_ECHO, iterations=2)),
    "echotracker_absolute": lambda: EchoTrackerNetwork(
        EchoTrackerConfig(**SMALL_ECHO, iterations=2, absolute=True, expected=False)
    ),
    "specknet": lambda: SpeckNetNetwork(SpeckNetConfig(hidden=8, width=8)),
    "taptr": lambda: TAPTRNetwork(TAPTRConfig(**SMALL_TAPTR)),
    "taptr_unmatched": lambda: TAPTRNetwork(TAPTRConfig(**SMALL_TAPTR, match=False)),
    "taptr_mixed": lambda: TAPTRNetwork(TAPTRConfig(**SMALL_TAPTR, encoder_layers=2, correct=False, match=False)),
}

networks = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS.keys())


def all_but(*names):
    kept = {name: make for name, make in NETWORKS.items() if name not in names}
    return pytest.mark.parametrize("make", kept.values(), ids=kept.keys())


# SpeckNet needs no training to find a motion; three begin where correlation points.
from_rest, learning = all_but("specknet", "echotracker", "taptr"), all_but("specknet", "taptr")


def queries(n, t, size):
    generator = torch.Generator().manual_seed(n)
    xy = torch.rand(n, 2, generator=generator) * torch.tensor([size[1] - 1.0, size[0] - 1.0])
    return torch.randint(t, (n,), generator=generator), xy


def texture(rows, columns, seed=0):
    noise = torch.rand(1, 1, rows, columns, generator=torch.Generator().manual_seed(seed))
    smooth = functional.avg_pool2d(noise, 5, stride=1, padding=2)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def translating(t, size, step):
    """A texture that moves by `step` whole px (x, y) a frame, as frames (T, 1, H, W)."""
    margin = 4 * t
    big = texture(size[0] + 2 * margin, size[1] + 2 * margin)
    rows = [margin - i * step[1] for i in range(t)]
    columns = [margin - i * step[0] for i in range(t)]
    return torch.cat([big[..., r : r + size[0], c : c + size[1]] for r, c in zip(rows, columns, strict=True)])


def total(out, truth):
    """A loss over all that a network says."""
    steps = [*out.steps, out.xy]
    told = [out.visible, out.confident, *(volume.scores for volume in out.volumes)]
    return sum((step - truth).abs().mean() for step in steps) + 0.1 * sum(part.square().mean() for part in told)


@networks
@pytest.mark.parametrize("t", [1, 2, 5, 24])
@pytest.mark.parametrize("n", [1, 7])
def test_shapes(make, t, n):
    torch.manual_seed(0)
    network = make().eval()
    size = (97, 131) if t < 24 else (48, 33)
    frames, (frame, xy) = torch.rand(t, 1, *size), queries(n, t, size)
    before = frames.clone(), frame.clone(), xy.clone()
    with torch.inference_mode():
        out = network(frames, frame, xy)
        again = network(frames, frame, xy)
    for places in (out.xy, *out.steps):
        assert places.shape == (n, t, 2)
        assert places.isfinite().all()
    assert out.visible.shape == out.confident.shape == (n, t)
    assert out.steps
    if out.tokens is not None:
        assert out.tokens.shape[:2] == (n, t)
    assert network.window == 1 or t <= network.window
    # The same twice, and nothing that came in was changed.
    assert torch.equal(out.xy, again.xy)
    assert torch.equal(out.visible, again.visible)
    assert all(torch.equal(a, b) for a, b in zip(before, (frames, frame, xy), strict=True))


@networks
def test_the_smallest_frames_and_points_beyond_them(make):
    out = make()(torch.rand(2, 1, 16, 16), torch.tensor([0, 1]), torch.tensor([[-9.0, 3.0], [400.0, 15.0]]))
    assert out.xy.isfinite().all()


@from_rest
def test_at_first_nothing_moves(make):
    torch.manual_seed(0)
    frames, (frame, xy) = torch.rand(5, 1, 64, 80), queries(6, 5, (64, 80))
    out = make()(frames, frame, xy)
    assert (out.xy - xy[:, None]).abs().max() < 0.5


@networks
def test_every_parameter_has_a_gradient(make):
    torch.manual_seed(0)
    network = make()
    frames, (frame, xy) = torch.rand(4, 1, 64, 64), queries(3, 4, (64, 64))
    total(network(frames, frame, xy), xy[:, None] + 2).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent
    assert all(p.grad.isfinite().all() for p in network.parameters())


@networks
def test_the_order_of_points_does_not_matter(make):
    torch.manual_seed(0)
    network = make().eval()
    frames, (frame, xy) = torch.rand(5, 1, 64, 80), queries(6, 5, (64, 80))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.inference_mode():
        one, other = network(frames, frame, xy), network(frames, frame[order], xy[order])
    torch.testing.assert_close(one.xy[order], other.xy, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(one.visible[order], other.visible, atol=1e-3, rtol=1e-3)


@networks
def test_frames_encoded_one_by_one_are_those_encoded_together(make):
    torch.manual_seed(0)
    network = make().eval()
    frames = torch.rand(4, 1, 50, 66)
    with torch.inference_mode():
        together = network.encode(frames)
        single = [network.encode(frame[None]) for frame in frames]
    for level, alone in zip(together, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(level, torch.cat(alone), atol=1e-4, rtol=1e-4)


@from_rest
def test_a_window_follows_from_the_result_of_the_one_before(make):
    torch.manual_seed(0)
    network = make().eval()
    frames, (_, xy) = torch.rand(6, 1, 64, 64), queries(3, 6, (64, 64))
    with torch.inference_mode():
        features = network.encode(frames)
        looks = network.describe(features, torch.zeros(3, dtype=torch.long), xy)
        start = xy[:, None] + torch.rand(3, 2, 2) * 4
        before = start.clone()
        out = network.follow(tuple(level[4:] for level in features), looks, start)
    assert out.xy.shape == (3, 2, 2)
    assert torch.equal(start, before)
    # No motion at first: what was known is kept.
    assert (out.xy - start).abs().max() < 0.5


@learning
def test_thirty_steps_of_training_find_a_translation(make):
    torch.manual_seed(0)
    network = make()
    frames = translating(6, (64, 80), (2, -1))
    frame = torch.zeros(12, dtype=torch.long)
    xy = torch.rand(12, 2) * 40 + 15
    truth = xy[:, None] + torch.arange(6.0)[None, :, None] * torch.tensor([2.0, -1.0])
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    before = (network(frames, frame, xy).xy - truth).norm(dim=-1).mean().item()
    for _ in range(30):
        optimiser.zero_grad()
        total(network(frames, frame, xy), truth).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    with torch.no_grad():
        after = (network(frames, frame, xy).xy - truth).norm(dim=-1).mean().item()
    assert before > 4
    assert after < 0.7 * before


@pytest.mark.parametrize("step", [(2, -1), (-3, 4), (0, 0)])
def test_specknet_finds_a_translation_untrained(step):
    frames = translating(6, (96, 112), step)
    frame = torch.tensor([0, 3, 5, 0])
    xy = torch.tensor([[50.0, 50.0], [40.3, 51.7], [60.5, 44.25], [55.0, 60.9]])
    times = torch.arange(6.0)[None] - frame[:, None]
    truth = xy[:, None] + times[..., None] * torch.tensor(step, dtype=torch.float32)
    with torch.inference_mode():
        out = SpeckNetNetwork()(frames, frame, xy)
    assert (out.xy - truth).norm(dim=-1).max() < 0.35
    for volume in out.volumes:
        # The truth lies among the places that were chosen from.
        reach = volume.scores.shape[-1] // 2 * volume.stride
        assert (truth - volume.xy).abs().max() <= reach


@pytest.mark.parametrize("step", [(2, -1), (-1, 2)])
def test_taptr_matches_untrained_and_better_trained(step):
    torch.manual_seed(0)
    network = TAPTRNetwork(TAPTRConfig(**SMALL_TAPTR))
    frames, frame = translating(6, (96, 112), step), torch.zeros(12, dtype=torch.long)
    xy = torch.rand(12, 2) * 30 + 35
    truth = xy[:, None] + torch.arange(6.0)[None, :, None] * torch.tensor(step, dtype=torch.float32)

    def error():
        with torch.no_grad():
            return (network(frames, frame, xy).xy - truth).norm(dim=-1).mean().item()

    before = error()
    # The mean displacement is 5 px and more.
    assert before < 1
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(20):
        optimiser.zero_grad()
        total(network(frames, frame, xy), truth).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
    assert error() < before


def test_training_makes_specknet_prefer_a_shifted_place():
    """Its volumes carry the gradient: told that all lies 3 px to the right of where it looks alike, it learns that."""
    torch.manual_seed(0)
    network = SpeckNetNetwork(SpeckNetConfig(hidden=8, width=8))
    frames = translating(4, (64, 80), (1, 0))
    frame, xy = torch.zeros(8, dtype=torch.long), torch.rand(8, 2) * 20 + 25
    truth = xy[:, None] + torch.arange(4.0)[None, :, None] * torch.tensor([1.0, 0.0]) + torch.tensor([3.0, 0.0])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = sum(
            volume_loss(v, truth, torch.ones(8, 4, dtype=torch.bool)) for v in network(frames, frame, xy).volumes
        )
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_taptr_takes_another_encoder():
    torch.manual_seed(0)
    encoder = ResidualEncoder((8, 8, 16, 16, 16), blocks=1)
    network = TAPTRNetwork(TAPTRConfig(**SMALL_TAPTR), encoder=encoder)
    assert network.strides == (16, 32)
    frames, (frame, xy) = torch.rand(3, 1, 97, 131), queries(4, 3, (97, 131))
    out = network(frames, frame, xy)
    assert out.tokens.shape == (4, 3, 32)
    with pytest.raises(ValueError, match="gives 5 maps; levels=6"):
        TAPTRNetwork(TAPTRConfig(levels=6), encoder=encoder)


def test_sizes_are_as_stated():
    def count(network):
        return sum(p.numel() for p in network.parameters())

    assert count(EchoTrackerNetwork()) < 1.5e6
    assert count(EchoTrackerNetwork(EchoTrackerConfig.paper())) == pytest.approx(10e6, rel=0.05)
    assert count(SpeckNetNetwork()) < 5e4
    assert count(TAPTRNetwork()) == pytest.approx(1e6, rel=0.15)
    assert (EchoTrackerNetwork().window, TAPTRNetwork().window) == (64, 24)


def test_the_paper_size_of_echotracker_runs():
    network = EchoTrackerNetwork(EchoTrackerConfig.paper()).eval()
    with torch.inference_mode():
        out = network(torch.rand(2, 1, 48, 80), torch.tensor([1]), torch.tensor([[20.0, 30.0]]))
    assert out.xy.shape == (1, 2, 2)
    assert len(out.steps) == 4


def test_many_points_go_through_echotracker_in_blocks():
    torch.manual_seed(0)
    network = NETWORKS["echotracker"]().eval()
    frames, (frame, xy) = torch.rand(2, 1, 32, 32), queries(300, 2, (32, 32))
    with torch.inference_mode():
        together, some = network(frames, frame, xy), network(frames, frame[:5], xy[:5])
    torch.testing.assert_close(together.xy[:5], some.xy, atol=1e-3, rtol=1e-4)
