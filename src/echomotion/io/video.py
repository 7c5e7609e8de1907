"""AVI, MP4, MOV and other video files, and animated GIF, through PyAV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from echomotion.core import ClipError
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content
from echomotion.io.limits import check_size

_WARNING = "times are those of the video file, which may not be those of the recording; --fps sets the true rate"
# The last byte of a GIF; padding may follow.
_GIF_END = b"\x3b"


def read_video_content(path: Path, name: str) -> Content:
    """A cine from a video file, with the times its container states.

    Raises
    ------
    ClipError
        When the file cannot be decoded to its end, or holds no video.
    """
    grey = GreyMaker()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError(f"{name}: there is no video in it; if it was truncated, copy it again")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            declared = stream.frames
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            kind = container.format.name.split(",")[0]
            check_size(name, stream.height, stream.width, max(1, declared))
            frames, stamps = _decoded(container, stream, name, grey)
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = " ".join(str(error).replace(str(path), name).split())[:100]
        raise ClipError(f"{name}: the video cannot be decoded ({reason}); it may be truncated, copy it again") from None
    if not frames:
        raise ClipError(f"{name}: no frame can be decoded; the file may be truncated, copy it again")
    # Some encoders count one frame more than they write; a real cut loses more.
    if declared > len(frames) + 1:
        raise ClipError(
            f"{name}: {declared} frames are declared but only {len(frames)} can be read; the file is truncated, "
            "copy it again"
        )
    if kind == "gif" and not path.read_bytes().rstrip(b"\0").endswith(_GIF_END):
        raise ClipError(f"{name}: the GIF has no end; it is truncated, copy it again")
    content = Content(np.stack(frames), {"mov": "mp4"}.get(kind, kind), warnings=grey.warnings)
    content.times_s = _times(stamps, rate)
    if content.times_s is not None:
        content.times_origin = "container rate, which may not be the acquisition rate"
        content.warnings = [*grey.warnings, _WARNING]
    return content


def _decoded(
    container: Any, stream: Any, name: str, grey: GreyMaker
) -> tuple[list[NDArray[np.uint8]], list[float | None]]:
    frames: list[NDArray[np.uint8]] = []
    stamps: list[float | None] = []
    for frame in container.decode(stream):
        # A container need not say how many frames it has, nor keep its word about their size.
        check_size(name, frame.height, frame.width, len(frames) + 1)
        frames.append(grey(frame.to_ndarray(format="rgb24")))
        stamps.append(frame.time)
        if frames[-1].shape != frames[0].shape:
            raise ClipError(f"{name}: frame {len(frames) - 1} differs in size from the first; cut the video there")
    return frames, stamps


def _times(stamps: list[float | None], rate: float) -> NDArray[np.float64] | None:
    """Presentation times from 0 where every frame has a later one than the last, else those of the mean rate."""
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    if len(times) > 1 and np.isfinite(times).all() and (np.diff(times) > 0).all():
        return times - times[0]
    return np.arange(len(times)) / rate if rate > 0 else None
