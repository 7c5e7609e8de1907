"""Segmenters side by side: a better one wins, and what cannot be compared is refused."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest

from echomotion.core import APICAL_CLASSES, Clip, DataError, Geometry, Masks
from echomotion.datasets.camus import read_camus
from echomotion.evaluation import beat_masks, segmentation_benchmark
from echomotion.evaluation.beat_masks import LabelledBeat
from echomotion.evaluation.segmentation_benchmark import benchmark_segmentation


class Knowing:
    """Gives the expert's mask of each frame that it is shown, shifted by some pixels; degraded frames stay known."""

    def __init__(self, name: str, frames: list, shift: int) -> None:
        self.name, self.frames, self.shift = name, frames, shift

    def segment(self, clip: Clip, *, progress=None) -> Masks:
        singles = [clip.with_(frames=clip.frames[t : t + 1], times_s=[0.0]) for t in range(clip.n_frames)]
        known = [min(self.frames, key=lambda frame: self._apart(frame.clip, one)) for one in singles]
        labels = np.roll([frame.labels for frame in known], self.shift, axis=2)
        probability = np.stack([labels == k for k in range(4)], axis=1).astype(np.float16)
        return Masks(labels, APICAL_CLASSES, probability, Geometry.identity(labels.shape[1:]), self.name)

    @staticmethod
    def _apart(first: Clip, second: Clip) -> float:
        if first.shape != second.shape:
            return float("inf")
        small = [cv2.resize(clip.frames[0].astype(np.float32), (24, 24)).ravel() for clip in (first, second)]
        return 1 - float(np.corrcoef(*small)[0, 1])


@pytest.fixture
def frames(echo_data, monkeypatch) -> list:
    some = list(islice(read_camus(echo_data, "validation"), 8))
    monkeypatch.setattr(segmentation_benchmark, "read_camus", lambda data, split: iter(some))
    return some


def test_the_better_one_wins_in_every_part(echo_data, frames):
    models = [Knowing("rough", frames, 12), Knowing("exact", frames, 0)]
    found = benchmark_segmentation(
        models, echo_data, parts=("stills", "ejection_fraction", "pairs", "degraded"), degraded_patients=2
    )
    compared = {(row["class"], row["metric"], row["group"]): row for row in found["stills"]["compared"]}
    for group in ("all", "lower third of quality"):
        assert compared["lv_cavity", "dice", group]["difference"] > 0.05
        assert compared["lv_myocardium", "hd95_mm", group]["difference"] < -1
    rows = {row["group"] for row in found["stills"]["models"]["exact"]}
    assert {"all", "ED", "ES", "lower third of quality"} <= rows
    assert [row["model"] for row in found["ejection_fraction"]] == ["expert masks", "rough", "exact"]
    assert found["ejection_fraction"][0]["correlation"] == found["ejection_fraction"][2]["correlation"]
    # Frames are known again in a pair, so that it makes no difference here.
    assert found["pairs"]["models"] == found["stills"]["models"]
    assert found["pairs"]["ejection_fraction"] == found["ejection_fraction"]
    exact = [row for row in found["degraded"] if row["model"] == "exact"]
    assert len(exact) == 17
    assert exact[0]["lv_cavity"] == 1


class Trembling:
    """Knows a cavity that empties and fills, its edge off by noise of its own on every frame."""

    def __init__(self, name: str, noise: float) -> None:
        self.name, self.noise = name, noise

    def segment(self, clip: Clip, *, progress=None) -> Masks:
        course = 22 - 5 * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(clip.n_frames) / clip.n_frames))
        course += self.noise * np.random.default_rng(0).standard_normal(clip.n_frames)
        y, x = np.mgrid[: clip.shape[0], : clip.shape[1]]
        beyond = np.hypot(y - 40, x - 40)[None] - course[:, None, None]
        # Surer the further from an edge; the wall is 8 px wide.
        odds = np.exp(np.stack([beyond - 8, -beyond, np.minimum(beyond, 8 - beyond)], axis=1).clip(-8, 8))
        probability = odds / odds.sum(axis=1, keepdims=True)
        classes = {0: "background", 1: "lv_cavity", 2: "lv_myocardium"}
        labels = probability.argmax(axis=1).astype(np.uint8)
        return Masks(labels, classes, probability.astype(np.float16), Geometry.identity(clip.shape), self.name)


def test_beats_hold_the_first_against_filters_over_time(tmp_path, monkeypatch):
    clip = Clip(np.full((24, 80, 80), 9, np.uint8), 0.03 * np.arange(24), (0.5, 0.5))
    beat = LabelledBeat("toy", clip, Trembling("true", 0.0).segment(clip).labels)
    monkeypatch.setattr(segmentation_benchmark, "read_camus", lambda data, split: iter([]))
    monkeypatch.setattr(beat_masks, "validation_beats", lambda data, kind, count: iter([beat]))
    models = [Trembling("rough", 0.6), Trembling("even", 0.1)]
    found = benchmark_segmentation(models, tmp_path, parts=("beats",), beats=1)
    rows = {row["model"]: row for row in found["beats"]["joined"] if row["class"] == "lv_cavity"}
    assert list(rows) == ["rough", "even", "rough filtered to the jitter of even", "rough steadied over 0.2 s"]
    jitter = {name: row["contour_jitter"] for name, row in rows.items()}
    assert jitter["rough steadied over 0.2 s"] < 0.7 * jitter["rough"]
    assert rows["rough steadied over 0.2 s"]["excursion_ratio"] == pytest.approx(1, abs=0.15)
    assert rows["rough filtered to the jitter of even"]["width_s"] > 0
    worse = benchmark_segmentation(models, tmp_path, parts=("degraded_beats",), beats=1)["degraded_beats"]
    assert [row["frames"] for row in worse] == 2 * 17 * [24]
    rough, even = ({row["lv_cavity"] for row in worse if row["model"] == one.name} for one in models)
    # They do not look at the pictures, so that nothing is lost.
    assert len(rough) == len(even) == 1
    assert 0.9 < max(rough) < min(even) < 1


def test_unknown_parts_and_equal_names_are_refused(echo_data, frames):
    models = [Knowing("one", frames, 0), Knowing("one", frames, 1)]
    with pytest.raises(DataError, match="one name"):
        benchmark_segmentation(models, echo_data)
    with pytest.raises(DataError, match="no part colour"):
        benchmark_segmentation(models[:1], echo_data, parts=["colour"])
