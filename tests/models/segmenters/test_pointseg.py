"""PointSeg's network, its switches, and the way from any clip to masks with the tracks that steered them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from echomotion.core import Clip, DataError, Geometry, ModelError
from echomotion.models.layers.efficientnet import EfficientNetLite0, fill
from echomotion.models.layers.fixed_norm import FixedNormConv, measured_statistics
from echomotion.models.registry import create_tracker
from echomotion.models.segmenters import wall_carrying
from echomotion.models.segmenters.point_cues import (
    cue_queries,
    forward_backward_px,
    track_cues,
    tracker_tokens,
)
from echomotion.models.segmenters.pointseg import PointGuidedSegmenter, PointSegOptions, network_of
from echomotion.models.segmenters.pointseg_network import (
    PointPaths,
    PointSegConfig,
    PointSegNetwork,
    inner_product,
)
from echomotion.models.trackers.learned import tracker_of
from echomotion.models.trackers.taptr import TAPTRConfig, TAPTRNetwork

SMALL = {
    "encoder": "residual", "encoder_widths": (8, 16, 16), "dim": 16, "heads": 2, "hidden": 16, "fused": 2,
    "attended": 1, "encoder_layers": 1, "encoder_points": 2, "up": (16, 8),
}  # fmt: skip
SWITCHES = ("trajectories", "point_to_patch", "point_self", "point_temporal", "mlp", "patch_to_point")


def small(**changes) -> PointSegNetwork:
    torch.manual_seed(0)
    return PointSegNetwork(PointSegConfig(**{**SMALL, **changes}))


def paths(b=2, n=5, t=3, size=32, seed=0) -> PointPaths:
    generator = torch.Generator().manual_seed(seed)
    xy = torch.rand(b, n, t, 2, generator=generator) * size
    return PointPaths(xy, torch.ones(b, n, t), torch.rand(b, n, t, generator=generator))


def test_logits_have_the_frames_shape_and_every_parameter_a_gradient():
    network = small(classes=1)
    out = network(torch.rand(2, 3, 1, 32, 40), paths())
    # The encoder pads 40 columns to a multiple of 8.
    assert [tuple(x.shape) for x in out] == [(2, 3, 1, 8, 10), (2, 3, 1, 8, 10), (2, 3, 1, 32, 40)]
    sum(x.square().mean() for x in out).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_part_can_be_switched_off_and_matters(switch):
    frames, points = torch.rand(1, 3, 1, 32, 32), paths(1)
    whole, without = small(), small(**{switch: False})
    kept = {k: v for k, v in whole.state_dict().items() if k in without.state_dict()}
    without.load_state_dict(kept)
    with torch.inference_mode():
        assert (whole(frames, points)[-1] - without(frames, points)[-1]).abs().max() > 1e-5


def test_points_carry_what_is_known_from_frame_to_frame_and_nothing_else_does():
    frames = torch.rand(1, 3, 1, 32, 32)
    changed = frames.clone()
    changed[:, 2] = 0
    for temporal in (True, False):
        network = small(point_temporal=temporal).eval()
        with torch.inference_mode():
            apart = (network(frames, paths(1))[-1] - network(changed, paths(1))[-1])[:, :2].abs().max()
        assert (apart > 1e-5) == temporal


def test_neither_the_order_of_points_nor_the_other_clips_matter():
    network, frames, points = small().eval(), torch.rand(2, 3, 1, 32, 32), paths()
    order = torch.tensor([3, 0, 4, 2, 1])
    turned = PointPaths(*(x[:, order] for x in points[:3]))
    with torch.inference_mode():
        both, other = network(frames, points)[-1], network(frames, turned)[-1]
        alone = network(frames[1:], PointPaths(*(x[1:] for x in points[:3])))[-1]
    torch.testing.assert_close(both, other, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)


def test_standing_points_tell_nothing_of_motion():
    network, frames, points = small(trajectories=False).eval(), torch.rand(1, 3, 1, 32, 32), paths(1)
    away = torch.tensor([[-1.0, 2.0], [0.0, 0.0], [1.0, -2.0]])
    moved = PointPaths(points.xy + away, points.visible, points.confidence)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames, points)[-1], network(frames, moved)[-1], atol=1e-5, rtol=1e-4)


def test_an_inner_product_counted_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    vectors = torch.tensor([[[2.0, 1.0, 0.5]]])
    assert inner_product(vectors, features).flatten().tolist() == [5.5, 3.5]


def test_a_config_that_does_not_fit_its_encoder_is_refused():
    with pytest.raises(ValueError, match="fused=3"):
        small(fused=3)
    with pytest.raises(ValueError, match="magic"):
        small(encoder="magic")
    with pytest.raises(ModelError, match="magic"):
        network_of({"magic": 1})


def test_the_paper_and_the_small_one_have_their_sizes():
    count = {}
    for name, config in (("small", PointSegConfig()), ("paper", PointSegConfig.paper())):
        with torch.device("meta"):
            count[name] = sum(p.numel() for p in PointSegNetwork(config).parameters())
    assert 2 * count["small"] < 8e6
    assert 25e6 < count["paper"] < 45e6


def test_measured_statistics_normalise_and_then_stay():
    torch.manual_seed(0)
    layer = FixedNormConv(2, 4, 3)
    x = 5 + 3 * torch.randn(4, 2, 16, 16)
    with measured_statistics(layer):
        layer(x)
    out = layer(x)
    torch.testing.assert_close(out.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std(dim=(0, 2, 3)), torch.ones(4), atol=2e-2, rtol=0)
    before = layer.var.clone()
    layer(x * 7)
    assert torch.equal(layer.var, before)


def test_maps_lie_where_their_pixels_are():
    """With kernels that take means, a soft spot is found within a quarter of a pixel of every map."""
    encoder = EfficientNetLite0().double()
    for layer in encoder.modules():
        if isinstance(layer, FixedNormConv):
            torch.nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    at = torch.arange(128).double()
    spot = torch.exp(-0.5 * ((at - 63.5) / 12) ** 2)
    frames = 0.5 + 0.2 * (spot[:, None] * spot)[None, None]
    with torch.inference_mode():
        flat, bright = encoder(torch.full_like(frames, 0.5)), encoder(frames)
    for stride, before, after in zip(encoder.strides[:4], flat, bright, strict=False):
        seen = (after - before)[0].sum(dim=(0, 2))
        centre = float((seen * torch.arange(len(seen))).sum() / seen.sum())
        assert abs(centre - (64 / stride - 0.5)) <= 0.26


def test_the_public_checkpoint_goes_where_its_names_say():
    encoder = EfficientNetLite0()
    state = {"_conv_stem.weight": torch.ones(32, 3, 3, 3)}
    with pytest.raises(ModelError, match="_bn0"):
        fill(encoder, state)
    assert encoder.stem.weight.mean() == 3


# ----------------------------------------------------------------- clips
@pytest.fixture(scope="module")
def clip() -> Clip:
    rng = np.random.default_rng(0)
    frames = rng.integers(30, 90, (7, 48, 60)).astype(np.uint8)
    return Clip(frames, np.arange(7) / 30, (0.5, 0.5))


def segmenter(**options) -> PointGuidedSegmenter:
    tracker = create_tracker("lucas_kanade")
    network = small()
    return PointGuidedSegmenter(
        "test", network, tracker, grid_shape=(32, 32), spacing_px=8, options=PointSegOptions(**options)
    )


def test_any_clip_gives_masks_and_the_tracks_that_steered_them(clip):
    own = [[2, 20.5, 30.25], [5, 3, 4]]
    masks = segmenter(points=own).segment(clip)
    assert masks.labels.shape == clip.frames.shape
    np.testing.assert_allclose(masks.probability.astype(np.float32).sum(axis=1), 1, atol=0.01)
    assert masks.tracks is not None
    assert masks.tracks.model == "lucas_kanade"
    np.testing.assert_array_equal(masks.tracks.queries[:2], own)
    assert masks.tracks.n_points > 10
    one = segmenter().segment(Clip(clip.frames[:1], [0.0]))
    assert one.labels.shape == (1, 48, 60)


def test_windows_that_hold_the_whole_clip_change_nothing_and_short_ones_little(clip):
    whole = segmenter(window=7, overlap=2, span_s=1).segment(clip).probability.astype(np.float32)
    longer = segmenter(window=48, span_s=1).segment(clip).probability.astype(np.float32)
    # To a step of the half precision in which probabilities are kept.
    np.testing.assert_allclose(whole, longer, atol=6e-4)
    short = segmenter(window=4, overlap=2, span_s=1).segment(clip).probability.astype(np.float32)
    assert short.shape == whole.shape
    assert np.abs(short - whole).max() < 0.2


def test_frames_far_apart_in_time_are_not_fused(clip):
    assert PointSegOptions().fused(1 / 20) == (3, 1)
    assert PointSegOptions().fused(1 / 15) == (2, 1)
    assert PointSegOptions().fused(0.35) == (1, 0)
    assert PointSegOptions().fused(float("nan")) == (3, 1)
    slow = Clip(clip.frames, 0.35 * np.arange(7), (0.5, 0.5))
    alone = segmenter(window=1, overlap=0).segment(slow).probability
    np.testing.assert_array_equal(segmenter().segment(slow).probability, alone)
    assert not np.array_equal(segmenter(span_s=1).segment(slow).probability, alone)
    with pytest.raises(ModelError, match="span_s"):
        PointSegOptions(span_s=-1)


def test_short_clips_alone_are_seen_more_than_once_unless_asked_for(clip):
    def probability(cine, **options):
        return segmenter(**options).segment(cine).probability

    short = Clip(clip.frames[:6], clip.times_s[:6])
    once = probability(short, mirror=False, scales=())
    assert not np.array_equal(probability(short, mirror=True, scales=()), once)
    assert not np.array_equal(probability(short, mirror=False, scales=(0.9,)), once)
    np.testing.assert_array_equal(probability(short), probability(short, mirror=True, scales=(0.85, 0.7)))
    np.testing.assert_array_equal(probability(clip), probability(clip, mirror=False, scales=()))
    with pytest.raises(ModelError, match="scales is"):
        segmenter(scales=(0.0,))


def test_masks_of_clips_are_carried_along_the_wall_and_those_of_a_few_frames_are_not(clip, monkeypatch):
    asked = []

    def some_wall(probability, classes, geometry):
        asked.append(len(probability))
        return np.array([[len(probability) // 2, x, y] for x in (10, 30, 50) for y in (10, 24, 38)], dtype=float)

    def probability(cine, **options):
        return segmenter(**options).segment(cine).probability

    monkeypatch.setattr(wall_carrying, "wall_queries", some_wall)
    assert not np.array_equal(probability(clip), probability(clip, carry_s=0))
    assert asked == [7]
    short = Clip(clip.frames[:6], clip.times_s[:6])
    np.testing.assert_array_equal(probability(short), probability(short, carry_s=0))
    # Half a second apart: none is within reach of another.
    slow = Clip(clip.frames, 0.5 * np.arange(7))
    np.testing.assert_array_equal(probability(slow), probability(slow, carry_s=0))
    assert asked == [7]
    # Where no wall is seen there is nothing to carry along.
    monkeypatch.setattr(wall_carrying, "wall_queries", lambda *_: np.empty((0, 3)))
    np.testing.assert_array_equal(probability(clip), probability(clip, carry_s=0))


def test_points_lie_inside_the_fan_on_the_middle_frame(clip):
    frames = np.zeros((3, 40, 40), np.uint8)
    frames[:, 8:30, 10:34] = 99
    cine = Clip(frames, np.arange(3) / 10)
    queries = cue_queries(cine, frames, Geometry.identity((40, 40)), 4)
    assert set(queries[:, 0]) == {1}
    reach = 15 // 2
    assert queries[:, 1].min() >= 10 - reach
    assert queries[:, 2].max() <= 30 + reach
    with pytest.raises(DataError, match=r"\(M, 3\)"):
        cue_queries(cine, frames, Geometry.identity((40, 40)), 4, points=[[1, 2]])


def test_there_and_back_is_short_where_a_point_can_be_followed():
    rng = np.random.default_rng(0)
    import cv2

    texture = cv2.GaussianBlur(rng.standard_normal((80, 80)).astype(np.float32), (0, 0), 2)
    texture = np.clip(128 + 300 * texture, 0, 255).astype(np.uint8)
    second = np.roll(texture, 3, axis=1)
    second[40:] = rng.integers(0, 255, (40, 80))
    pair = Clip(np.stack([texture, second]), [0.0, 0.3])
    tracker, identity = create_tracker("lucas_kanade"), Geometry.identity((80, 80))
    tracks, _ = track_cues(tracker, pair, np.array([[0, 40.0, 16.0], [0, 40.0, 62.0]]), identity)
    there_and_back = forward_backward_px(tracker, pair, tracks, identity)
    assert there_and_back[0] < 0.2
    assert there_and_back[1] > 2
    with pytest.raises(DataError, match="two frames"):
        forward_backward_px(tracker, pair.with_(frames=texture[None], times_s=[0.0]), track_cues(
            tracker, Clip(texture[None], [0.0]), np.array([[0, 40.0, 16.0]]), identity)[0], identity)  # fmt: skip


def test_tokens_come_from_taptr_and_from_it_alone(clip):
    sizes = {"widths": (8, 8, 16), "blocks": 1, "dim": 16, "heads": 2, "points": 2, "layers": 1, "hidden": 16}
    network = TAPTRNetwork(TAPTRConfig(window=4, **sizes))
    tracker = tracker_of("taptr", network)
    queries = np.array([[3, 20.0, 20.0], [3, 40.0, 30.0]])
    tracks, cues = track_cues(tracker, clip, queries, Geometry.identity(clip.shape), tokens=True)
    assert cues.tokens is not None
    assert cues.tokens.shape == (2, 7, 16)
    assert np.isfinite(cues.tokens).all()
    steered = small(token_dim=16)
    masks = PointGuidedSegmenter("test", steered, tracker, grid_shape=(32, 32), spacing_px=8).segment(clip)
    assert masks.labels.shape == clip.frames.shape
    with pytest.raises(ModelError, match="no tokens"):
        tracker_tokens(create_tracker("lucas_kanade"), clip, tracks)
