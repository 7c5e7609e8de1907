"""Video files: frames, the container's clock, and the caller's."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from echomotion.io import read_clip
from tests.io.samples import grey_cine

GREY = grey_cine(12)


def write(path: Path, codec: str, *, fps: int = 20, steps: list[int] | None = None, pix_fmt: str = "yuv420p") -> Path:
    """Grey frames in a container; `steps` are presentation times in units of 1/100 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = GREY.shape[2], GREY.shape[1], pix_fmt
        stream.bit_rate = 4_000_000
        if steps:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for number, frame in enumerate(GREY):
            picture = av.VideoFrame.from_ndarray(np.repeat(frame[..., None], 3, axis=2), format="rgb24")
            if steps:
                picture.pts, picture.time_base = steps[number], Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.avi", "mjpeg", "yuvj420p"), ("a.mp4", "mpeg4", "yuv420p"), ("a.mov", "mpeg4", "yuv420p")],
)
def test_frames_and_times(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    path = write(tmp_path / name, codec, pix_fmt=pix_fmt)
    clip = read_clip(path)
    assert clip.frames.shape == GREY.shape
    assert np.abs(clip.frames.astype(int) - GREY).mean() < 4
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 20, atol=1e-6)
    assert clip.spacing_mm is None
    assert clip.source.times_origin == "container rate, which may not be the acquisition rate"
    assert any("--fps" in w for w in clip.source.warnings)


def test_fps_and_spacing_of_the_caller_count(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.mp4", "mpeg4"), fps=50, spacing_mm=0.4, view="a4c")
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 50)
    assert clip.spacing_mm == (0.4, 0.4)
    assert str(clip.view) == "A4C"
    assert (clip.source.times_origin, clip.source.spacing_origin, clip.source.view_origin) == ("user",) * 3
    assert clip.source.warnings == ()


def test_uneven_presentation_times_are_kept(tmp_path: Path) -> None:
    steps = [0, 4, 8, 12, 16, 20, 30, 40, 44, 48, 52, 60]
    clip = read_clip(write(tmp_path / "a.mp4", "mpeg4", steps=steps))
    np.testing.assert_allclose(clip.times_s, np.array(steps) / 100, atol=1e-3)


def test_content_counts_before_the_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", "mpeg4")
    odd = path.rename(tmp_path / "video.dat")
    assert read_clip(odd).n_frames == 12
    assert read_clip(odd).source.name == "video.dat"
    assert read_clip(odd.read_bytes()).n_frames == 12


def test_gif_durations_are_its_clock(tmp_path: Path) -> None:
    pages = [Image.fromarray(frame) for frame in GREY]
    path = tmp_path / "a.gif"
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=40)
    clip = read_clip(path)
    assert clip.source.format == "gif"
    assert np.abs(clip.frames.astype(int) - GREY).max() <= 2
    np.testing.assert_allclose(clip.times_s, np.arange(12) * 0.04, atol=1e-6)


def test_the_apical_clip(echo_data: Path) -> None:
    clip = read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4")
    assert clip.frames.shape == (45, 768, 1024)
    assert clip.spacing_mm is None
    assert clip.frame_interval_s == pytest.approx(0.05)
