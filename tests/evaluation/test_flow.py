"""Dense motion against the tracks of a simulation: what is right scores full, what stands still does not."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import DataError
from echomotion.datasets.simulated import read_simulated
from echomotion.evaluation.flow import by_flow, by_tracker, evaluate_motion, standing_still
from echomotion.models.registry import create_tracker
from echomotion.simulate.store import simulate_to_folder


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cines")
    simulate_to_folder("PLAX", 2, 5, folder, shape=(96, 128), n_frames=6, n_tracks=24)
    return list(read_simulated(folder))


class TrueMotion:
    """Displacement as the simulator made it, a px to the side where that is asked for."""

    def __init__(self, sequences, aside=0.0):
        self.sequences, self.aside = {case.clip.source.name: case for case in sequences}, aside

    def estimate(self, clip, reference=0, *, progress=None):
        tracks = self.sequences[clip.source.name].tracks
        moved = tracks.xy - tracks.queries[:, None, 1:]
        moved[..., 0] += self.aside

        class Motion:
            @staticmethod
            def at(points):
                return moved

        return Motion()


def test_true_motion_is_right_and_none_is_not(sequences):
    exact = evaluate_motion("true", by_flow(TrueMotion(sequences)), sequences)
    assert exact.summary["share_within"] == 1
    assert exact.summary["median_error_px"] == pytest.approx(0, abs=1e-4)
    still = evaluate_motion("none", standing_still, sequences)
    assert still.summary["mean_error_px"] > 1
    assert [row["clip"] for row in still.rows] == [case.name for case in sequences]


def test_errors_are_px_of_a_frame_of_256(sequences):
    aside = evaluate_motion("aside", by_flow(TrueMotion(sequences, aside=1.0)), sequences)
    assert aside.summary["median_error_px"] == pytest.approx(256 / 128, abs=1e-4)


def test_trackers_follow_the_same_points(sequences):
    told = []
    report = evaluate_motion(
        "lucas_kanade", by_tracker(create_tracker("lucas_kanade")), sequences, progress=lambda *at: told.append(at)
    )
    assert told == [(1, 2), (2, 2)]
    assert 0 < report.summary["share_within"] <= 1
    assert np.isfinite(report.summary["seconds"])


def test_nothing_to_follow_is_an_error():
    with pytest.raises(DataError, match="no sequences"):
        evaluate_motion("none", standing_still, [])
