"""NIfTI and MHD: axes, spacing and clock."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from echomotion.core import ClipError
from echomotion.io import read_clip
from echomotion.io.volumes import read_volume
from tests.io.samples import grey_cine

GREY = grey_cine(5)


def nifti(path: Path, array: np.ndarray, zooms: tuple[float, ...], units: tuple[str, str]) -> Path:
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units(*units)
    image.to_filename(path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("axes", [3, 4])
def test_nifti_axes_spacing_and_clock(tmp_path: Path, name: str, axes: int) -> None:
    array = GREY.transpose(2, 1, 0)
    if axes == 4:
        array = array[:, :, None]
    zooms = (0.3, 0.2, 1.0, 40.0) if axes == 4 else (0.3, 0.2, 40.0)
    path = nifti(tmp_path / name, array, zooms, ("mm", "msec"))
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, GREY)
    assert clip.spacing_mm == pytest.approx((0.2, 0.3))
    np.testing.assert_allclose(clip.times_s, np.arange(5) * 0.04, atol=1e-7)
    np.testing.assert_array_equal(read_clip(path.read_bytes()).frames, GREY)
    volume, spacing = read_volume(path)
    np.testing.assert_array_equal(volume, GREY)
    assert spacing == clip.spacing_mm


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0)])
def test_units_of_length(tmp_path: Path, unit: str, factor: float) -> None:
    path = nifti(tmp_path / "a.nii", GREY.T, (0.3 / factor, 0.2 / factor, 0.04), (unit, "sec"))
    assert read_clip(path).spacing_mm == pytest.approx((0.2, 0.3))


def test_without_a_unit_of_time_the_rate_must_be_given(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", GREY.T, (0.3, 0.2, 1.0), ("mm", "unknown"))
    with pytest.raises(ClipError, match=r"no time between frames.*--fps"):
        read_clip(path)
    assert read_clip(path, fps=20).frame_interval_s == pytest.approx(0.05)


def test_pixels_of_one_without_a_unit_are_not_calibrated(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", GREY.T, (1, 1, 0.04), ("unknown", "sec"))
    clip = read_clip(path)
    assert clip.spacing_mm is None
    assert "not calibrated" in clip.source.warnings[0]
    assert read_clip(path, spacing_mm=0.3).source.warnings == ()


def test_a_rescaled_nifti_is_read_as_its_values(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(GREY.T.astype(np.float64), np.eye(4))
    image.set_data_dtype(np.int16)
    image.header.set_zooms((0.3, 0.2, 0.04))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(0.5, 0)
    image.to_filename(tmp_path / "a.nii")
    values = nibabel.load(tmp_path / "a.nii").get_fdata()
    assert values.max() == GREY.max() / 2
    np.testing.assert_array_equal(read_clip(tmp_path / "a.nii").frames, np.round(values.T))


@pytest.mark.parametrize("array", [GREY[0].T, GREY[:1].T, GREY[:1].transpose(2, 1, 0)[:, :, None]])
def test_a_still_is_a_plane(tmp_path: Path, array: np.ndarray) -> None:
    path = nifti(tmp_path / "a.nii", array, (0.3, 0.2, 1.0, 1.0)[: array.ndim], ("mm", "unknown"))
    volume, spacing = read_volume(path)
    np.testing.assert_array_equal(volume, GREY[0])
    assert spacing == pytest.approx((0.2, 0.3))


def test_a_stack_of_slices_is_no_cine(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", np.zeros((8, 8, 3, 4), np.uint8), (1, 1, 1, 1), ("mm", "sec"))
    with pytest.raises(ClipError, match=r"no grey cine; save it with axes \(x, y, t\)"):
        read_clip(path)


@pytest.mark.parametrize("local", [False, True])
def test_mhd(tmp_path: Path, local: bool) -> None:
    pytest.importorskip("SimpleITK")
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "ElementSpacing = 0.308 0.154 1\nDimSize = 64 48 5\nElementType = MET_UCHAR\nElementDataFile = "
    )
    path = tmp_path / ("a.mha" if local else "a.mhd")
    if local:
        path.write_bytes(f"{header}LOCAL\n".encode() + GREY.tobytes())
    else:
        path.write_text(f"{header}a.raw\n")
        (tmp_path / "a.raw").write_bytes(GREY.tobytes())
    clip = read_clip(path, fps=20)
    np.testing.assert_array_equal(clip.frames, GREY)
    assert clip.spacing_mm == pytest.approx((0.154, 0.308))
    assert clip.pixel_aspect == pytest.approx(0.5)
    with pytest.raises(ClipError, match="--fps"):
        read_clip(path)


def test_camus_files(echo_data: Path) -> None:
    folder = echo_data / "CAMUS_mhd" / "patient0001"
    with pytest.raises(ClipError, match=r"patient0001_4CH_sequence\.raw, which is absent"):
        read_clip(folder / "patient0001_4CH_sequence.mhd")
    pytest.importorskip("SimpleITK")
    image, spacing = read_volume(folder / "patient0001_4CH_ED.mhd")
    half, half_spacing = read_volume(
        echo_data / "CAMUS_public" / "database_nifti" / "patient0001" / "patient0001_4CH_ED.nii.gz"
    )
    assert image.shape == (778, 549)
    assert spacing == pytest.approx((0.154, 0.308))
    assert half.shape == (389, 549)
    assert half_spacing == pytest.approx((0.308, 0.308))
    # One picture, with half the rows.
    assert np.corrcoef(image[::2].ravel(), half.ravel())[0, 1] > 0.95
