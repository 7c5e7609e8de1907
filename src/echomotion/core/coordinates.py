"""Coordinates: the conventions, and the one object that carries crops, pads and resizes.

Conventions (they hold everywhere in echomotion):

* A point is ``(x, y)`` in pixels, float; the centre of the top-left pixel is ``(0, 0)``;
  x runs right along columns, y down along rows.
* A query is ``(t, x, y)``: a frame index and a point on that frame.
* A resize by ``s`` keeps pixel centres in place: ``x' = (x + 0.5) * s - 0.5``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core.errors import DataError


@dataclass(frozen=True)
class Geometry:
    """An exact, invertible map from a native frame to a grid: ``p_grid = scale * p_native + offset``.

    Attributes
    ----------
    native_shape, grid_shape : (int, int)
        Rows and columns on either side.
    scale : (float, float)
        Factor along x and along y; negative along an axis that is mirrored.
    offset : (float, float)
        Grid pixels added along x and along y.
    """

    native_shape: tuple[int, int]
    grid_shape: tuple[int, int]
    scale: tuple[float, float]
    offset: tuple[float, float]

    def __post_init__(self) -> None:
        for name in ("native_shape", "grid_shape"):
            shape = getattr(self, name)
            if len(shape) != 2 or min(shape) < 1:
                raise DataError(f"Geometry.{name} is {shape}; two positive lengths are needed")
        if not np.isfinite(self.scale + self.offset).all() or 0 in self.scale:
            raise DataError(f"Geometry scale {self.scale} must be finite and not 0, offset {self.offset} finite")

    @classmethod
    def identity(cls, shape: tuple[int, int]) -> Geometry:
        """The map of a frame onto itself."""
        return cls(shape, shape, (1.0, 1.0), (0.0, 0.0))

    @classmethod
    def upside_down(cls, shape: tuple[int, int]) -> Geometry:
        """The last row becomes the first."""
        return cls(shape, shape, (1.0, -1.0), (0.0, shape[0] - 1.0))

    @classmethod
    def crop(cls, shape: tuple[int, int], x0: float, y0: float, width: int, height: int) -> Geometry:
        """Cut (or, where the box reaches outside, pad) to a box whose first pixel is ``(x0, y0)``."""
        return cls(shape, (height, width), (1.0, 1.0), (-float(x0), -float(y0)))

    @classmethod
    def resize(cls, shape: tuple[int, int], grid_shape: tuple[int, int]) -> Geometry:
        """Resize the whole frame, keeping pixel centres in place."""
        sy, sx = grid_shape[0] / shape[0], grid_shape[1] / shape[1]
        return cls(shape, grid_shape, (sx, sy), (0.5 * sx - 0.5, 0.5 * sy - 0.5))

    @classmethod
    def letterbox(
        cls,
        shape: tuple[int, int],
        box: tuple[float, float, float, float],
        grid_shape: tuple[int, int],
        pixel_aspect: float = 1.0,
    ) -> Geometry:
        """Fit a native box into the middle of a grid without changing anatomy's proportions.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns of the native frame.
        box : (x0, y0, x1, y1)
            Outer edges of the box in native pixels (a whole frame is ``-0.5, -0.5, W - 0.5, H - 0.5``).
        grid_shape : (int, int)
            Rows and columns of the grid.
        pixel_aspect : float
            Height of a native pixel divided by its width (``spacing_mm[0] / spacing_mm[1]``).
        """
        x0, y0, x1, y1 = box
        if not (x1 > x0 and y1 > y0 and pixel_aspect > 0):
            raise DataError(f"the box {box} is empty, or the pixel aspect {pixel_aspect} is not positive")
        rows, columns = grid_shape
        sx = min(columns / (x1 - x0), rows / ((y1 - y0) * pixel_aspect))
        sy = sx * pixel_aspect
        ox = (columns - 1) / 2 - sx * (x0 + x1) / 2
        oy = (rows - 1) / 2 - sy * (y0 + y1) / 2
        return cls(shape, grid_shape, (sx, sy), (ox, oy))

    def then(self, other: Geometry) -> Geometry:
        """The map that applies this one and then `other`."""
        if other.native_shape != self.grid_shape:
            raise DataError(f"cannot chain a grid of {self.grid_shape} with a map that starts at {other.native_shape}")
        scale = (self.scale[0] * other.scale[0], self.scale[1] * other.scale[1])
        offset = (
            self.offset[0] * other.scale[0] + other.offset[0],
            self.offset[1] * other.scale[1] + other.offset[1],
        )
        return Geometry(self.native_shape, other.grid_shape, scale, offset)

    def inverse(self) -> Geometry:
        """The map back from the grid to the native frame."""
        sx, sy = self.scale
        ox, oy = self.offset
        return Geometry(self.grid_shape, self.native_shape, (1 / sx, 1 / sy), (-ox / sx, -oy / sy))

    def to_grid(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Native points (..., 2) to grid points (..., 2)."""
        return np.asarray(xy, dtype=np.float64) * self.scale + self.offset

    def to_native(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Grid points (..., 2) to native points (..., 2)."""
        return (np.asarray(xy, dtype=np.float64) - self.offset) / self.scale

    def warp(self, image: NDArray[Any], *, nearest: bool = False, fill: float = 0) -> NDArray[Any]:
        """Resample one native image (H, W) onto the grid.

        Bilinear; where the grid is coarser, the image is low-passed first, so that fine speckle does
        not alias. `nearest` is for label images. What lies outside the native frame becomes `fill`.
        """
        if image.shape[:2] != self.native_shape:
            raise DataError(f"the image is {image.shape[:2]}; this geometry starts at {self.native_shape}")
        if not nearest:
            # A box of 1/s pixels has this standard deviation; bilinear reading adds about half of it.
            sigmas = [0.5 * np.sqrt(max(1 / s**2 - 1, 0.0)) * 0.8 for s in self.scale]
            if max(sigmas) > 0.25:
                image = cv2.GaussianBlur(
                    image, (0, 0), max(sigmas[0], 1e-3), sigmaY=max(sigmas[1], 1e-3), borderType=cv2.BORDER_REPLICATE
                )
        matrix = np.array([[self.scale[0], 0, self.offset[0]], [0, self.scale[1], self.offset[1]]])
        return cv2.warpAffine(
            image,
            matrix,
            (self.grid_shape[1], self.grid_shape[0]),
            flags=cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )

    def as_dict(self) -> dict[str, list[float]]:
        """Plain numbers, for JSON and for archives."""
        return {name: list(getattr(self, name)) for name in ("native_shape", "grid_shape", "scale", "offset")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Geometry:
        """The reverse of :meth:`as_dict`."""
        rows, columns = (int(v) for v in values["native_shape"])
        grid_rows, grid_columns = (int(v) for v in values["grid_shape"])
        sx, sy = (float(v) for v in values["scale"])
        ox, oy = (float(v) for v in values["offset"])
        return cls((rows, columns), (grid_rows, grid_columns), (sx, sy), (ox, oy))
