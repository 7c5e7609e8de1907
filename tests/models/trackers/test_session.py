"""Frame by frame gives what the whole clip gives."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import echomotion as em
from echomotion.models.registry import create_tracker, list_models
from echomotion.models.trackers.follower_tracker import FollowerTracker
from echomotion.models.trackers.session import WindowStream
from echomotion.models.trackers.windows import Found, spans
from tests.phantoms import speckle

SMALL = {"multilag_matching": {"window": 8}, "echomotion_tracker": {"window": 8}}


def installed():
    found = []
    for info in list_models("tracker"):
        if info.weights != "missing" and hasattr(create_tracker(info.name), "stream"):
            found.append(info.name)
    return found


TRACKERS = installed()
CONVENTIONAL = {"block_matching", "lucas_kanade", "multilag_matching"}

pytestmark = pytest.mark.filterwarnings("ignore::echomotion.EchoMotionWarning")


def test_the_conventional_trackers_can_be_used_in_a_session():
    assert set(TRACKERS) >= CONVENTIONAL


@pytest.fixture(scope="module")
def clip():
    """Speckle that turns and drifts, 22 frames of 280 x 120 px: taller than the working grid."""
    texture = (speckle((420, 300), np.random.default_rng(5), 2.0) * 235).astype(np.uint8)
    frames = []
    for t in range(22):
        matrix = cv2.getRotationMatrix2D((150, 200), 8 * np.sin(t / 4), 1 + 0.04 * np.sin(t / 3))
        matrix[:, 2] += [-80 + t, -60]
        frames.append(cv2.warpAffine(texture, matrix, (120, 280)))
    return em.Clip(np.stack(frames), np.arange(22) / 40, (0.3, 0.33))


def gathered(session, clip, added):
    """All updates of a clip put together; `added` maps the number of frames pushed before to queries."""
    queries = np.concatenate([added[k] for k in sorted(added)])
    xy = np.full((len(queries), clip.n_frames, 2), np.nan, np.float32)
    visible, confidence = np.zeros(xy.shape[:2], bool), np.zeros(xy.shape[:2], np.float32)
    seen = np.zeros(clip.n_frames, bool)
    for t in range(clip.n_frames + 1):
        if t in added:
            session.add(added[t])
        update = session.push(clip.frames[t]) if t < clip.n_frames else session.finish()
        assert update.first_frame <= seen.sum()
        part = slice(update.first_frame, update.first_frame + update.n_frames)
        assert update.xy.shape == (session.n_points, update.n_frames, 2)
        rows = slice(0, session.n_points)
        old = ~np.isnan(xy[rows, part])
        # What was told once is never told otherwise.
        assert np.array_equal(xy[rows, part][old], update.xy[old])
        xy[rows, part], visible[rows, part] = update.xy, update.visible
        confidence[rows, part] = update.confidence
        seen[part] = True
    assert seen.all()
    return queries, xy, visible, confidence


def begins(name, queries, length):
    """The first frame that a session tells of each query."""
    tracker = create_tracker(name, **SMALL.get(name, {}))
    if not hasattr(tracker, "follower"):
        return queries[:, 0].astype(int)
    places = list(spans(length, tracker.follower.window, tracker.follower.overlap))
    return np.array([next(a for a, b in places if a <= t < b) for t in queries[:, 0]])


ADDED = [
    {0: [[0, 60.2, 140.5], [5, 40, 100], [11, 75.5, 150], [21, 60, 200], [0, 2, 3]]},
    {0: [[0, 60, 140.5], [3, 55, 150]], 8: [[8, 70, 120]], 13: [[13, 50, 160], [15, 55, 90]]},
    {6: [[5, 60, 140]], 21: [[20, 30, 40]]},
]


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("added", ADDED)
def test_a_session_tells_what_the_whole_clip_tells(name, added, clip):
    options = SMALL.get(name, {})
    session = em.tracking_session(model=name, spacing_mm=clip.spacing_mm, **options)
    added = {k: np.array(v, float) for k, v in added.items()}
    if getattr(getattr(create_tracker(name, **options), "follower", None), "window", 0) == 1:
        # Each frame is final as soon as it has been pushed.
        added = {k: np.column_stack([np.maximum(rows[:, 0], k), rows[:, 1:]]) for k, rows in added.items()}
    # The second time after a reset.
    for _ in range(2):
        queries, xy, visible, confidence = gathered(session, clip, added)
        whole = em.track(clip, queries, model=name, **options)
        told = np.arange(clip.n_frames) >= begins(name, queries, clip.n_frames)[:, None]
        assert np.array_equal(told, ~np.isnan(xy[..., 0]))
        np.testing.assert_allclose(xy[told], whole.xy[told], atol=1e-6, rtol=0)
        np.testing.assert_allclose(confidence[told], whole.confidence[told], atol=1e-6, rtol=0)
        assert np.array_equal(visible[told], whole.visible[told])
        assert not visible[~told].any()
        session.reset()


@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("length", [1, 7, 8, 9, 12, 13])
def test_any_length(name, length, clip):
    short = clip.with_(frames=clip.frames[:length], times_s=clip.times_s[:length])
    options = SMALL.get(name, {})
    queries = np.array([[0, 60, 140.5], [0, 50, 100]])
    _, xy, _, _ = gathered(em.tracking_session(model=name, spacing_mm=clip.spacing_mm, **options), short, {0: queries})
    np.testing.assert_allclose(xy, em.track(short, queries, model=name, **options).xy, atol=1e-6, rtol=0)


class Brightness:
    """A follower that says how bright a frame is; of any window and overlap."""

    def __init__(self, window, overlap):
        self.window, self.overlap = window, overlap

    def prepare(self, frame):
        return float(frame.mean())

    def work(self, n_points, n_frames):
        return 1

    def follow(self, frames, asked, tell):
        # Depends on all points and frames of the window, as neighbours and passes do.
        tell()
        value = np.array(frames)[None] + len(asked.start) + np.sum(asked.xy[..., 0] * asked.known, axis=1)[:, None]
        xy = np.stack([value % 50, value % 40], axis=-1)
        return Found(xy, np.ones(asked.known.shape, bool), np.full(asked.known.shape, 0.5))


@pytest.mark.parametrize(("window", "overlap"), [(1, 0), (4, 0), (8, 4), (8, 6), (2, 1)])
def test_windows_of_any_overlap(window, overlap, clip):
    tracker = FollowerTracker("brightness", Brightness(window, overlap), 256)
    queries = np.array([[0, 30, 40], [7, 50, 41.5], [13, 60, 42], [0, 1, 1]])
    whole = tracker.track(clip, queries)
    session = em.TrackingSession(tracker, clip.spacing_mm)
    _, xy, _, _ = gathered(session, clip, {0: queries})
    told = ~np.isnan(xy[..., 0])
    places = list(spans(clip.n_frames, window, overlap))
    own = np.array([next(a for a, b in places if a <= t < b) for t in queries[:, 0]])
    assert np.array_equal(told, np.arange(clip.n_frames) >= own[:, None])
    np.testing.assert_allclose(xy[told], whole.xy[told], atol=1e-6, rtol=0)


def test_memory_does_not_grow_with_the_recording(clip):
    session = em.TrackingSession(FollowerTracker("brightness", Brightness(8, 4), 256))
    session.add([[0, 20, 20], [2, 30, 30]])
    for t in range(200):
        session.push(clip.frames[t % 22])
        stream = session._stream
        assert isinstance(stream, WindowStream)
        assert len(stream.held) <= 8
        assert stream.sweep.xy.shape[1] <= 8
        assert len(stream.sweep.query_frames) <= 2


@pytest.mark.parametrize("name", TRACKERS)
def test_every_session_forgets_frames(name, clip):
    session = em.tracking_session(model=name, spacing_mm=clip.spacing_mm, **SMALL.get(name, {}))
    session.add([[0, 60, 140.5], [1, 50, 100]])
    for t in range(80):
        session.push(clip.frames[t % 22])
    # Pictures of the working grid, reachable from the stream by any way.
    held, seen = 0, set()
    stack = [session._stream]
    while stack:
        item = stack.pop()
        if id(item) in seen or isinstance(item, str | bytes | type):
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray):
            held += item.dtype == np.uint8 and item.ndim >= 2
        elif isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        else:
            stack.extend(getattr(item, "__dict__", {}).values())
    assert held <= 8 + 2


def test_a_frame_may_be_written_over_by_its_owner(clip):
    session, buffer = em.tracking_session(window=8, spacing_mm=clip.spacing_mm), clip.frames[0].copy()
    session.add([[0, 60, 140.5]])
    found = []
    for frame in clip.frames:
        buffer[:] = frame
        found.append(session.push(buffer).xy)
    found.append(session.finish().xy)
    whole = em.track(clip, [[0, 60, 140.5]], window=8)
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole.xy, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", TRACKERS)
def test_wrong_queries_and_frames_are_refused_and_change_nothing(name, clip):
    options = SMALL.get(name, {})
    session = em.tracking_session(model=name, spacing_mm=clip.spacing_mm, **options)
    good = np.array([[0, 60, 140.5], [0, 50, 100]])

    def refused(call, message, *arguments):
        with pytest.raises(em.DataError, match=message):
            call(*arguments)

    for queries, message in [
        (np.zeros((0, 3)), "no queries"),
        ([[0, np.nan, 3]], "NaN"),
        ([[0, 1]], "shape"),
        ([0, 1, 2], "shape"),
        ([[0.5, 1, 2]], "whole number"),
        ([[-1, 1, 2]], "whole number"),
        ([[0, -3, 2]], "outside"),
        ([["a", "b", "c"]], "numbers"),
    ]:
        refused(session.add, message, queries)
    assert session.n_points == 0
    session.add(good)
    for frame, message in [
        (clip.frames[0].astype(float), "float64"),
        (clip.frames[:1], "shape"),
        (np.zeros((0, 4), np.uint8), "shape"),
    ]:
        refused(session.push, message, frame)
    assert session.n_frames == 0
    found = [session.push(frame) for frame in clip.frames[:10]]
    refused(session.push, "120 x 280", clip.frames[0, :50])
    refused(session.add, "outside", [[12, 500, 5]])
    if name in CONVENTIONAL:
        assert session.oldest_frame == (8 if name in SMALL else 9)
        refused(session.add, "final", [[0, 5, 5]])
    found += [session.push(frame) for frame in clip.frames[10:]]
    found.append(session.finish())
    xy = np.concatenate([update.xy for update in found], axis=1)
    np.testing.assert_allclose(xy, em.track(clip, good, model=name, **options).xy, atol=1e-6, rtol=0)
    refused(session.push, "finished", clip.frames[0])
    refused(session.add, "finished", good)
    refused(session.finish, "finished")
    session.reset()
    session.add([[0, 500, 5]])
    refused(session.push, "outside", clip.frames[0])


def test_points_that_never_began_stay_unknown(clip):
    for model in ("lucas_kanade", "multilag_matching"):
        session = em.tracking_session(model=model)
        session.add([[99, 5, 5]])
        updates = [session.push(clip.frames[0]), session.finish()]
        assert sum(update.n_frames for update in updates) == 1
        assert all(np.isnan(update.xy).all() and not update.visible.any() for update in updates)
        session.reset()
        session.add([[0, 5, 5]])
        assert session.finish().xy.shape == (1, 0, 2)


def test_a_tracker_of_whole_clips_is_refused():
    class Whole:
        name = "whole"

        def track(self, clip, queries, *, progress=None):
            raise NotImplementedError

    with pytest.raises(em.ModelError, match="whole needs a whole clip"):
        em.TrackingSession(Whole())
    with pytest.raises(em.DataError, match="spacing"):
        em.tracking_session(spacing_mm=(0, 1))
    with pytest.raises(em.ModelError, match="no tracker"):
        em.tracking_session(model="magic")
