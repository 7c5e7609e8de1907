"""Segmentations and key-points, with named classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.core.coordinates import Geometry
from echomotion.core.errors import DataError
from echomotion.core.tracks import Tracks

BACKGROUND, LV_CAVITY, LV_MYOCARDIUM, LEFT_ATRIUM = "background", "lv_cavity", "lv_myocardium", "left_atrium"
APICAL_CLASSES: Mapping[int, str] = MappingProxyType({0: BACKGROUND, 1: LV_CAVITY, 2: LV_MYOCARDIUM, 3: LEFT_ATRIUM})
SEPTUM, POSTERIOR_WALL = "septum", "posterior_wall"
# Where the measuring line of a parasternal long-axis view meets the borders of the walls, in order along it.
PARASTERNAL_POINTS = ("septal_epicardial", "septal_endocardial", "posterior_endocardial", "posterior_epicardial")


@dataclass(frozen=True)
class Masks:
    """A label image for every frame.

    Attributes
    ----------
    labels : uint8 (T, H, W)
        Class of each native pixel.
    classes : mapping of int to str
        Name of each label; classes are asked for by name, never by position.
    probability : float16 or float32 (T, K, h, w), optional
        Probability per class on the model grid, classes in the order of `classes`.
    geometry : Geometry, optional
        From native pixels to that grid; given exactly when `probability` is.
    model : str
        Name of the segmenter.
    tracks : Tracks, optional
        Trajectories that steered it, from segmenters that track points.
    """

    labels: NDArray[np.uint8]
    classes: Mapping[int, str] = field(default_factory=lambda: APICAL_CLASSES)
    probability: NDArray[np.floating] | None = None
    geometry: Geometry | None = None
    model: str = ""
    tracks: Tracks | None = None

    def __post_init__(self) -> None:
        set_field(self, "labels", frozen_array(self.labels, "labels", shape=(None, None, None), dtype=np.uint8))
        classes = {int(k): str(v) for k, v in self.classes.items()}
        if len(set(classes.values())) != len(classes):
            raise DataError(f"two labels share a class name: {classes}")
        # The largest label is found at once; which labels there are takes a sort.
        if not set(range(int(self.labels.max(initial=0)) + 1)) <= set(classes):
            unknown = sorted(set(np.unique(self.labels).tolist()) - set(classes))
            if unknown:
                raise DataError(f"labels {unknown} have no class name; known are {classes}")
        set_field(self, "classes", MappingProxyType(classes))
        if (self.probability is None) != (self.geometry is None):
            raise DataError("probability and geometry come together")
        if self.probability is not None and self.geometry is not None:
            kind = np.float16 if np.asarray(self.probability).dtype == np.float16 else np.float32
            shape = (len(self.labels), len(classes), *self.geometry.grid_shape)
            set_field(self, "probability", frozen_array(self.probability, "probability", shape=shape, dtype=kind))
            if self.geometry.native_shape != self.labels.shape[1:]:
                raise DataError(f"the geometry starts at {self.geometry.native_shape}, labels are {self.labels.shape}")
        if self.tracks is not None and self.tracks.n_frames != len(self.labels):
            raise DataError(f"the tracks have {self.tracks.n_frames} frames, the labels {len(self.labels)}")

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.labels)

    def label_of(self, name: str) -> int:
        """The label that carries a class name."""
        for label, class_name in self.classes.items():
            if class_name == name:
                return label
        raise DataError(f"these masks have no class {name!r}; they have {', '.join(self.classes.values())}")

    def has(self, name: str) -> bool:
        """Whether a class of that name is defined."""
        return name in self.classes.values()

    def mask(self, name: str) -> NDArray[np.bool_]:
        """Pixels of one class, bool (T, H, W)."""
        return self.labels == self.label_of(name)

    def area_px(self, name: str) -> NDArray[np.float64]:
        """Pixels of one class per frame, float (T,)."""
        return self.mask(name).sum(axis=(1, 2)).astype(np.float64)


@dataclass(frozen=True)
class Keypoints:
    """Named points on every frame: `xy` float32 (K, T, 2), `confidence` float32 (K, T), K `names`."""

    xy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.names)
        xy = frozen_array(self.xy, "xy", shape=(count, None, 2), dtype=np.float32, finite=False)
        set_field(self, "xy", xy)
        set_field(
            self,
            "confidence",
            frozen_array(self.confidence, "confidence", shape=(count, xy.shape[1]), dtype=np.float32),
        )
        set_field(self, "names", tuple(self.names))

    def point(self, name: str) -> NDArray[np.float64]:
        """Places (T, 2) of the point that carries a name; NaN where it was not found."""
        if name not in self.names:
            raise DataError(f"there is no key-point {name!r}; there are {', '.join(self.names) or 'none'}")
        return self.xy[self.names.index(name)].astype(np.float64)
