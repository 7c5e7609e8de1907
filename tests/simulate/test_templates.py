"""Templates: a patient's contours give shape and motion, the image echogenicity; testing patients are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from echomotion.core import Clip, DataError, DatasetError, View
from echomotion.datasets.camus import CamusFrame, camus_root, read_camus_frame
from echomotion.measure.contours import largest_component, level_contour, resample
from echomotion.simulate.heart import HeartParameters
from echomotion.simulate.rhythm import steady_rhythm
from echomotion.simulate.sequence import simulate
from echomotion.simulate.store import simulate_to_folder, stored_displacement
from echomotion.simulate.templates import (
    Template,
    contracted,
    make_template,
    read_template,
    template_motion,
    template_names,
)
from tests.simulate.hearts import followed, lengths, reference_points, without_picture

SMALL = {"shape": (128, 128), "n_frames": 7, "n_tracks": 64}


@pytest.fixture(scope="module")
def frames():
    """Two frames of a simulated heart with its masks, as if they were a patient's."""
    heart = HeartParameters(View.A4C, rhythm=steady_rhythm(60))
    made = simulate(
        heart=heart, seed=1, frame_rate_hz=20, n_frames=9, reference_frame=0, difficulty=0.0, shape=(320, 320)
    )
    es = made.clip.frame_at(made.phases.beats[0].es_s if made.phases.beats else heart.rhythm.systole_s[0])
    labels = np.where(made.masks.labels == 4, 0, made.masks.labels)
    clips = [Clip(made.clip.frames[k][None], np.zeros(1), made.clip.spacing_mm, View.A4C) for k in (0, es)]
    patient = [
        CamusFrame("someone", p, "Good", c, labels[k]) for p, c, k in zip(("ED", "ES"), clips, (0, es), strict=True)
    ]
    return made, patient, es


@pytest.fixture(scope="module")
def template(frames):
    return make_template(*frames[1])


def gaps(template, patient, times):
    """How far the wall's two lines lie from the patient's contours at end-diastole and end-systole, (2, 2, N).

    In px of a picture with 256 rows. The contours are those of the masks, with the steps of their pixels.
    """
    motion = template_motion(HeartParameters(View.A4C), template, times)
    found = []
    for t, frame in enumerate(patient):
        step = np.array(frame.clip.spacing_mm[::-1])
        # The epicardium ends in the corner of the wall, which a drawn mask rounds off.
        for w, labels, s in ((0.0, (1,), np.linspace(0, 1, 240)), (1.0, (1, 2), np.linspace(0.05, 0.95, 240))):
            contour = level_contour(largest_component(np.isin(frame.labels, labels)).astype(float))
            contour = resample((contour - template.tip_px) * step, 4000, closed=True)
            gap, _ = cKDTree(contour).query(motion.wall_positions(s, w)[:, t])
            found.append(gap * 256 / template.depth_mm)
    return np.array(found).reshape(2, 2, -1)


def least_jacobian(template):
    """The least change of area of any piece of the wall through the beat, by its dense displacement."""
    heart = HeartParameters(View.A4C)
    motion = template_motion(heart, template, np.linspace(0, heart.rhythm.rr_s[0], 9))
    s, w = np.meshgrid(np.linspace(0, 1, 400), np.linspace(0, 1, 9), indexing="ij")
    points = motion.wall.reference(s.ravel(), w.ravel())
    moved = (points[:, None] + motion.displacement(points)).reshape(*s.shape, motion.n_times, 2)
    a, b = moved[1:, 1:] - moved[:-1, :-1], moved[:-1, 1:] - moved[1:, :-1]
    area = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.min(area / area[..., :1])


CORNERS = [0.0, HeartParameters(View.A4C).rhythm.systole_s[0]]


def test_shape_and_motion_follow_the_two_contours(frames, template):
    made, patient, es = frames
    gap = gaps(template, patient, CORNERS)
    assert gap.mean(axis=-1).max() < 0.5
    assert gap.max() < 1.5
    assert least_jacobian(template) > 0.2
    # The strain of the wall comes out as that of the heart from which the contours were taken.
    motion = template_motion(HeartParameters(View.A4C), template, CORNERS)
    middle = motion.wall_positions(np.linspace(0, 1, 241), 0.5)
    length = np.hypot(*np.moveaxis(np.diff(middle, axis=0), -1, 0)).sum(axis=0)
    assert 100 * (length[1] / length[0] - 1) == pytest.approx(made.truth.strain["mid_wall"][es], abs=2.0)
    assert template.sector_deg == pytest.approx(made.recording.probe.sector_deg, abs=3)
    assert template.depth_mm == pytest.approx(made.recording.probe.depth_mm, rel=0.04)


def follow_patients(root, names):
    for name in names:
        template = read_template(root, name)
        patient = [read_camus_frame(camus_root(root), name, phase, "4CH") for phase in ("ED", "ES")]
        gap = gaps(template, patient, CORNERS)
        assert gap.mean(axis=-1).max() < 0.5, name
        assert gap.max() < 1.5, name
        assert least_jacobian(template) > 0.05, name


def test_patients_contours_are_followed_without_folds(echo_data):
    follow_patients(echo_data, template_names(echo_data, "fit")[6:7])


@pytest.mark.slow
def test_many_patients_contours_are_followed_without_folds(echo_data):
    follow_patients(echo_data, template_names(echo_data, "fit")[::9])


def test_echogenicity_follows_the_image(template):
    centre = template.endo_ed.mean(axis=0)[None]
    middle = ((template.endo_ed + template.epi_ed) / 2)[20:-20]
    assert template.levels(centre, 55.0)[0] < np.median(template.levels(middle, 55.0)) - 4
    sequence = simulate("A4C", 1, template=template, difficulty=0.0, **SMALL)
    grey = sequence.clip.frames[sequence.reference_frame]
    labels = sequence.masks.labels[sequence.reference_frame]
    assert grey[labels == 2].mean() > 1.3 * grey[labels == 1].mean()
    assert sequence.masks.has("left_atrium")


def test_tissue_is_as_bright_at_end_systole_as_the_image_there(template):
    bright, dark = (replace(template, grey_es=template.grey_es + change) for change in (0.15, -0.15))
    options = {"difficulty": 0.0, "n_frames": 12, "frame_rate_hz": 30.0, "reference_frame": 0, "n_tracks": 4}
    frames = {name: simulate("A4C", 1, template=t, **options) for name, t in (("up", bright), ("down", dark))}
    labels = frames["up"].masks.labels
    es = int((labels == 1).sum(axis=(1, 2)).argmin())
    wall = {name: [made.clip.frames[t][labels[t] == 2].mean() for t in (0, es)] for name, made in frames.items()}
    assert wall["up"][0] == pytest.approx(wall["down"][0], abs=2)
    assert wall["up"][1] > wall["down"][1] + 25


def test_contraction_brings_the_outline_of_one_phase_to_that_of_the_other(template):
    moved = contracted(template, np.asarray(template.endo_ed))
    assert np.hypot(*(moved - template.endo_es).T).max() < 0.5


def test_a_template_motion_is_stored_with_the_sequence(template):
    sequence = simulate("A4C", 4, template=template, **SMALL)
    points = np.random.default_rng(0).uniform(20, 110, (50, 2))
    again = stored_displacement(sequence.parameters(), points)
    assert np.abs(again - sequence.displacement(points)).max() < 1e-3
    assert Template.from_outlines(template.outlines()).apex_s == template.apex_s


def test_a_template_states_what_its_displacement_shows(template):
    sequence = without_picture("A4C", 4, template=template, n_frames=9, n_tracks=64, shape=(128, 128))
    truth, frame = sequence.truth, sequence.reference_frame
    for layer, w in (("endocardial", 0.0), ("mid_wall", 0.5), ("epicardial", 1.0)):
        length = lengths(followed(sequence, reference_points(sequence, np.linspace(0, 1, 2000), w)))
        assert np.abs(100 * (length / length[frame] - 1) - truth.strain[layer]).max() < 0.1
    start = sequence.tracks.queries[:, 1:]
    assert np.abs(followed(sequence, start) - sequence.tracks.xy).max() < 1e-3
    area = truth.wall_area_mm2
    assert np.allclose(area[frame] / area, truth.out_of_plane_stretch, rtol=1e-3)


def test_contours_that_do_not_fit_are_refused(frames, template):
    _, (ed, es), _ = frames
    empty = CamusFrame("someone", "ES", "", es.clip, np.zeros_like(es.labels))
    with pytest.raises(DataError, match="template someone, ES"):
        make_template(ed, empty)
    turned = CamusFrame("someone", "ES", "", es.clip, es.labels[::-1])
    with pytest.raises(DataError, match="fold"):
        make_template(ed, turned)
    with pytest.raises(DataError, match="A4C is needed"):
        template_motion(HeartParameters(View.PSAX), template, [0.0])


def test_testing_patients_are_never_used(tmp_path):
    with pytest.raises(DatasetError, match="never used"):
        template_names(tmp_path, "testing")
    (tmp_path / "database_nifti").mkdir()
    (tmp_path / "database_split").mkdir()
    (tmp_path / "database_split" / "subgroup_testing.txt").write_text("patient0001\n")
    with pytest.raises(DatasetError, match="testing patient"):
        read_template(tmp_path, "patient0001")
    with pytest.raises(DatasetError, match="testing"):
        simulate_to_folder("A4C", 1, 0, tmp_path / "out", templates=tmp_path, template_split="testing")


def test_real_patients_make_beating_hearts(echo_data):
    names = template_names(echo_data, "fit")
    assert len(names) == 369
    template = read_template(echo_data, names[3])
    sequence = simulate("A4C", 2, template=template, reference_frame=0, **SMALL)
    truth = sequence.truth
    assert 20 < truth.ejection_fraction < 80
    assert -30 < truth.end_systolic_strain < 0
    assert truth.wall_area_mm2.min() > 0
