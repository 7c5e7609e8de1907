import numpy as np
import pytest

from echomotion.core import DataError, Status, View, WallPoints
from echomotion.measure.strain import strain_measurements
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.strain_types import StrainOptions
from tests.measure.lines import FIRST, as_tracks, even, frame_times, shortening, straight, u_shape

TIMES = frame_times(50)
ES = 16


def judged(xy, **options):
    sure = options.pop("confidence", 0.9)
    (curves,) = strain_curves(as_tracks(xy, confidence=sure), FIRST, TIMES, **options)
    return curves


def rows_of(xy, confidence=0.9, **options):
    rows = strain_measurements(as_tracks(xy, confidence=confidence), FIRST, TIMES, **options)
    return {row.segment or row.name: row for row in rows}


def of_segments(*sizes):
    return straight(lambda t, k: sizes[k] * shortening(t), TIMES)


def test_an_even_wall_is_believed():
    curves = judged(even(20, TIMES))
    for quality in curves.quality.values():
        assert not quality.doubts
        assert not quality.rejected
        assert (quality.points, quality.tracked, quality.confidence) == (10, 1.0, pytest.approx(0.9))
    assert curves.rejected == ()


def test_neighbours_that_contradict_each_other_are_both_marked():
    rows = rows_of(of_segments(2, -32, -20, -20, -20, -20))
    for name in ("basal_inferoseptal", "mid_inferoseptal"):
        assert rows[name].status is Status.LOW_CONFIDENCE, name
        assert "points from" in rows[name].reason
    assert rows["mid_anterolateral"].status is Status.OK
    # An infarct that is no larger than this stays a measurement.
    assert rows["basal_inferoseptal"].value == pytest.approx(2, abs=2.5)
    assert rows["global_longitudinal_strain"].status is Status.OK


def test_a_jump_and_a_second_sign_of_failure_reject():
    sure = np.full((60, len(TIMES)), 0.9)
    sure[:10] = 0.4
    rows = rows_of(of_segments(8, -28, -20, -20, -20, -20), confidence=sure)
    assert rows["basal_inferoseptal"].status is Status.NOT_MEASURABLE
    assert "rejected" in rows["basal_inferoseptal"].reason
    assert rows["mid_inferoseptal"].status is Status.LOW_CONFIDENCE
    gls = rows["global_longitudinal_strain"]
    assert "without the rejected basal inferoseptal" in gls.reason
    assert gls.value == pytest.approx(-21.4, abs=0.6)
    off = rows_of(of_segments(8, -28, -20, -20, -20, -20), confidence=sure, options=StrainOptions(rejection=False))
    assert off["basal_inferoseptal"].status is Status.LOW_CONFIDENCE
    assert off["global_longitudinal_strain"].value == pytest.approx(-16.7, abs=0.3)


def heart_that_moves(base_moves: float):
    """A ventricle whose wall goes down to the apex; its first basal points move by a share of what they should."""
    rest = u_shape(60)
    along = (rest[:, 1] - rest[:, 1].min()) / np.ptp(rest[:, 1])
    move = -14.0 * along
    move[:10] *= np.linspace(base_moves, 1, 10)
    xy = rest[:, None] + np.zeros((1, len(TIMES), 1))
    xy[..., 1] += move[:, None] * shortening(TIMES)
    return xy


def test_points_that_hang_on_the_still_annulus_are_marked():
    good = judged(heart_that_moves(1.0), spacing_mm=(1.0, 1.0))
    assert all("annulus" not in " ".join(q.doubts) for q in good.quality.values())
    stuck = judged(heart_that_moves(0.0), spacing_mm=(1.0, 1.0)).quality["basal_inferoseptal"]
    assert any("stay behind" in doubt for doubt in stuck.doubts + stuck.failures)


def test_bright_points_that_do_not_shorten_are_marked():
    xy = heart_that_moves(1.0)
    # The first segment moves as a block.
    xy[:10, :, 1] = xy[:10, :1, 1] + (xy[10, :, 1] - xy[10, 0, 1])
    frames = np.full((len(TIMES), 160, 160), 60, dtype=np.uint8)
    plain = judged(xy, spacing_mm=(1.0, 1.0), frames=frames).quality["basal_inferoseptal"]
    assert not any("bright" in doubt for doubt in plain.doubts)
    for x, y in xy[:10, 0]:
        frames[:, int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5] = 220
    bright = judged(xy, spacing_mm=(1.0, 1.0), frames=frames).quality["basal_inferoseptal"]
    assert any("times as bright as the wall" in doubt for doubt in bright.doubts)


def test_confidence_forward_backward_error_and_drift_have_two_limits_each():
    xy = even(20, TIMES)
    for confidence, rejected in ((0.4, False), (0.1, True)):
        sure = np.full((60, len(TIMES)), 0.9)
        sure[20:30] = confidence
        quality = judged(xy, confidence=sure).quality["apical_septal"]
        assert quality.rejected is rejected
        assert "mean confidence" in (quality.failures or quality.doubts)[0]
    for error, rejected in ((3.0, False), (8.0, True)):
        errors = np.zeros(60)
        errors[20:30] = error
        for given in (errors, np.repeat(errors[:, None], len(TIMES), axis=1)):
            quality = judged(xy, forward_backward_px=given).quality["apical_septal"]
            assert quality.rejected is rejected
            assert quality.forward_backward == pytest.approx(error / 180, rel=1e-3)
    for drift, rejected in ((8.0, False), (20.0, True)):
        end = straight(lambda t, k, d=drift: -20 * shortening(t) + (d * t / 0.8 if k == 2 else 0), TIMES)
        quality = judged(end).quality["apical_septal"]
        assert quality.rejected is rejected
        assert quality.drift == pytest.approx(drift, rel=0.1)
    with pytest.raises(DataError, match="forward_backward_px has shape"):
        judged(xy, forward_backward_px=np.zeros(7))


def test_impossible_strain_is_rejected_and_too_many_rejections_leave_no_gls():
    rows = rows_of(of_segments(-70, -20, -20, -20, -20, -20))
    assert "not plausible" in rows["basal_inferoseptal"].reason
    assert rows["basal_inferoseptal"].status is Status.NOT_MEASURABLE
    bad = of_segments(-70, -20, -70, -20, -70, -20)
    rows = rows_of(bad)
    for name in ("global_longitudinal_strain", "peak_longitudinal_strain", "mean_segmental_longitudinal_strain"):
        assert rows[name].status is Status.NOT_MEASURABLE
        assert "3 of 6 segments were rejected" in rows[name].reason
    assert rows_of(bad, options=StrainOptions(most_rejected=3))["global_longitudinal_strain"].value < 0


def test_a_segment_without_points_is_said_to_have_none():
    tracks = as_tracks(even(20, TIMES))
    wall = tracks.wall
    keep = np.array([name != "mid_anterolateral" for name in wall.segment])
    part = WallPoints(wall.queries[keep], wall.layer, tuple(np.array(wall.segment)[keep]), wall.s[keep], View.A4C)
    fewer = type(tracks)(
        tracks.xy[keep], tracks.visible[keep], tracks.confidence[keep], tracks.queries[keep], part, "truth"
    )
    rows = {row.segment or row.name: row for row in strain_measurements(fewer, FIRST, TIMES)}
    assert len(rows) == 9
    assert rows["mid_anterolateral"].status is Status.NOT_MEASURABLE
    assert "no point of the wall lies in this segment" in rows["mid_anterolateral"].reason
    assert rows["basal_anterolateral"].status is Status.OK
    assert "without the rejected mid anterolateral" in rows["global_longitudinal_strain"].reason
