"""AVI, MP4, MOV and other video files, and animated GIF, through PyAV."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from echomotion.core import ClipError
from echomotion.io.colour import GreyMaker
from echomotion.io.content import Content
from echomotion.io.limits import check_size


def read_video_content(path: Path, name: str) -> Content:
    """A cine from a video file, with the times its container states.

    Raises
    ------
    ClipError
        When the file cannot be decoded to its end, or holds no video.
    """
    grey = GreyMaker()
    frames, stamps = [], []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ClipError(f"{name}: there is no video in it; give the file that shows the heart")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            declared = stream.frames
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            check_size(name, stream.height, stream.width, max(1, declared))
            kind = container.format.name.split(",")[0]
            for frame in container.decode(stream):
                frames.append(grey(frame.to_ndarray(format="rgb24")))
                stamps.append(frame.time)
    except (av.FFmpegError, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ClipError(f"{name}: the video cannot be decoded ({reason}); it may be truncated, copy it again") from None
    if not frames:
        raise ClipError(f"{name}: no frame can be decoded; the file may be truncated, copy it again")
    # Some encoders count one frame more than they write; a real cut loses more.
    if declared > len(frames) + 1:
        raise ClipError(f"{name}: {declared} frames are declared but only {len(frames)} can be read; the file is "
                        "truncated, copy it again")
    kind = {"mov": "mp4"}.get(kind, kind)
    content = Content(np.stack(frames), kind, warnings=grey.warnings)
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    if np.isfinite(times).all() and (np.diff(times) > 0).all() and len(times) > 1:
        content.times_s = times - times[0]
    elif rate > 0:
        content.times_s = np.arange(len(frames)) / rate
    if content.times_s is not None:
        content.times_origin = "container"
        content.warnings = [
            *grey.warnings,
            "times are those of the video file, which may not be those of the recording; --fps sets the true rate",
        ]
    return content
