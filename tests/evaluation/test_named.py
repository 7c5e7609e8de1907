"""One model with several weights in a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

import echomotion
from echomotion.core import DataError, ModelError
from echomotion.evaluation.named import named_tracker

RELEASED = Path(echomotion.__file__).parent / "models" / "released" / "echomotion_tracker"


def test_weights_stand_in_the_name():
    assert named_tracker("lucas_kanade").name == "lucas_kanade"
    assert named_tracker(f"echomotion_tracker={RELEASED}").name == "echomotion_tracker (echomotion_tracker)"


@pytest.mark.parametrize("entry", ["=folder", "specknet="])
def test_half_an_entry_is_refused(entry):
    with pytest.raises(DataError, match="NAME=WEIGHTS"):
        named_tracker(entry)


def test_weights_of_another_model_are_refused():
    with pytest.raises(ModelError, match="belong to"):
        named_tracker(f"specknet={RELEASED}")
