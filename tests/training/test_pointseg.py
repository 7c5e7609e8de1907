"""What PointSeg trains on moves as one piece, and a short run of the recipe gives weights that segment a clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from echomotion.core import Clip, DataError, DatasetError
from echomotion.models.registry import create_segmenter
from echomotion.models.segmenters.point_cues import Cues
from echomotion.simulate.joined import JoinedBeat
from echomotion.training.pointseg import PointSegTraining
from echomotion.training.recipe import _checked, read_recipe, run_recipe
from echomotion.training.videos import Video, cached, cached_cues, draw_joined, draw_stills, draw_video


def pictures(count=6, side=60):
    """A bright square that drifts; its label is 2, and points in it go with it."""
    frames, labels = np.full((count, side, side), 20, np.uint8), np.zeros((count, side, side), np.uint8)
    for t in range(count):
        frames[t, 20:40, 15 + 2 * t : 35 + 2 * t], labels[t, 20:40, 15 + 2 * t : 35 + 2 * t] = 200, 2
    start = np.stack(np.meshgrid(np.arange(18.0, 33, 3), np.arange(23.0, 38, 3)), -1).reshape(-1, 1, 2)
    xy = (start + 2 * np.arange(count)[:, None] * [1.0, 0.0]).astype(np.float32)
    seen = np.ones(xy.shape[:2])
    return frames, labels, Cues(xy, seen > 0, seen.astype(np.float32))


def test_frames_labels_and_points_move_together(rng):
    frames, labels, cues = pictures()
    video = Video(frames, labels, np.ones(6, bool), cues, np.ones(len(cues.xy), bool))
    for _ in range(5):
        draw = draw_video(video, 3, 48, 12, rng, plain=1.0)
        assert draw.frames.shape == draw.labels.shape == (3, 48, 48)
        assert draw.xy.shape == (12, 3, 2)
        for t in range(3):
            x, y = np.round(draw.xy[draw.visible[:, t] > 0, t]).astype(int).T
            assert (draw.labels[t, y, x] == 2).all()
            # Some beams may lie in shadow.
            assert np.median(draw.frames[t, y, x]) > 2 * np.median(draw.frames[t][draw.labels[t] == 0])
        assert (draw.counted <= draw.visible).all()


def test_a_sparse_video_shows_a_frame_with_a_mask(rng):
    frames, labels, cues = pictures()
    known = np.array([False, True, False, False, True, False])
    video = Video(frames, labels, known, cues, np.zeros(len(cues.xy), bool))
    for _ in range(10):
        draw = draw_video(video, 4, 32, 8, rng, plain=1.0)
        assert draw.labelled.any()
        assert not draw.counted.any()
    with pytest.raises(DatasetError, match="no frame with a mask"):
        draw_video(Video(frames, labels, np.zeros(6, bool), cues, known), 2, 32, 8, rng, plain=1.0)


def test_a_beat_holds_an_end_of_it_and_points_that_keep_their_class(rng):
    frames, labels, _ = pictures(2)
    shift = np.zeros((9, 9, 2), np.float32)
    shift[..., 0] = 2
    beat = JoinedBeat("p", frames, labels, shift)
    for length in (2, 4):
        draw = draw_joined(beat, length, 48, 30, rng, plain=1.0)
        assert draw.frames.shape == (length, 48, 48)
        assert draw.labelled.all()
        assert 0 < draw.counted.mean() < 1


def test_stills_of_a_heart_are_placed_alike_and_have_nothing_to_be_smooth_about(rng):
    frames, labels, _ = pictures(1)
    first, second = draw_stills(frames.repeat(2, axis=0), labels.repeat(2, axis=0), 32, 10, rng, plain=0.0)
    assert first.xy.shape == (10, 1, 2)
    assert first.frames.shape == (1, 32, 32)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.xy, second.xy)
    assert not first.counted.any()


def test_trajectories_are_found_once(tmp_path):
    _, _, cues = pictures()
    asked = []

    def make():
        asked.append(1)
        return cues, np.ones(len(cues.xy), bool)

    first, second = (cached_cues(tmp_path / "paths", "one", make) for _ in range(2))
    assert len(asked) == 1
    np.testing.assert_array_equal(first[0].xy, second[0].xy)
    assert second[0].tokens is None
    (tmp_path / "paths" / "one.npz").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="delete it"):
        cached(tmp_path / "paths", "one", dict)


@pytest.mark.parametrize("name", ["pointseg_small", "pointseg"])
def test_a_shipped_recipe_is_valid(name):
    recipe = read_recipe(name)
    assert recipe.model == name
    training = _checked(PointSegTraining, recipe.training, name)
    assert training.grid % 32 == 0
    assert training.frames % training.length == 0


# ----------------------------------------------------------------- a run of the recipe
def small_recipe(tmp_path, **training):
    recipe = read_recipe("pointseg_small").model_dump()
    recipe["options"] |= {
        "encoder": "residual", "encoder_widths": [8, 16, 16], "dim": 16, "heads": 2, "hidden": 16, "fused": 2,
        "attended": 1, "encoder_layers": 1, "up": [16, 8],
    }  # fmt: skip
    recipe["training"] |= {
        "grid": 64, "early_grid": 48, "frames": 4, "length": 2, "points": 12, "tracker": "lucas_kanade", "beats": 1,
        "pretrained": False, "from_patients": 0, "parametric": 0, "simulated": 0.0,
    } | training  # fmt: skip
    recipe["schedule"] = {"steps": 4, "validate_every": 2, "warmup": 1}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


def test_a_short_run_gives_weights_that_segment_a_clip(hearts, tmp_path):
    figures = run_recipe(small_recipe(tmp_path, contraction=1.0), hearts, tmp_path / "run")
    assert 0 <= figures["score"] <= 1
    assert np.isfinite(figures["beats_roughness"])
    segmenter = create_segmenter("pointseg_small", weights=str(tmp_path / "run"))
    frames = np.random.default_rng(0).integers(0, 90, (5, 70, 80)).astype(np.uint8)
    masks = segmenter.segment(Clip(frames, np.arange(5) / 30))
    assert masks.labels.shape == frames.shape
    assert masks.tracks.model == "lucas_kanade"
    # It goes on where it ended, and there is nothing left to do.
    assert run_recipe(small_recipe(tmp_path, contraction=1.0), hearts, tmp_path / "run") == figures


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"targets": ["lv_cavity"]}, "3 classes"),
        ({"weights": [1.0]}, "3 layers"),
        ({"stills": 0.0, "joined": 0.0}, "nothing to train on"),
        ({"targets": ["lv_myocardium"], "contraction": 1.0}, "put lv_cavity into targets"),
        ({"length": 1, "contraction": 1.0}, "length of 2 or more"),
    ],
)
def test_what_does_not_fit_together_is_said_before_anything_is_made(hearts, tmp_path, training, message):
    with pytest.raises(DataError, match=message):
        run_recipe(small_recipe(tmp_path, **training), hearts, tmp_path / "run")
    assert not (tmp_path / "run" / "state.pt").exists()


@pytest.mark.slow
def test_both_stages_train_in_two_minutes(hearts, tmp_path):
    """TAPTR first, on simulated cines; then PointSeg with its tokens, which are found once."""
    taptr = read_recipe("taptr").model_dump()
    taptr["options"] = {"window": 4, "widths": [8, 16, 16], "blocks": 1, "dim": 16, "heads": 2, "points": 2,
                        "layers": 1, "hidden": 16}  # fmt: skip
    taptr["training"] |= {"batch": 1, "frames": 4, "points": 8, "crop": 64, "sequences": 1, "selection": 1,
                          "selection_frames": 4, "selection_points": 4, "selection_cines": 1}  # fmt: skip
    taptr["schedule"] = {"steps": 3, "validate_every": 3, "warmup": 1}
    first = tmp_path / "taptr.yaml"
    first.write_text(yaml.safe_dump(taptr))
    run_recipe(str(first), tmp_path / "cines", tmp_path / "tracker")
    second = yaml.safe_load(Path(small_recipe(tmp_path)).read_text())
    second["options"]["token_dim"] = 16
    second["training"] |= {"tracker": "taptr", "tracker_weights": str(tmp_path / "tracker"), "stills": 0.0,
                           "joined": 0.0, "simulated": 1.0, "parametric": 1}  # fmt: skip
    path = tmp_path / "second.yaml"
    path.write_text(yaml.safe_dump(second))
    figures = run_recipe(str(path), hearts, tmp_path / "run")
    assert 0 <= figures["score"] <= 1
    assert list((tmp_path / "run" / "cache").glob("paths-taptr-*-tokens/*.npz"))
