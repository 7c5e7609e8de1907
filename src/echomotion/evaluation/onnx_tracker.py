"""Trackers from outside, given as ONNX files, run side by side with ours; needs ``echomotion[export]``.

The file takes frames ``(1, T, 1, H, W)``, float32 from 0 to 1, and points ``(1, N, 2)`` as ``(y, x)`` in px on the
first frame, and gives tracks ``(1, T, N, 2)`` in the same order. Its lengths are fixed: 64 frames of 256 x 256 px and
64 points, unless the file says otherwise. Longer clips are followed window by window, each beginning on the last frame
of the one before; what is shorter is filled by repetition, and more points are asked for in several runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echomotion.core import Clip, EchoMotionError, Geometry, ModelError, Tracks
from echomotion.core.tracks import checked_queries
from echomotion.models.base import Progress

# Where a file leaves a length open.
_FRAMES, _POINTS, _SIDE = 64, 64, 256

FloatArray = NDArray[np.float64]


@dataclass
class OnnxTracker:
    """A tracker that an ONNX Runtime session computes.

    Visibility and confidence are not part of the interface: a point counts as visible, with confidence 1, wherever it
    lies in the picture.

    Attributes
    ----------
    name : str
    session : onnxruntime.InferenceSession
    frames_input, points_input : str
        Names of its two inputs.
    window, points : int
        Frames and points of one run.
    grid : (int, int)
        Rows and columns of a frame.
    """

    name: str
    session: Any
    frames_input: str
    points_input: str
    window: int
    points: int
    grid: tuple[int, int]

    def track(self, clip: Clip, queries: ArrayLike, *, progress: Progress | None = None) -> Tracks:
        """Follow points through a whole clip; see :class:`echomotion.models.base.Tracker`."""
        asked = checked_queries(queries, clip.n_frames, clip.shape)
        geometry = Geometry.resize(clip.shape, self.grid)
        frames = np.stack([geometry.warp(frame) for frame in clip.frames])
        start = asked[:, 0].astype(np.int64)
        on_grid = geometry.to_grid(asked[:, 1:])
        xy = np.repeat(on_grid[:, None], clip.n_frames, axis=1)
        groups = [
            (int(t), part[k : k + self.points])
            for t in np.unique(start)
            for part in [np.flatnonzero(start == t)]
            for k in range(0, len(part), self.points)
        ]
        for done, (t, part) in enumerate(groups, start=1):
            xy[part, t:] = self._forward(frames[t:], on_grid[part])
            xy[part, : t + 1] = self._forward(frames[t::-1], on_grid[part])[:, ::-1]
            if progress is not None:
                progress(done, len(groups))
        native = geometry.to_native(xy).astype(np.float32)
        native[np.arange(len(asked)), start] = asked[:, 1:]
        limit = np.array([clip.shape[1], clip.shape[0]]) - 0.5
        visible = np.all((native >= -0.5) & (native <= limit), axis=-1)
        return Tracks(native, visible, visible.astype(np.float32), asked, model=self.name)

    def _forward(self, frames: NDArray[np.uint8], begin: FloatArray) -> FloatArray:
        """Tracks (N, T, 2) on the grid from the first of frames (T, H, W) on."""
        xy = np.repeat(begin[:, None], len(frames), axis=1)
        for first in range(0, len(frames) - 1, self.window - 1):
            part = frames[first : first + self.window]
            found = self._run(_filled(part, self.window), _filled(xy[:, first], self.points))
            xy[:, first + 1 : first + len(part)] = found[: len(xy), 1 : len(part)]
        return xy

    def _run(self, frames: NDArray[np.uint8], points: FloatArray) -> FloatArray:
        """One run of the network: tracks (N, T, 2) as (x, y)."""
        inside = np.clip(points, 0, [self.grid[1] - 1, self.grid[0] - 1])
        feed = {
            self.frames_input: np.ascontiguousarray(frames[None, :, None], dtype=np.float32) / 255,
            self.points_input: np.ascontiguousarray(inside[None, :, ::-1], dtype=np.float32),
        }
        try:
            found = np.asarray(self.session.run(None, feed)[0], dtype=np.float64)
        except Exception as error:
            raise ModelError(f"{self.name}: the ONNX model does not run ({' '.join(str(error).split())})") from error
        wanted = (1, self.window, self.points, 2)
        if found.shape != wanted:
            raise ModelError(f"{self.name}: the ONNX model gives {found.shape}; tracks of shape {wanted} are needed")
        return np.moveaxis(found[0], 0, 1)[..., ::-1]


def load_onnx_tracker(name: str, path: str | Path) -> OnnxTracker:
    """Open an ONNX file as a tracker. Runs on the CPU, with as many threads as PyTorch uses.

    Parameters
    ----------
    name : str
        How it is called in results.
    path : path

    Raises
    ------
    EchoMotionError
        When ONNX Runtime is not installed.
    ModelError
        When the file is missing or damaged, or its inputs are other ones.
    """
    try:
        import onnxruntime
    except ImportError:
        raise EchoMotionError(
            f'{name}: ONNX files need ONNX Runtime; install it with: pip install "echomotion[export]"'
        ) from None
    import torch

    file = Path(path)
    if not file.is_file():
        raise ModelError(f"{name}: {file} does not exist; give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{name}: {file} is no ONNX model that ONNX Runtime reads; export it again") from error
    inputs = session.get_inputs()
    frames = [i for i in inputs if len(i.shape) == 5]
    points = [i for i in inputs if len(i.shape) == 3]
    if len(inputs) != 2 or len(frames) != 1 or len(points) != 1:
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(
            f"{name}: {file} takes {found or 'nothing'}; frames (1, T, 1, H, W) and points (1, N, 2) are needed"
        )
    _, window, _, rows, columns = frames[0].shape
    return OnnxTracker(
        name,
        session,
        frames[0].name,
        points[0].name,
        max(2, _length(window, _FRAMES)),
        _length(points[0].shape[1], _POINTS),
        (_length(rows, _SIDE), _length(columns, _SIDE)),
    )


def _length(stated: Any, usual: int) -> int:
    return stated if isinstance(stated, int) and stated > 0 else usual


def _filled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """`values` with its last one repeated until there are `count`."""
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), axis=0)])
