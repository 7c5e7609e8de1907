"""Phases of a real recording whose masks are wrong for a few frames after end-systole."""

import pytest

import echomotion as em
from echomotion.measure.lengths import line_length
from echomotion.measure.phase_signals import annulus_distance
from echomotion.measure.phases import find_phases


@pytest.mark.slow
def test_end_systole_is_where_the_wall_is_shortest_not_where_the_masks_fail(echo_data):
    clip = em.read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4")
    analysis = em.analyze(clip)
    tracks = analysis.tracks["mid_wall"]
    length = line_length(tracks.xy)
    phases = find_phases(
        analysis.curves["cavity_area"].values, clip.times_s, annulus=annulus_distance(tracks), length=length
    )
    (beat,) = phases.beats
    assert 0.8 <= beat.es_s <= 1.05
    assert 0.1 <= beat.ed_s <= 0.3
    assert "the cavity area leaves the other signals" in phases.reason
