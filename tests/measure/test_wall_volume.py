"""Thickening that a wall of constant volume cannot lack."""

from __future__ import annotations

import math

import pytest

from echomotion.core import Measurement, Status
from echomotion.measure.wall_volume import doubt_thickening, least_thickening


def row(name: str, value: float, beat: int | None = 0, reason: str = "", segment: str | None = None) -> Measurement:
    status = Status.NOT_MEASURABLE if math.isnan(value) else Status.LOW_CONFIDENCE if reason else Status.OK
    return Measurement(
        name, value, "%", status, reason or ("lost" if math.isnan(value) else ""), beat=beat, segment=segment
    )


def test_stretches_along_and_across_multiply_to_one():
    for longitudinal in (-30.0, -19.0, -5.0, 0.0):
        product = (1 + longitudinal / 100) * (1 + least_thickening(longitudinal) / 100)
        assert product == pytest.approx(1)


@pytest.mark.parametrize("kind", ["global", "peak", "mean_segmental"])
def test_a_wall_that_thickens_too_little_is_doubted(kind):
    along = [row(f"{kind}_longitudinal_strain", -20.0), row(f"{kind}_longitudinal_strain", -5.0, beat=1)]
    across = [row(f"{kind}_radial_strain", 2.0), row(f"{kind}_radial_strain", 2.0, beat=1)]
    first, second = doubt_thickening(across, along)
    assert first.status is Status.LOW_CONFIDENCE
    assert first.value == 2.0
    assert "shortens by 20 % thickens by 25 % at least" in first.reason
    assert second == across[1]


def test_reasons_are_kept_and_the_rest_is_left_alone():
    along = [row("global_longitudinal_strain", -20.0), row("longitudinal_strain", -20.0, segment="apical septal")]
    across = [
        row("global_radial_strain", 2.0, reason="the heart phases are uncertain"),
        row("global_radial_strain", 21.0),
        row("global_radial_strain", 2.0, beat=None),
        row("radial_strain", 2.0, segment="apical septal"),
        row("global_radial_strain", math.nan),
    ]
    first, *others = doubt_thickening(across, along)
    assert first.reason.startswith("the heart phases are uncertain; a wall that keeps its volume")
    assert others[:-1] == across[1:-1]
    assert others[-1].status is Status.NOT_MEASURABLE


def test_without_longitudinal_strain_nothing_is_said():
    across = [row("global_radial_strain", 2.0)]
    assert doubt_thickening(across, [row("global_longitudinal_strain", math.nan)]) == across
    assert doubt_thickening(across, []) == across
