"""Weights trained on CAMUS; echomotion finds them through an entry point."""

from __future__ import annotations

from pathlib import Path


def weights_folder() -> Path:
    """The folder that holds one folder of weights per model."""
    return Path(__file__).parent / "weights"
