"""Strain of simulated hearts from their true tracks against the simulator's geometry, and akinesia against lesions."""

import numpy as np
import pytest

from echomotion.core import Layer, View
from echomotion.measure.radial import radial_curves
from echomotion.measure.strain import SEGMENTAL, curve_measurements, full_wall_curves
from echomotion.measure.strain_curves import strain_curves
from echomotion.measure.wall_motion import SCORE, wall_motion
from echomotion.simulate.heart import KINDS
from tests.measure.simulated import SimulatedBeat

VIEWS = (View.A4C, View.A2C, View.A3C)
# Stated contraction up to which a segment is called akinetic: the largest that the simulator gives an akinetic lesion.
AKINETIC = 0.25


def measured(beat: SimulatedBeat, layers=(Layer.MID_WALL,)):
    return {layer: strain_curves(beat.tracks(layer), beat.phases, beat.times_s, beat.spacing_mm) for layer in layers}


@pytest.mark.parametrize("number", range(0, 35, 5))
def test_gls_of_one_heart_of_each_kind_equals_its_arc_length(number):
    beat = SimulatedBeat.draw(VIEWS[number % 3], KINDS[number % 7], number, rate_hz=40)
    rows = curve_measurements(measured(beat)[Layer.MID_WALL], beat.phases)
    assert rows[0].value == pytest.approx(beat.true_strain(), abs=0.5)


def test_full_wall_and_radial_strain_of_a_simulated_heart():
    beat = SimulatedBeat.draw(View.A4C, "healthy", 3, rate_hz=60)
    curves = measured(beat, tuple(Layer))
    full = curve_measurements(full_wall_curves(curves), beat.phases)[0]
    depths = (np.arange(10) + 0.5) / 10
    assert full.value == pytest.approx(np.mean([beat.true_strain(w) for w in depths]), abs=0.2)
    across = radial_curves(
        beat.tracks(Layer.ENDOCARDIAL), beat.tracks(Layer.EPICARDIAL), beat.phases, beat.times_s, beat.spacing_mm
    )
    rows = {row.segment: row for row in curve_measurements(across, beat.phases) if row.segment}
    assert curve_measurements(across, beat.phases)[0].value == pytest.approx(beat.true_radial(), abs=0.6)
    for name, (start, stop) in beat.segments().items():
        assert rows[name].value == pytest.approx(beat.true_radial(start, stop), abs=1.5), name


def test_circumferential_and_radial_strain_in_the_short_axis():
    beat = SimulatedBeat.draw(View.PSAX, "healthy", 4, rate_hz=60)
    for layer, depth in ((Layer.ENDOCARDIAL, 0.0), (Layer.MID_WALL, 0.5)):
        curves = strain_curves(
            beat.tracks(layer), beat.phases, beat.times_s, beat.spacing_mm, direction="circumferential"
        )
        rows = curve_measurements(curves, beat.phases)
        assert rows[0].name == "global_circumferential_strain"
        assert rows[0].value == pytest.approx(beat.true_strain(depth), abs=0.2)
        for row in rows:
            if row.segment and row.name == "circumferential_strain":
                assert row.value == pytest.approx(beat.true_strain(depth, *beat.segments()[row.segment]), abs=0.5)
    across = radial_curves(
        beat.tracks(Layer.ENDOCARDIAL), beat.tracks(Layer.EPICARDIAL), beat.phases, beat.times_s, beat.spacing_mm
    )
    assert curve_measurements(across, beat.phases)[0].value == pytest.approx(beat.true_radial(), abs=1.0)


@pytest.mark.slow
def test_gls_of_two_hundred_beats_and_akinesia_of_their_segments():
    errors, truth, scores, doubtful = [], [], [], 0
    for number in range(200):
        beat = SimulatedBeat.draw(VIEWS[number % 3], KINDS[number % 7], number)
        rows = curve_measurements(measured(beat)[Layer.MID_WALL], beat.phases)
        errors.append(rows[0].value - beat.true_strain())
        doubtful += rows[0].status != "ok"
        contraction = beat.contraction()
        for row in wall_motion([row for row in rows if row.name == SEGMENTAL]):
            if row.name == SCORE:
                truth.append(contraction[row.segment])
                scores.append(row.value)
    size = np.abs(errors)
    ill, called = np.array(truth) <= AKINETIC, np.array(scores) >= 3
    sensitivity, specificity = called[ill].mean(), (~called[~ill]).mean()
    message = (
        f"GLS: largest error {np.nanmax(size):.2f}, mean {np.nanmean(errors):+.3f}; {doubtful} doubtful; akinesia: "
        f"sensitivity {sensitivity:.3f} of {ill.sum()}, specificity {specificity:.3f} of {(~ill).sum()}"
    )
    assert np.isfinite(errors).all(), message
    assert size.max() < 0.5, message
    assert min(sensitivity, specificity) >= 0.95, message
    print(message)  # noqa: T201
