"""Strain over many shapes, sizes, spacings, rates and orientations, and what must not change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echomotion.core import Beat, Phases, Status, View
from echomotion.measure.lengths import StrainKind
from echomotion.measure.strain import strain_measurements
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.strain_types import StrainOptions
from tests.measure.lines import FIRST, PERIOD, SYSTOLE, as_tracks, frame_times, shortening, u_shape


def values(xy, phases, times, spacing=None, view=View.A4C, **options):
    rows = strain_measurements(
        as_tracks(xy, view), phases, times, spacing, options=StrainOptions(**options) if options else None
    )
    return {row.segment or row.name: row for row in rows}


def beating(stretch, times, *, count=61, width=45.0, height=85.0, angle=0.0, period=PERIOD, offset=(150.0, 150.0)):
    """A ventricle (N, T, 2) in mm with a uniform stretch at end-systole: `stretch` is a (2, 2) matrix."""
    rest = u_shape(count, width, height) - (100.0, 80.0)
    level = shortening(times * PERIOD / period)
    matrices = np.eye(2) + level[:, None, None] * (np.asarray(stretch) - np.eye(2))
    c, s = np.cos(angle), np.sin(angle)
    turned = rest @ np.array([[c, s], [-s, c]])
    return np.einsum("tij,nj->nti", matrices, turned) + np.asarray(offset)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=st.floats(0.0, 0.35),
    count=st.integers(24, 120),
    width=st.floats(25, 80),
    height=st.floats(50, 120),
    angle=st.floats(-3.1, 3.1),
    spacing=st.tuples(st.floats(0.1, 1.5), st.floats(0.1, 1.5)),
    rate_hz=st.floats(20, 120),
    bpm=st.floats(40, 150),
    kind=st.sampled_from(list(StrainKind)),
)
def test_even_shortening_gives_its_own_strain_whatever_the_picture(
    size, count, width, height, angle, spacing, rate_hz, bpm, kind
):
    period = 60 / bpm
    times = np.arange(0, period + 1.5 / rate_hz, 1 / rate_hz)
    xy = beating((1 - size) * np.eye(2), times, count=count, width=width, height=height, angle=angle, period=period)
    es = period * SYSTOLE / PERIOD
    phases = Phases((Beat(0.0, es, period),), "user", 1.0)
    rows = values(xy / np.array(spacing[::-1]), phases, times, spacing, kind=kind)
    true = 100 * (np.log(1 - size) if kind is StrainKind.NATURAL else -size)
    # With few frames a beat the time between them is the limit: a fraction of a frame away from the turning point.
    frame = np.pi * 0.5 / (rate_hz * es)
    slack = 0.1 + 0.08 * abs(true) * frame**3
    for name, row in rows.items():
        assert row.value == pytest.approx(true, abs=slack), (name, row)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    entries=st.lists(st.floats(-0.2, 0.1), min_size=4, max_size=4),
    scale=st.floats(0.3, 4.0),
    shift=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
)
def test_upsampling_cropping_mirroring_and_resampling_in_time_change_nothing(entries, scale, shift):
    times = frame_times(50)
    stretch = np.eye(2) + np.reshape(entries, (2, 2))
    xy = beating(stretch, times, count=60)
    spacing = (0.5, 0.3)
    px = xy / np.array(spacing[::-1])
    before = values(px, FIRST, times, spacing)
    # A resize keeps pixel centres in place, a crop moves the origin.
    bigger = (px + 0.5) * scale - 0.5
    after = values(bigger, FIRST, times, tuple(np.array(spacing) / scale))
    assert all(after[name].value == pytest.approx(row.value, abs=0.02) for name, row in before.items())
    after = values(px + np.array(shift), FIRST, times, spacing)
    assert all(after[name].value == pytest.approx(row.value, abs=0.02) for name, row in before.items())
    # Mirrored, the line runs the other way and the walls change sides.
    mirrored = (px * (-1, 1) + (900, 0))[::-1]
    after = list(values(mirrored, FIRST, times, spacing).values())
    for row, other in zip([*before.values()][3:], after[3:][::-1], strict=True):
        assert other.value == pytest.approx(row.value, abs=0.02)
    assert after[0].value == pytest.approx(before["global_longitudinal_strain"].value, abs=0.02)
    uneven = np.sort(np.concatenate([frame_times(40), [0.111, 0.333, 0.56]]))
    after = values(beating(stretch, uneven, count=60) / np.array(spacing[::-1]), FIRST, uneven, spacing)
    assert all(after[name].value == pytest.approx(row.value, abs=0.1) for name, row in before.items())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    lost=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40)), max_size=120),
    confidence=st.floats(0, 1),
    scale=st.floats(0.01, 3),
    jitter=st.integers(0, 2**31),
    beat=st.sampled_from([(0.0, 0.32, 0.8), (0.0, 0.32, None), (0.5, 0.1, None), (0.0, 5.0, None), (-0.3, 0.1, 0.9)]),
)
def test_no_input_makes_an_exception_or_a_zero_in_place_of_a_missing_number(lost, confidence, scale, jitter, beat):
    times = frame_times(50)
    noise = np.random.default_rng(jitter).normal(0, 2 * scale, (61, len(times), 2))
    xy = beating(scale * np.eye(2), times) + noise
    for n, t in lost:
        xy[n, t] = np.nan
    tracks = as_tracks(xy, confidence=confidence)
    phases = Phases((Beat(*beat),), "area", 0.7)
    for row in strain_measurements(tracks, phases, times):
        assert (row.status is Status.NOT_MEASURABLE) == (not np.isfinite(row.value))
        assert row.status is Status.OK or row.reason


def test_a_full_beat_is_needed_for_drift_and_every_choice_is_kept():
    times = frame_times(50)
    xy = beating(0.8 * np.eye(2), times)
    xy = xy * (1 + 0.02 * times / PERIOD)[None, :, None]
    (curves,) = strain_curves(as_tracks(xy), FIRST, times)
    assert curves.compensated
    assert curves.drift == pytest.approx(2.0, abs=0.01)
    assert curves.whole[-1] == pytest.approx(0, abs=1e-6)
    open_beat = Phases((Beat(0.0, SYSTOLE),), "user", 1.0)
    (curves,) = strain_curves(as_tracks(xy), open_beat, times)
    assert not curves.compensated
    assert "drift not compensated (no whole beat)" in curves.method
