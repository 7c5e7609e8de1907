"""Motion: incompressible, without folds over every parameter's range, continuous, and the same however asked for."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echomotion.core import DataError, View
from echomotion.simulate.deformation import deform, mesh_depths
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import (
    CONTRACTION_RANGES,
    KINDS,
    LATEST_SHARE,
    LESION_RANGES,
    SHAPE_RANGES,
    THICKEST_SHARE,
    VIEWS,
    Contraction,
    HeartParameters,
    Lesion,
    Shape,
    WholeMotion,
    wall_segments,
)
from echomotion.simulate.motion import heart_motion
from echomotion.simulate.reference import middle_line
from echomotion.simulate.rhythm import steady_rhythm
from tests.simulate.hearts import usual


def cells(mesh):
    """Signed area of the cells of a mesh (S, W, 2)."""
    a, b = mesh[1:, 1:] - mesh[:-1, :-1], mesh[:-1, 1:] - mesh[1:, :-1]
    return (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / 2


def least_jacobian(heart, times):
    """The smallest factor by which any small piece of the wall changes along the wall or in its area.

    Negative where the wall is turned over.
    """
    wall = deform(heart, middle_line(heart), times, mesh_depths())
    area = np.stack([cells(mesh) for mesh in wall.positions]) / cells(wall.reference)
    # The sign of a piece's own length: against the direction of the middle of the wall beside it.
    steps, before = np.diff(wall.positions, axis=1), np.diff(wall.reference, axis=0)
    middle = steps[:, :, len(mesh_depths()) // 2][:, :, None]
    length = (
        np.sum(steps * middle, axis=-1) / np.hypot(*np.moveaxis(middle, -1, 0)) / np.hypot(*np.moveaxis(before, -1, 0))
    )
    return min(area.min(), length.min())


@pytest.mark.parametrize("view", VIEWS)
def test_the_wall_keeps_its_volume(view):
    heart = usual(view)
    times = np.array([0.1, 0.2, heart.rhythm.systole_s[0], 0.5])
    wall = deform(heart, middle_line(heart), times, np.linspace(0, 1, 41))
    before = cells(wall.reference)
    for positions, through in zip(wall.positions, wall.through, strict=True):
        stretch = (through[1:, 1:] + through[:-1, :-1] + through[1:, :-1] + through[:-1, 1:]) / 4
        # In the plane each cell grows by the inverse of the stretch out of it.
        assert np.max(np.abs(cells(positions) * stretch / before - 1)) < 3e-3
        assert np.sum(cells(positions)) == pytest.approx(np.sum(before / stretch), rel=3e-4)
    product = wall.through * wall.along * wall.radial
    assert np.allclose(product, 1, atol=1e-9)


@pytest.mark.parametrize("view", VIEWS)
def test_the_stretch_out_of_the_plane_is_that_of_the_distance_from_the_axis(view):
    heart = usual(view).with_(contraction=Contraction(apex_motion_mm=0.0))
    times = np.array([heart.rhythm.systole_s[0]])
    wall = deform(heart, middle_line(heart), times, mesh_depths())
    if view is View.PSAX:
        assert wall.through.min() == pytest.approx(1 - heart.contraction.longitudinal, abs=0.002)
        return
    far = np.abs(wall.reference[..., 0]) > 5
    assert np.allclose(wall.through[0][far], (wall.positions[0] / wall.reference)[..., 0][far], rtol=0, atol=1e-3)


def with_parameter(base, group, name, value):
    """A heart with one parameter changed; walls are thinned where their cavity becomes too narrow for them."""
    changes = {name: float(value)}
    if group == "shape":
        radius = value if name == "cavity_radius_mm" else base.shape.cavity_radius_mm
        for wall, share in THICKEST_SHARE.items():
            changes[wall] = min(changes.get(wall, getattr(base.shape, wall)), share * radius)
    return base.with_(**{group: dataclasses.replace(getattr(base, group), **changes)})


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("group", "ranges"), [("shape", SHAPE_RANGES), ("contraction", CONTRACTION_RANGES)])
def test_no_fold_over_the_range_of_each_parameter(view, group, ranges):
    base = usual(view)
    times = np.linspace(0, base.rhythm.rr_s[0], 7)
    for name, (low, high) in ranges.items():
        for value in np.linspace(low, high, 5):
            assert least_jacobian(with_parameter(base, group, name, value), times) > 0.1, (name, value)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", list(LESION_RANGES))
def test_no_fold_over_the_range_of_each_parameter_of_a_lesion(view, name):
    base = usual(view)
    times = np.linspace(0, base.rhythm.rr_s[0], 7)
    latest = LATEST_SHARE * base.rhythm.rr_s[0]
    for segment in wall_segments(view):
        for value in np.linspace(*LESION_RANGES[name], 4):
            changes = {name: min(value, latest) if name == "delay_s" else value}
            lesion = dataclasses.replace(Lesion(segment, 0.5), **changes)
            heart = base.with_(contraction=dataclasses.replace(base.contraction, lesions=(lesion,)))
            assert least_jacobian(heart, times) > 0.1, (segment, value)


def drawn_within_ranges(view, rng):
    """A heart of any combination of parameters within their ranges."""
    shape, contraction, lesion = (
        {name: rng.uniform(*limits) for name, limits in ranges.items()}
        for ranges in (SHAPE_RANGES, CONTRACTION_RANGES, LESION_RANGES)
    )
    for wall, share in THICKEST_SHARE.items():
        shape[wall] = min(shape[wall], share * shape["cavity_radius_mm"])
    rhythm = steady_rhythm(rng.uniform(40, 150))
    latest = LATEST_SHARE * rhythm.rr_s[0]
    lesion["delay_s"] = float(np.clip(lesion["delay_s"], -latest, latest))
    segment = wall_segments(view)[int(rng.integers(6))]
    contraction["lesions"] = (Lesion(segment, **lesion),)
    return HeartParameters(view, shape=Shape(**shape), contraction=Contraction(**contraction), rhythm=rhythm)


def whole_or_refused(view, seed):
    """Whether a heart of any combination is made; where it is, it does not fold, else a parameter is named."""
    heart = drawn_within_ranges(view, np.random.default_rng(seed))
    try:
        least = least_jacobian(heart, np.linspace(0, heart.rhythm.rr_s[0], 7))
    except DataError as refused:
        message = str(refused)
    else:
        assert least > 0, heart
        return True
    found = re.match(r"(\w+) is ([\d.e-]+): the wall would fold .* must lie between ([\d.]+) and ([\d.]+)$", message)
    assert found, message
    assert found[1] in SHAPE_RANGES | CONTRACTION_RANGES
    assert float(found[3]) <= float(found[4]) < float(found[2])
    return False


@pytest.mark.parametrize("view", VIEWS)
def test_any_combination_is_whole_or_refused_by_name(view):
    made = [whole_or_refused(view, seed) for seed in range(15)]
    assert np.mean(made) > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_many_combinations_are_whole_or_refused_by_name(view):
    made = [whole_or_refused(view, seed) for seed in range(1000, 1600)]
    assert np.mean(made) > 0.6


def least_as_drawn(view, kind, seed):
    heart = draw_heart(view, np.random.default_rng(seed), kind)
    return least_jacobian(heart, np.linspace(0, heart.rhythm.rr_s[0], 6))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_hearts_as_drawn_are_never_refused(view, kind):
    assert min(least_as_drawn(view, kind, seed) for seed in range(3)) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_many_hearts_as_drawn_are_never_refused(view, kind):
    assert min(least_as_drawn(view, kind, seed) for seed in range(100, 250)) > 0.15


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), view=st.sampled_from(VIEWS), kind=st.sampled_from(KINDS))
def test_neither_blood_nor_surroundings_turn_over(seed, view, kind):
    heart = draw_heart(view, np.random.default_rng(seed), kind)
    times = np.linspace(0, heart.rhythm.rr_s[0], 5)
    x, y = np.meshgrid(np.arange(-70, 71, 4.0), np.arange(4, 150, 4.0))
    places = heart_motion(heart, times).positions(np.stack([x.ravel(), y.ravel()], axis=1))
    for place in places.astype(float):
        assert np.all(cells(place.reshape(*x.shape, 2)) / cells(np.stack([x, y], axis=-1)) > 0)


def test_the_displacement_that_is_handed_out_does_not_fold_either():
    for view in VIEWS:
        heart = draw_heart(view, np.random.default_rng(7), "dyskinetic")
        motion = heart_motion(heart, np.linspace(0, heart.rhythm.rr_s[0], 6))
        s, w = np.meshgrid(np.linspace(0, 1, 700), np.linspace(0, 1, 15), indexing="ij")
        points = motion.wall.reference(s.ravel(), w.ravel())
        moved = (points[:, None] + motion.displacement(points)).reshape(*s.shape, motion.n_times, 2)
        before = cells(points.reshape(*s.shape, 2))
        assert min(np.min(cells(moved[:, :, t]) / before) for t in range(motion.n_times)) > 0.3


def test_a_heart_that_would_close_its_cavity_is_refused():
    shape = Shape(cavity_radius_mm=14.0, thickness_first_mm=9.5, thickness_second_mm=9.5, thickness_apex_mm=5.8)
    heart = HeartParameters(View.A4C, shape=shape, contraction=Contraction(0.28, 0.26))
    with pytest.raises(
        DataError, match=r"^circumferential is 0.26: .*close its cavity.* between 0 and 0\.\d+$"
    ) as error:
        heart_motion(heart, [0.0, heart.rhythm.systole_s[0]])
    allowed = float(str(error.value).split()[-1])
    heart_motion(heart.with_(contraction=Contraction(0.28, allowed)), [0.0, heart.rhythm.systole_s[0]])
    with pytest.raises(DataError, match="times_s is empty"):
        heart_motion(usual(View.A4C), [])


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_has_moved_at_end_diastole(view):
    heart = draw_heart(view, np.random.default_rng(2)).with_(rhythm=steady_rhythm(80))
    rr = heart.rhythm.rr_s[0]
    points = np.random.default_rng(0).uniform((-60, 5), (60, 150), (300, 2))
    moved = heart_motion(heart, [0.0, rr]).displacement(points)
    assert np.abs(moved[:, 0]).max() < 1e-9
    # Without a sway of the probe everything is back after one beat.
    still = heart.with_(motion=WholeMotion())
    assert np.abs(heart_motion(still, [0.0, rr]).displacement(points)).max() < 1e-6


@pytest.mark.parametrize("view", VIEWS)
def test_displacement_is_continuous_across_the_edges_of_the_wall(view):
    heart = usual(view)
    motion = heart_motion(heart, [0.0, heart.rhythm.systole_s[0]])
    s = np.linspace(0.03, 0.97, 60)
    across = motion.wall.reference(s, np.ones(60)) - motion.wall.reference(s, np.zeros(60))
    across /= np.hypot(*across.T)[:, None]
    for w in (0.0, 1.0):
        edge = motion.wall.reference(s, np.full(60, w))
        inside, outside = (motion.displacement(edge + step * across)[:, 1] for step in (-0.02, 0.02))
        exact = motion.wall_positions(s, np.full(60, w))[:, 1] - edge
        assert np.abs(inside - outside).max() < 0.06
        assert np.abs((inside + outside) / 2 - exact).max() < 0.03


@pytest.mark.parametrize("view", VIEWS)
def test_points_and_material_coordinates_agree(view):
    heart = draw_heart(view, np.random.default_rng(5))
    motion = heart_motion(heart, np.linspace(0, 0.5, 6))
    rng = np.random.default_rng(1)
    s, w = rng.uniform(0, 1, 400), rng.uniform(0, 1, 400)
    points = motion.wall.reference(s, w)
    found = motion.locate(points)
    assert found.distance.max() == 0
    assert np.abs(motion.wall.reference(found.s, found.w) - points).max() < 1e-6
    assert np.abs(points[:, None] + motion.displacement(points) - motion.wall_positions(s, w)).max() < 1e-4


def test_movement_as_a_whole_makes_no_strain_and_starts_from_rest():
    heart = usual(View.A4C)
    moving = heart.with_(
        motion=WholeMotion((3.0, -2.0), rocking_deg=5.0, drift_mm=(2.0, 1.0), drift_deg=2.0, drift_phase=0.2)
    )
    times = np.linspace(0, 0.8, 5)
    s = np.linspace(0, 1, 50)
    still, moved = (heart_motion(h, times).wall_positions(s, 0.5) for h in (heart, moving))
    assert np.abs(still[:, 0] - moved[:, 0]).max() < 1e-9
    assert np.abs(still[:, 2] - moved[:, 2]).max() > 2
    pairs = [np.hypot(*np.moveaxis(line[None] - line[:, None], -1, 0)) for line in (still, moved)]
    assert np.abs(pairs[0] - pairs[1]).max() < 1e-9


def test_the_base_descends_the_apex_stays_and_the_wall_thickens():
    heart = usual(View.A4C)
    motion = heart_motion(heart, [0.0, heart.rhythm.systole_s[0]])
    base = motion.wall_positions(np.array([0.0, 1.0]), 0.5)
    apex = motion.wall_positions(np.array([motion.apex_s]), 1.0)
    descent = base[:, 0, 1] - base[:, 1, 1]
    assert np.all((descent > 9) & (descent < 20))
    assert np.hypot(*(apex[0, 1] - apex[0, 0])) < 1.1
    s = np.linspace(0.1, 0.9, 9)
    across = motion.wall_positions(s, 1.0) - motion.wall_positions(s, 0.0)
    thicker = np.hypot(*np.moveaxis(across, -1, 0))
    assert np.all(thicker[:, 1] / thicker[:, 0] > 1.1)


def test_an_akinetic_segment_keeps_its_length_and_a_dyskinetic_one_stretches():
    for scale, low, high in ((0.0, -5.0, 1.0), (-0.5, 0.5, 15.0)):
        lesion = Lesion("mid_anterolateral", scale, 0.0, 1.6)
        heart = HeartParameters(View.A4C, contraction=Contraction(lesions=(lesion,)))
        motion = heart_motion(heart, [0.0, heart.rhythm.systole_s[0]])
        k = wall_segments("A4C").index("mid_anterolateral")
        middle = motion.segment_edges[k : k + 2].mean()
        s = np.linspace(middle - 0.04, middle + 0.04, 30)
        line = motion.wall_positions(s, 0.5)
        length = np.hypot(*np.moveaxis(np.diff(line, axis=0), -1, 0)).sum(axis=0)
        assert low < 100 * (length[1] / length[0] - 1) < high
