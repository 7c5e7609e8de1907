"""The pixel size of DICOM files: believed where it is plausible, refused with a reason elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from echomotion.core import Clip, ClipError
from echomotion.io import read_clip
from echomotion.preprocess.sector import Sector
from tests.io.samples import dicom, fan_cine, region, saved

FAN = Sector((160.0, 14.0), (-0.7, 0.7), 8.0, 210.0, (240, 320))
FRAMES = fan_cine(FAN)
BOX = tuple(round(v) for v in FAN.box)
GREY_FRAME = np.random.default_rng(5).integers(30, 200, (4, 240, 320), dtype=np.uint8)


def read(folder: Path, *regions: object, frames: np.ndarray = FRAMES, **tags: object) -> Clip:
    data = dicom(frames, SequenceOfUltrasoundRegions=list(regions), **tags)
    return read_clip(saved(data, folder / "a.dcm"))


def test_a_region_inside_the_picture_is_believed(tmp_path: Path) -> None:
    clip = read(tmp_path, region(BOX, (0.05, 0.08)))
    assert clip.spacing_mm == pytest.approx((0.5, 0.8))
    assert clip.source.spacing_origin == "DICOM region"
    assert clip.source.warnings == ()


def test_the_largest_tissue_region_counts(tmp_path: Path) -> None:
    small = region((0, 0, 60, 60), 0.09)
    trace = region((0, 0, 319, 239), 0.001, RegionSpatialFormat=3)
    flow = region((0, 0, 319, 239), 0.02, RegionDataType=2)
    assert read(tmp_path, small, trace, region(BOX, 0.07), flow).spacing_mm == pytest.approx((0.7, 0.7))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_region_of_a_larger_picture_is_scaled_by_its_fan(tmp_path: Path, scale: int) -> None:
    bounds = tuple(round(scale * v) for v in FAN.box)
    clip = read(tmp_path, region(bounds, 0.16 / scale))
    assert clip.spacing_mm == pytest.approx((1.6, 1.6))
    assert clip.source.spacing_origin == "inferred from the fan"
    assert any("reaches beyond the picture" in w and f"divided by {scale}" in w for w in clip.source.warnings)


@pytest.mark.parametrize("side", range(4))
def test_a_scaled_region_that_misses_the_fan_is_not_believed(tmp_path: Path, side: int) -> None:
    bounds = [round(2 * v) for v in FAN.box]
    # 14 px of the larger picture are 7 px here.
    bounds[side] += 14
    clip = read(tmp_path, region(tuple(bounds), 0.08))
    assert clip.spacing_mm is None
    assert clip.source.spacing_origin == "none"
    assert any(w.startswith("not calibrated: the region reaches beyond") for w in clip.source.warnings)


def test_a_scaled_region_without_a_fan_is_not_believed(tmp_path: Path) -> None:
    clip = read(tmp_path, region((0, 0, 639, 479), 0.04), frames=GREY_FRAME)
    assert clip.spacing_mm is None
    assert "no fan was found" in clip.source.warnings[0]


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (region(BOX, PhysicalUnitsXDirection=4), "not in cm along both axes"),
        (region(BOX, PhysicalUnitsYDirection=None), "not in cm along both axes"),
        (region(BOX, PhysicalDeltaY=None), "no pixel size along both axes"),
        (region(BOX, 0.005), "1.0 cm deep"),
        (region(BOX, 0.5), "cm deep, which no picture of a heart is"),
        (region((100, 100, 100, 100)), "the region is empty"),
        (region(BOX, RegionSpatialFormat=3), "no 2D tissue region"),
        (region(BOX, RegionDataType=3), "no 2D tissue region"),
    ],
)
def test_what_is_not_plausible_leaves_the_clip_uncalibrated(tmp_path: Path, item: object, why: str) -> None:
    clip = read(tmp_path, item)
    assert clip.spacing_mm is None
    assert clip.source.spacing_origin == "none"
    assert any(w.startswith("not calibrated") and why in w and "--spacing" in w for w in clip.source.warnings)


def test_no_region_at_all(tmp_path: Path) -> None:
    clip = read(tmp_path)
    assert clip.spacing_mm is None
    assert "no ultrasound region" in clip.source.warnings[0]


def test_pixel_spacing_serves_where_there_is_no_region_with_a_warning(tmp_path: Path) -> None:
    clip = read(tmp_path, PixelSpacing=[0.6, 0.7])
    assert clip.spacing_mm == pytest.approx((0.6, 0.7))
    assert clip.source.spacing_origin == "DICOM PixelSpacing"
    assert "PixelSpacing" in clip.source.warnings[0]
    assert read(tmp_path, PixelSpacing=[6, 6]).spacing_mm is None


@pytest.mark.parametrize("delta", [(0.0, 0.05), (-0.05, 0.05), (0.05, 0.0)])
def test_a_size_that_cannot_be_is_an_error_unless_a_better_one_is_given(tmp_path: Path, delta: object) -> None:
    data = dicom(FRAMES, SequenceOfUltrasoundRegions=[region(BOX, delta)])
    path = saved(data, tmp_path / "a.dcm")
    with pytest.raises(ClipError, match=r"a\.dcm: .*positive.*--spacing"):
        read_clip(path)
    clip = read_clip(path, spacing_mm=0.9)
    assert clip.spacing_mm == (0.9, 0.9)
    assert clip.source.spacing_origin == "user"
    assert clip.source.warnings == ()


def test_a_fan_beyond_its_region_is_warned_about(tmp_path: Path) -> None:
    clip = read(tmp_path, region((100, 60, 200, 160), 0.1))
    assert clip.spacing_mm == pytest.approx((1.0, 1.0))
    assert any("beyond the region" in w for w in clip.source.warnings)
