import numpy as np
import pytest

from echomotion.core import DataError, Measurement, SegmentModel, Status, View, segment_names
from echomotion.measure.segment_models import average_of_views, bullseye

GLS, PART = "global_longitudinal_strain", "longitudinal_strain"
VIEWS = (View.A4C, View.A2C, View.A3C)


def study(model=16, views=VIEWS):
    rows = []
    for k, view in enumerate(views):
        rows.append(Measurement(GLS, -18.0 - k, "%", view=view, beat=0, layer="mid_wall", method="m"))
        rows += [
            Measurement(PART, -10.0 - i - 10 * k, "%", view=view, beat=0, segment=name, layer="mid_wall", method="m")
            for i, name in enumerate(segment_names(view, model))
        ]
    return rows


def test_gls_is_the_average_of_three_views():
    row = average_of_views(study(), GLS)
    assert row.value == pytest.approx(-19)
    assert (row.view, row.status, row.unit, row.layer) == (None, Status.OK, "%", "mid_wall")
    assert row.method.startswith("mean of the views A4C, A2C, A3C")


def test_one_view_short_is_doubtful_and_two_short_is_nothing():
    row = average_of_views(study(views=VIEWS[:2]), GLS)
    assert row.value == pytest.approx(-18.5)
    assert row.status is Status.LOW_CONFIDENCE
    assert "without the view A3C (not recorded)" in row.reason
    row = average_of_views(study(views=VIEWS[:1]), GLS)
    assert row.status is Status.NOT_MEASURABLE
    assert "A2C (not recorded), A3C (not recorded)" in row.reason
    rows = [*study(views=VIEWS[:2]), Measurement.missing(GLS, "%", "too dark", view=View.A3C, layer="mid_wall")]
    assert "A3C (too dark)" in average_of_views(rows, GLS).reason
    assert average_of_views([], GLS).status is Status.NOT_MEASURABLE


def test_means_over_beats_count_and_two_layers_must_be_told_apart():
    rows = study()
    rows.append(Measurement(GLS, -10.0, "%", view=View.A4C, beat=1, layer="mid_wall"))
    rows.append(Measurement(GLS, -14.0, "%", view=View.A4C, layer="mid_wall"))
    assert average_of_views(rows, GLS).value == pytest.approx((-14 - 19 - 20) / 3)
    other = [*study(), Measurement(GLS, -22.0, "%", view=View.A4C, beat=0, layer="endocardial")]
    with pytest.raises(DataError, match="name one layer"):
        average_of_views(other, GLS)
    assert average_of_views(other, GLS, "mid_wall").value == pytest.approx(-19)
    assert average_of_views(other, GLS, "endocardial").status is Status.NOT_MEASURABLE


@pytest.mark.parametrize("model", [16, 17, 18])
def test_a_bullseye_holds_every_segment_once_and_shared_ones_are_means(model):
    rows = bullseye(study(model), PART, model=model)
    assert tuple(row.segment for row in rows) == SegmentModel.of(model).segments
    assert all(row.status is Status.OK for row in rows)
    value = {row.segment: row.value for row in rows}
    assert value["basal_inferoseptal"] == -10
    assert value["basal_inferior"] == -20
    if model == 16:
        # Fourth along A4C and third along A3C.
        assert value["apical_lateral"] == pytest.approx(np.mean([-13, -32]))
        assert value["apical_septal"] == -12
    if model == 17:
        assert value["apex"] == pytest.approx(np.mean([-13, -23, -33]))
    if model == 18:
        assert value["apical_inferolateral"] == -32


def test_segments_that_no_view_shows_and_those_of_another_model():
    rows = bullseye(study(views=VIEWS[:2]), PART)
    gone = {row.segment for row in rows if row.status is Status.NOT_MEASURABLE}
    assert gone == {"basal_anteroseptal", "basal_inferolateral", "mid_anteroseptal", "mid_inferolateral"}
    assert all(row.reason == "no view shows this segment" for row in rows if row.segment in gone)
    with pytest.raises(DataError, match="16-segment model has no apical_anterolateral"):
        bullseye(study(18), PART, model=16)
    with pytest.raises(DataError, match="basal_left_wall"):
        bullseye(study(views=(View.UNKNOWN,)), PART)
