"""Fixtures that many tests share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# The same examples in every run, so that a failure is never a matter of luck, nor of a busy machine.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def echo_data() -> Path:
    """The folder of real recordings; tests that need it are skipped, and say so, where it is absent."""
    folder = os.environ.get("ECHOMOTION_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ECHOMOTION_DATA does not name a folder of real recordings")
    return Path(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of randomness."""
    return np.random.default_rng(20240613)
