import pytest

from echomotion.core import DataError, Keypoints, Sex, Subject


def test_body_surface_after_du_bois():
    # 70 kg and 175 cm: 1.85 m2 in every table of the formula.
    assert Subject("M", 175, 70).body_surface_m2 == pytest.approx(1.848, abs=0.002)
    assert Subject("F", 160, None).body_surface_m2 is None
    assert Subject().sex is None
    assert Subject(" f ").sex is Sex.FEMALE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sex": "O"}, "unknown sex 'O'"),
        ({"height_cm": 1.75}, "height_cm is 1.75; a number from 40 to 260"),
        ({"weight_kg": 0}, "weight_kg is 0"),
        ({"weight_kg": float("nan")}, "weight_kg is nan"),
    ],
)
def test_values_in_other_units_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        Subject(**values)


def test_a_key_point_is_asked_for_by_name():
    points = Keypoints([[[1, 2], [3, 4]]], [[1, 1]], ("apex",))
    assert points.point("apex").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(DataError, match="no key-point 'base'; there are apex"):
        points.point("base")
