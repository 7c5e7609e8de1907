import pytest

from echomotion.core import DataError, SegmentModel, View, segment_names, short_axis_names

VIEWS = (View.A4C, View.A2C, View.A3C)


@pytest.mark.parametrize("model", [16, 17, 18])
def test_three_views_show_every_segment_of_a_model_and_no_other(model):
    shown = [name for view in VIEWS for name in segment_names(view, model)]
    segments = SegmentModel.of(model).segments
    assert len(segments) == len(set(segments)) == model
    assert set(shown) == set(segments)
    # Only the apical ones are seen twice, and the cap three times.
    twice = {name for name in shown if shown.count(name) > 1}
    assert twice == {16: {"apical_lateral", "apical_anterior"}, 17: {"apical_lateral", "apical_anterior", "apex"}}.get(
        model, set()
    )


def test_names_of_the_four_chamber_view_in_each_model():
    ends = ("basal_inferoseptal", "mid_inferoseptal"), ("mid_anterolateral", "basal_anterolateral")
    assert segment_names(View.A4C, 16) == (*ends[0], "apical_septal", "apical_lateral", *ends[1])
    assert segment_names(View.A4C, "17") == (*ends[0], "apical_septal", "apex", "apical_lateral", *ends[1])
    assert segment_names(View.A4C, 18) == (*ends[0], "apical_inferoseptal", "apical_anterolateral", *ends[1])
    assert segment_names(View.A3C)[2:4] == ("apical_lateral", "apical_anterior")


def test_segments_round_the_short_axis():
    assert short_axis_names()[:3] == ("mid_inferoseptal", "mid_anteroseptal", "mid_anterior")
    assert short_axis_names("apical") == ("apical_septal", "apical_anterior", "apical_lateral", "apical_inferior")
    assert len(short_axis_names("apical", 18)) == 6
    assert {n for level in ("basal", "mid", "apical") for n in short_axis_names(level)} == set(
        SegmentModel.SIXTEEN.segments
    )
    with pytest.raises(DataError, match="level"):
        short_axis_names("middle")


def test_another_number_of_segments_is_refused():
    with pytest.raises(DataError, match="16, 17 or 18"):
        segment_names(View.A4C, 12)
