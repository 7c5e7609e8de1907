"""Outside trackers: a tiny ONNX model whose answer is known on paper."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest

from echomotion.core import Clip, EchoMotionError, ModelError
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation import benchmark
from echomotion.evaluation.onnx_tracker import load_onnx_tracker

WINDOW, POINTS, SIDE = 8, 4, 32


def make_model(path, *, points_first=False, turned=False, extra=False):
    """Points move by (50, 100) px in (y, x) times the brightness that frames have gained since the first."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    h, t = onnx.helper, onnx.TensorProto.FLOAT
    frames = h.make_tensor_value_info("video", t, [1, WINDOW, 1, SIDE, SIDE])
    points = h.make_tensor_value_info("where", t, [1, POINTS, 2])
    shape = [1, POINTS, WINDOW, 2] if turned else [1, WINDOW, POINTS, 2]
    tracks = h.make_tensor_value_info("tracks", t, shape)
    constants = {
        "axes": np.array([3, 4], np.int64),
        "last": np.array([4], np.int64),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "way": np.array([50.0, 100.0], np.float32),
    }
    nodes = [
        h.make_node("ReduceMean", ["video", "axes"], ["mean"], keepdims=1),
        h.make_node("Squeeze", ["mean", "last"], ["level"]),
        h.make_node("Slice", ["level", "zero", "one", "one"], ["first"]),
        h.make_node("Sub", ["level", "first"], ["gain"]),
        h.make_node("Mul", ["gain", "way"], ["shift"]),
        h.make_node("Unsqueeze", ["where", "one"], ["begin"]),
        h.make_node("Add", ["begin", "shift"], ["straight" if turned else "tracks"]),
    ]
    if turned:
        nodes.append(h.make_node("Transpose", ["straight"], ["tracks"], perm=[0, 2, 1, 3]))
    inputs = [points, frames] if points_first else [frames, points]
    if extra:
        inputs.append(h.make_tensor_value_info("spare", t, [1]))
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = h.make_graph(nodes, "toy", inputs, [tracks], arrays)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=9), path)
    return path


def clip_of(levels, shape=(64, 128)):
    return Clip(np.repeat(np.asarray(levels, np.uint8), np.prod(shape)).reshape(-1, *shape), np.arange(len(levels)) / 9)


@pytest.mark.parametrize("points_first", [False, True])
@pytest.mark.parametrize("length", [1, 3, 8, 9, 22])
def test_tracks_of_any_length_both_ways_and_of_many_points(tmp_path, length, points_first):
    tracker = load_onnx_tracker("toy", make_model(tmp_path / "toy.onnx", points_first=points_first))
    levels = 40 + 2 * np.abs(np.arange(length) - 7)
    middle = length // 2
    queries = np.array([[middle, 60.0 + k, 30] for k in range(6)] + [[0, 50.0, 20]])
    tracks = tracker.track(clip_of(levels), queries)
    gain = (levels[None] - levels[queries[:, 0].astype(int), None]) / 255
    # The grid is half as high and a quarter as wide as the frame.
    wanted = queries[:, None, 1:] + gain[..., None] * np.array([100 * 4, 50 * 2])
    assert tracks.xy == pytest.approx(wanted, abs=1e-3)
    assert tracks.model == "toy"
    assert tracks.visible.all()


def test_a_point_that_leaves_the_picture_is_not_visible(tmp_path):
    tracker = load_onnx_tracker("toy", make_model(tmp_path / "toy.onnx"))
    # 51 levels are a fifth: 80 px to the right, 20 down.
    tracks = tracker.track(clip_of([10, 61, 10]), [[0, 40, 20], [0, 60, 20]])
    assert tracks.xy[1, 1] == pytest.approx((140, 40), abs=1e-3)
    assert tracks.visible.tolist() == [[True, True, True], [True, False, True]]
    assert tracks.confidence.tolist() == tracks.visible.astype(float).tolist()


def test_it_runs_in_the_benchmark_beside_ours(tmp_path, monkeypatch):
    path = make_model(tmp_path / "toy.onnx")
    monkeypatch.setattr(benchmark, "yardstick_seconds", lambda: 1.0)
    clip = clip_of([10, 61, 10], (256, 256))
    xy = np.full((2, 3, 2), 100.0)
    # A fifth of (100, 50) px on the grid, which is an eighth as large as the frame.
    xy[:, 1] += (160, 80)
    case = TrackingCase("jump", clip, xy, np.ones((2, 3), bool))
    trackers = benchmark.benchmark_trackers(["lucas_kanade"], [f"toy={path}"])
    rows = benchmark.benchmark_tracking(trackers, {"jumps": [case]}, speed=False).parts["jumps"]["trackers"]
    found = {row["tracker"]: row for row in rows}
    assert found["toy"]["share_within"] == 1
    assert found["lucas_kanade"]["share_within"] < 1
    assert math.isnan(found["toy"]["calibration_error"])
    assert math.isnan(found["toy"]["occlusion_accuracy"])


def test_files_that_do_not_fit_are_named(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match="does not exist"):
        load_onnx_tracker("x", tmp_path / "absent.onnx")
    (tmp_path / "bad.onnx").write_text("nothing")
    with pytest.raises(ModelError, match=r"bad\.onnx is no ONNX model"):
        load_onnx_tracker("x", tmp_path / "bad.onnx")
    with pytest.raises(ModelError, match="spare"):
        load_onnx_tracker("x", make_model(tmp_path / "extra.onnx", extra=True))
    turned = load_onnx_tracker("x", make_model(tmp_path / "turned.onnx", turned=True))
    with pytest.raises(ModelError, match=r"\(1, 8, 4, 2\) are needed"):
        turned.track(clip_of([10, 20]), [[0, 5, 5]])


def test_without_onnx_runtime_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(EchoMotionError, match=r"echomotion\[export\]"):
        load_onnx_tracker("x", tmp_path / "x.onnx")
