"""The benchmark: what is run, on what, and what is said about it."""

from __future__ import annotations

import json
import math
import mmap

import numpy as np
import pytest

from echomotion.core import Clip, DataError, ModelError, Tracks
from echomotion.datasets.tracking import TrackingCase
from echomotion.evaluation import benchmark, resources, speed
from echomotion.evaluation.benchmark import benchmark_trackers, benchmark_tracking, fingerprint


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A yardstick of half a second, and small loads."""
    monkeypatch.setattr(benchmark, "yardstick_seconds", lambda: 0.5)
    monkeypatch.setattr(benchmark, "LOADS", ((4, 3),))
    monkeypatch.setattr(benchmark, "FULL_LOADS", ((4, 3), (9, 5)))


class Still:
    """Stays where it was asked."""

    def __init__(self, name="still", error=None):
        self.name, self.error = name, error

    def track(self, clip, queries, *, progress=None):
        if self.error:
            raise ModelError(self.error)
        queries = np.asarray(queries, float)
        xy = np.repeat(queries[:, None, 1:], clip.n_frames, axis=1)
        return Tracks(xy, np.ones(xy.shape[:2], bool), np.ones(xy.shape[:2]), queries)


def cases(count=3, motion=3.0):
    texture = np.random.default_rng(1).integers(0, 255, (64, 64)).astype(np.uint8)
    clip = Clip(np.stack([texture] * 4), np.arange(4) / 10)
    xy = np.full((2, 4, 2), 30.0)
    xy[:, 1:, 0] += motion
    return [TrackingCase(f"c{k}", clip, xy + k, np.ones((2, 4), bool)) for k in range(count)]


def test_all_trackers_with_weights_are_run_unless_named():
    assert {"lucas_kanade", "block_matching", "multilag_matching"} <= {t.name for t in benchmark_trackers()}
    assert [t.name for t in benchmark_trackers(["lucas_kanade", "lucas_kanade"])] == ["lucas_kanade"]
    with pytest.raises(ModelError, match="there is no tracker"):
        benchmark_trackers(["nobody"])
    for wrong in ("x.onnx", "=x.onnx", "x="):
        with pytest.raises(DataError, match="NAME=PATH"):
            benchmark_trackers(["lucas_kanade"], [wrong])
    with pytest.raises(DataError, match="two trackers"):
        benchmark_trackers(["lucas_kanade"], ["lucas_kanade=x.onnx"])


def test_a_benchmark_of_what_stays_still():
    seen = []
    trackers = [*benchmark_trackers(["lucas_kanade"]), Still()]
    report = benchmark_tracking(trackers, {"toy": cases()}, progress=lambda *at: seen.append(at))
    assert seen == [(k, 8) for k in range(1, 9)]
    part = report.parts["toy"]
    rows = {row["tracker"]: row for row in part["trackers"]}
    # The picture stands still and the truth says 3 px on 64, which is 12 on 256: within 16 px alone.
    assert rows["still"]["median_error_px"] == pytest.approx(12)
    assert rows["still"]["share_within"] == pytest.approx(1 / 5)
    assert rows["still"]["signed_error_px"] == pytest.approx(-12)
    assert rows["lucas_kanade"]["median_error_px"] == pytest.approx(12, abs=0.2)
    assert rows["still"]["seconds"] >= 0
    assert rows["still"]["peak_memory_mb"] > 10
    assert {row["baseline"] for row in part["comparison"]} == {"lucas_kanade"}
    assert [(row["tracker"], row["points"], row["frames"]) for row in report.speed] == [
        ("lucas_kanade", 4, 3),
        ("still", 4, 3),
    ]
    assert report.speed[0]["of_yardstick"] == pytest.approx(report.speed[0]["seconds"] / 0.5)
    plain = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert plain["yardstick"]["seconds"] == 0.5
    assert len(plain["parts"]["toy"]["rows"]["still"]) == 3


def test_a_tracker_that_fails_does_not_stop_the_others():
    report = benchmark_tracking([Still("bad", "it broke"), Still()], {"a": cases(1), "b": cases(1)}, full=True)
    assert report.failed == {"bad": "it broke"}
    assert [row["tracker"] for row in report.parts["b"]["trackers"]] == ["still"]
    assert [row["points"] for row in report.speed] == [4, 9]
    # Nothing to compare with: none of them is a conventional method.
    assert report.parts["a"]["comparison"] == []
    with pytest.raises(DataError, match="no trackers"):
        benchmark_tracking([], {"a": cases(1)})


def test_the_fingerprint_tells_sets_apart():
    assert fingerprint(cases()) == fingerprint(cases())
    assert len({fingerprint(c) for c in (cases(), cases(2), cases(motion=4.0))}) == 3


def test_seconds_and_memory_of_a_known_load():
    def hold():
        # From the system: an array may get a place that the process holds already.
        with mmap.mmap(-1, 60 * 2**20) as block:
            for place in range(0, len(block), mmap.PAGESIZE):
                block[place] = 1

    small = resources.measured(lambda: 1)
    large = resources.measured(hold)
    assert small.result == 1
    assert large.seconds > 0
    if large.peak_is_own:
        assert large.peak_memory_mb - small.peak_memory_mb == pytest.approx(60, abs=15)
    assert math.isnan(large.peak_gpu_memory_mb) or large.peak_gpu_memory_mb >= 0
    assert resources.machine_facts()["threads"] >= 1


def test_the_clip_that_speed_is_measured_on():
    clip = speed.speckle_clip(37)
    assert clip.frames.shape == (37, 256, 256)
    assert np.array_equal(clip.frames[0], clip.frames[36])
    # A quarter of a period later everything lies 6 px lower.
    assert np.abs(clip.frames[9][6:].astype(int) - clip.frames[0][:-6]).max() <= 1
    queries = speed.even_queries(1024)
    assert queries.shape == (1024, 3)
    assert len(np.unique(queries, axis=0)) == 1024
    assert queries[:, 1:].min() == 32
    assert queries[:, 1:].max() == 224


def test_the_yardstick_is_the_network_that_it_names(monkeypatch):
    monkeypatch.setattr(resources, "_YARDSTICK_FRAMES", 1)
    monkeypatch.setattr(resources, "_YARDSTICK_SIDE", 32)
    small = resources.yardstick_seconds()
    monkeypatch.setattr(resources, "_YARDSTICK_SIDE", 128)
    assert 0 < small < resources.yardstick_seconds()
