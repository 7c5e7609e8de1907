"""How sure a position is and whether the point can be seen there, from what can be measured without the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.models.trackers.patches import normalised, patches_on
from echomotion.models.trackers.stepwise import (
    LIKENESS_PX,
    REFERENCE_HEIGHT,
    Calibration,
    Frame,
    likeness,
    query_patches,
)
from echomotion.models.trackers.windows import Asked

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Evidence:
    """Positions and what their making tells about them; lengths in px of the grid.

    Attributes
    ----------
    xy : float (N, T, 2)
    deviation : float (N, T)
        Standard deviation that the measurements claim.
    uneven : float (N, T)
        Distance of the point's own estimate, or that of the nearest measured point, from where its neighbourhood
        sees it.
    """

    xy: FloatArray
    deviation: FloatArray
    uneven: FloatArray


# Confidence (N, T) and visibility (N, T) of positions on the frames of a window.
Judge = Callable[[Sequence[Frame], Evidence, Asked], tuple[FloatArray, BoolArray]]


def judge_by_likeness(calibration: Calibration, min_visible: float) -> Judge:
    """Judge by how alike the pictures at point and query are, and by the deviation."""

    def judge(frames: Sequence[Frame], evidence: Evidence, asked: Asked) -> tuple[FloatArray, BoolArray]:
        alike = likeness(frames, evidence.xy, asked.start, asked.origin, asked.query_frames)
        confidence = calibration.probability(alike, evidence.deviation * REFERENCE_HEIGHT / frames[0].shape[0])
        return confidence, confidence >= min_visible

    return judge


class JudgeNetwork(nn.Module):
    """A small perceptron over :func:`marks`: logits of an error under 2 px and of visibility.

    Parameters
    ----------
    width : int
        Units in each of two hidden layers.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(MARKS, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2)
        )

    def forward(self, found: Tensor) -> Tensor:
        """Logits (..., 2) from marks (..., MARKS)."""
        out: Tensor = self.layers(found)
        return out


def judge_by_network(network: JudgeNetwork, min_visible: float) -> Judge:
    """Judge by a trained network; where the picture shows nothing that could be followed, nothing is claimed."""

    @torch.inference_mode()
    def judge(frames: Sequence[Frame], evidence: Evidence, asked: Asked) -> tuple[FloatArray, BoolArray]:
        found = marks(frames, evidence, asked)
        confident, visible = torch.sigmoid(network(torch.from_numpy(found))).double().numpy().transpose(2, 0, 1)
        blank = found[..., BLANK] > 0
        return np.where(blank, 0, confident), (visible >= min_visible) & ~blank

    return judge


MARKS = 11
# The mark that tells where nothing can be compared.
BLANK = 1


def marks(frames: Sequence[Frame], evidence: Evidence, asked: Asked) -> NDArray[np.float32]:
    """What is known of each position, float32 (N, T, MARKS), of the order of 1; lengths in px at 256 rows.

    Likeness to the query (0 where nothing can be compared), whether it can be compared, its mean over neighbouring
    frames and over all frames of the window, deviation, unevenness, time and way from the query, and contrast,
    brightness and darkness of the picture there.
    """
    unit = REFERENCE_HEIGHT / frames[0].shape[0]
    templates = query_patches(asked.start, asked.origin, asked.query_frames)
    patches = patches_on(np.stack(frames), evidence.xy, LIKENESS_PX)
    # By PyTorch, as everything heavy here.
    alike = (torch.from_numpy(normalised(patches)) * torch.from_numpy(templates)).sum(dim=-1).double().numpy().T
    grey = torch.from_numpy(patches).transpose(0, 1)
    mean = grey.mean(dim=-1)
    contrast = (grey.square().mean(dim=-1) - mean.square()).clamp_(min=0).sqrt_()
    blank = np.isnan(alike)
    alike = np.where(blank, 0, alike)
    length = alike.shape[1]
    near = np.abs(np.arange(length)[:, None] - np.arange(length)) <= 2
    around = alike @ (near / near.sum(axis=0))
    away = np.linalg.norm(evidence.xy - asked.origin[:, None], axis=-1) * unit
    since = np.abs(np.arange(length) - asked.start[:, None])
    found = [
        alike,
        blank,
        around,
        np.broadcast_to(alike.mean(axis=1, keepdims=True), alike.shape),
        np.log(evidence.deviation * unit + 0.05) / 2,
        np.log(evidence.uneven * unit + 0.05) / 2,
        np.log1p(since) / 3,
        np.log1p(away) / 2,
        np.log1p(contrast.numpy()) / 3,
        mean.numpy() / 64,
        (grey < 1).float().mean(dim=-1).numpy(),
    ]
    return np.stack(found, axis=-1).astype(np.float32)
