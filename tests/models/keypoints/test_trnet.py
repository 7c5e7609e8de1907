"""TR-net: what it reads, how windows join, and how it is run."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from echomotion.core import Clip, ModelError
from echomotion.models.keypoints.trnet import (
    Seen,
    TRNetDetector,
    TRNetOptions,
    first_trajectories,
    look,
    patches_of,
    reference_frame,
    refine,
    refine_window,
    steadied,
    window_frames,
)
from echomotion.models.keypoints.trnet_network import shifted_cosines, windows
from echomotion.models.losses import trajectory_loss
from echomotion.models.registry import create_keypoint_detector
from tests.models.keypoints.networks import REFINING, refining_network, static_network, write_all


def seen_clip(count, seed=0):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 255, (count, 64, 64), dtype=np.uint8)
    seen = look(static_network(), frames)
    return seen._replace(xy=torch.from_numpy(rng.uniform(20, 44, (count, 4, 2))).float())


def test_a_window_is_the_ramp_that_it_lies_on():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    maps = torch.stack([x, y])[None]
    xy = torch.tensor([[[20.25, 11.5]]])
    found = windows(maps, xy, 4, 1)[0, 0]
    assert found[0, 0].tolist() == pytest.approx([18.75, 19.75, 20.75, 21.75], abs=1e-3)
    assert found[1, :, 0].tolist() == pytest.approx([10, 11, 12, 13], abs=1e-3)
    # On a map of stride 4, pixel i stands for the grid pixels 4 i ... 4 i + 3, whose middle is 4 i + 1.5.
    assert windows(maps, xy * 4 + 1.5, 1, 4).flatten().tolist() == pytest.approx([20.25, 11.5], abs=1e-3)


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 3)])
def test_the_cosine_is_one_where_the_patch_went(shift):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 1, 60, 60, generator=generator)
    moved = 0.5 * torch.roll(image, (shift[1], shift[0]), dims=(2, 3)) + 0.2
    xy = torch.tensor([[[30.0, 28.0], [25.0, 33.0]]])
    template = windows(image, xy, 8, 1)[0]
    scores = shifted_cosines(template, moved, xy, 8, 1, 3, centre=True).view(1, 2, 7, 7)
    for point in scores[0]:
        best = int(point.argmax())
        assert (best % 7 - 3, best // 7 - 3) == shift
        assert float(point.detach().max()) == pytest.approx(1, abs=1e-3)
    assert scores.abs().max() <= 1 + 1e-4


def test_without_training_nothing_moves_and_the_reference_never_does():
    seen = seen_clip(6)
    steps = refine_window(refining_network(), seen, 2, np.arange(6), seen.xy + 1)
    assert len(steps) == REFINING.iterations
    assert all(torch.allclose(step, seen.xy + 1) for step in steps)
    moving = refining_network()
    torch.nn.init.normal_(moving.step.weight, std=0.1)
    last = refine_window(moving, seen, 2, np.arange(6), seen.xy + 1)[-1]
    still = torch.arange(6) == 2
    assert torch.equal(last[still], seen.xy[still] + 1)
    assert (last[~still] - seen.xy[~still] - 1).abs().max() > 0.01


def test_trajectories_start_from_points_averaged_over_a_short_time():
    seen = seen_clip(30)
    trembling = seen._replace(xy=100 + torch.randn(30, 4, 2, generator=torch.Generator().manual_seed(0)))
    first = first_trajectories(trembling, 0.02)
    assert 0.2 < float((first - 100).std()) < 0.6
    # One frame has no neighbours, and no clock.
    alone = seen._replace(xy=seen.xy[:1], confidence=seen.confidence[:1])
    assert torch.allclose(first_trajectories(alone, math.inf), seen.xy[:1], atol=1e-4)


@pytest.mark.parametrize("semantic", [True, False])
def test_every_input_teaches(semantic):
    network = refining_network(dataclasses.replace(REFINING, semantic=semantic)).train()
    torch.nn.init.normal_(network.step.weight, std=0.02)
    seen = seen_clip(6)
    steps = refine_window(network, seen, 0, np.arange(6), seen.xy)
    trajectory_loss(steps, seen.xy + 2, [patches_of(seen.frames, xy, 24) for xy in steps]).backward()
    for name, part in network.named_parameters():
        assert part.grad is not None, name
        assert part.grad.abs().sum() > 0, name


def test_windows_cover_every_frame_and_join_without_a_seam():
    for count in (1, 5, 6, 7, 20):
        parts = window_frames(count, 6)
        assert all(len(part) == 6 for part in parts)
        assert set(np.concatenate(parts).tolist()) == set(range(count))
    for count in (1, 4, 6, 15):
        seen = seen_clip(count)
        assert torch.allclose(refine(refining_network(), seen, 0, seen.xy), seen.xy, atol=1e-4)


def test_parabolas_steady_what_trembles_and_leave_what_moves_smoothly():
    t = torch.arange(30.0)[:, None, None]
    smooth = 100 + (0.05 * t**2 - t).expand(30, 4, 2)
    assert torch.allclose(steadied(smooth, 7), smooth, atol=1e-3)
    noise = torch.randn(30, 4, 2, generator=torch.Generator().manual_seed(0))
    assert (steadied(smooth + noise, 7) - smooth).square().mean() < 0.5 * noise.square().mean()
    assert torch.equal(steadied(smooth, 0), smooth)
    # Four frames are too few for a parabola to say more than its points.
    assert torch.equal(steadied(smooth[:4], 7), smooth[:4])
    assert steadied(smooth[:6], 9).shape == (6, 4, 2)


def test_the_surest_frame_is_the_reference():
    confidence = torch.tensor([[0.1, 0.9, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5], [0.2, 0.2, 0.9, 0.2]])
    assert reference_frame(confidence, "confident") == 1
    assert reference_frame(confidence, "first") == 0
    assert reference_frame(confidence, "random") in (0, 1, 2)


def test_a_detector_runs_on_any_clip_and_can_be_fitted(tmp_path):
    weights = write_all(tmp_path)
    frames = np.random.default_rng(1).integers(0, 255, (7, 50, 60), dtype=np.uint8)
    clip = Clip(frames, np.arange(7) / 30)
    detector = create_keypoint_detector("trnet", weights=weights["trnet"], sknet=weights["sknet"])
    found = detector.detect(clip)
    assert found.xy.shape == (4, 7, 2)
    assert np.isfinite(found.xy).all()
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1
    again = detector.detect(clip)
    assert np.array_equal(found.xy, again.xy)
    still = clip.with_(frames=clip.frames[:1], times_s=clip.times_s[:1])
    assert detector.detect(still).xy.shape == (4, 1, 2)


def test_fitting_to_a_clip_changes_a_copy(tmp_path):
    from echomotion.models.flow.pwcnet import PWCNetEstimator, PWCNetwork
    from tests.models.keypoints.networks import FLOW

    static, network = static_network(), refining_network()
    before = {name: part.clone() for name, part in network.state_dict().items()}
    frames = np.random.default_rng(1).integers(0, 255, (6, 64, 64), dtype=np.uint8)
    detector = TRNetDetector(static, network, TRNetOptions(adapt=2, anchor=False), PWCNetEstimator(PWCNetwork(FLOW)))
    fitted, _ = detector.on_grid(frames, 0.04)
    plain, _ = TRNetDetector(static, network, TRNetOptions(anchor=False)).on_grid(frames, 0.04)
    assert all(torch.equal(part, before[name]) for name, part in network.state_dict().items())
    assert np.isfinite(fitted).all()
    assert not np.array_equal(fitted, plain)
    with pytest.raises(ModelError, match="needs a teacher"):
        TRNetDetector(static, network, TRNetOptions(adapt=1)).on_grid(frames, 0.04)


def test_features_of_other_weights_are_refused(tmp_path):
    weights, other = write_all(tmp_path / "a"), tmp_path / "b"
    write_all(other)
    network = static_network()
    torch.nn.init.ones_(network.head[0].weight)
    from echomotion.models.weights import read_weights, save_weights

    card = read_weights(other / "sknet", "sknet").card
    save_weights(other / "sknet", network, card)
    with pytest.raises(ModelError, match="other weights of sknet"):
        create_keypoint_detector("trnet", weights=weights["trnet"], sknet=str(other / "sknet"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "last"}, "reference"),
        ({"iterations": 0}, "at least 1"),
        ({"adapt": -1}, "adapt"),
        ({"steady_s": -1}, "steady_s"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ModelError, match=message):
        TRNetOptions(**options)


def test_a_tracker_starts_from_the_surest_frame(tmp_path):
    weights = write_all(tmp_path)
    frames = np.repeat(np.random.default_rng(1).integers(0, 255, (1, 64, 64), dtype=np.uint8), 4, axis=0)
    clip = Clip(frames, np.arange(4) / 30)
    found = create_keypoint_detector("tracked", tracker="block_matching", anchor=False, sknet=weights["sknet"])
    found = found.detect(clip)
    own = create_keypoint_detector("sknet", weights=weights["sknet"]).detect(clip)
    reference = int(own.confidence.sum(axis=0).argmax())
    limit = np.array([63.5, 63.5])
    assert np.allclose(found.xy[:, reference], np.clip(own.xy[:, reference], -0.5, limit), atol=1e-3)
    assert isinstance(look(static_network(), frames), Seen)
