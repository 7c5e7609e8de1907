"""What a clip costs: processor time of the heart's half, growth with the number of frames, memory of the whole."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from echomotion.simulate.recording import plan_recording
from echomotion.simulate.sequence import finish

pytestmark = pytest.mark.slow

_MEMORY = """
import resource
from echomotion.simulate.sequence import simulate
simulate("A4C", 1, n_frames=36, shape=(256, 256), n_tracks=256)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def without_render(n_frames):
    """Processor time in seconds of everything but the picture: heart, scatterers' motion, tracks, masks, truth."""
    best = np.inf
    for _ in range(3):
        start = time.process_time()
        recording = plan_recording("A4C", 1, n_frames=n_frames, shape=(256, 256), n_tracks=256)
        recording.motion.positions(recording.scatterers.reference_mm, located=recording.scatterers.located)
        finish(recording, np.zeros((n_frames, 256, 256), dtype=np.uint8))
        best = min(best, time.process_time() - start)
    return best


def test_heart_motion_and_masks_take_less_than_seven_tenths_of_a_second():
    assert without_render(36) < 0.7


def test_cost_is_linear_in_the_number_of_frames():
    short, middle, long = (without_render(count) for count in (36, 108, 180))
    # Equal steps in frames cost equally, whatever a clip of no frames costs.
    assert long - middle < 1.5 * (middle - short) + 0.05


def test_a_clip_needs_less_than_a_gigabyte():
    done = subprocess.run([sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 1e9
