"""The simulator is unfinished: its tests run with ``make test-all``, and the bounds it misses are stated here."""

from __future__ import annotations

import pytest

_WALLED = ("A4C", "A2C", "A3C", "PLAX")
_VIEWS = (*_WALLED, "PSAX", "RV_FOCUSED")
NOT_YET = {
    "test_shape_and_motion_follow_the_two_contours",
    "test_the_reference_may_lie_anywhere_in_the_clip",
    *(f"test_no_fold_over_the_range_of_each_parameter[shape-{view}]" for view in _WALLED),
    *(f"test_stated_strain_is_that_of_the_dense_displacement[{view}]" for view in _WALLED),
    *(f"test_masks_tracks_and_displacement_agree_within_half_a_pixel[{view}]" for view in _VIEWS),
}

# All of these are fast; one that is not is marked where it stands.
FAST_FILES = {"test_ultrasound.py", "test_artefacts.py", "test_similarity.py", "test_rendering_stays_on_device.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of the simulator as slow, but for fast files, and those above as expected to fail."""
    for item in items:
        if "tests/simulate" in item.nodeid:
            if item.path.name not in FAST_FILES:
                item.add_marker(pytest.mark.slow)
            if item.name in NOT_YET:
                item.add_marker(pytest.mark.xfail(reason="misses its bound, see docs/simulation.md", strict=False))
