"""Phases of a real recording, also where its masks are wrong for a few frames after end-systole."""

import numpy as np
import pytest

import echomotion as em
from echomotion.measure.lengths import line_length
from echomotion.measure.phase_signals import annulus_distance
from echomotion.measure.phases import find_phases


@pytest.mark.slow
def test_end_systole_is_where_the_wall_is_shortest_not_where_masks_fail(echo_data):
    """Masks that follow the leaflets while the mitral valve opens do not decide."""
    clip = em.read_clip(echo_data / "clips" / "apical4_echotracker_45f.mp4")
    analysis = em.analyze(clip)
    tracks = analysis.tracks["mid_wall"]
    signals = {"annulus": annulus_distance(tracks), "length": line_length(tracks.xy)}
    area = analysis.curves["cavity_area"].values
    failed = area * np.where(np.abs(clip.times_s - 1.2) < 0.11, 0.75, 1.0)
    assert np.nanargmin(failed) > 21
    for curve in (area, failed):
        phases = find_phases(curve, clip.times_s, **signals)
        (beat,) = phases.beats
        assert 0.8 <= beat.es_s <= 1.05
        assert 0.1 <= beat.ed_s <= 0.3
        assert ("the cavity area leaves the other signals" in phases.reason) == (curve is failed)
