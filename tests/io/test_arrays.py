"""NPY and NPZ files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from echomotion.io import read_clip
from tests.io.samples import grey_cine

GREY = grey_cine(5)


def test_npz_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, frames=GREY, spacing_mm=(0.3, 0.2), times_s=[0, 0.1, 0.15, 0.3, 0.4])
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, GREY)
    np.testing.assert_allclose(clip.times_s, [0, 0.1, 0.15, 0.3, 0.4])
    assert clip.spacing_mm == (0.3, 0.2)
    assert clip.source.times_origin == "times_s in the file"
    np.testing.assert_array_equal(read_clip(path.read_bytes()).frames, GREY)


def test_npz_with_a_rate_and_one_spacing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", frames=GREY, spacing_mm=0.3, fps=np.array([40.0]))
    clip = read_clip(tmp_path / "a.npz")
    np.testing.assert_allclose(clip.times_s, np.arange(5) / 40)
    assert clip.spacing_mm == (0.3, 0.3)


@pytest.mark.parametrize(
    "array",
    [GREY, GREY / 255.0, GREY.astype(np.float32), np.repeat(GREY[..., None], 3, axis=3), np.asfortranarray(GREY)],
    ids=["uint8", "0..1", "0..255", "colour", "Fortran order"],
)
def test_npy_of_several_types(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    clip = read_clip(tmp_path / "a.npy", fps=20)
    np.testing.assert_array_equal(clip.frames, GREY)


def test_a_black_and_white_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", GREY > 100)
    np.testing.assert_array_equal(read_clip(tmp_path / "a.npy", fps=20).frames, (GREY > 100) * 255)


def test_the_clip_does_not_follow_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, GREY)
    clip = read_clip(path, fps=20)
    path.write_bytes(path.read_bytes()[:-100] + b"\0" * 100)
    np.testing.assert_array_equal(clip.frames, GREY)
    assert not clip.frames.flags.writeable
