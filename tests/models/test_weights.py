"""Weights are what their card says, or they are not loaded."""

from __future__ import annotations

import json

import pytest
import torch

from echomotion.core import ModelError
from echomotion.models.registry import create_segmenter
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import CARD, TENSORS, find_weights, installed_variants, read_weights, save_weights

CONFIG = UNetConfig(widths=(8, 16), stem=2)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    card = {"model": "unet", "tag": "t", "licence": "X", "options": {"widths": [8, 16], "stem": 2}, "grid": [32, 32]}
    return save_weights(tmp_path / "w", UNet(CONFIG), card)


def test_weights_come_back_as_they_were_saved(folder):
    torch.manual_seed(0)
    original, loaded = UNet(CONFIG), UNet(CONFIG)
    read_weights(folder, "unet").load_into(loaded)
    for a, b in zip(original.state_dict().values(), loaded.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)
    assert read_weights(folder, "unet").parameters == sum(p.numel() for p in original.parameters())
    assert create_segmenter("unet", weights=str(folder), mirror=False).name == "unet"


def test_a_variant_is_found_by_its_name(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("echomotion.models.weights._release_folders", lambda: [tmp_path / "none", tmp_path])
    folder.rename(tmp_path / "unet-other")
    assert list(installed_variants("unet")) == ["other"]
    assert find_weights("unet", "other").tag == "t"
    with pytest.raises(ModelError, match="no weights are installed"):
        find_weights("unet")
    with pytest.raises(ModelError, match=r"no model\.json"):
        find_weights("unet", "another")


def test_a_damaged_file_is_refused(folder):
    path = folder / TENSORS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        read_weights(folder, "unet").load_into(UNet(CONFIG))


def test_weights_of_another_shape_or_model_are_refused(folder):
    with pytest.raises(ModelError, match="do not fit"):
        read_weights(folder, "unet").load_into(UNet(UNetConfig(widths=(8, 24), stem=2)))
    with pytest.raises(ModelError, match="belong to 'unet'"):
        read_weights(folder, "other")


def test_missing_weights_or_cards_say_so(folder, tmp_path):
    with pytest.raises(ModelError, match="no weights are installed"):
        find_weights("a_model_nobody_made")
    with pytest.raises(ModelError, match=r"no model\.json"):
        read_weights(tmp_path, "unet")
    card = json.loads((folder / CARD).read_text())
    del card["licence"]
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="lacks licence"):
        read_weights(folder, "unet")
    (folder / CARD).write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        read_weights(folder, "unet")
