"""Trajectories held on single detections: constant errors, strays, and slow drift."""

from __future__ import annotations

import pytest
import torch

from echomotion.core import ModelError
from echomotion.models.keypoints.anchoring import anchored
from echomotion.models.keypoints.tracked import TrackedOptions
from echomotion.models.keypoints.trnet import TRNetOptions


def test_anchoring_takes_out_a_constant_error_and_ignores_a_stray():
    generator = torch.Generator().manual_seed(3)
    path = torch.rand(11, 4, 2, generator=generator) * 50
    own = path.clone()
    own[3] += 30
    assert torch.allclose(anchored(path + torch.tensor([2.0, -1.0]), own, torch.ones(11, 4)), path, atol=1e-4)
    # A frame that is not sure has no say.
    sure = torch.ones(3, 4)
    sure[1:] = 0.01
    assert torch.allclose(anchored(path[:3] + 1, torch.cat([path[:1], path[1:3] + 9]), sure), path[:3], atol=1e-4)


def test_a_slow_drift_is_taken_out_without_the_detections_noise():
    generator = torch.Generator().manual_seed(5)
    turn = torch.linspace(0, 6.28, 60)[:, None, None]
    path = 60 + 8 * torch.sin(turn + torch.arange(4)[:, None]).expand(-1, -1, 2)
    drifting = path + 4 * torch.sin(turn / 2)
    own = path + 0.8 * torch.randn(path.shape, generator=generator)
    own[20] += 25
    held = anchored(drifting, own, torch.ones(60, 4), 4.0)
    error = (held - path).abs()
    assert error.mean() < 0.35
    assert error[20].mean() < 1.0
    # One shift for all frames leaves the drift, and the detections have their noise.
    assert (anchored(drifting, own, torch.ones(60, 4)) - path).abs().mean() > 0.9
    assert (own - path).abs().mean() > 0.6


@pytest.mark.parametrize("options", [TrackedOptions, TRNetOptions])
def test_a_width_that_is_none_is_refused(options):
    with pytest.raises(ModelError, match="anchor_s"):
        options(anchor_s=-1.0)
