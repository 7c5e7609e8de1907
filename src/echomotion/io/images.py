"""Multi-page TIFF, and folders of PNG or JPEG frames, through Pillow."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence, UnidentifiedImageError

from echomotion.core import ClipError
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content
from echomotion.io.limits import MAX_FRAME_PIXELS, check_size

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg")
_GREY_MODES, _COLOUR_MODES = ("L", "1", "LA"), ("RGB", "RGBA", "P", "CMYK", "YCbCr")
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError)


def read_tiff_content(path: Path, name: str) -> Content:
    """The pages of a TIFF file as frames."""
    grey = GreyMaker()
    with _opened(path, name) as image:
        check_size(name, image.height, image.width, getattr(image, "n_frames", 1))
        try:
            frames = [_pixels(page, name, grey) for page in ImageSequence.Iterator(image)]
        except _BROKEN as error:
            raise ClipError(f"{name}: a page cannot be read ({_short(error)}); export the file again") from None
    return Content(_stacked(frames, [name] * len(frames), name), "tiff", warnings=grey.warnings)


def read_folder_content(folder: Path, name: str) -> Content:
    """The images of a folder as frames, in the natural order of their names (2 before 10)."""
    grey = GreyMaker()
    paths = image_paths(folder)
    frames = []
    for path in paths:
        with _opened(path, path.name) as image:
            check_size(path.name, image.height, image.width, len(paths))
            try:
                frames.append(_pixels(image, path.name, grey))
            except _BROKEN as error:
                raise ClipError(f"{name}: {path.name} cannot be read ({_short(error)}); export it again") from None
    return Content(_stacked(frames, [p.name for p in paths], name), "image folder", warnings=grey.warnings)


def image_paths(folder: Path) -> list[Path]:
    """PNG and JPEG files of a folder in the natural order of their names.

    Raises
    ------
    ClipError
        When there are none.
    """
    found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith(".")]
    if not found:
        raise ClipError(f"{folder}: the folder holds no PNG or JPEG frames; name a file, or a folder of frames")
    return sorted(found, key=lambda p: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", p.name)])


def _opened(path: Path, name: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures before ours has been refused or accepted.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path)
    except Image.DecompressionBombError:
        limit = MAX_FRAME_PIXELS // 10**6
        raise ClipError(f"{name}: a frame is over the limit of {limit} million pixels; crop or shrink it") from None
    except _BROKEN as error:
        raise ClipError(f"{name}: not a readable picture ({_short(error)}); export it again") from None


def _pixels(image: Image.Image, name: str, grey: GreyMaker) -> NDArray[np.uint8]:
    if image.mode in _GREY_MODES:
        return np.array(image.convert("L"))
    if image.mode in _COLOUR_MODES:
        return grey(np.array(image.convert("RGB")))
    raise ClipError(f"{name}: pixels of mode {image.mode} (16 bits or more); convert them to 8-bit grey levels first")


def _stacked(frames: list[NDArray[np.uint8]], names: list[str], name: str) -> NDArray[np.uint8]:
    for frame, which in zip(frames, names, strict=True):
        if frame.shape != frames[0].shape:
            raise ClipError(
                f"{name}: {which} is {frame.shape[1]} x {frame.shape[0]} px, the first frame "
                f"{frames[0].shape[1]} x {frames[0].shape[0]}; all frames need one size"
            )
    return np.stack(frames)


def _short(error: object) -> str:
    return " ".join(str(error).split())[:100]
