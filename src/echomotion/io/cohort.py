"""Tables of measurements of many cases, and the values that two of them have in common."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from echomotion.core.clip import set_field
from echomotion.core.errors import DataError

# What the column that names the case may be called, the first found is taken.
CASE_COLUMNS = ("case", "patient", "subject", "study", "clip", "input", "file", "id")
# What tells rows of a long table apart, beside the case and the name of the measurement.
_PLACES = ("view", "layer", "segment", "beat")
# A column's name with its unit in square brackets.
_UNIT = re.compile(r"(.*\S)\s*\[([^\]]+)\]")


@dataclass(frozen=True)
class PairedValues:
    """One measurement in two tables.

    Attributes
    ----------
    name : str
        Of the measurement, with its view, layer and segment where a table tells them apart.
    unit : str
        Empty where the tables do not state it.
    cases : tuple of str, K
        That are in both tables.
    first, second : float64 (K,)
        NaN where a table has no value.
    only_first, only_second : int
        Cases that the other table lacks.
    """

    name: str
    unit: str
    cases: tuple[str, ...]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    only_first: int = 0
    only_second: int = 0

    def __post_init__(self) -> None:
        set_field(self, "cases", tuple(self.cases))


@dataclass(frozen=True)
class _Cohort:
    """Values by measurement and case, and the unit of each measurement."""

    values: dict[str, dict[str, float]]
    units: dict[str, str]


def read_pairs(
    first: str | Path, second: str | Path, *, key: str | None = None, names: Sequence[str] = ()
) -> list[PairedValues]:
    """The measurements that two cohort tables have in common, paired by case.

    A table is a csv in one of two forms. Wide: a row for each case, a column for each measurement, whose name may end
    in its unit in square brackets (``end_diastolic_volume [mL]``). Long, as analyses
    write it: a row for each measurement with the columns ``name`` and ``value`` beside the case and, where they are
    there, ``unit``, ``view``, ``layer``, ``segment`` and ``beat``; where a measurement has rows for single beats and
    one without a beat, their mean, the latter alone is taken.

    Parameters
    ----------
    first, second : str or Path
        csv files; they may differ in form.
    key : str, optional
        Column that names the case; else the first of :data:`CASE_COLUMNS` that the table has or, in a wide table
        without any, its first column.
    names : sequence of str
        Measurements to keep; all that both tables have if none is given.

    Raises
    ------
    DataError
        When a file cannot be read as a table, names a case twice, states another unit than the other table, or the
        two have no measurement or no case in common.
    """
    a, b = (_read(Path(path), key) for path in (first, second))
    where = f"{Path(first).name} and {Path(second).name}"
    shared = [name for name in a.values if name in b.values]
    unknown = [name for name in names if name not in shared]
    if unknown:
        raise DataError(f"{where}: no measurement {unknown[0]!r} in both; they share {', '.join(shared) or 'none'}")
    pairs = []
    for name in names or shared:
        unit, other = a.units.get(name, ""), b.units.get(name, "")
        if unit and other and unit != other:
            raise DataError(f"{where}: {name} is in {unit} in one and in {other} in the other; convert one of them")
        mine, theirs = a.values[name], b.values[name]
        cases = [case for case in mine if case in theirs]
        pairs.append(
            PairedValues(
                name,
                unit or other,
                tuple(cases),
                np.array([mine[case] for case in cases], dtype=np.float64),
                np.array([theirs[case] for case in cases], dtype=np.float64),
                len(mine) - len(cases),
                len(theirs) - len(cases),
            )
        )
    if not pairs:
        raise DataError(f"{where}: no measurement in common ({', '.join(a.values)} and {', '.join(b.values)})")
    if not any(pair.cases for pair in pairs):
        raise DataError(f"{where}: no case in common; name the column of the case with --key")
    return pairs


def _read(path: Path, key: str | None) -> _Cohort:
    try:
        # Names of cases stay as written: 007 is not 7.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not a csv table that can be read ({' '.join(str(error).split())})") from None
    table.columns = [str(column).strip() for column in table.columns]
    if table.empty or len(table.columns) < 2:
        raise DataError(f"{path}: a table needs a header, a row, and two columns or more, separated by commas")
    long = {"name", "value"} <= set(table.columns)
    case = _case_column(table, path, key, long=long)
    table = table.apply(lambda column: column.str.strip())
    return _long(table, case, path) if long else _wide(table, case, path)


def _case_column(table: pd.DataFrame, path: Path, key: str | None, *, long: bool) -> str:
    """The column that names the case."""
    columns = list(table.columns)
    if key is not None:
        if key not in columns:
            raise DataError(f"{path}: there is no column {key!r}; there are {', '.join(columns)}")
        return key
    lower = {column.lower(): column for column in reversed(columns)}
    found = next((lower[name] for name in CASE_COLUMNS if name in lower), None)
    if found is None and long:
        raise DataError(f"{path}: no column names the case; call it case, or name it with --key")
    return found or columns[0]


def _wide(table: pd.DataFrame, case: str, path: Path) -> _Cohort:
    twice = table[case][table[case].duplicated()]
    if len(twice):
        raise DataError(f"{path}: the case {twice.iloc[0]!r} has more than one row")
    values: dict[str, dict[str, float]] = {}
    units: dict[str, str] = {}
    for column in table.columns:
        numbers = _numbers(table[column])
        # A column of words is no measurement.
        if column == case or not numbers.notna().any():
            continue
        name, unit = _name_and_unit(column)
        if name in values:
            raise DataError(f"{path}: more than one column is of {name!r}; keep one of them")
        values[name] = dict(zip(table[case], numbers, strict=True))
        if unit:
            units[name] = unit
    if not values:
        raise DataError(f"{path}: no column beside {case!r} holds numbers")
    return _Cohort(values, units)


def _name_and_unit(column: str) -> tuple[str, str]:
    """``end_diastolic_volume [mL]`` in its two parts; the unit is empty where the column states none."""
    found = _UNIT.fullmatch(column)
    return (found[1], found[2].strip()) if found else (column, "")


def _long(table: pd.DataFrame, case: str, path: Path) -> _Cohort:
    places = [column for column in _PLACES if column in table.columns and column != case]
    if "beat" in places:
        # The mean over beats stands for the beats it was made of.
        same = [case, "name", *[place for place in places if place != "beat"]]
        averaged = table["beat"].eq("").groupby([table[column] for column in same]).transform("any")
        several = table.groupby(same)["beat"].transform("nunique") > 1
        table = table[~averaged | table["beat"].eq("")]
        single = ~several.loc[table.index]
        table = table.assign(beat=table["beat"].where(~single, ""))
    numbers = _numbers(table["value"])
    values: dict[str, dict[str, float]] = {}
    units: dict[str, str] = {}
    for at, row in enumerate(table.to_dict("records")):
        parts = [f"beat {row[place]}" if place == "beat" else row[place] for place in places if row[place]]
        name = " ".join([row["name"], *parts])
        cases = values.setdefault(name, {})
        if row[case] in cases:
            raise DataError(f"{path}: {name} has more than one row for the case {row[case]!r}")
        cases[row[case]] = float(numbers.iloc[at])
        unit = row.get("unit", "")
        if unit and units.setdefault(name, unit) != unit:
            raise DataError(f"{path}: {name} is in {units[name]} in one row and in {unit} in another")
    return _Cohort(values, units)


def _numbers(column: pd.Series[str]) -> pd.Series[float]:
    """A column of text as numbers, NaN where it holds none."""
    return pd.to_numeric(column, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)
