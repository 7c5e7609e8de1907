import numpy as np
import pytest

from echomotion.core import DataError
from echomotion.io.cohort import read_pairs


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_wide_tables_are_paired_by_case_and_words_are_no_measurement(tmp_path):
    a = write(tmp_path / "a.csv", "patient,EF,site,GLS\n007,55,x,-18\n008,60,y,\n009,1e999,z,-20\n")
    b = write(tmp_path / "b.csv", "GLS,patient,EF\n-17,008,61\n-18.5,007,54\n-3,010,12\n")
    ef, gls = read_pairs(a, b)
    assert (ef.name, ef.cases, ef.only_first, ef.only_second) == ("EF", ("007", "008"), 1, 1)
    assert ef.first.tolist() == [55, 60]
    assert ef.second.tolist() == [54, 61]
    assert np.isnan(gls.first[1])
    assert [pair.name for pair in read_pairs(a, b, names=["GLS"])] == ["GLS"]


def test_long_tables_keep_units_and_take_the_mean_over_beats(tmp_path):
    a = write(
        tmp_path / "a.csv",
        "case,name,value,unit,segment,beat\n"
        "p1,ejection_fraction,54,%,,0\np1,ejection_fraction,58,%,,1\np1,ejection_fraction,56,%,,\n"
        "p2,ejection_fraction,61,%,,0\np1,longitudinal_strain,-17,%,basal_inferior,0\n",
    )
    b = write(tmp_path / "b.csv", "case,ejection_fraction\np1,57\np2,60\n")
    (pair,) = read_pairs(a, b)
    assert (pair.name, pair.unit) == ("ejection_fraction", "%")
    assert pair.first.tolist() == [56, 61]
    names = [pair.name for pair in read_pairs(a, a)]
    assert names == ["ejection_fraction", "longitudinal_strain basal_inferior"]


def test_a_column_may_state_its_unit(tmp_path):
    a = write(tmp_path / "a.csv", "case,end_diastolic_volume [mL],end_diastolic_volume status\n1,120,ok\n2,,\n")
    b = write(tmp_path / "b.csv", "case,end_diastolic_volume\n1,115\n2,90\n")
    (pair,) = read_pairs(a, b)
    assert (pair.name, pair.unit) == ("end_diastolic_volume", "mL")
    assert pair.first[0] - pair.second[0] == 5


@pytest.mark.parametrize(
    ("first", "second", "key", "message"),
    [
        ("case,EF\n1,5\n", "case,GLS\n1,5\n", None, "no measurement in common"),
        ("case,EF\n1,5\n", "case,EF\n2,5\n", None, "no case in common"),
        ("case,EF\n1,5\n1,6\n", "case,EF\n1,5\n", None, "more than one row"),
        ("case,EF\n1,5\n", "case,EF\n1,5\n", "pat", "no column 'pat'"),
        ("", "case,EF\n1,5\n", None, "not a csv table"),
        ("case\n1\n", "case,EF\n1,5\n", None, "two columns or more"),
        ("case,site\n1,x\n", "case,EF\n1,5\n", None, "holds numbers"),
        ("who,name,value\n1,EF,5\n", "case,EF\n1,5\n", None, "names the case"),
        ("case,name,value,unit\n1,v,5,mL\n", "case,name,value,unit\n1,v,5,px3\n", None, "in mL in one and in px3"),
        ("case,v [mL]\n1,5\n", "case,v [cm2]\n1,5\n", None, "in mL in one and in cm2"),
        ("case,v [mL],v [cm2]\n1,5,6\n", "case,v\n1,5\n", None, "more than one column"),
        ("case,name,value,unit\n1,v,5,mL\n1,v,6,mL\n", "case,v\n1,5\n", None, "more than one row"),
    ],
)
def test_tables_that_cannot_be_compared_say_why(tmp_path, first, second, key, message):
    a, b = write(tmp_path / "a.csv", first), write(tmp_path / "b.csv", second)
    with pytest.raises(DataError, match=message):
        read_pairs(a, b, key=key)


def test_files_that_are_no_tables_and_names_that_are_unknown_are_refused(tmp_path):
    a = write(tmp_path / "a.csv", "case,EF\n1,5\n")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x01binary")
    for bad in (tmp_path / "b.csv", tmp_path / "absent.csv"):
        with pytest.raises(DataError, match="not a csv table"):
            read_pairs(a, bad)
    with pytest.raises(DataError, match="no measurement 'GLS' in both; they share EF"):
        read_pairs(a, a, names=["GLS"])
