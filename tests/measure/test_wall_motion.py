import pytest

from echomotion.core import DataError, Measurement, Status, View, segment_names
from echomotion.measure.wall_motion import INDEX, SCORE, Thresholds, wall_motion

NAMES = segment_names(View.A4C)


def rows_of(name, values, unit="%"):
    return [Measurement(name, v, unit, view=View.A4C, beat=0, segment=s) for s, v in zip(NAMES, values, strict=False)]


def scores(rows):
    return {row.segment: row for row in rows if row.name == SCORE}


def test_strain_alone_gives_the_four_scores_and_their_mean():
    rows = wall_motion(rows_of("longitudinal_strain", (-20, -12.1, -11, -4, 2, 6)))
    assert [row.value for row in scores(rows).values()] == [1, 1, 2, 3, 3, 4]
    index = rows[-1]
    assert (index.name, index.unit, index.status) == (INDEX, "1", Status.OK)
    assert index.value == pytest.approx(14 / 6)
    assert "strain -4.0 % (akinetic)" in rows[3].method
    assert "limits of strain -12, -5, 2.5 %" in rows[3].method


def test_three_signs_are_put_to_the_vote_and_contradictions_are_marked():
    strain = rows_of("longitudinal_strain", (-20, -20, -3, -3, -8, -8))
    thick = rows_of("radial_strain", (40, 4, 4, 40, 20, 40))
    inwards = dict(zip(NAMES, (7, 1, 1, 7, 7, 7), strict=True))
    rows = scores(wall_motion(strain, thick, inwards))
    assert [row.value for row in rows.values()] == [1, 3, 3, 1, 2, 1]
    assert rows[NAMES[1]].status is Status.LOW_CONFIDENCE
    assert "the signs disagree" in rows[NAMES[1]].reason
    assert rows[NAMES[4]].status is Status.OK
    two = scores(wall_motion(strain, thick))
    assert [row.value for row in two.values()] == [1, 1, 3, 3, 2, 2]


def test_thickening_alone_scores_a_wall_too():
    rows = scores(wall_motion([], rows_of("radial_strain", (50, 20, 5, -20))))
    assert [row.value for row in rows.values()] == [1, 2, 3, 4]


def test_segments_without_a_number_have_no_score_and_too_many_of_them_no_index():
    def with_missing(count):
        strain = rows_of("longitudinal_strain", (-20,) * 6)
        return [Measurement.missing(r.name, "%", "lost", segment=r.segment) for r in strain[:count]] + strain[count:]

    rows = wall_motion(with_missing(1))
    assert rows[0].status is Status.NOT_MEASURABLE
    assert rows[0].reason == "lost"
    assert (rows[-1].value, rows[-1].status) == (1.0, Status.LOW_CONFIDENCE)
    assert wall_motion(with_missing(2))[-1].status is Status.NOT_MEASURABLE
    (nothing,) = wall_motion([])
    assert nothing.status is Status.NOT_MEASURABLE


def test_means_over_beats_are_scored_and_two_values_of_one_segment_are_refused():
    strain = rows_of("longitudinal_strain", (-20,) * 6)
    mean = [Measurement("longitudinal_strain", -3.0, "%", view=View.A4C, segment=name) for name in NAMES]
    assert wall_motion([*strain, *mean])[-1].value == 3
    with pytest.raises(DataError, match="given twice"):
        wall_motion([*strain, Measurement("longitudinal_strain", -3.0, "%", view=View.A2C, segment=NAMES[0])])


def test_thresholds_must_be_in_order():
    with pytest.raises(DataError, match="must rise"):
        Thresholds(strain=(-5, -12, 2))
    with pytest.raises(DataError, match="thickening"):
        Thresholds(thickening=(0, 10, 20))
    custom = Thresholds(strain=(-16, -8, 0))
    assert scores(wall_motion(rows_of("longitudinal_strain", (-14,)), thresholds=custom))[NAMES[0]].value == 2
