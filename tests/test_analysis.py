"""The main job on a drawn, beating ventricle whose numbers are known, and on recordings that hold none."""

from __future__ import annotations

import numpy as np
import pytest

import echomotion as em
from echomotion.analysis import describe_clip
from echomotion.core import Status
from echomotion.measure.clip_measurements import MeasureOptions


@pytest.fixture(scope="module")
def empty_room():
    """A probe that touches nothing: almost black."""
    rng = np.random.default_rng(0)
    return em.Clip(rng.integers(0, 3, (12, 120, 160)).astype(np.uint8), np.arange(12) / 30)


def test_a_clip_without_a_ventricle_ends_with_reasons_not_with_an_error(empty_room, tmp_path):
    result = em.analyze(empty_room)
    assert result.measurements
    assert all(m.status is Status.NOT_MEASURABLE and m.reason for m in result.measurements)
    assert result.tracks == {}
    names = {path.name for path in result.save(tmp_path / "out").iterdir()}
    assert {"report.html", "overlay.mp4", "measurements.csv", "provenance.json"} <= names


def test_nothing_measured_in_noise_is_called_ok():
    frames = np.random.default_rng(0).integers(0, 30, (12, 120, 160)).astype(np.uint8)
    result = em.analyze(em.Clip(frames, np.arange(12) / 30))
    assert all(m.status is not Status.OK for m in result.measurements)


def test_a_single_frame_and_wrong_phases_are_refused(empty_room):
    with pytest.raises(em.DataError, match="single frame"):
        em.analyze(em.Clip(empty_room.frames[:1], empty_room.times_s[:1]))
    with pytest.raises(em.DataError, match="off the clip"):
        em.analyze(empty_room, options=em.AnalysisOptions(ed_s=0.1, es_s=9.0))


def test_a_parasternal_clip_is_measured_by_its_key_points(tmp_path):
    frames = np.random.default_rng(0).integers(0, 30, (12, 120, 160)).astype(np.uint8)
    clip = em.Clip(frames, np.arange(12) / 30, (0.5, 0.5), "PLAX")
    result = em.analyze(clip, options=em.AnalysisOptions(ed_s=0.0, es_s=0.2))
    assert result.keypoints.xy.shape == (4, 12, 2)
    assert result.phases.source == "user"
    # There is no heart in noise.
    assert all(m.status is not Status.OK for m in result.measurements)
    assert any("simulated hearts" in warning for warning in result.warnings)
    assert {model["name"] for model in result.provenance["models"]} == {
        "tracked",
        "sknet",
        "echomotion_tracker",
        "view_classifier",
    }
    with pytest.raises(em.DataError, match="off the clip"):
        em.analyze(clip, options=em.AnalysisOptions(ed_s=0.1, es_s=9.0))


def test_an_unknown_measurement_lists_the_known(empty_room):
    result = em.analyze(empty_room)
    assert np.isnan(result["ejection_fraction"].value)
    with pytest.raises(KeyError, match="ejection_fraction"):
        result["ejection"]


def test_facts_of_a_clip_name_what_is_unknown(empty_room):
    facts = describe_clip(empty_room)
    assert facts["pixel_mm"] is None
    assert facts["frame_rate_hz"] == pytest.approx(30)
    assert facts["view"] == "UNKNOWN"


def test_a_real_clip_without_pixel_size_has_strain_and_ejection_fraction_but_no_millilitres(echo_data):
    clip = em.read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4", view="A4C")
    result = em.analyze(clip)
    assert 30 < result["ejection_fraction"].value < 70
    assert result["ejection_fraction"].unit == "%"
    assert -30 < result["global_longitudinal_strain"].value < -5
    volume = result["end_diastolic_volume"]
    assert (volume.unit, volume.status) == ("px3", Status.LOW_CONFIDENCE)
    assert "not calibrated" in volume.reason
    assert sum(m.name == "longitudinal_strain" and m.layer == "mid_wall" for m in result.measurements) == 6
    assert set(result.forward_backward_px) == set(result.tracks)
    # Of 768 rows; a point that is lost would miss by tens.
    assert 0 < np.median(result.forward_backward_px["mid_wall"]) < 6


def test_names_of_segments_are_doubted_in_a_mirrored_picture_and_nothing_else_is(echo_data):
    clip = em.read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4", view="A4C")
    few = clip.with_(frames=np.ascontiguousarray(clip.frames[::4, ::2, ::-2]), times_s=clip.times_s[::4])
    result = em.analyze(few)
    named = [m for m in result.measurements if m.segment is not None and m.status is not Status.NOT_MEASURABLE]
    assert named
    assert all(m.status is Status.LOW_CONFIDENCE and "looks mirrored" in m.reason for m in named)
    assert any("looks mirrored" in warning for warning in result.warnings)
    assert "mirrored" not in result["global_longitudinal_strain"].reason
    assert "display_classifier" in {model["name"] for model in result.provenance["models"]}
    # Stated, the same walls have the other names, and nothing is doubted.
    stated = em.analyze(few, options=em.AnalysisOptions(measure=MeasureOptions(mirrored=True)))
    assert not any("mirrored" in m.reason for m in stated.measurements)
    assert not any("mirrored" in warning for warning in stated.warnings)
    exchanged = {"basal_inferoseptal": "basal_anterolateral", "apical_lateral": "apical_septal"}
    strain = [
        {m.segment: m.value for m in found.measurements if m.name == "longitudinal_strain" and m.layer == "mid_wall"}
        for found in (result, stated)
    ]
    for name, other in exchanged.items():
        assert strain[0][name] == pytest.approx(strain[1][other])


@pytest.mark.slow
def test_the_whole_job_for_a_cycle_of_45_frames_fits_into_fifteen_seconds_on_two_cores(echo_data, tmp_path):
    import torch

    from benchmarks.analysis_speed import stages

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        spent = stages(echo_data / "clips" / "apical4_echotracker_45f.mp4", tmp_path)
    finally:
        torch.set_num_threads(threads)
    # The processor's seconds, since other work on the machine must not decide: two cores share at least half of them.
    assert spent["all"][1] <= 22
