"""From beam space (depth by angle) to the picture, by bilinear interpolation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from echomotion.simulate.probe import Picture, Probe


def polar(points_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Depth in mm and angle in rad (0 straight down, positive to the image's right) of points (..., 2)."""
    x, y = points_mm.unbind(-1)
    return torch.hypot(x, y), torch.atan2(x, y)


def picture_points(picture: Picture, device: torch.device | None = None) -> Tensor:
    """Scan-space position (H, W, 2) in mm of the centre of every pixel."""
    rows, columns = picture.shape
    y, x = torch.meshgrid(torch.arange(rows, device=device), torch.arange(columns, device=device), indexing="ij")
    return picture.to_mm(torch.stack([x, y], dim=-1).float())


def fan_mask(probe: Probe, picture: Picture, device: torch.device | None = None) -> Tensor:
    """Where the picture shows the fan, bool (H, W)."""
    depth, angle = polar(picture_points(picture, device))
    half = math.radians(probe.sector_deg) / 2.0
    return (depth <= probe.depth_mm) & ((angle - math.radians(probe.tilt_deg)).abs() <= half)


def scan_convert(beams: Tensor, probe: Probe, picture: Picture) -> Tensor:
    """Show beam-space data as a picture.

    Parameters
    ----------
    beams : float (M, S, L)
        Values at ``probe.depths_mm()`` by ``probe.angles_rad()``.
    probe : Probe
    picture : Picture

    Returns
    -------
    float (M, H, W)
        0 outside the fan.
    """
    depth, angle = polar(picture_points(picture, beams.device))
    across = (angle - math.radians(probe.tilt_deg)) / (math.radians(probe.sector_deg) / 2.0)
    along = depth / probe.depth_mm * 2.0 - 1.0
    where = torch.stack([across, along], dim=-1)[None].expand(len(beams), -1, -1, -1)
    shown = F.grid_sample(beams[:, None], where, mode="bilinear", padding_mode="border", align_corners=True)[:, 0]
    return shown * fan_mask(probe, picture, beams.device)
