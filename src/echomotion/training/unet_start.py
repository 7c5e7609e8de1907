"""A network with the encoder of a U-Net begins as a trained `unet`: what it says first is what that says.

Its encoder is filled with that U-Net's weights, the last convolution before its masks hands the finest map on as it
is, and the masks' vectors are those of the U-Net's head. All else then learns what to add, instead of learning from
nothing what is known already. Ours, not of any paper.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from echomotion.core import ModelError
from echomotion.models.layers.encoder import FrameNorm
from echomotion.models.layers.unet_encoder import UNetEncoder
from echomotion.models.segmenters.ncmnet_network import NCMNetwork
from echomotion.models.segmenters.pointseg_network import PointPaths, PointSegNetwork
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import find_weights, read_weights

# Of the ridge regression from class tokens to vectors, relative to the number of rows.
_RIDGE = 1e-4


@torch.no_grad()
def begin_as_unet(network: PointSegNetwork | NCMNetwork, frames: Tensor, which: str | None = None) -> None:
    """Make a network with a U-Net's encoder say what a trained `unet` says; of other classes, see what it sees.

    Parameters
    ----------
    network : PointSegNetwork or NCMNetwork
        With as many channels at its finest stride as the U-Net has. Where it has not the same number of classes, its
        encoder alone is filled.
    frames : float (F, 1, H, W)
        Some that it will see, 0..1; the statistics of its last normalisation are set by them.
    which : str, optional
        Folder of the U-Net's weights; the installed ones if not given.

    Raises
    ------
    ModelError
        When there are no such weights of `unet`, or they have other widths than the network.
    """
    unet = _unet(which)
    encoder = network.encoder
    if not isinstance(encoder, UNetEncoder) or (encoder.widths, encoder.stem) != (unet.widths, unet.stem):
        raise ModelError(
            f"the weights of unet have widths {unet.widths}; give the encoder these, or train from scratch "
            "with pretrained: false"
        )
    width = unet.widths[0]
    last = cast(nn.Sequential, network.enter_half if isinstance(network, NCMNetwork) else network.decoder.blocks[-1])
    if cast(nn.Conv2d, last[0]).out_channels != width:
        raise ModelError(
            f"to begin as unet, a network has {width} channels at its finest stride; give it these, or train from "
            "scratch with pretrained: false"
        )
    encoder.load_state_dict({name: x for name, x in unet.state_dict().items() if not name.startswith("head.")})
    if network.config.classes + 1 != unet.head.out_channels:
        return
    training = network.training
    network.eval()
    _hand_on(last, torch.cat([encoder(frame)[0] for frame in frames.split(1)]))
    if isinstance(network, NCMNetwork):
        network.head.load_state_dict(unet.head.state_dict())
    else:
        _fit_vectors(network, unet.head, frames)
    network.train(training)


def is_unet(folder: str | Path) -> bool:
    """Whether a folder holds weights of `unet`."""
    try:
        read_weights(folder, "unet")
    except ModelError:
        return False
    return True


def _unet(which: str | None) -> UNet:
    weights = find_weights("unet", which)
    classes = len(weights.card["classes"])
    unet = UNet(UNetConfig(tuple(weights.card["options"]["widths"]), int(weights.card["options"]["stem"])), classes)
    weights.load_into(unet)
    return unet.eval()


def _hand_on(block: nn.Sequential, finest: Tensor) -> None:
    """Set convolution and normalisation so that the last inputs, the finest map, come out as they went in."""
    convolution, norm = cast(nn.Conv2d, block[0]), cast(FrameNorm, block[1])
    width = convolution.out_channels
    convolution.weight.zero_()
    own = torch.arange(width)
    convolution.weight[own, convolution.in_channels - width + own, 1, 1] = 1
    # Undo what the normalisation does to a usual frame.
    groups = finest.unflatten(1, (norm.groups, -1)).flatten(2)
    norm.weight.copy_(groups.std(dim=2).mean(dim=0).repeat_interleave(width // norm.groups))
    norm.bias.copy_(groups.mean(dim=2).mean(dim=0).repeat_interleave(width // norm.groups))


def _fit_vectors(network: PointSegNetwork, head: nn.Conv2d, frames: Tensor) -> None:
    """Set the last layer of the class head so that class tokens become the head's vectors, less the background's."""
    *before, last = network.decoder.class_head
    last = cast(nn.Linear, last)
    hidden = []
    for frame in frames.split(1):
        tokens = network.fuse(network.encode(frame), _grid_of_points(frame)).tokens
        for layer in before:
            tokens = layer(tokens)
        hidden.append(tokens)
    vectors = torch.cat([head.weight[:, :, 0, 0], cast(Tensor, head.bias)[:, None]], dim=1)
    wanted = (vectors[1:] - vectors[:1]).expand(len(hidden), -1, -1).flatten(0, 1).double()
    rows = torch.cat(hidden).flatten(0, 1).double()
    rows = torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)
    ridge = _RIDGE * len(rows) * torch.eye(rows.shape[1], dtype=rows.dtype)
    found = torch.linalg.solve(rows.T @ rows + ridge, rows.T @ wanted).to(last.weight.dtype)
    last.weight.copy_(found[:-1].T)
    last.bias.copy_(found[-1])


def _grid_of_points(frame: Tensor, spacing_px: int = 16) -> PointPaths:
    """Standing points all over a frame (1, 1, H, W)."""
    rows, columns = (torch.arange(spacing_px / 2, size, spacing_px) for size in frame.shape[-2:])
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    xy = torch.stack([x.flatten(), y.flatten()], dim=-1)[None, :, None]
    return PointPaths(xy, torch.ones(xy.shape[:3]), torch.ones(xy.shape[:3]))
