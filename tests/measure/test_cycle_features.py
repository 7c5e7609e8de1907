"""Curves over one cycle as numbers, from curves that are known on paper."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import Beat, DataError, Phases
from echomotion.measure.cycle_features import SAMPLES, cycle_features
from echomotion.measure.dimensions import PARTS, DimensionCurves

TIMES = np.arange(61) / 40
# One second from end-diastole at 0.2 s; the cavity is smallest, and end-systole, after 0.4 s.
PHASES = Phases((Beat(0.2, 0.6, 1.2),), "user", 1.0)


def curves(unit="mm", late=0.0, missing=()):
    """A septum whose peak comes `late` seconds after end-systole."""

    def bump(delay):
        return np.cos(np.pi * (TIMES - 0.2 - delay) / 0.4)

    values = dict(zip(PARTS, (11 - 2 * bump(late), 40 + 8 * bump(0), 10 - 2 * bump(0)), strict=True))
    values["lv_internal_diameter"][list(missing)] = np.nan
    return DimensionCurves(values, unit, ("",) * 61, ((),) * 61)


def test_a_cycle_begins_at_end_diastole():
    found = cycle_features(curves(), PHASES, TIMES)
    assert found["lvid_00"] == pytest.approx(48, abs=0.01)
    assert found[f"lvid_{round(0.4 * SAMPLES):02d}"] == pytest.approx(32, abs=0.3)
    assert found["fractional_shortening"] == pytest.approx(100 / 3, abs=0.1)
    assert found["lvpw_thickening"] == pytest.approx(50, abs=0.1)
    assert found["ivs_time_to_peak"] == pytest.approx(0.4, abs=0.05)
    assert sum(name.startswith("ivs_") and name[4:].isdigit() for name in found) == SAMPLES


def test_a_wall_that_thickens_late_is_told():
    found = cycle_features(curves(late=0.2), PHASES, TIMES)
    # At end-systole half way, at the peak 13 mm.
    assert found["ivs_post_systolic"] == pytest.approx(100 * (13 - 11) / 13, abs=0.3)
    assert found["lvpw_post_systolic"] == pytest.approx(0, abs=0.1)


def test_a_short_gap_is_bridged_and_a_long_one_refused():
    whole, gap = (cycle_features(curves(missing=m), PHASES, TIMES)["lvid_00"] for m in ((), (9,)))
    assert gap == pytest.approx(whole, abs=0.05)
    with pytest.raises(DataError, match="missing on too many"):
        cycle_features(curves(missing=range(20, 40)), PHASES, TIMES)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DataError, match="not calibrated"):
        cycle_features(curves(unit="px"), PHASES, TIMES)
    with pytest.raises(DataError, match="no whole heart beat"):
        cycle_features(curves(), Phases((Beat(0.2, 0.6, None),), "user", 1.0), TIMES)
