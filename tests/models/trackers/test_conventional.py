"""The trackers that learn nothing, on motion that is known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import Clip, ModelError
from echomotion.datasets.tracking import read_rotating_disk, read_tracking
from echomotion.evaluation.tracking import evaluate_tracking
from echomotion.measure.lengths import line_strain
from echomotion.models.trackers.block_matching import BlockMatchingConfig, block_matching
from echomotion.models.trackers.lucas_kanade import LucasKanadeConfig, lucas_kanade
from echomotion.models.trackers.multilag_matching import MultilagMatchingConfig, multilag_matching
from tests.phantoms import affine_clip, moving_clip, rotating_clip

MAKE = {
    "lucas_kanade": lambda **options: lucas_kanade(LucasKanadeConfig(**options)),
    "block_matching": lambda **options: block_matching(BlockMatchingConfig(**options)),
    "multilag_matching": lambda **options: multilag_matching(MultilagMatchingConfig(**options)),
}
ALL = pytest.mark.parametrize("name", MAKE)


def lattice(x0, x1, y0, y1, step, t=0):
    x, y = np.meshgrid(np.arange(x0, x1, step), np.arange(y0, y1, step))
    return np.column_stack([np.full(x.size, t), x.ravel(), y.ravel()])


@ALL
def test_a_shrink_of_ten_percent_is_a_strain_of_minus_ten(name):
    clip, _ = affine_clip(shrink=0.10)
    lines = [
        np.column_stack([np.zeros(25), np.linspace(40, 215, 25), np.linspace(a, b, 25)])
        for a, b in ((60, 60), (60, 200), (190, 90))
    ]
    tracks = MAKE[name]().track(clip, np.concatenate(lines))
    strains = [line_strain(tracks.xy[i : i + 25], 0)[-1] for i in (0, 25, 50)]
    # A parabola through three correlations pulls peaks towards whole pixels, which blocks cannot undo.
    mean, single = (0.3, 0.5) if name == "block_matching" else (0.1, 0.2)
    assert np.mean(strains) == pytest.approx(-10.0, abs=mean)
    assert np.abs(np.array(strains) + 10).max() < single


def test_smoothing_over_broad_tissue_keeps_its_strain():
    clip, _ = affine_clip(shrink=0.10)
    queries = lattice(60, 200, 60, 200, 10)
    xy = MAKE["multilag_matching"](smooth_px=50.0).track(clip, queries).xy.astype(np.float64)
    ends = np.array([[0, 13], [0, 13 * 14], [0, 195], [13, 13 * 14]])
    assert [line_strain(xy[pair], 0)[-1] for pair in ends] == pytest.approx([-10.0] * 4, abs=0.1)


@ALL
def test_points_follow_a_rotation_from_queries_on_any_frame(name):
    clip, true_map = rotating_clip(degrees=12.0)
    first = lattice(90, 180, 90, 180, 22)[:, 1:]
    start = np.arange(len(first)) % clip.n_frames
    queries = np.column_stack([start, [true_map(p, t) for p, t in zip(first, start, strict=True)]])
    true = np.stack([true_map(first, t) for t in range(clip.n_frames)], axis=1)
    tracks = MAKE[name]().track(clip, queries)
    errors = np.linalg.norm(tracks.xy - true, axis=-1)
    assert np.median(errors) < 0.25
    assert np.quantile(errors, 0.95) < 1.0
    assert tracks.confidence.mean() > 0.9


def test_a_long_clip_is_tracked_in_blocks_with_the_same_result(monkeypatch):
    clip, _ = affine_clip(shrink=0.05, frames=30, shape=(96, 96))
    queries = lattice(30, 70, 30, 70, 13, t=7)
    whole = MAKE["multilag_matching"]().track(clip, queries)
    monkeypatch.setattr("echomotion.models.trackers.multilag._MEMORY", 0.0)
    calls = []
    blocks = MAKE["multilag_matching"]().track(clip, queries, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1] > 4 * 4 * 4
    assert np.abs(blocks.xy - whole.xy).max() < 0.01


@ALL
def test_a_point_that_leaves_the_picture_is_held_and_called_invisible(name):
    matrices = np.tile(np.eye(2), (12, 1, 1))
    clip, _ = moving_clip(matrices, (32, 32), (64, 96), 30, np.random.default_rng(4))
    # The picture slides to the left by 4 px a frame.
    wide = np.tile(clip.frames[0], (1, 2))
    frames = np.stack([wide[:, 4 * t : 4 * t + 96] for t in range(12)])
    tracks = MAKE[name]().track(Clip(frames, np.arange(12) / 30), [[0, 20, 30], [0, 70, 30], [11, 60, 30]])
    assert np.isfinite(tracks.xy).all()
    assert tracks.xy[..., 0].min() >= -0.5
    assert not tracks.visible[0, 7:].any()
    assert (tracks.confidence[0, 7:] == 0).all()
    assert tracks.visible[1].all()
    assert np.abs(tracks.xy[1, :, 0] - (70 - 4 * np.arange(12))).max() < 1.0


@ALL
def test_large_and_anisotropic_frames_come_back_in_native_pixels(name):
    clip, true_map = affine_clip(shrink=0.05, frames=6)
    enlarged = Clip(clip.frames.repeat(3, axis=1).repeat(4, axis=2), clip.times_s, (0.2, 0.15))
    native = lattice(80, 180, 80, 180, 24)
    queries = native * [1, 4, 3] + [0, 1.5, 1.0]
    tracks = MAKE[name]().track(enlarged, queries)
    true = true_map(native[:, 1:], 5) * [4, 3] + [1.5, 1.0]
    assert np.abs((tracks.xy[:, -1] - true) / [4, 3]).max() < 0.6
    assert np.array_equal(tracks.xy[:, 0], queries[:, 1:].astype(np.float32))


@ALL
def test_frames_smaller_than_the_window_are_tracked_without_failing(name):
    rng = np.random.default_rng(0)
    for shape in ((3, 12, 9), (2, 1, 1), (4, 30, 5)):
        clip = Clip(rng.integers(0, 255, shape).astype(np.uint8), np.arange(shape[0]) / 10)
        tracks = MAKE[name]().track(clip, [[1, 0, 0]])
        assert np.isfinite(tracks.xy).all()


@ALL
def test_progress_runs_to_its_total(name):
    clip, _ = affine_clip(frames=5, shape=(96, 96))
    seen = []
    MAKE[name]().track(clip, [[2, 40, 40]], progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_options_that_make_no_sense_are_refused():
    for wrong in (
        lambda: LucasKanadeConfig(window_px=1),
        lambda: LucasKanadeConfig(min_visible=2.0),
        lambda: BlockMatchingConfig(block_px=16),
        lambda: BlockMatchingConfig(max_height=3),
        lambda: MultilagMatchingConfig(template_px=(21, 21, 20, 21)),
        lambda: MultilagMatchingConfig(reach_px=(8, 5)),
        lambda: MultilagMatchingConfig(lags=((1, 3), (1, 3))),
        lambda: MultilagMatchingConfig(lags=((1, 3), (), (1, 3), (1, 3))),
        lambda: MultilagMatchingConfig(lags=((1, 3), (0, 3), (1, 3), (1, 3))),
        lambda: MultilagMatchingConfig(smooth_px=0.0),
        lambda: MultilagMatchingConfig(clutter_share=(2.0, 0.5, 0.0, 0.0)),
        lambda: MultilagMatchingConfig(haze_share=(0.0, 0.0, 0.0, -0.5)),
        lambda: MultilagMatchingConfig(rounds=(0, 1, 1, 1)),
        lambda: MultilagMatchingConfig(clutter_share=(0.5,)),
        lambda: MultilagMatchingConfig(shrink=(0, 1, 1, 1)),
        lambda: MultilagMatchingConfig(neighbour_px=(0.0, 1.0, 1.0)),
    ):
        with pytest.raises(ModelError, match="needs"):
            wrong()


# What a rigid disk must show: one rotation about one centre, and no strain. Speckle is coarse along the rows' axis and
# changes as it turns, since the beam does not turn with it, so single points err by pixels. Trackers as they are for
# a heart's wall hold the bound in the root mean square of all points and frames (Lucas-Kanade with a window that
# holds as much speckle); evened out over 50 px, as suits broad tissue, each point and each line holds it.
@pytest.fixture(scope="module")
def disk(echo_data):
    centre, radius = np.array([117.0, 125.7]), 0.85 * 102.9
    queries = lattice(17, 218, 25, 227, 8)
    queries = queries[np.linalg.norm(queries[:, 1:] - centre, axis=1) <= radius]
    return read_rotating_disk(echo_data / "rotating_disk"), queries


@pytest.mark.parametrize(("name", "options"), [("multilag_matching", {}), ("lucas_kanade", {"window_px": 61})])
def test_a_rotating_disk_turns_rigidly(disk, name, options):
    residuals, angle = rigid_residuals(MAKE[name](**options).track(*disk).xy.astype(np.float64))
    assert 10 < angle < 12
    assert np.sqrt(np.mean(residuals[:, 1:] ** 2)) < 1.0


def test_a_rotating_disk_has_no_strain_anywhere(disk):
    xy = MAKE["multilag_matching"](smooth_px=50.0).track(*disk).xy.astype(np.float64)
    residuals, angle = rigid_residuals(xy)
    assert 10 < angle < 12
    assert residuals.max() < 1.0
    rng = np.random.default_rng(0)
    pairs = rng.integers(len(xy), size=(2000, 2))
    far = np.linalg.norm(xy[pairs[:, 0], 0] - xy[pairs[:, 1], 0], axis=1) >= 60
    strains = [line_strain(xy[pair], 0) for pair in pairs[far][:100]]
    assert np.abs(strains).max() < 1.5


def rigid_residuals(xy):
    """Distances (N, T) from the best rigid rotation of each frame (Kabsch 1976), and the last angle in degrees."""
    start = xy[:, 0] - xy[:, 0].mean(axis=0)
    out, angle = [], 0.0
    for t in range(xy.shape[1]):
        now = xy[:, t] - xy[:, t].mean(axis=0)
        u, _, v = np.linalg.svd(start.T @ now)
        turn = u @ np.diag([1, np.sign(np.linalg.det(u @ v))]) @ v
        angle = np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))
        out.append(np.linalg.norm(now - start @ turn, axis=1))
    return np.stack(out, axis=1), angle


# OpenCV's own pyramidal Lucas-Kanade on these clips: share within thresholds and median error.
PLAIN = {
    "accept_clean": (0.992, 0.27),
    "accept_mild": (0.858, 1.04),
    "accept_hard": (0.740, 1.49),
    "tune_clean": (0.989, 0.33),
    "tune_mild": (0.812, 1.32),
    "tune_hard": (0.676, 2.15),
}
ROBUST = {
    "accept_clean": (0.99, 0.25),
    "accept_mild": (0.98, 0.45),
    "accept_hard": (0.87, 0.85),
    "tune_clean": (0.98, 0.35),
    "tune_mild": (0.96, 0.45),
    "tune_hard": (0.83, 1.10),
}


@pytest.mark.parametrize(("name", "wanted"), [("lucas_kanade", PLAIN), ("multilag_matching", ROBUST)])
def test_accuracy_on_simulated_walls(echo_data, name, wanted):
    report = evaluate_tracking(MAKE[name](), read_tracking(echo_data / "pymust_validation"))
    for row in report.rows:
        share, median = wanted[row["clip"]]
        assert row["share_within"] > share - 0.001
        assert row["median_error_px"] < median + 0.01
        assert row["calibration_error"] < 0.1
