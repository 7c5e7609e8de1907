"""The tests of the simulated ultrasound run with ``make test-all``."""

from __future__ import annotations

import pytest

_LONG = ("test_ultrasound.py", "test_artefacts.py", "test_similarity.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the long ones as slow."""
    for item in items:
        if "tests/simulate" in item.nodeid and item.path.name in _LONG:
            item.add_marker(pytest.mark.slow)
