"""Multi-page TIFF, and folders of images in the order a person expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from echomotion.io import read_clip
from tests.io.samples import grey_cine

GREY = grey_cine(12)


def test_tiff_pages(tmp_path: Path) -> None:
    pages = [Image.fromarray(frame) for frame in GREY]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    clip = read_clip(path, fps=25)
    np.testing.assert_array_equal(clip.frames, GREY)
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 25)
    np.testing.assert_array_equal(read_clip(path.read_bytes(), fps=25).frames, GREY)


@pytest.mark.parametrize(("ending", "off"), [(".png", 0), (".jpg", 6), (".JPEG", 6)])
def test_folder_in_natural_order(tmp_path: Path, ending: str, off: int) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(GREY):
        Image.fromarray(frame).save(folder / f"frame{number + 1}{ending}", quality=98)
    (folder / "notes.txt").write_text("not a frame")
    (folder / ".hidden.png").write_text("not a frame")
    clip = read_clip(folder, fps=25)
    assert np.abs(clip.frames.astype(int) - GREY).max() <= off
    assert clip.source.name == "frames"
    assert clip.source.format == "image folder"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
def test_modes_of_grey_pictures(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(GREY[:3]):
        Image.fromarray(frame).convert(mode).save(folder / f"{number}.png")
    np.testing.assert_allclose(read_clip(folder, fps=25).frames.astype(int), GREY[:3], atol=1)
