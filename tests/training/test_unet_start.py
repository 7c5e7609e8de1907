"""A network that begins as the installed U-Net says what that says, and can learn from there."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from pydicom.data import get_testdata_file
from safetensors.torch import save_file

from echomotion.core import ModelError
from echomotion.io import read_clip
from echomotion.models.segmenters.ncmnet_network import NCMNetConfig, NCMNetwork
from echomotion.models.segmenters.pointseg_network import PointPaths, PointSegConfig, PointSegNetwork
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import find_weights
from echomotion.preprocess.grid import to_model_grid
from echomotion.training.unet_start import begin_as_unet, is_unet

DEMO = get_testdata_file("examples_ybr_color.dcm", download=False)
UNET = {"encoder": "unet", "encoder_widths": (32, 64, 96, 128, 160)}


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    """Three real frames (3, 1, 256, 256), as networks see them."""
    grey, _ = to_model_grid(read_clip(DEMO), (256, 256))
    return torch.from_numpy(grey[::10].copy())[:, None].float() / 255


@pytest.fixture(scope="module")
def expected(frames: torch.Tensor) -> torch.Tensor:
    weights = find_weights("unet")
    unet = UNet(UNetConfig())
    weights.load_into(unet)
    with torch.inference_mode():
        return unet.eval()(frames).argmax(dim=1)


def test_pointseg_begins_as_the_unet(frames, expected):
    torch.manual_seed(0)
    network = PointSegNetwork(PointSegConfig(**UNET, dim=32, heads=2, hidden=32))
    begin_as_unet(network, frames)
    at = torch.cartesian_prod(torch.arange(8.0, 256, 16), torch.arange(8.0, 256, 16))
    xy = at[None, :, None].expand(-1, -1, 3, -1)
    seen = torch.ones(xy.shape[:3])
    logits = network(frames[None], PointPaths(xy, seen, seen))[-1]
    found = torch.cat([torch.zeros_like(logits[0, :, :1]), logits[0]], dim=1).argmax(dim=1)
    assert (expected > 0).float().mean() > 0.05
    assert (found == expected).float().mean() > 0.99
    logits.square().mean().backward()
    last = network.decoder.blocks[-1][0].weight
    # What comes from the fusion layers is weighted by nothing yet, and can learn to be more.
    assert last[:, :32].abs().sum() == 0
    assert last.grad[:, :32].abs().sum() > 0


def test_ncmnet_begins_as_the_unet(frames, expected):
    torch.manual_seed(0)
    network = NCMNetwork(NCMNetConfig(**UNET, dim=32))
    begin_as_unet(network, frames)
    with torch.inference_mode():
        found = network(frames[None]).logits[0].argmax(dim=1)
    assert (found == expected).float().mean() > 0.99


def test_another_unet_is_begun_as(frames, tmp_path):
    weights = find_weights("unet")
    unet = UNet(UNetConfig())
    weights.load_into(unet)
    with torch.no_grad():
        # It calls everything that is not background cavity.
        unet.head.bias[1] += 50
        unet.head.bias[0] += 50
    folder = tmp_path / "run"
    folder.mkdir()
    save_file(unet.state_dict(), folder / "model.safetensors")
    sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(weights.card | {"sha256": sha256}))
    torch.manual_seed(0)
    network = NCMNetwork(NCMNetConfig(**UNET, dim=32))
    begin_as_unet(network, frames, str(folder))
    with torch.inference_mode():
        found = network(frames[None]).logits[0].argmax(dim=1)
        wanted = unet.eval()(frames).argmax(dim=1)
    assert wanted.unique().tolist() == [0, 1]
    assert (found == wanted).float().mean() > 0.99
    assert is_unet(folder)
    assert not is_unet(tmp_path)


def test_networks_of_other_sizes_are_refused(frames):
    with pytest.raises(ModelError, match="give the encoder these"):
        begin_as_unet(NCMNetwork(NCMNetConfig("unet", (8, 16, 16, 16))), frames)
    with pytest.raises(ModelError, match="channels at its finest stride"):
        begin_as_unet(NCMNetwork(NCMNetConfig(**UNET, fine=(16, 16))), frames)


def test_of_other_classes_the_encoder_alone_is_filled(frames):
    torch.manual_seed(0)
    network = NCMNetwork(NCMNetConfig(**UNET, dim=32, classes=1))
    before = network.head.weight.clone()
    begin_as_unet(network, frames)
    assert torch.equal(network.head.weight, before)
    unet = UNet(UNetConfig())
    find_weights("unet").load_into(unet)
    for name, value in network.encoder.state_dict().items():
        assert torch.equal(value, unet.state_dict()[name])
