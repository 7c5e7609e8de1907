"""Reading a correlation volume with a trained network: where its tissue went, and how sure that is.

Trained on search ranges that are shifted at random, the network learns what a volume says of the displacement and
nothing of which displacements are usual: a reader that knows those would call tissue still where it cannot see, and
so many readings that lean the same way would make every strain too small.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echomotion.models.trackers.correlation import peaks
from echomotion.models.trackers.multilag import Reader

FloatArray = NDArray[np.float64]

# Log of the smallest and the largest width in px.
_NARROW, _WIDE = -4.0, 3.0


class PairReader(nn.Module):
    """Displacement and its uncertainty (width of a Laplace distribution) along x and y, from one volume.

    A perceptron corrects the place of the highest value.

    Parameters
    ----------
    reach : int
        Volumes have ``2 * reach + 1`` places a side.
    width : int
        Units in each of two hidden layers.
    """

    def __init__(self, reach: int, width: int = 64) -> None:
        super().__init__()
        self.reach = reach
        last = nn.Linear(width, 4)
        # Training begins at the place of the highest value.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = nn.Linear((2 * reach + 1) ** 2 + 3, width)
        self.layers = nn.Sequential(first, nn.GELU(), nn.Linear(width, width), nn.GELU(), last)

    def forward(self, volumes: Tensor, lags: Tensor, spread: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement (B, 2) in px and the log of its width (B, 2).

        Parameters
        ----------
        volumes : float (B, k, k)
        lags : float (B,)
            Frames between the two of the pair.
        spread : float (B,)
            Neighbours that the volume is worth.
        top : float (B, 2)
            Place ``(x, y)`` of the highest value.
        """
        context = torch.stack([torch.log1p(lags) / 3, torch.log(spread), (lags == 0).float()], dim=1)
        out = self.layers(torch.cat([3 * volumes.flatten(1), context], dim=1))
        offset = top + 1.5 * self.reach * torch.tanh(out[:, :2] / self.reach)
        return offset, out[:, 2:].clamp(_NARROW, _WIDE)


def read_by_network(network: PairReader) -> Reader:
    """A :data:`~echomotion.models.trackers.multilag.Reader` out of a trained network."""

    @torch.inference_mode()
    def read(
        volumes: NDArray[np.float32], lags: NDArray[np.int64], spread: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        frames, points = volumes.shape[:2]
        top, _, _ = peaks(volumes)
        offset, width = network(
            torch.from_numpy(np.ascontiguousarray(volumes)).flatten(0, 1),
            torch.from_numpy(lags.astype(np.float32)).flatten(),
            torch.from_numpy(np.tile(spread.astype(np.float32), frames)),
            torch.from_numpy(top.astype(np.float32)).flatten(0, 1),
        )
        # The variance of a Laplace distribution is twice its squared width.
        information = 0.5 * torch.exp(-2 * width)
        offset, information = (x.view(frames, points, 2).movedim(1, 0).double() for x in (offset, information))
        return offset.numpy(), information.numpy()

    return read
