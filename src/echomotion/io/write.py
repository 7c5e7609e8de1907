"""Results on disk. Every file appears under its name only when it is complete."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import nibabel
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nibabel.nifti1 import Nifti1Extension
from numpy.typing import NDArray

from echomotion.core import DataError, Layer, Masks, OutputError, Tracks, View, WallPoints

# Version of the layout of tracks.npz.
_TRACKS_SCHEMA = 1
# Code of a free comment among NIfTI header extensions.
_COMMENT = 6


@contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """A temporary path beside `final` that replaces it when the block ends well, and is removed when it does not.

    The temporary name is hidden and keeps the ending, since some libraries choose a format by it.

    Raises
    ------
    OutputError
        When the folder cannot be written to.
    """
    target = Path(final)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        ending = "".join(target.suffixes[-2:])
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=ending, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise OutputError(f"{target}: cannot write there ({error.strerror}); choose another output folder") from None
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        # Files made by mkstemp are private; results get the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def check_target(path: Path, endings: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse an output file of an unknown kind, or one that exists, before any work is done.

    Raises
    ------
    OutputError
    """
    if not path.name.lower().endswith(endings):
        raise OutputError(f"{path}: the output must end in {' or '.join(endings)}")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: the file exists; choose another name or give --overwrite")


def write_json(path: str | Path, values: Mapping[str, Any] | list[Any]) -> None:
    """Plain values as indented JSON; NaN is refused, since JSON has none."""
    text = json.dumps(values, indent=2, default=_plain, allow_nan=False)
    with atomic_path(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """A table as csv; missing numbers are empty."""
    with atomic_path(path) as partial:
        table.to_csv(partial, index=False)


def write_tracks(path: str | Path, tracks: Tracks) -> None:
    """Trajectories as ``.npz`` (every field, read back by :func:`read_tracks`) or ``.csv``.

    The csv has one row per point and frame: ``point, frame, x, y, visible, confidence`` and, for a wall, ``segment``
    and ``s``.
    """
    if str(path).lower().endswith(".csv"):
        write_table(path, _tracks_table(tracks))
        return
    fields: dict[str, Any] = {
        "schema": np.array(_TRACKS_SCHEMA),
        "xy": tracks.xy,
        "visible": tracks.visible,
        "confidence": tracks.confidence,
        "queries": tracks.queries,
        "model": np.array(tracks.model),
    }
    if tracks.wall is not None:
        fields |= {
            "wall_s": tracks.wall.s,
            "wall_segment": np.array(tracks.wall.segment, dtype=np.str_),
            "wall_layer": np.array(str(tracks.wall.layer)),
            "wall_view": np.array(str(tracks.wall.view)),
        }
    with atomic_path(path) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **fields)


def read_tracks(path: str | Path) -> Tracks:
    """Trajectories that :func:`write_tracks` wrote as ``.npz``.

    Raises
    ------
    DataError
        When the file is missing, or is not one of ours.
    """
    try:
        with np.load(path, allow_pickle=False) as fields:
            if int(fields["schema"]) != _TRACKS_SCHEMA:
                found = int(fields["schema"])
                raise DataError(f"{path}: tracks of layout {found}; this version reads {_TRACKS_SCHEMA}")
            wall = None
            if "wall_s" in fields:
                segment = tuple(str(name) for name in fields["wall_segment"])
                layer, view = Layer(str(fields["wall_layer"])), View(str(fields["wall_view"]))
                wall = WallPoints(fields["queries"], layer, segment, fields["wall_s"], view)
            return Tracks(
                fields["xy"], fields["visible"], fields["confidence"], fields["queries"], wall, str(fields["model"])
            )
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable tracks file ({error}); write it with echomotion track") from None


def write_masks(
    path: str | Path, masks: Masks, spacing_mm: tuple[float, float] | None, times_s: NDArray[np.float64]
) -> None:
    """Labels as NIfTI with axes (x, y, 1, t), pixel size in mm (1 where unknown) and frame time in seconds.

    The header's description names the classes; an extension of the header holds, as JSON, the classes, the model and
    the time of every frame. :func:`read_masks` reads all of it back.
    """
    row, column = spacing_mm or (1.0, 1.0)
    volume = nibabel.Nifti1Image(masks.labels.transpose(2, 1, 0)[:, :, None, :], np.diag([column, row, 1.0, 1.0]))
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    volume.header.set_zooms((column, row, 1.0, step))
    volume.header.set_xyzt_units("mm" if spacing_mm else "unknown", "sec")
    names = " ".join(f"{label}={name}" for label, name in masks.classes.items() if label)
    volume.header["descrip"] = names.encode()[:79]
    facts = {
        "classes": {str(label): name for label, name in masks.classes.items()},
        "model": masks.model,
        "times_s": np.asarray(times_s, dtype=float).tolist(),
    }
    volume.header.extensions.append(Nifti1Extension(_COMMENT, json.dumps(facts).encode()))
    with atomic_path(path) as partial:
        volume.to_filename(partial)


def read_masks(path: str | Path) -> tuple[Masks, NDArray[np.float64]]:
    """Labels, with their classes, and frame times in seconds, that :func:`write_masks` wrote.

    Raises
    ------
    DataError
        When the file is missing, or is not one of ours.
    """
    try:
        volume: Any = nibabel.load(path)
        facts = json.loads(volume.header.extensions[0].get_content())
        labels = np.asarray(volume.dataobj).astype(np.uint8)[:, :, 0].transpose(2, 1, 0)
        classes = {int(label): name for label, name in facts["classes"].items()}
        return Masks(labels, classes, model=facts["model"]), np.array(facts["times_s"], dtype=np.float64)
    except (OSError, EOFError, KeyError, IndexError, ValueError, TypeError, ImageFileError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable masks file ({error}); write it with echomotion segment") from None


def write_video(path: str | Path, frames: Iterable[NDArray[np.uint8]], fps: float) -> None:
    """Frames uint8 (H, W, 3) in red, green, blue as H.264 in MP4, which any browser plays.

    An odd last row or column is dropped, since the coding needs even sides. Where the video library comes without
    H.264, MPEG-4 takes its place.

    Raises
    ------
    OutputError
        When there are no frames.
    """
    with (
        atomic_path(path) as partial,
        av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container,
    ):
        stream = None
        for frame in frames:
            rows, columns = frame.shape[0] // 2 * 2, frame.shape[1] // 2 * 2
            if stream is None:
                codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
                stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
                stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
                # The coder works on while the next frame is drawn.
                stream.thread_type = "FRAME"
                stream.options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:rows, :columns]), format="rgb24")
            container.mux(stream.encode(picture))
        if stream is None:
            raise OutputError(f"{path}: there are no frames to write")
        container.mux(stream.encode(None))


def _tracks_table(tracks: Tracks) -> pd.DataFrame:
    points, frames = tracks.n_points, tracks.n_frames
    table = pd.DataFrame(
        {
            "point": np.repeat(np.arange(points), frames),
            "frame": np.tile(np.arange(frames), points),
            "x": tracks.xy[..., 0].ravel(),
            "y": tracks.xy[..., 1].ravel(),
            "visible": tracks.visible.ravel(),
            "confidence": tracks.confidence.ravel(),
        }
    )
    if tracks.wall is not None:
        table["segment"] = np.repeat(np.array(tracks.wall.segment, dtype=object), frames)
        table["s"] = np.repeat(tracks.wall.s, frames)
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
