"""The network's shapes and gradients, and the path from its grid to native pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from echomotion.core import Clip, Geometry
from echomotion.models.segmenters.frame_wise import FrameWiseSegmenter
from echomotion.models.segmenters.native import (
    labels_from_probability,
)
from echomotion.models.segmenters.unet import UNet, UNetConfig


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_logits_have_the_frames_shape_and_every_parameter_a_gradient(size):
    network = UNet(UNetConfig(widths=(8, 16, 16), stem=2))
    logits = network(torch.rand(2, 1, *size))
    assert logits.shape == (2, 4, *size)
    logits.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_one_frame_is_labelled_as_among_many():
    torch.manual_seed(1)
    network = UNet(UNetConfig(widths=(8, 16), stem=2)).eval()
    frames = torch.rand(5, 1, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames)[2:3], network(frames[2:3]), atol=1e-5, rtol=1e-5)


class Threshold(torch.nn.Module):
    """Calls bright pixels cavity: a network whose answer is known."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(40.0))

    def forward(self, frames):
        bright = self.scale * (frames - 0.5)
        return torch.cat([-bright, bright, torch.full_like(bright, -50), torch.full_like(bright, -50)], dim=1)


def test_labels_land_on_the_native_pixels_they_came_from():
    frames = np.zeros((3, 90, 130), np.uint8)
    for t in range(3):
        frames[t, 30:60, 40 + 5 * t : 90 + 5 * t] = 255
    clip = Clip(frames, np.arange(3) / 30, (0.3, 0.3))
    segmenter = FrameWiseSegmenter("threshold", Threshold(), grid_shape=(256, 256), mirror=True)
    found = segmenter.segment(clip).mask("lv_cavity")
    true = frames > 0
    wrong = found ^ true
    # Only pixels on the border may differ.
    assert wrong.sum() <= 0.5 * 3 * 2 * (30 + 50)
    assert abs(found.sum() / true.sum() - 1) < 0.02


def test_pixels_off_the_grid_are_background():
    geometry = Geometry.crop((20, 20), 5, 5, 10, 10)
    probability = np.zeros((4, 10, 10), np.float32)
    probability[2] = 1
    labels = labels_from_probability(probability, geometry)
    assert (labels[5:15, 5:15] == 2).all()
    assert labels.sum() == 2 * 100


def test_steadying_over_time_removes_flicker():
    rng = np.random.default_rng(0)
    frames = np.full((20, 64, 64), 60, np.uint8)
    frames[:, 10:50, 10:50] = (110 + 80 * rng.random((20, 40, 40))).astype(np.uint8)
    clip = Clip(frames, np.arange(20) / 40)
    flicker = []
    for steady_s in (0.0, 0.2):
        segmenter = FrameWiseSegmenter("threshold", Threshold(), grid_shape=(64, 64), steady_s=steady_s)
        labels = segmenter.segment(clip).labels
        flicker.append((labels[1:] != labels[:-1]).mean())
    assert flicker[1] < 0.7 * flicker[0]


@pytest.mark.parametrize("native", [(40, 50), (160, 240), (64, 64)])
def test_labels_are_those_of_the_whole_frame_enlarged(native, rng):
    # Smooth blobs on a grid that is coarser, finer and as fine as the frame, some of them at its edge.
    noise = gaussian_filter(rng.normal(size=(4, 64, 64)), (0, 4, 4))
    probability = np.exp(40 * noise + np.array([2.0, 0, 0, 0])[:, None, None])
    probability = (probability / probability.sum(axis=0)).astype(np.float32)
    for box in ((-0.5, -0.5, native[1] - 0.5, native[0] - 0.5), (10.0, 4.0, native[1] - 5.0, native[0] - 9.0)):
        geometry = Geometry.letterbox(native, box, (64, 64))
        whole = np.argmax([geometry.inverse().warp(p) for p in probability], axis=0)
        found = labels_from_probability(probability, geometry)
        assert (found != whole).mean() < 1e-3
    nothing = np.zeros_like(probability)
    nothing[0] = 1
    assert not labels_from_probability(nothing, geometry).any()
