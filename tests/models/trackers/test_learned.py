"""The predictor around any point network, with tiny random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from echomotion.core import Clip, DataError, ModelError
from echomotion.models.registry import create_tracker
from echomotion.models.trackers.echotracker import EchoTrackerConfig, EchoTrackerNetwork
from echomotion.models.trackers.learned import LearnedOptions, PointFollower, tracker_of
from echomotion.models.trackers.network import PointNetwork, PointOutput
from echomotion.models.trackers.specknet import SpeckNetConfig, SpeckNetNetwork
from echomotion.models.trackers.taptr import TAPTRConfig, TAPTRNetwork
from echomotion.models.weights import save_weights

ECHO = {
    "widths": (8, 8, 16, 16), "blocks": 1, "features": 16, "coarse": (32, 32), "fine": (32, 32), "local": 32,
    "iterations": 1, "window": 8,
}  # fmt: skip
TAPTR = {"widths": (8, 16, 16), "blocks": 1, "levels": 2, "dim": 32, "heads": 2, "hidden": 64, "layers": 2, "window": 6}

NETWORKS = {
    "specknet": lambda: SpeckNetNetwork(SpeckNetConfig(hidden=8, width=8)),
    "echotracker": lambda: EchoTrackerNetwork(EchoTrackerConfig(**ECHO)),
    "taptr": lambda: TAPTRNetwork(TAPTRConfig(**TAPTR)),
}
networks = pytest.mark.parametrize("name", NETWORKS)

QUERIES = np.array([[0, 40.25, 30.5], [4, 60, 41], [12, 20.3, 55.7], [4, 70.1, 12.0], [7, 0, 0], [7, 95, 79]])


def shaken(module, seed=1):
    """Numbers that are far from their first values, so that the network says something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module


def tracker(name, **options):
    torch.manual_seed(0)
    return tracker_of(name, shaken(NETWORKS[name]()), LearnedOptions(device="cpu", **options))


def clip(frames=13, rows=80, columns=96, seed=0):
    rng = np.random.default_rng(seed)
    return Clip(rng.integers(0, 255, (frames, rows, columns), dtype=np.uint8), np.arange(frames) / 50)


@networks
def test_the_query_comes_back_exactly_and_the_clip_as_it_was(name):
    one, queries = clip(), QUERIES.copy()
    before = one.frames.copy()
    tracks = tracker(name).track(one, queries)
    rows, start = np.arange(len(QUERIES)), QUERIES[:, 0].astype(int)
    assert np.array_equal(tracks.xy[rows, start], QUERIES[:, 1:].astype(np.float32))
    assert (tracks.confidence[rows, start] == 1).all()
    assert tracks.visible[rows, start].all()
    assert np.array_equal(one.frames, before)
    assert np.array_equal(queries, QUERIES)
    assert tracks.xy.shape == (6, 13, 2)
    assert ((tracks.xy >= -0.5) & (tracks.xy <= [95.5, 79.5])).all()
    assert ((tracks.confidence >= 0) & (tracks.confidence <= 1)).all()
    assert tracks.model == name
    # Points move, before their query and after it.
    assert np.abs(tracks.xy - tracks.xy[rows, start][:, None])[2, [0, 11]].max() > 0


@networks
def test_points_in_any_order_are_the_same_points(name):
    order = [3, 0, 5, 1, 4, 2]
    one, other = (tracker(name).track(clip(), q) for q in (QUERIES, QUERIES[order]))
    assert np.abs(one.xy[order] - other.xy).max() < 0.05
    assert np.abs(one.confidence[order] - other.confidence).max() < 0.01


def test_a_spatial_network_gives_the_same_in_chunks():
    whole = tracker("specknet").track(clip(), QUERIES[:1])
    for cut in (3, 8):
        part = Clip(clip().frames[: cut + 1], np.arange(cut + 1) / 50)
        assert np.abs(tracker("specknet").track(part, QUERIES[:1]).xy - whole.xy[:, : cut + 1]).max() < 0.05
    # Backward as forward: frames in the opposite order are the same problem.
    mirrored = QUERIES.copy()
    mirrored[:, 0] = 12 - mirrored[:, 0]
    back = tracker("specknet").track(Clip(clip().frames[::-1], np.arange(13) / 50), mirrored)
    assert np.abs(back.xy[:, ::-1] - tracker("specknet").track(clip(), QUERIES).xy).max() < 0.05


@networks
def test_later_frames_change_nothing_before_the_last_window(name):
    follower = tracker(name).follower
    end = follower.window if follower.window > 1 else 6
    whole = tracker(name).track(clip(), QUERIES[:1])
    part = tracker(name).track(Clip(clip().frames[:end], np.arange(end) / 50), QUERIES[:1])
    assert np.abs(part.xy - whole.xy[:, :end]).max() < 0.05


@networks
def test_windows_overlap_by_half(name):
    follower = tracker(name).follower
    assert follower.overlap == (0 if follower.window == 1 else follower.window // 2)


@networks
def test_one_frame_is_enough(name):
    tracks = tracker(name).track(clip(1), [[0, 12.5, 13.25]])
    assert np.array_equal(tracks.xy, np.array([[[12.5, 13.25]]], np.float32))


@networks
def test_tall_frames_are_made_smaller_and_come_back_in_native_pixels(name):
    big = clip(2, 512, 400)
    tracks = tracker(name).track(big, [[0, 399, 511], [1, 200.25, 301.5]])
    assert np.array_equal(tracks.xy[[0, 1], [0, 1]], np.array([[399, 511], [200.25, 301.5]], np.float32))


class Leaving(PointNetwork):
    """Moves every point 30 px to the left a frame, and says it is sure."""

    def __init__(self):
        super().__init__()
        self.none = nn.Parameter(torch.zeros(1))
        self.frame = 0

    def encode(self, frames):
        return (frames.mean(dim=(-2, -1), keepdim=True),)

    def describe(self, features, frame, xy):
        return (xy, features[0][frame].flatten())

    def follow(self, features, descriptors, start):
        step = torch.round(features[0].flatten() * 255 - descriptors[1][:, None] * 255)
        xy = descriptors[0][:, None] - torch.stack([30 * step, 0 * step], dim=-1)
        sure = torch.full(xy.shape[:2], 5.0)
        return PointOutput(xy, sure, sure)


def test_a_point_off_the_frame_has_no_confidence():
    frames = np.repeat(np.arange(4, dtype=np.uint8) + 10, 40 * 60).reshape(4, 40, 60)
    # Something to see, of the same mean.
    frames[:, ::2] += 5
    frames[:, 1::2] -= 5
    tracks = tracker_of("leaving", Leaving()).track(Clip(frames, np.arange(4) / 50), [[0, 45, 20]])
    assert np.allclose(tracks.xy[0, :, 0], [45, 15, -0.5, -0.5])
    assert np.allclose(tracks.xy[0, :, 1], 20)
    assert (tracks.confidence[0, 2:] == 0).all()
    assert tracks.confidence[0, 1] > 0.99
    assert tracks.visible[0].tolist() == [True, True, False, False]
    dark = tracker_of("leaving", Leaving()).track(Clip(0 * frames, np.arange(4) / 50), [[0, 45, 20]])
    assert (dark.confidence[0, 1:] == 0).all()


def test_progress_ends_at_its_total():
    told = []
    tracker("echotracker").track(clip(), QUERIES, progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_options_and_queries_are_checked():
    with pytest.raises(ModelError, match="device"):
        LearnedOptions(device="tpu")
    with pytest.raises(ModelError, match="min_visible"):
        LearnedOptions(min_visible=2)
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="GPU"):
            LearnedOptions(device="cuda")
    with pytest.raises(DataError):
        tracker("specknet").track(clip(), [[0, 500, 20]])
    assert PointFollower(SpeckNetNetwork()).window == 1


CARDS = {"specknet": {"hidden": 8, "width": 8}, "echotracker": ECHO, "taptr": TAPTR}


@networks
def test_weights_load_through_the_registry(name, tmp_path):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    card = {"model": name, "tag": "t", "licence": "Apache-2.0", "options": CARDS[name]}
    save_weights(tmp_path, network, card)
    loaded = create_tracker(name, weights=str(tmp_path), device="cpu")
    assert loaded.name == name
    assert loaded.track(clip(3), QUERIES[:1]).xy.shape == (1, 3, 2)
    save_weights(tmp_path, network, {**card, "options": {**CARDS[name], "colour": 1}})
    with pytest.raises(ModelError, match="colour"):
        create_tracker(name, weights=str(tmp_path))


def test_without_weights_there_is_no_tracker(tmp_path):
    with pytest.raises(ModelError, match=r"no model\.json"):
        create_tracker("specknet", weights=str(tmp_path))
