"""Multi-page TIFF, and folders of PNG or JPEG frames, through Pillow."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
# Pillow reports damage by many kinds of exception.
_BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error)


def read_tiff_content(path: Path, name: str) -> Content:
    """The pages of a TIFF file as frames.

    Raises
    ------
    ClipError
        When a page cannot be read, differs in size, is too large, or has 16 bits.
    """
    grey = GreyMaker()
    frames: list[NDArray[np.uint8]] = []
    with _readable(name), Image.open(path) as image:
        n_pages = getattr(image, "n_frames", 1)
        for page in ImageSequence.Iterator(image):
            check_size(name, page.height, page.width, n_pages)
            frames.append(_pixels(page, name, grey))
    return Content(_stacked(frames, [f"page {n}" for n in range(len(frames))], name), "tiff", warnings=grey.warnings)


def read_folder_content(folder: Path, name: str) -> Content:
    """The images of a folder as frames, in the natural order of their names (2 before 10).

    Raises
    ------
    ClipError
        When there is none, or one cannot be read, differs in size, is too large, or has 16 bits.
    """
    grey = GreyMaker()
    paths = image_paths(folder)
    frames: list[NDArray[np.uint8]] = []
    for path in paths:
        with _readable(f"{name}/{path.name}"), Image.open(path) as image:
            check_size(f"{name}/{path.name}", image.height, image.width, len(paths))
            frames.append(_pixels(image, f"{name}/{path.name}", grey))
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


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Whatever Pillow objects to becomes one line."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of large and of damaged pictures, which are refused or accepted here.
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        limit = MAX_FRAME_PIXELS // 10**6
        raise ClipError(
            f"{name}: a frame is over the limit of {limit} million pixels ({_short(error)}); crop or shrink it"
        ) from None
    except _BROKEN as error:
        raise ClipError(f"{name}: not a readable picture ({_short(error)}); export it again") from None


def _pixels(image: Image.Image, name: str, grey: GreyMaker) -> NDArray[np.uint8]:
    if image.mode in _GREY_MODES:
        return np.array(image.convert("L"))
    if image.mode in _COLOUR_MODES:
        return grey(np.array(image.convert("RGB")))
    raise ClipError(f"{name}: pixels of mode {image.mode}, 16 bits or more; convert them to 8-bit grey levels first")


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
