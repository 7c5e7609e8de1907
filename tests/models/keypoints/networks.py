"""Small networks for key-points, and their weights on disk."""

from __future__ import annotations

from dataclasses import asdict

import torch

from echomotion.models.flow.pwcnet import PWCNetConfig, PWCNetwork
from echomotion.models.keypoints.sknet import SKNetConfig, SKNetwork
from echomotion.models.keypoints.trnet_network import TRNetConfig, TRNetwork
from echomotion.models.weights import read_weights, save_weights

STATIC = SKNetConfig(width=8, blocks=1, modules=(1, 1, 1), stride=4)
REFINING = TRNetConfig(window=6, widths=(8, 16, 32, 64), embed=8, width=16, hidden=16, depth=1, iterations=2)
FLOW = PWCNetConfig(widths=(8, 8, 8, 8), match=8, radius=1, estimator=(8,))


def static_network(config=STATIC):
    torch.manual_seed(0)
    return SKNetwork(config).eval()


def refining_network(config=REFINING):
    torch.manual_seed(1)
    return TRNetwork(config).eval()


def write_all(folder):
    """Random weights of the three networks that belong together, as folders by name."""
    torch.manual_seed(2)
    found = {}
    for name, network, config in (
        ("sknet", static_network(), STATIC),
        ("pwcnet", PWCNetwork(FLOW), FLOW),
        ("trnet", refining_network(), REFINING),
    ):
        card = {"model": name, "tag": "test", "licence": "Apache-2.0", "options": asdict(config), "grid": [224, 224]}
        if name == "trnet":
            card["sknet"] = read_weights(found["sknet"], "sknet").sha256
        found[name] = save_weights(folder / name, network, card)
    return {name: str(path) for name, path in found.items()}
