"""Every registered model, old or new, must pass these."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import Clip, DataError, ModelError
from echomotion.models.registry import create_segmenter, create_tracker, list_models, register
from echomotion.models.run import track

pytestmark = pytest.mark.filterwarnings("ignore::echomotion.EchoMotionWarning")

# Learned ones without installed weights refuse to run; tests/models/trackers has them with random numbers.
TRACKERS = [info.name for info in list_models("tracker") if info.weights != "missing"]
# Networks that are there to be compared with, trained as far as a CPU goes: px that they may be off where others may
# be off by half a px, and by which a point may move when others are asked for beside it.
OFF, TOGETHER = {"echotracker": 1.0, "taptr": 1.5}, {"taptr": 1.5}
SEGMENTERS = [info.name for info in list_models("segmenter") if info.weights != "missing"]


@pytest.fixture(scope="module")
def moving_clip() -> Clip:
    """Speckle that drifts by (1.5, -0.75) px a frame, 120 x 150 px."""
    rng = np.random.default_rng(3)
    import cv2

    texture = cv2.GaussianBlur(rng.standard_normal((200, 240)).astype(np.float32), (0, 0), 2.0)
    texture = np.clip(128 + 60 * texture / texture.std(), 0, 255).astype(np.uint8)
    frames = [
        cv2.warpAffine(texture, np.array([[1, 0, 1.5 * t - 40], [0, 1, -0.75 * t - 30.0]]), (150, 120))
        for t in range(8)
    ]
    return Clip(np.stack(frames), np.arange(8) / 50)


QUERIES = np.array([[0, 60.25, 60.5], [3, 80, 50], [7, 70, 70], [3, 45.125, 62]])


def true_positions(clip):
    steps = np.arange(clip.n_frames)[None] - QUERIES[:, :1]
    return QUERIES[:, None, 1:] + steps[..., None] * [1.5, -0.75]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_follows_a_drift_both_ways_and_returns_the_query_exactly(name, moving_clip):
    tracks = track(moving_clip, QUERIES, model=name)
    assert tracks.xy.shape == (4, 8, 2)
    assert np.abs(tracks.xy - true_positions(moving_clip)).max() < OFF.get(name, 0.5)
    rows = np.arange(4)
    assert np.array_equal(tracks.xy[rows, QUERIES[:, 0].astype(int)], QUERIES[:, 1:].astype(np.float32))
    assert tracks.visible.all()
    assert tracks.model == name


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_gives_the_same_twice_and_one_point_as_among_many(name, moving_clip):
    queries = QUERIES.copy()
    first, second = (track(moving_clip, queries, model=name) for _ in range(2))
    assert np.array_equal(first.xy, second.xy)
    assert np.array_equal(queries, QUERIES)
    alone = track(moving_clip, QUERIES[1:2], model=name)
    assert np.abs(alone.xy[0] - first.xy[1]).max() < TOGETHER.get(name, 0.2)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_takes_a_single_frame_and_black_frames(name, moving_clip):
    still = Clip(moving_clip.frames[:1], moving_clip.times_s[:1])
    assert track(still, [[0, 5, 6]], model=name).xy[0, 0].tolist() == [5, 6]
    black = Clip(np.zeros_like(moving_clip.frames), moving_clip.times_s)
    tracks = track(black, [[2, 20, 20]], model=name)
    assert np.isfinite(tracks.xy).all()
    # Nothing can be followed in the dark, and the confidence must not pretend otherwise.
    assert np.delete(tracks.confidence[0], 2).max() < 0.5


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_refuses_points_off_the_clip(name, moving_clip):
    with pytest.raises(DataError, match="outside"):
        create_tracker(name).track(moving_clip, [[0, 500, 5]])
    with pytest.raises(DataError, match="no queries"):
        create_tracker(name).track(moving_clip, np.zeros((0, 3)))


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_labels_any_size_and_length(name, moving_clip):
    masks = create_segmenter(name).segment(moving_clip.with_(frames=moving_clip.frames[:, :90, :140]))
    assert masks.labels.shape == (8, 90, 140)
    assert masks.probability.shape[:2] == (8, len(masks.classes))
    np.testing.assert_allclose(masks.probability.astype(np.float32).sum(axis=1), 1, atol=0.01)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_gives_one_frame_what_it_gives_it_among_others(name, moving_clip):
    segmenter = create_segmenter(name)
    whole = segmenter.segment(moving_clip)
    again = segmenter.segment(moving_clip)
    assert np.array_equal(whole.labels, again.labels)


def test_the_list_states_licence_and_weights():
    unet = next(info for info in list_models("segmenter") if info.name == "unet")
    assert unet.learned
    assert unet.licence == "CC BY-NC-SA 4.0"
    assert 1_000_000 < unet.parameters < 3_000_000
    assert len(unet.sha256) == 64
    conventional = next(info for info in list_models("tracker") if info.name == "lucas_kanade")
    assert (conventional.parameters, conventional.weights) == (0, "not needed")


def test_an_unknown_name_or_option_lists_the_valid_ones():
    with pytest.raises(ModelError, match="lucas_kanade"):
        create_tracker("magic")
    with pytest.raises(ModelError, match="window"):
        create_tracker("lucas_kanade", windw=3)
    with pytest.raises(ModelError, match="tracker, segmenter"):
        list_models("classifier")
    with pytest.raises(ModelError, match="tracker, segmenter"):
        register("classifier")
    with pytest.raises(ModelError, match="no weights"):
        create_tracker("lucas_kanade", weights="somewhere")
