"""Videos of which some frames have masks: a folder of clips with a mask file beside each.

For a clip ``NAME.EXT`` in any format that :func:`echomotion.io.read_clip` reads, ``NAME_masks.npz`` holds ``frames``,
whole numbers (F,), the frames with a mask (end-diastole and end-systole, say), and ``labels`` uint8 (F, H, W) in the
clip's own pixels: 0 background, 1 LV cavity, 2 LV myocardium, 3 left atrium.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echomotion.core import APICAL_CLASSES, Clip, DataError, DatasetError, EchoMotionError
from echomotion.core.arrays import frozen_array
from echomotion.core.clip import set_field
from echomotion.datasets.reading import each_read
from echomotion.io import read_clip

MASKS = "_masks.npz"


@dataclass(frozen=True)
class LabelledVideo:
    """A clip with masks on some of its frames.

    Attributes
    ----------
    name : str
    clip : Clip
    labels : uint8 (T, H, W)
        0 on frames without a mask.
    labelled : bool (T,)
        Frames that have one.
    classes : mapping of int to str
    """

    name: str
    clip: Clip
    labels: NDArray[np.uint8]
    labelled: NDArray[np.bool_]
    classes: Mapping[int, str]

    def __post_init__(self) -> None:
        shape = self.clip.frames.shape
        set_field(self, "labels", frozen_array(self.labels, "labels", shape=shape, dtype=np.uint8))
        set_field(self, "labelled", frozen_array(self.labelled, "labelled", shape=shape[:1], dtype=np.bool_))
        unknown = sorted(set(np.unique(self.labels).tolist()) - set(self.classes))
        if unknown:
            raise DataError(f"labels {unknown} have no class name; known are {dict(self.classes)}")
        if not self.labelled.any():
            raise DataError("no frame has a mask")


def read_labelled_videos(folder: str | Path, problems: list[str] | None = None) -> Iterator[LabelledVideo]:
    """All videos of a folder in the order of their names.

    Parameters
    ----------
    folder : path
    problems : list of str, optional
        Receives what is wrong with a recording, which is then left out, in place of an error.

    Raises
    ------
    DatasetError
        When the folder has no masks, a clip is missing or cannot be read, or masks do not fit their clip.
    """
    root = Path(folder)
    files = sorted(root.glob(f"*{MASKS}"))
    if not files:
        raise DatasetError(f"{root}: there is no NAME{MASKS} (frames, labels) beside a clip NAME.EXT")
    yield from each_read(files, read_labelled_video, problems)


def read_labelled_video(masks: str | Path) -> LabelledVideo:
    """One video, named by its file of masks; raises as :func:`read_labelled_videos`."""
    file = Path(masks)
    name = file.name.removesuffix(MASKS)
    clips = [path for path in file.parent.glob(f"{name}.*") if path.is_file()]
    if len(clips) != 1:
        raise DatasetError(f"{file}: beside it lie {len(clips)} clips named {name}.EXT; exactly one is needed")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            numbers, known = np.asarray(arrays["frames"]), np.asarray(arrays["labels"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{file}: not a file of masks with frames and labels ({error})") from None
    try:
        clip = read_clip(clips[0])
        return labelled_video(name, clip, numbers, known)
    except EchoMotionError as error:
        raise DatasetError(f"{file}: {error}") from error


def labelled_video(
    name: str,
    clip: Clip,
    numbers: NDArray[np.integer],
    masks: NDArray[np.uint8],
    classes: Mapping[int, str] = APICAL_CLASSES,
) -> LabelledVideo:
    """A clip and masks (F, H, W) of the frames (F,) of it.

    Raises
    ------
    DataError
        When they do not fit together.
    """
    frames = np.asarray(numbers)
    if frames.ndim != 1 or frames.dtype.kind not in "iu" or len(frames) != len(masks):
        raise DataError(f"frames is {frames.dtype} {frames.shape} for {len(masks)} masks; each needs a whole number")
    if np.any((frames < 0) | (frames >= clip.n_frames)):
        raise DataError(f"a mask belongs to frame {int(frames.max())}; the clip has frames 0 to {clip.n_frames - 1}")
    if masks.shape[1:] != clip.shape:
        raise DataError(f"masks are {masks.shape[1:]}, the frames of the clip {clip.shape}")
    labels = np.zeros(clip.frames.shape, dtype=np.uint8)
    labels[frames] = masks
    labelled = np.zeros(clip.n_frames, dtype=bool)
    labelled[frames] = True
    return LabelledVideo(name, clip, labels, labelled, classes)
