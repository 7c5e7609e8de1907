"""The held-out set: what it holds, that it is always the same, and that its cases say what the simulator knows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from echomotion.core import OutputError, View
from echomotion.datasets.tracking import read_tracking
from echomotion.evaluation import held_out
from echomotion.evaluation.held_out import held_out_parts, held_out_specs, write_held_out
from echomotion.evaluation.wall_sample import line_part, longest_run, sample_wall
from echomotion.simulate.sequence import simulate


def test_the_set_has_64_clips_of_five_views_and_16_of_a_sixth():
    specs = held_out_specs()
    assert len({spec.name for spec in specs}) == len({spec.number for spec in specs}) == 80
    inside = Counter(spec.view for spec in specs if spec.part == "in_distribution")
    assert sum(inside.values()) == 64
    assert set(inside) == {View.A4C, View.A2C, View.A3C, View.PLAX, View.PSAX}
    assert Counter(s.view for s in specs if s.part == "out_of_distribution") == {View.RV_FOCUSED: 16}
    # Patients go by the number of the clip.
    assert [s.number for s in specs if s.view is View.A4C] == list(range(24))


@pytest.fixture(scope="module")
def two_clips(tmp_path_factory):
    specs = [held_out_specs()[k] for k in (24, 79)]
    return write_held_out(tmp_path_factory.mktemp("held") / "set", specs=specs), specs


def test_written_clips_are_read_as_cases(two_clips):
    folder, specs = two_clips
    parts = held_out_parts(folder)
    assert list(parts) == ["in_distribution", "out_of_distribution"]
    for spec in specs:
        (case,) = read_tracking(parts[spec.part])
        assert case.name == spec.name
        assert case.clip.view is spec.view
        assert case.clip.frames.shape == (36, 256, 256)
        assert len(case.xy) == 64
        assert case.visible[:, case.ed_frame].all()
        line = case.line()
        assert len(line) == 0 or len(line) >= 16
        assert case.visible[line].all()
        # The wall moves, and the points lie in the picture where they are seen.
        assert np.ptp(case.xy, axis=1).max() > 2
        assert case.xy[case.visible].min() > -0.5
        assert case.xy[case.visible].max() < 255.5


def test_the_same_clip_is_made_again_bit_for_bit(two_clips):
    folder, specs = two_clips
    (case,) = read_tracking(folder / "in_distribution")
    again = held_out.case_of(held_out.held_out_sequence(specs[0]), specs[0].name)
    assert np.array_equal(case.clip.frames, again.clip.frames)
    assert np.array_equal(case.xy.astype(np.float32), again.xy.astype(np.float32))
    assert case.clip.times_s == pytest.approx(again.clip.times_s)


def test_a_finished_clip_is_kept_and_another_set_is_refused(two_clips, tmp_path):
    folder, specs = two_clips
    file = folder / "in_distribution" / f"{specs[0].name}.npz"
    before = file.stat().st_mtime_ns
    seen = []
    write_held_out(folder, specs=specs, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    assert file.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="another set"):
        write_held_out(folder, specs=specs, templates=tmp_path)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not an empty folder"):
        write_held_out(tmp_path, specs=specs)


def test_four_chamber_clips_have_validation_patients(echo_data, tmp_path):
    spec = held_out_specs()[1]
    write_held_out(tmp_path / "set", templates=echo_data, specs=[spec])
    (case,) = read_tracking(tmp_path / "set" / "in_distribution")
    parametric = held_out.case_of(held_out.held_out_sequence(spec), spec.name)
    assert case.clip.view is View.A4C
    assert not np.array_equal(case.clip.frames, parametric.clip.frames)
    assert "CC BY-NC-SA" in (tmp_path / "set" / "manifest.json").read_text()


def test_a_plain_folder_is_one_part(tmp_path):
    assert held_out_parts(tmp_path) == {tmp_path.name: tmp_path}


def test_points_of_the_wall_go_where_the_simulator_says():
    sequence = simulate("A2C", 5, n_tracks=1)
    sample = sample_wall(sequence, 40, np.random.default_rng(0))
    frame = sequence.reference_frame
    moved = sequence.displacement(sample.xy[:, frame])
    assert np.allclose(sample.xy[:, frame, None] + moved, sample.xy, atol=0.05)


def test_the_longest_part_that_is_seen():
    assert longest_run(np.array([1, 1, 0, 1, 1, 1, 0], bool)) == slice(3, 6)
    assert longest_run(np.zeros(4, bool)) == slice(0, 0)
    visible = np.ones((32, 2), bool)
    visible[20, 1] = False
    assert line_part(visible).tolist() == list(range(20))
    visible[10, 0] = False
    assert line_part(visible).tolist() == []
