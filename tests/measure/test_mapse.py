import numpy as np
import pytest

from echomotion.core import Beat, DataError, Phases, Status, View
from echomotion.measure.mapse import MAPSE, inward_excursion, mapse_measurements
from tests.measure.lines import FIRST, PHASES, as_tracks, frame_times, shortening, u_shape

TIMES = frame_times(50, 2)


def ventricle(left=14.0, right=10.0, spacing=(0.5, 0.25), shift=0.0):
    """A wall (N, T, 2) in px whose left end comes down by `left` mm and whose right end by `right` mm."""
    rest = u_shape(61)
    along = (rest[:, 1] - rest[:, 1].min()) / np.ptp(rest[:, 1])
    size = np.interp(np.arange(61), [0, 30, 60], [left, 0, right]) * (along > 0)
    xy = rest[:, None] + np.zeros((1, len(TIMES), 1))
    xy[..., 1] -= size[:, None] * shortening(TIMES)
    xy[..., 0] += shift * shortening(TIMES)
    return xy / np.array(spacing[::-1])


def test_mapse_of_both_sides_and_their_mean():
    tracks = as_tracks(ventricle(), layer="endocardial")
    rows = mapse_measurements(tracks, PHASES, TIMES, (0.5, 0.25))
    first = {row.segment: row for row in rows if row.beat == 0}
    assert {name: pytest.approx(row.value, abs=0.05) for name, row in first.items()} == {
        None: 12.0,
        "basal_inferoseptal": 14.0,
        "basal_anterolateral": 10.0,
    }
    assert all((row.name, row.unit, row.status) == (MAPSE, "mm", Status.OK) for row in rows)
    assert [row.beat for row in rows] == [0] * 3 + [1] * 3 + [None] * 3


def test_without_spacing_it_is_in_pixels_and_says_so():
    row = mapse_measurements(as_tracks(ventricle(spacing=(1, 1))), FIRST, TIMES)[0]
    assert (row.unit, row.status) == ("px", Status.LOW_CONFIDENCE)
    assert "not calibrated" in row.reason
    assert row.value == pytest.approx(12, abs=0.05)


def test_what_cannot_be_measured_says_why():
    tracks = as_tracks(ventricle())
    for rows, reason in (
        (mapse_measurements(None, FIRST, TIMES, view=View.A4C), "no ventricular wall"),
        (mapse_measurements(tracks, Phases((), "area", 0.0, "flat"), TIMES), "flat"),
        (mapse_measurements(tracks, FIRST, TIMES, view=View.PSAX), "need an apical view"),
    ):
        assert [row.status for row in rows] == [Status.NOT_MEASURABLE]
        assert reason in rows[0].reason
    xy = ventricle()
    xy[0, 3:20] = np.nan
    whole, left, right = mapse_measurements(as_tracks(xy), FIRST, TIMES, (0.5, 0.25))
    assert "one side" in whole.reason
    assert left.status is Status.NOT_MEASURABLE
    assert right.value == pytest.approx(10, abs=0.05)
    with pytest.raises(DataError, match="must increase"):
        mapse_measurements(tracks, FIRST, TIMES[::-1], (0.5, 0.25))


def test_a_beat_that_starts_in_systole_is_read_at_end_systole():
    phases = Phases((Beat(0.8, 0.32),), "area", 0.6)
    row = mapse_measurements(as_tracks(ventricle()), phases, TIMES, (0.5, 0.25))[0]
    assert row.value == pytest.approx(12, abs=0.05)


def test_inward_displacement_does_not_count_movement_of_the_whole_heart():
    rest = u_shape(61)
    squeezed = rest.copy()
    squeezed[:, 0] = 100 + 0.8 * (rest[:, 0] - 100)
    found = []
    for shift in (0.0, 9.0):
        xy = np.stack([rest, squeezed + shift], axis=1)
        tracks = as_tracks(xy, layer="endocardial")
        beat = Phases((Beat(0.0, 0.3),), "user", 1.0)
        found.append(inward_excursion(tracks, beat, [0.0, 0.3], (1.0, 1.0)))
    still, carried = found
    assert carried == {name: pytest.approx(value, abs=1e-4) for name, value in still.items()}
    assert 0.5 < still["mid_inferoseptal"] < 4.0
    assert abs(still["apical_septal"]) < still["mid_inferoseptal"]
    with pytest.raises(DataError, match="needs the endocardial line"):
        inward_excursion(as_tracks(xy), beat, [0.0, 0.3], (1.0, 1.0))
