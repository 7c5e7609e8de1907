"""Steadiness of masks whose unsteadiness is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from echomotion.core import Clip, Masks, Tracks
from echomotion.evaluation.stability import (
    area_excursion,
    area_roughness,
    carried_dice,
    contour_jitter,
    smooth_motion,
    stability,
    temporal_loss,
)

T = 30
TIMES = np.arange(T) / 40
Y, X = np.mgrid[:90, :90]


def disks(radius, centre=(45.0, 45.0)):
    centre = np.broadcast_to(centre, (T, 2))
    return (
        np.hypot(X - centre[:, 0, None, None], Y - centre[:, 1, None, None]) < np.broadcast_to(radius, T)[:, None, None]
    )


def test_a_parabola_is_smooth_and_alternation_is_not():
    area = 400 - 300 * (TIMES - 0.3) ** 2
    assert area_roughness(area, TIMES) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(smooth_motion(area, TIMES), area)
    rough = area_roughness(100 + 2 * (-1.0) ** np.arange(T), TIMES)
    assert 1.5 < rough < 2.5
    # The same unsteadiness at another scale.
    assert area_roughness(5 * (100 + 2 * (-1.0) ** np.arange(T)), TIMES) == pytest.approx(rough)


def test_the_excursion_is_the_fractional_area_change():
    assert area_excursion(100 - 40 * np.sin(np.pi * TIMES / TIMES[-1]) ** 2, TIMES) == pytest.approx(40, abs=1)
    assert math.isnan(area_excursion(np.zeros(T), TIMES))
    assert math.isnan(area_roughness(np.ones(4), TIMES[:4]))


def test_a_contour_that_trembles_has_its_amplitude_as_jitter():
    radius = 25 + 1.5 * (-1.0) ** np.arange(T)
    jitter = contour_jitter(disks(radius), TIMES, (0.5, 0.5))
    assert jitter == pytest.approx(1.5 * 0.5, rel=0.15)
    still = contour_jitter(disks(25.0), TIMES, (0.5, 0.5))
    assert still == pytest.approx(0, abs=1e-9)
    # Uniform motion and a beat cost a fraction of a pixel: masks have steps.
    moving = disks(
        25 - 6 * np.sin(np.pi * TIMES / TIMES[-1]), np.column_stack([40 + 0.3 * np.arange(T), np.full(T, 45)])
    )
    assert contour_jitter(moving, TIMES, (0.5, 0.5)) < 0.25 * jitter
    assert math.isnan(contour_jitter(np.zeros((T, 20, 20), bool), TIMES, (1.0, 1.0)))


def drifting_tracks(step):
    start = np.stack(np.meshgrid(np.arange(10.0, 80, 8), np.arange(10.0, 80, 8)), -1).reshape(-1, 2)
    xy = start[:, None] + step * (np.arange(T) - 15)[None, :, None] * [1.0, 0.0]
    seen = np.ones(xy.shape[:2])
    return Tracks(xy, seen > 0, seen, np.column_stack([np.full(len(start), 15), start]))


def test_masks_agree_with_tracks_that_go_with_them():
    drift = disks(20.0, np.column_stack([45 + 0.6 * (np.arange(T) - 15), np.full(T, 45)]))
    assert carried_dice(drift, drifting_tracks(0.6)) > 0.97
    assert carried_dice(drift, drifting_tracks(0.0)) < 0.92
    masks = Masks(drift.astype(np.uint8), {0: "background", 1: "lv_cavity"})
    with_them, without = (temporal_loss(masks, "lv_cavity", drifting_tracks(step)) for step in (0.6, 0.0))
    assert with_them < 0.2 * without


def test_everything_about_a_class_at_once():
    mask = disks(20.0).astype(np.uint8)
    clip = Clip(mask * 100, TIMES, (0.5, 0.5))
    masks = Masks(mask, {0: "background", 1: "lv_cavity"}, tracks=drifting_tracks(0.0))
    row = stability(clip, masks, "lv_cavity").as_dict()
    assert row["unit"] == "mm"
    assert [row[key] for key in ("contour_jitter", "area_roughness", "temporal_loss")] == pytest.approx([0, 0, 0])
    assert row["carried_dice"] == 1
    bare = stability(Clip(mask * 100, TIMES), Masks(mask, {0: "background", 1: "lv_cavity"}), "lv_cavity").as_dict()
    assert (bare["unit"], bare["carried_dice"]) == ("px", None)
