import numpy as np
import pytest

from echomotion.core import Layer, Phases, Status, View
from echomotion.measure.strain_types import StrainOptions
from echomotion.measure.wall_measurements import wall_measurements
from tests.measure.lines import PHASES, as_tracks, frame_times, shortening, u_shape

TIMES = frame_times(50, 2)
SPACING = (0.5, 0.5)


def lines():
    """Three nested lines that shrink about the apex: every line's strain is -18 %."""
    found = {}
    for layer, width in ((Layer.MID_WALL, 50.0), (Layer.ENDOCARDIAL, 40.0), (Layer.EPICARDIAL, 60.0)):
        rest = u_shape(61, width, 80 + (width - 40) / 2)
        apex = np.array([100.0, 30.0])
        scale = 1 - 0.18 * shortening(TIMES)
        found[layer] = as_tracks((apex + (rest - apex)[:, None] * scale[None, :, None]) / 0.5, layer=layer)
    return found


@pytest.fixture(scope="module")
def result():
    return wall_measurements(lines(), PHASES, TIMES, SPACING, View.A4C)


def test_everything_that_can_be_measured_on_a_wall_is(result):
    names = {row.name for row in result.measurements}
    assert names == {
        "global_longitudinal_strain",
        "peak_longitudinal_strain",
        "mean_segmental_longitudinal_strain",
        "longitudinal_strain",
        "peak_systolic_longitudinal_strain",
        "positive_peak_systolic_longitudinal_strain",
        "post_systolic_index",
        "time_to_peak_longitudinal_strain",
        "mechanical_dispersion",
        "systolic_longitudinal_strain_rate",
        "early_diastolic_longitudinal_strain_rate",
        "late_diastolic_longitudinal_strain_rate",
        "global_radial_strain",
        "peak_radial_strain",
        "mean_segmental_radial_strain",
        "radial_strain",
        "mitral_annular_plane_systolic_excursion",
        "wall_motion_score",
        "wall_motion_score_index",
    }
    assert set(result.curves) == {"mid_wall", "endocardial", "epicardial", "full_wall", "radial"}
    for row in result.measurements:
        if row.name == "global_longitudinal_strain":
            assert row.value == pytest.approx(-18, abs=0.1), row
    keys = [(r.name, r.segment, r.layer, r.beat) for r in result.measurements]
    assert len(keys) == len(set(keys)), "a number is given twice"
    assert all(row.view is View.A4C for row in result.measurements)


def test_radial_strain_of_apical_views_is_never_sure_and_scores_do_not_inherit_that(result):
    radial = [row for row in result.measurements if "radial" in row.name]
    assert radial
    assert all(row.status is Status.LOW_CONFIDENCE and "about half of what it is" in row.reason for row in radial)
    scores = [row for row in result.measurements if row.name == "wall_motion_score"]
    assert not any("about half" in row.reason for row in scores)


def test_choices_are_stated_in_the_method():
    options = StrainOptions(kind="natural", drift_compensation=False, smoothing_s=0.02, avc_after_ed_s=0.3)
    found = wall_measurements({Layer.MID_WALL: lines()[Layer.MID_WALL]}, PHASES, TIMES, None, options=options)
    row = found.measurements[0]
    for part in ("natural", "drift not compensated", "smoothed over time by 0.02 s", "0.3 s after", "square pixels"):
        assert part in row.method
    assert "view is not stated" in row.reason


def test_nothing_to_measure_gives_the_same_rows_with_a_reason(result):
    cases = (
        (wall_measurements({}, PHASES, TIMES, SPACING, View.A4C, reason="too dark"), "too dark"),
        (wall_measurements(lines(), Phases((), "area", 0.0, "flat"), TIMES, SPACING, View.A4C), "flat"),
        (wall_measurements(lines(), PHASES, TIMES, SPACING, View.PLAX), "need an apical view"),
    )
    possible = {(row.name, row.segment) for row in result.measurements if row.name.count("radial") == 0}
    for found, reason in cases:
        assert found.curves == {}
        assert all(row.status is Status.NOT_MEASURABLE for row in found.measurements)
        assert reason in found.measurements[0].reason
        if reason != "need an apical view":
            missing = {(row.name, row.segment) for row in found.measurements}
            assert possible - missing <= {
                ("mitral_annular_plane_systolic_excursion", name)
                for name in ("basal_inferoseptal", "basal_anterolateral")
            }
