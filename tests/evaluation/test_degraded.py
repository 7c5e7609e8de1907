"""Pictures are made worse by degrees, inside the fan alone."""

from __future__ import annotations

import numpy as np
import pytest

from echomotion.core import Clip, DataError
from echomotion.evaluation.degraded import KINDS, degraded
from echomotion.evaluation.degraded_figure import draw_degraded


@pytest.fixture
def clip() -> Clip:
    y, x = np.mgrid[:80, :100]
    fan = np.abs(np.arctan2(x - 50, y + 1)) < 0.6
    grey = np.random.default_rng(0).integers(40, 200, (1, 80, 100)) * fan
    return Clip(grey.astype(np.uint8), np.zeros(1))


@pytest.mark.parametrize("kind", KINDS)
def test_more_strength_changes_more_and_none_nothing(clip, kind):
    def change(strength: float) -> float:
        return float(np.abs(degraded(clip, kind, strength).frames.astype(int) - clip.frames).mean())

    assert change(0) <= 0.6
    assert change(0) < change(0.5) < change(1.0)
    assert not degraded(clip, kind, 1.0).frames[clip.frames == 0].any()
    assert np.array_equal(degraded(clip, kind, 0.7, seed=3).frames, degraded(clip, kind, 0.7, seed=3).frames)


def test_gain_darkens_haze_brightens_and_coarse_pixels_lose_detail(clip):
    mean = clip.frames.mean()
    assert degraded(clip, "gain", 1).frames.mean() < mean < degraded(clip, "haze", 1).frames.mean()
    assert degraded(clip, "dropout", 1).frames.mean() < 0.8 * mean
    inner = (slice(None), slice(30, 70), slice(40, 60))
    assert degraded(clip, "resolution", 1).frames[inner].std() < 0.7 * clip.frames[inner].std()


@pytest.mark.parametrize(("kind", "strength"), [("fog", 0.5), ("gain", 1.5), ("gain", -0.1)])
def test_others_are_refused(clip, kind, strength):
    with pytest.raises(DataError, match="degraded by"):
        degraded(clip, kind, strength)


def test_the_curve_is_drawn(tmp_path):
    rows = [
        {"model": "unet", "kind": kind, "strength": s, "lv_cavity": 0.9 - s / 10, "lv_myocardium": 0.8}
        for kind, s in [("none", 0.0)] + [(kind, s) for kind in KINDS for s in (0.5, 1.0)]
    ]
    for count in (1, 2):
        draw_degraded(dict.fromkeys(("single frames", "beats")[:count], rows), tmp_path / "curve.svg")
        assert "<svg" in (tmp_path / "curve.svg").read_text()
