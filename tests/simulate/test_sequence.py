"""A whole sequence: its parts and types; key-points; seeds; the reference; phases; streams; batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from echomotion.core import DataError, View
from echomotion.measure.lengths import line_strain, segment_lengths, strain_of_lengths
from echomotion.simulate.anatomy import CLASSES
from echomotion.simulate.artefacts import Artefacts, Shadow
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import VIEWS, HeartParameters, wall_segments
from echomotion.simulate.probe import Probe
from echomotion.simulate.recording import plan_recording, render_recording
from echomotion.simulate.rhythm import fibrillation, steady_rhythm
from echomotion.simulate.sequence import batch_stream, simulate, stream
from tests.simulate.hearts import without_picture

SMALL = {"shape": (96, 96), "n_frames": 9, "n_tracks": 48}


@pytest.fixture(scope="module", params=VIEWS)
def sequence(request):
    return simulate(request.param, seed=3, n_frames=12, n_tracks=200, shape=(160, 160), difficulty=0.2)


def test_it_has_everything_in_its_types(sequence):
    view, frames = sequence.clip.view, sequence.clip.n_frames
    assert sequence.clip.shape == (160, 160)
    assert sequence.clip.spacing_mm[0] == sequence.clip.spacing_mm[1] > 0
    assert sequence.tracks.xy.shape == (200, frames, 2)
    assert sequence.tracks.visible[:, sequence.reference_frame].mean() > 0.6
    assert sequence.point_tissue.count("wall") >= 140
    assert tuple(sequence.masks.classes.values()) == CLASSES[view]
    for name in CLASSES[view]:
        if name != "aorta":
            assert sequence.masks.mask(name).any(), name
    assert sequence.keypoints.xy.shape == (len(sequence.keypoints.names), frames, 2)
    assert tuple(sequence.truth.segment_strain) == wall_segments(view)
    assert 10 < sequence.clip.frames[sequence.masks.labels == 2].mean() < 230


def test_a_perfect_tracker_measures_the_stated_strain(sequence):
    tracks = sequence.wall_line("mid_wall", count=200)
    found = line_strain(tracks.xy, sequence.reference_frame, sequence.clip.spacing_mm)
    assert np.abs(found - sequence.truth.strain["mid_wall"]).max() < 0.1
    lengths = segment_lengths(tracks.xy, tracks.wall, sequence.clip.spacing_mm, ed_frame=sequence.reference_frame)
    for name, length in lengths.items():
        strain = strain_of_lengths(length, sequence.reference_frame)
        assert np.abs(strain - sequence.truth.segment_strain[name]).max() < 0.6


def test_key_points_lie_on_the_wall(sequence):
    masks, keypoints = sequence.masks, sequence.keypoints
    t = sequence.reference_frame
    near = ndimage.binary_dilation(np.isin(masks.labels[t], (1, 2, 3)), iterations=2)
    for x, y in np.round(keypoints.xy[:, t]).astype(int):
        if 0 <= x < 160 and 0 <= y < 160 and sequence.clip.frames[:, y, x].any():
            assert near[y, x]
    if sequence.clip.view is View.PLAX:
        size = sequence.dimensions_mm
        assert set(size) == {"ivs", "lvid", "lvpw"}
        assert size["lvid"].min() < size["lvid"][t]
        assert size["lvpw"].max() > size["lvpw"][t]


def test_the_same_seed_gives_the_same_sequence_to_the_bit():
    first, second, other = (simulate("A4C", seed, **SMALL) for seed in (5, 5, 6))
    for name in ("clip.frames", "tracks.xy", "tracks.visible", "masks.labels", "keypoints.xy"):
        part, field = name.split(".")
        assert np.array_equal(getattr(getattr(first, part), field), getattr(getattr(second, part), field))
    assert first.parameters() == second.parameters()
    assert not np.array_equal(first.clip.frames, other.clip.frames)


def test_drawing_does_not_touch_the_global_generators():
    state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    simulate("PSAX", 1, **SMALL)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


def test_several_beats_and_fibrillation_have_their_phases():
    heart = HeartParameters(View.A4C, rhythm=steady_rhythm(120))
    sequence = simulate(heart=heart, seed=0, frame_rate_hz=20, n_frames=32, shape=(64, 64), n_tracks=8)
    beats = sequence.phases.beats
    assert len(beats) == 3
    assert beats[1].ed_s - beats[0].ed_s == pytest.approx(0.5)
    assert beats[0].es_s - beats[0].ed_s == pytest.approx(heart.rhythm.systole_s[0])
    # The last beat begins in the clip and contracts after it.
    assert np.allclose(sequence.clip.r_wave_times_s, [*(b.ed_s for b in beats), 1.5])
    volume = sequence.truth.volume_ml
    assert sequence.truth.ejection_fraction == pytest.approx(100 * (1 - volume.min() / volume[0]), abs=2)
    irregular = heart.with_(rhythm=fibrillation(100, np.random.default_rng(0)))
    uneven = simulate(heart=irregular, seed=0, frame_rate_hz=20, n_frames=60, shape=(64, 64), n_tracks=8)
    gaps = np.diff(uneven.clip.r_wave_times_s)
    assert np.ptp(gaps) > 0.05


@pytest.mark.parametrize("view", ["A2C", "PSAX"])
def test_the_reference_may_lie_anywhere_in_the_clip(view):
    heart = draw_heart(view, np.random.default_rng(4))
    probe = Probe(sector_deg=80, depth_mm=150)
    options = SMALL | {"heart": heart, "probe": probe, "frame_rate_hz": 30, "seed": 4}
    first = without_picture(view, reference_frame=0, **options)
    points = first.tracks.queries[:, 1:]
    for frame in (0, 4, 8):
        late = without_picture(view, reference_frame=frame, **options)
        tracks = late.tracks
        assert np.isclose(late.clip.r_wave_times_s, late.clip.times_s[frame], rtol=0, atol=1e-9).any()
        assert np.all(tracks.queries[:, 0] == frame)
        assert np.array_equal(tracks.xy[:, frame], tracks.queries[:, 1:].astype(np.float32))
        places = tracks.queries[:, None, 1:] + late.displacement(tracks.queries[:, 1:])
        assert np.abs(places - tracks.xy).max() < 1e-3
        for strain in (late.truth.strain["mid_wall"], late.truth.radial_strain):
            assert np.abs(strain[frame]) < 1e-6
        # The same moments of the same heart: the frames that both clips have.
        shared = late.clip.n_frames - frame
        assert np.abs(late.displacement(points)[:, frame:] - first.displacement(points)[:, :shared]).max() < 1e-6
        assert np.allclose(late.truth.strain["mid_wall"][frame:], first.truth.strain["mid_wall"][:shared], atol=1e-6)


def test_an_end_diastole_is_marked_though_its_beat_is_cut_short():
    short = without_picture("A4C", 1, n_frames=3, frame_rate_hz=60, reference_frame=1, n_tracks=8, shape=(64, 64))
    assert short.phases.beats == ()
    assert np.allclose(short.clip.r_wave_times_s, [1 / 60])


@pytest.mark.slow
def test_tracks_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(simulate("A4C", 9, **SMALL))
    finally:
        torch.set_num_threads(before)
    assert np.abs(made[0].tracks.xy - made[1].tracks.xy).max() < 1e-3
    close = np.abs(made[0].clip.frames.astype(int) - made[1].clip.frames.astype(int)) <= 1
    assert close.mean() > 0.999


def test_points_behind_a_rib_and_outside_the_fan_are_not_visible():
    probe = Probe(sector_deg=50, depth_mm=150)
    clear, hidden = (
        simulate("A4C", 2, probe=probe, artefacts=artefacts, **SMALL)
        for artefacts in (Artefacts(), Artefacts(shadows=(Shadow(15.0, 14.0, 30.0),)))
    )
    assert hidden.tracks.visible.sum() < clear.tracks.visible.sum()
    xy = clear.tracks.xy * clear.clip.spacing_mm[0]
    tip = np.array(clear.recording.picture.origin_px) * clear.clip.spacing_mm[0]
    angle = np.degrees(np.arctan2(*(np.moveaxis(xy - tip, -1, 0))))
    assert np.array_equal(
        clear.tracks.visible, (np.abs(angle) <= 25) & (np.hypot(*np.moveaxis(xy - tip, -1, 0)) <= 150)
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"view": "XYZ"}, "view"),
        ({"frame_rate_hz": 0}, "frame_rate_hz is 0; it must lie between 20 and 120"),
        ({"n_frames": 0}, "n_frames"),
        ({"kind": "odd"}, "kind"),
        ({"difficulty": 2}, "difficulty"),
        ({"n_tracks": 0}, "n_tracks"),
        ({"reference_frame": 99}, "reference_frame"),
        ({"seed": -1}, "seed"),
        ({"n_frames": 4.5}, "n_frames is 4.5; a whole number from 1 to 2000"),
        ({"shape": (4, 4)}, "shape"),
    ],
)
def test_bad_arguments_are_refused_by_name(options, named):
    with pytest.raises(DataError, match=named):
        simulate(**({"view": "A4C", "seed": 0} | options))


def test_streams_repeat_and_batches_hold_the_same_sequences():
    options = {"shape": (64, 64), "n_frames": 5, "n_tracks": 32, "difficulty": 0.1}
    first, again = (list(itertools.islice(stream(7, ("A4C", "PSAX"), **options), 3)) for _ in range(2))
    assert [s.seed for s in first] == [s.seed for s in again]
    assert np.array_equal(first[2].clip.frames, again[2].clip.frames)
    batch = next(batch_stream(3, 7, ("A4C", "PSAX"), **options))
    assert batch.frames.shape == (3, 5, 64, 64)
    assert batch.frames.dtype == torch.uint8
    assert batch.tracks.shape == (3, 32, 5, 2)
    assert batch.visible.shape == (3, 32, 5)
    assert batch.seeds == tuple(s.seed for s in first)
    for k, sequence in enumerate(first):
        assert np.array_equal(batch.frames[k].numpy(), sequence.clip.frames)
        assert np.array_equal(batch.tracks[k].numpy(), sequence.tracks.xy)
        assert int(batch.reference_frame[k]) == sequence.reference_frame
        assert np.allclose(batch.times_s[k].numpy(), sequence.clip.times_s, atol=1e-6)
    with pytest.raises(DataError, match="views is empty"):
        next(stream(0, ()))
    with pytest.raises(DataError, match="batch"):
        next(batch_stream(0))


def test_frames_are_made_without_a_look_at_their_values(monkeypatch):
    # On a GPU each of these would wait for the device and copy back to the host.
    recording = plan_recording("A4C", 4, n_frames=3, n_tracks=8, shape=(64, 64), difficulty=1.0)

    def refused(*_):
        raise AssertionError("the rendering asked for the value of a tensor")

    for name in ("cpu", "item", "tolist", "numpy", "__array__", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, refused)
    frames = render_recording(recording)
    monkeypatch.undo()
    assert frames.shape == (3, 64, 64)
    assert frames.dtype == torch.uint8
