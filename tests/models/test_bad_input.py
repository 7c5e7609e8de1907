"""Every tracker that can be created refuses bad input in clear words, and changes nothing that it is given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import echomotion as em
from echomotion.models.registry import create_tracker, list_models
from echomotion.models.segmenters.unet import UNet, UNetConfig
from echomotion.models.weights import save_weights
from tests.phantoms import speckle

KNOWN = {info.name: info for info in list_models("tracker")}
CREATABLE = [name for name, info in KNOWN.items() if info.weights != "missing"]

pytestmark = pytest.mark.filterwarnings("ignore::echomotion.EchoMotionWarning")

WRONG_QUERIES = [
    ([[0, 500, 5]], "query 0 at .* outside the frame of 70 x 60 px"),
    ([[0, 10, 10], [0, 5, -0.6]], "query 1 at .* outside"),
    ([[0, 69.6, 5]], "outside"),
    ([[5, 10, 10]], "whole number from 0 to 4"),
    ([[-1, 10, 10]], "whole number from 0 to 4"),
    ([[0.5, 10, 10]], "whole number"),
    ([[0, np.nan, 10]], "NaN"),
    ([[np.nan, 10, 10]], "NaN"),
    ([[0, 10, np.inf]], "NaN or infinite"),
    ([[0, 10]], "shape"),
    ([0, 10, 10], "shape"),
    (np.zeros((1, 2, 3)), "shape"),
    (np.zeros((0, 3)), "no queries"),
    ([], "shape"),
    (None, "shape"),
    ([[0, 1, 2], [0, 1]], "queries cannot be made an array"),
    ([["t", "x", "y"]], "numbers"),
    ([[0, 1 + 2j, 2]], "numbers"),
]


@pytest.fixture(scope="module")
def clip():
    texture = (speckle((60, 90), np.random.default_rng(1), 2.0) * 220).astype(np.uint8)
    return em.Clip(np.stack([texture[:, t : t + 70] for t in range(5)]), np.arange(5) / 40)


@pytest.mark.parametrize("name", CREATABLE)
@pytest.mark.parametrize(("queries", "message"), WRONG_QUERIES)
def test_wrong_queries(name, queries, message, clip):
    with pytest.raises(em.DataError, match=message):
        em.track(clip, queries, model=name)
    with pytest.raises(em.DataError, match=message):
        create_tracker(name).track(clip, queries)


@pytest.mark.parametrize("name", CREATABLE)
def test_something_else_than_a_clip(name, clip):
    for wrong in (clip.frames, "case.dcm", None):
        with pytest.raises(em.DataError, match="track needs a Clip"):
            em.track(wrong, [[0, 10, 10]], model=name)


@pytest.mark.parametrize("name", CREATABLE)
def test_one_frame_gives_the_query(name, clip):
    one = clip.with_(frames=clip.frames[:1], times_s=clip.times_s[:1])
    tracks = em.track(one, [[0, 10.25, 11], [0, 30, 40]], model=name)
    assert tracks.xy[:, 0].tolist() == [[10.25, 11], [30, 40]]
    assert tracks.visible.all()
    with pytest.raises(em.DataError, match="from 0 to 0"):
        em.track(one, [[1, 10, 10]], model=name)


@pytest.mark.parametrize("name", CREATABLE)
def test_what_is_given_is_never_changed(name, clip):
    frames, times = clip.frames.copy(), clip.times_s.copy()
    given = em.Clip(frames, times, (0.3, 0.3))
    queries = np.array([[0, 10.5, 11], [4, 30, 40], [2, 0.0, 59]])
    kept = frames.copy(), times.copy(), queries.copy()
    tracks = em.track(given, queries, model=name)
    for now, before in zip((frames, times, queries), kept, strict=True):
        assert np.array_equal(now, before)
        assert now.flags.writeable
    assert np.array_equal(given.frames, kept[0])
    assert np.array_equal(tracks.queries, kept[2])
    # What comes back does not hang on what was given.
    queries[:] = -1
    assert np.array_equal(tracks.queries, kept[2])
    # Read-only, integers, another order in memory: all of them work.
    for other in (np.asfortranarray(kept[2]), kept[2].round().astype(np.int32), kept[2].tolist()):
        em.track(given, other, model=name)
    em.track(given, tracks.queries, model=name)


@pytest.mark.parametrize("name", KNOWN)
def test_weights_that_belong_to_another_model(name, tmp_path):
    torch.manual_seed(0)
    card = {"model": "unet", "tag": "t", "licence": "X", "options": {"widths": [8, 16], "stem": 2}, "grid": [32, 32]}
    folder = save_weights(tmp_path / "unet", UNet(UNetConfig(widths=(8, 16), stem=2)), card)
    learned = KNOWN[name].learned
    with pytest.raises(em.ModelError, match="belong to 'unet', not to" if learned else "takes no weights"):
        create_tracker(name, weights=str(folder))
    with pytest.raises(em.ModelError, match=r"no model\.json" if learned else "takes no weights"):
        create_tracker(name, weights=str(tmp_path / "absent"))


@pytest.mark.parametrize("name", [name for name, info in KNOWN.items() if info.learned])
def test_weights_of_a_learned_tracker_that_do_not_match(name, tmp_path):
    card = {"model": name, "tag": "t", "licence": "X", "options": {}}
    folder = save_weights(tmp_path / "w", torch.nn.Linear(3, 2), card)
    with pytest.raises(em.ModelError, match=r"do not fit|lack|options"):
        create_tracker(name, weights=str(folder))


@pytest.mark.parametrize("name", KNOWN)
def test_options_that_there_are_not(name, clip):
    with pytest.raises(em.ModelError, match="no option 'colour'"):
        create_tracker(name, colour="blue")
    with pytest.raises(em.ModelError, match="no option 'colour'"):
        em.tracking_session(model=name, colour="blue")
