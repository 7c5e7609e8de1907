"""Learning from few masks: what is hidden stays hidden, and short runs give weights that segment a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from echomotion.core import Clip, DataError, DatasetError, EchoMotionError
from echomotion.datasets.camus import read_camus_pairs
from echomotion.models.losses import believed_loss, contraction_loss, exclusive_mask_loss, pseudo_labels
from echomotion.models.registry import create_segmenter
from echomotion.models.segmenters.ncmnet_network import NCMNetConfig, NCMNetwork
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import read_part, read_weights
from echomotion.simulate.joined import JoinedBeat
from echomotion.training.mixing import draw_pastes, pasted
from echomotion.training.recipe import _checked, read_recipe, run_recipe
from echomotion.training.semi_supervised import SemiSupervisedTask, SemiSupervisedTraining
from echomotion.training.sparse_videos import (
    SparseVideo,
    draw_beat,
    draw_sparse,
    folder_videos,
    patient_pair,
    shown_few,
)


def video(name: str = "a", frames: int = 6, labelled: tuple[int, ...] = (2,)) -> SparseVideo:
    pictures, labels = np.full((frames, 60, 60), 20, np.uint8), np.zeros((frames, 60, 60), np.uint8)
    known = np.isin(np.arange(frames), labelled)
    pictures[:, 20:40, 20:40] = 200
    labels[known, 20:40, 20:40] = 2
    return SparseVideo(name, pictures, labels, known, True)


def test_pupil_and_teacher_see_the_same_place(rng):
    for _ in range(8):
        draw = draw_sparse(video(), 4, 48, rng, plain=0.0)
        assert draw.strong.shape == draw.weak.shape == draw.labels.shape == (4, 48, 48)
        assert draw.labelled.sum() == 1
        assert draw.near.all()
        (t,) = np.flatnonzero(draw.labelled)
        assert draw.weak[t][draw.labels[t] == 2].mean() > 0.7
        assert not np.array_equal(draw.strong, draw.weak)
    for _ in range(8):
        plain = draw_sparse(video(), 4, 48, rng, plain=1.0)
        assert np.abs(plain.strong - plain.weak).mean() < 0.2


def test_pieces_go_into_clips_that_may_receive_one(rng):
    into = np.array([True, False, True, True])
    none = draw_pastes(into, 40, 0.0, rng)
    assert not none.where.any()
    some = [draw_pastes(into, 40, 0.5, rng) for _ in range(40)]
    received = np.mean([pastes.where.any(axis=(1, 2)) for pastes in some], axis=0)
    assert received[1] == 0
    assert ((received[[0, 2, 3]] > 0.2) & (received[[0, 2, 3]] < 0.8)).all()
    for pastes in some:
        got = pastes.where.any(axis=(1, 2))
        assert ((pastes.source == np.arange(4)) == ~got).all()
        assert (pastes.where[got].mean(axis=(1, 2)) < 0.55).all()
    assert not draw_pastes(np.array([True]), 40, 1.0, rng).where.any()


def test_hidden_masks_are_gone_and_one_is_left():
    videos = [video(f"v{k}") for k in range(10)]
    few, kept = shown_few(videos, 0.3, seed=0)
    assert len(kept) == 3
    for one in few:
        assert one.labelled.any() == one.labels.any() == (one.name in kept)
    assert shown_few(videos, 0.001, seed=0)[1] != []
    assert {tuple(shown_few(videos, 0.3, seed)[1]) for seed in range(6)} != {tuple(kept)}


def test_phases_that_are_not_shown_are_hidden(hearts):
    pair = read_camus_pairs(hearts, "training")[0]
    both, early = patient_pair(pair, 64), patient_pair(pair, 64, "ED")
    assert both.labelled.tolist() == [True, True]
    assert early.labelled.tolist() == [True, False]
    assert not early.labels[1].any()
    assert not both.near


def test_a_beat_shows_the_mask_of_one_end(rng):
    frames, labels = video(frames=2, labelled=(0, 1)).frames, video(frames=2, labelled=(0, 1)).labels
    beat = JoinedBeat("p", frames, labels, np.ones((9, 9, 2), np.float32))
    for phases in ("both", "ED", "ES"):
        draw = draw_beat(beat, phases, 4, 48, rng, plain=1.0)
        assert draw.labelled.sum() == 1
        assert draw.labelled[[0, -1]].any()
        assert not draw.labels[~draw.labelled].any()


# ----------------------------------------------------------------- recipes
@pytest.mark.parametrize("name", ["ncmnet", "mean_teacher_unet"])
def test_a_shipped_recipe_is_valid(name):
    recipe = read_recipe(name)
    training = _checked(SemiSupervisedTraining, recipe.training, name)
    assert recipe.task == "semi_supervised"
    assert training.frames % training.length == 0


def small_recipe(tmp_path, name="ncmnet", **training) -> str:
    recipe = read_recipe(name).model_dump()
    if name == "ncmnet":
        recipe["options"] |= {
            "encoder": "residual", "encoder_widths": [8, 8, 16, 16, 16], "dim": 16, "fine": [16, 8], "kept": 6,
            "radius": 1,
        }  # fmt: skip
    else:
        recipe["options"] = {"widths": [8, 8, 16, 16], "stem": 2}
    recipe["training"] |= {
        "grid": 64, "early_grid": 32, "frames": 4, "length": 2, "pretrained": False, "simulated": 0.0, "labels": 0.5,
        "rise": 0.0,
    } | training  # fmt: skip
    recipe["schedule"] = {"steps": 4, "validate_every": 2, "warmup": 1}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return str(path)


@pytest.mark.parametrize("name", ["ncmnet", "mean_teacher_unet"])
def test_a_short_run_gives_weights_that_segment_a_clip(hearts, tmp_path, name):
    figures = run_recipe(small_recipe(tmp_path, name), hearts, tmp_path / "run")
    assert 0 <= figures["score"] <= 1
    segmenter = create_segmenter(read_recipe(name).model, weights=str(tmp_path / "run"))
    told = segmenter.weights.card["trained_on"]
    assert "masks of 2 of 5" in told or "masks of 3 of 5" in told
    frames = np.random.default_rng(0).integers(0, 90, (3, 70, 80)).astype(np.uint8)
    assert segmenter.segment(Clip(frames, np.arange(3) / 30)).labels.shape == frames.shape
    assert run_recipe(small_recipe(tmp_path, name), hearts, tmp_path / "run") == figures


def test_where_masks_are_hidden_simulated_beats_are_of_drawn_hearts(hearts, tmp_path):
    fields = {"labels": 1.0, "phases": "ED", "simulated": 0.5, "from_patients": 3, "parametric": 1}
    recipe = read_recipe(small_recipe(tmp_path, "ncmnet", **fields))
    training = _checked(SemiSupervisedTraining, recipe.training, "ncmnet")
    task = SemiSupervisedTask(hearts, tmp_path, training, _checked(NCMNetConfig, recipe.options, "ncmnet"))
    assert [video.name.split("-")[0] for video in task.sequences] == ["parametric"]
    assert task.sequences[0].labelled.sum() == 1


def test_motion_tells_nothing_of_masks_that_are_hidden(hearts, tmp_path):
    recipe = read_recipe(small_recipe(tmp_path, "ncmnet", labels=1.0, joined=0.5, pairs=0.5))
    config = _checked(NCMNetConfig, recipe.options, "ncmnet")
    for phases, beats in (("both", 5), ("ED", 0)):
        training = _checked(SemiSupervisedTraining, recipe.training | {"phases": phases}, "ncmnet")
        task = SemiSupervisedTask(hearts, tmp_path, training, config)
        assert len(task.beats) == beats
        assert set(task.shares) == ({"pairs", "joined"} if beats else {"pairs"})


def test_an_encoder_is_taken_over(hearts, tmp_path):
    run_recipe(small_recipe(tmp_path), hearts, tmp_path / "first")
    recipe = read_recipe(small_recipe(tmp_path, start=str(tmp_path / "first")))
    training = _checked(SemiSupervisedTraining, recipe.training, "ncmnet")
    config = _checked(NCMNetConfig, recipe.options, "ncmnet")
    other = NCMNetwork(config)
    read_part(tmp_path / "first", "encoder", other.encoder)
    task = SemiSupervisedTask(hearts, tmp_path / "second", training, config)
    for mine, theirs in zip(task.network.encoder.parameters(), other.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_network_begins_as_the_unet_of_the_same_masks(hearts, tmp_path):
    run_recipe(small_recipe(tmp_path, "mean_teacher_unet", unlabelled=0.0), hearts, tmp_path / "first")
    first = read_weights(tmp_path / "first", "unet")
    unet = UNet(UNetConfig(tuple(first.card["options"]["widths"]), first.card["options"]["stem"]))
    first.load_into(unet)
    recipe = read_recipe(small_recipe(tmp_path, start=str(tmp_path / "first")))
    widths = unet.config.widths
    options = recipe.options | {"encoder": "unet", "encoder_widths": widths, "fine": (16, widths[0])}
    config = _checked(NCMNetConfig, options, "ncmnet")
    task = SemiSupervisedTask(
        hearts, tmp_path / "second", _checked(SemiSupervisedTraining, recipe.training, "ncmnet"), config
    )
    theirs = unet.state_dict()
    for name, mine in task.network.encoder.state_dict().items():
        torch.testing.assert_close(mine, theirs[name])
    torch.testing.assert_close(task.network.head.weight, unet.head.weight)


def test_the_teacher_is_asked_only_where_masks_are_missing(hearts, tmp_path, rng):
    recipe = read_recipe(small_recipe(tmp_path, "mean_teacher_unet"))
    training = _checked(SemiSupervisedTraining, recipe.training, "mean_teacher_unet")
    task = SemiSupervisedTask(hearts, tmp_path, training, UNetConfig(widths=[8, 16], stem=2))
    teacher = UNet(UNetConfig(widths=[8, 16], stem=2), len(task.classes))
    asked = []
    teacher.register_forward_hook(lambda _, given, __: asked.append(given[0]))
    task.meet_teacher(teacher)
    batch = strong, weak, labels, labelled, *_ = task.batch(0.9, rng)
    assert labelled.any()
    assert not labelled.all()
    found = task.loss(task.network, batch)
    (seen,) = asked
    torch.testing.assert_close(seen[:, 0], weak[~labelled])
    # The loss is that of all clips: what the teacher says of the others has no part in it.
    logits = task.network(strong.flatten(0, 1)[:, None]).unflatten(0, strong.shape[:2])
    taught = teacher(weak.flatten(0, 1)[:, None]).unflatten(0, weak.shape[:2])
    expected = exclusive_mask_loss(logits[labelled], labels[labelled]) + believed_loss(
        logits[~labelled], *pseudo_labels(taught[~labelled], training.least)
    )
    torch.testing.assert_close(found, expected)


def test_a_piece_of_another_clip_brings_what_is_known_of_it(hearts, tmp_path, rng):
    recipe = read_recipe(small_recipe(tmp_path, "mean_teacher_unet", pasted=1.0))
    training = _checked(SemiSupervisedTraining, recipe.training, "mean_teacher_unet")
    task = SemiSupervisedTask(hearts, tmp_path, training, UNetConfig(widths=[8, 16], stem=2))
    seen = []
    task.network.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    teacher = UNet(UNetConfig(widths=[8, 16], stem=2), len(task.classes))
    task.meet_teacher(teacher)
    strong, _, labels, labelled, _, source, where = batch = task.batch(0.9, rng)
    task.loss(task.network, batch)
    (frames,) = seen
    (known,), (other,) = (np.flatnonzero(labelled.all(dim=1) == has) for has in (True, False))
    assert where.any(dim=(1, 2)).tolist() == [not has for has in labelled.all(dim=1)]
    assert source[other] == known
    frames = frames.unflatten(0, strong.shape[:2])[:, :, 0]
    torch.testing.assert_close(frames[other][:, where[other]], strong[known][:, where[other]])
    torch.testing.assert_close(frames[other][:, ~where[other]], strong[other][:, ~where[other]])
    torch.testing.assert_close(frames[known], strong[known])
    # Under the piece the expert's mask counts fully.
    targets, sure = task._believed(teacher, strong, labels, labelled)
    targets, sure = pasted(targets, source, where), pasted(sure, source, where)
    assert torch.equal(targets[other][:, where[other]], labels[known][:, where[other]].long())
    assert bool((sure[other][:, where[other]] == 1).all())


def test_contraction_counts_where_both_frames_of_a_patient_have_masks(hearts, tmp_path, rng):
    recipe = read_recipe(small_recipe(tmp_path, "mean_teacher_unet", unlabelled=0.0, labels=1.0))
    plain = _checked(SemiSupervisedTraining, recipe.training, "mean_teacher_unet")
    task = SemiSupervisedTask(hearts, tmp_path, plain, UNetConfig(widths=[8, 16], stem=2))
    batch = strong, _, labels, labelled, *_ = task.batch(0.9, rng)
    assert labelled.all()
    without = task.loss(task.network, batch)
    task.training = replace(plain, contraction=2.0)
    logits = task.network(strong.flatten(0, 1)[:, None]).unflatten(0, strong.shape[:2])
    expected = contraction_loss(logits.softmax(dim=2)[:, :, 1], labels == 1)
    assert expected > 0
    torch.testing.assert_close(task.loss(task.network, batch), without + 2 * expected)
    # With one of the two masks nothing is known of it.
    labelled[:, 1] = False
    task.training = plain
    without = task.loss(task.network, batch)
    task.training = replace(plain, contraction=2.0)
    torch.testing.assert_close(task.loss(task.network, batch), without)


def test_a_folder_of_videos_with_few_masks_is_enough(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(4):
        frames = rng.integers(0, 99, (5, 48, 56)).astype(np.uint8)
        np.savez(folder / f"v{number}.npz", frames=frames, times_s=np.arange(5) / 30)
        if number < 3:
            labels = np.zeros((1, 48, 56), np.uint8)
            labels[:, 10:30, 10:30] = 1
            labels[:, 30:40, 10:30] = 2
            labels[:, 40:, 10:30] = 3
            np.savez(folder / f"v{number}_masks.npz", frames=np.array([number]), labels=labels)
    found = list(folder_videos(folder, 64))
    assert [bool(one.labelled.any()) for one in found] == [True, True, True, False]
    figures = run_recipe(small_recipe(tmp_path), folder, tmp_path / "run")
    assert np.isfinite(figures["score"])


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"labels": 0.0}, "labels is 0"),
        ({"phases": "all"}, "phases is 'all'"),
        ({"pairs": 0.0, "joined": 0.0}, "nothing to train on"),
        ({"joined": 0.0, "labels": 1.0}, "every frame has a mask"),
        ({"start": "nowhere"}, "has no model.safetensors"),
    ],
)
def test_what_does_not_fit_together_is_said_before_anything_is_made(hearts, tmp_path, training, message):
    with pytest.raises(EchoMotionError, match=message):
        run_recipe(small_recipe(tmp_path, **training), hearts, tmp_path / "run")
    assert not (tmp_path / "run" / "state.pt").exists()


def test_videos_without_any_mask_are_refused(tmp_path):
    (tmp_path / "videos").mkdir()
    np.savez(tmp_path / "videos" / "a.npz", frames=np.zeros((4, 48, 56), np.uint8), times_s=np.arange(4) / 30)
    with pytest.raises(DatasetError, match="there is no NAME_masks"):
        run_recipe(small_recipe(tmp_path), tmp_path / "videos", tmp_path / "run")


def test_other_recipes_cannot_hide_masks(hearts, tmp_path):
    with pytest.raises(DataError, match="cannot hide masks"):
        run_recipe("unet", hearts, tmp_path / "run", labels=0.1)
