"""Which numbers networks multiply in training."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def fabric_precision(wish: Precision) -> Literal["32-true", "bf16-mixed"]:
    """Fabric's name for what is wished; with ``"auto"``, bfloat16 where the device multiplies it faster.

    Weights, gradients, losses and positions stay float32 in either case; convolutions and matrix products of the
    network are what bfloat16 shortens. CPUs without matrix units for it (AMX) are several times slower with it.
    """
    if wish == "auto":
        wish = "bfloat16" if _multiplies_bfloat16() else "float32"
    return "bf16-mixed" if wish == "bfloat16" else "32-true"


def _multiplies_bfloat16() -> bool:
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Not part of torch's public names yet, and absent in other builds.
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return amx is not None and bool(amx())
