"""DICOM: every coding and colour, the clock, the view, and nothing about the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from echomotion.core import ClipError, View
from echomotion.io import read_clip
from tests.io.samples import cine_of_still, dicom, encapsulated, grey_cine, jpeg_dicom, saved

GREY = grey_cine()
COLOUR = np.repeat(GREY[..., None], 3, axis=3)


# ------------------------------------------------------------------ codings
def test_uncompressed_grey_frames_come_back_exactly(tmp_path: Path) -> None:
    clip = read_clip(saved(dicom(GREY), tmp_path / "a.dcm"))
    np.testing.assert_array_equal(clip.frames, GREY)
    np.testing.assert_allclose(clip.times_s, [0, 0.04, 0.08, 0.12])
    assert clip.source.format == "dicom"
    assert clip.source.times_origin == "DICOM FrameTime"
    assert clip.view is View.UNKNOWN
    assert clip.r_wave_times_s is None


def test_implicit_little_endian(tmp_path: Path) -> None:
    data = dicom(GREY)
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


def test_big_endian(tmp_path: Path) -> None:
    data = dicom(GREY)
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data["PixelData"].VR = "OB"
    data.set_original_encoding(False, False)
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG 2000"])
@pytest.mark.parametrize("frames", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_codings_come_back_exactly(tmp_path: Path, syntax, frames) -> None:
    data = dicom(frames)
    data.compress(syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


@pytest.mark.parametrize("frames", [GREY, COLOUR], ids=["MONOCHROME2", "YBR_FULL_422"])
def test_jpeg_baseline(tmp_path: Path, frames) -> None:
    clip = read_clip(saved(jpeg_dicom(frames), tmp_path / "a.dcm"))
    np.testing.assert_allclose(clip.frames.astype(int), GREY, atol=4)
    assert not clip.source.warnings or all("coloured" not in w for w in clip.source.warnings)


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("SC_rgb_jpeg_gdcm.dcm", 0),  # JPEG lossless, process 14, selection value 1
        ("SC_rgb_gdcm_KY.dcm", 0),  # JPEG 2000
        ("SC_rgb_rle.dcm", 0),
        ("SC_rgb_jls_lossy_line.dcm", 3),  # JPEG-LS
        ("SC_rgb_jls_lossy_sample.dcm", 3),
        ("SC_rgb_jpeg_lossy_gdcm.dcm", 3),  # JPEG baseline, YBR_FULL
        ("SC_ybr_full_422_uncompressed.dcm", 4),
    ],
)
def test_codings_that_only_examples_have(tmp_path: Path, name: str, off: int) -> None:
    """All show one picture: bars of pure and pale colour, and of grey, whose grey ones must come through."""
    clip = read_clip(saved(cine_of_still(name), tmp_path / "a.dcm"))
    reference = dcmread(str(get_testdata_file("SC_rgb_rle.dcm", download=False))).pixel_array
    grey = np.ptp(reference, axis=2) == 0
    assert grey.mean() > 0.1
    assert np.ptp(reference[grey]) == 255
    assert clip.frames.shape == (3, 100, 100)
    # Sub-sampled colour spreads over the border of a bar.
    off_by = np.abs(clip.frames[2].astype(int) - reference[..., 0])[grey]
    assert np.percentile(off_by, 95) <= off
    assert not clip.frames[:, np.ptp(reference, axis=2) > 200].any()


def test_jpeg_ls_grey(tmp_path: Path) -> None:
    data = cine_of_still("JPEGLSNearLossless_08.dcm")
    expected = data.pixel_array
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, expected)


# ------------------------------------------------------------------ colours
def test_monochrome1_is_inverted(tmp_path: Path) -> None:
    data = dicom(255 - GREY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


def test_planar_colour(tmp_path: Path) -> None:
    colour = COLOUR.copy()
    colour[..., 0] += 1
    data = dicom(colour, PlanarConfiguration=1, PixelData=colour.transpose(0, 3, 1, 2).tobytes())
    np.testing.assert_allclose(read_clip(saved(data, tmp_path / "a.dcm")).frames.astype(int), GREY, atol=1)


def test_ybr_full_uncompressed(tmp_path: Path) -> None:
    coded = COLOUR.copy()
    coded[..., 1:] = 128
    data = dicom(coded, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(tmp_path: Path, bits: int) -> None:
    data = dicom(255 - GREY, PhotometricInterpretation="PALETTE COLOR")
    ramp = np.arange(255, -1, -1).astype(np.uint8 if bits == 8 else np.uint16) * (1 if bits == 8 else 257)
    for colour in ("Red", "Green", "Blue"):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(data, f"{colour}PaletteColorLookupTableData", ramp.tobytes())
    np.testing.assert_array_equal(read_clip(saved(data, tmp_path / "a.dcm")).frames, GREY)


def test_the_palette_example(tmp_path: Path) -> None:
    clip = read_clip(saved(cine_of_still("examples_palette.dcm"), tmp_path / "a.dcm"))
    assert clip.shape == (350, 800)
    assert clip.frames.max() > 200


def test_colour_flow_is_blackened_and_warned_about(tmp_path: Path) -> None:
    colour = COLOUR.copy()
    colour[:, 10:20, 10:30] = (220, 20, 10)
    clip = read_clip(saved(dicom(colour), tmp_path / "a.dcm"))
    assert not clip.frames[:, 10:20, 10:30].any()
    np.testing.assert_array_equal(clip.frames[:, 20:], GREY[:, 20:])
    assert "coloured overlay" in clip.source.warnings[0]


# ------------------------------------------------------------------ times
@pytest.mark.parametrize(
    ("tags", "times", "origin"),
    [
        ({"FrameTimeVector": [0, 10, 20, 30], "CineRate": 10}, [0, 0.04, 0.08, 0.12], "FrameTime"),
        ({"FrameTime": None, "FrameTimeVector": [0, 10, 20, 30], "CineRate": 10}, [0, 0.01, 0.03, 0.06],
         "FrameTimeVector"),
        ({"FrameTime": None, "CineRate": 50, "RecommendedDisplayFrameRate": 10}, [0, 0.02, 0.04, 0.06], "CineRate"),
        ({"FrameTime": None, "RecommendedDisplayFrameRate": 25}, [0, 0.04, 0.08, 0.12],
         "RecommendedDisplayFrameRate"),
        ({"FrameTime": 0, "CineRate": 50}, [0, 0.02, 0.04, 0.06], "CineRate"),
        ({"FrameTime": None, "FrameTimeVector": [0, 10, 0, 30], "CineRate": 50}, [0, 0.02, 0.04, 0.06], "CineRate"),
        ({"FrameTime": None, "FrameTimeVector": [0, 10], "CineRate": 50}, [0, 0.02, 0.04, 0.06], "CineRate"),
    ],
)  # fmt: skip
def test_times_come_from_the_first_usable_tag(tmp_path: Path, tags, times, origin) -> None:
    clip = read_clip(saved(dicom(GREY, **tags), tmp_path / "a.dcm"))
    np.testing.assert_allclose(clip.times_s, times)
    assert clip.source.times_origin == f"DICOM {origin}"


@pytest.mark.parametrize("frame_time", [0, -3, None])
def test_without_a_frame_time_the_remedy_is_fps(tmp_path: Path, frame_time) -> None:
    path = saved(dicom(GREY, FrameTime=frame_time), tmp_path / "a.dcm")
    with pytest.raises(ClipError, match=r"a\.dcm: no frame rate .*--fps"):
        read_clip(path)
    clip = read_clip(path, fps=50)
    np.testing.assert_allclose(clip.times_s, [0, 0.02, 0.04, 0.06])
    assert clip.source.times_origin == "user"


def test_r_waves_in_seconds(tmp_path: Path) -> None:
    data = dicom(GREY)
    data.RWaveTimeVector = [10.0, 110.0]
    np.testing.assert_allclose(read_clip(saved(data, tmp_path / "a.dcm")).r_wave_times_s, [0.01, 0.11])


# ------------------------------------------------------------------ view
@pytest.mark.parametrize(
    ("tag", "text", "view"),
    [
        ("SeriesDescription", "Apical 4 chamber", View.A4C),
        ("SeriesDescription", "AP4 zoom", View.A4C),
        ("ImageComments", "a2c", View.A2C),
        ("ViewName", "APLAX", View.A3C),
        ("ViewName", "LV_4CH", View.A4C),
        ("ProtocolName", "Parasternal long axis", View.PLAX),
        ("SeriesDescription", "PSAX at papillary level", View.PSAX),
        ("SeriesDescription", "RV focused A4C", View.RV_FOCUSED),
        ("SeriesDescription", "Subcostal four chamber", View.UNKNOWN),
        ("SeriesDescription", "TEE 4ch", View.UNKNOWN),
        ("SeriesDescription", "adult echo 24c", View.UNKNOWN),
        ("PatientName", "A4C", View.UNKNOWN),
    ],
)
def test_view_words(tmp_path: Path, tag: str, text: str, view: View) -> None:
    clip = read_clip(saved(dicom(GREY, **{tag: text}), tmp_path / "a.dcm"))
    assert clip.view is view
    assert clip.source.view_origin == ("none" if view is View.UNKNOWN else f"DICOM {tag}")


def test_view_code_counts_first_and_the_caller_above_all(tmp_path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "G-A19B", "SRT", "Apical two chamber"
    path = saved(dicom(GREY, ViewCodeSequence=[code], SeriesDescription="A4C"), tmp_path / "a.dcm")
    assert read_clip(path).view is View.A2C
    assert read_clip(path, view="plax").view is View.PLAX


# ------------------------------------------------------------------ privacy, bytes, the example
def test_no_patient_data_leaves_the_reader(tmp_path: Path) -> None:
    secrets = {
        "PatientName": "Doe^Jane", "PatientID": "ID-77341", "PatientBirthDate": "19511203", "StudyDate": "20190817",
        "AccessionNumber": "ACC4482", "InstitutionName": "St Elsewhere", "ReferringPhysicianName": "House^G",
        "ImageComments": "A4C of Jane Doe", "StudyInstanceUID": "1.2.3.4.5.6.7", "OtherPatientIDs": "XX-991",
    }  # fmt: skip
    clip = read_clip(saved(dicom(GREY, **secrets), tmp_path / "case.dcm"))
    shown = repr(clip.source) + repr(clip.view) + repr(clip.r_wave_times_s)
    for secret in [*secrets.values(), "Doe", "Jane", "House", "2019"]:
        assert secret not in shown.replace(clip.source.sha256, "")
    assert set(vars(clip)) == {"frames", "times_s", "spacing_mm", "view", "r_wave_times_s", "source"}


def test_a_damaged_patient_name_is_not_repeated(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    data = dicom(GREY, FrameTime=None)
    data.add_new("PatientBirthDate", "DA", "17 May")
    data.add_new("PatientID", "LO", "JaneDoe" * 20)
    path = tmp_path / "a.dcm"
    data.save_as(path, enforce_file_format=True)
    recwarn.clear()
    with pytest.raises(ClipError) as failure:
        read_clip(path)
    assert not [w for w in recwarn if "JaneDoe" in str(w.message) or "May" in str(w.message)]
    assert "JaneDoe" not in str(failure.value)


def test_bytes_and_a_name_without_ending(tmp_path: Path) -> None:
    path = saved(dicom(GREY), tmp_path / "IM_0001")
    np.testing.assert_array_equal(read_clip(path).frames, GREY)
    from_bytes = read_clip(path.read_bytes())
    np.testing.assert_array_equal(from_bytes.frames, GREY)
    assert from_bytes.source.name == "bytes"
    assert from_bytes.source.sha256 == read_clip(path).source.sha256


def test_the_pydicom_cine() -> None:
    clip = read_clip(str(get_testdata_file("examples_ybr_color.dcm", download=False)))
    assert clip.frames.shape == (30, 240, 320)
    assert clip.frame_interval_s == pytest.approx(0.033333)
    assert clip.spacing_mm == pytest.approx((1.02099, 1.02099), abs=1e-4)
    assert clip.source.spacing_origin == "inferred from the fan"
    assert any("reaches beyond the picture" in w for w in clip.source.warnings)
    # Green frames are what a second conversion from YBR makes: black would come out as (0, 135, 0).
    assert np.median(clip.frames[:, :10, 100:200]) <= 1


def test_a_missing_last_frame_is_noticed(tmp_path: Path) -> None:
    coded = jpeg_dicom(GREY)
    fewer = jpeg_dicom(GREY[:3])
    coded.PixelData = fewer.PixelData
    with pytest.raises(ClipError, match="truncated"):
        read_clip(saved(coded, tmp_path / "a.dcm"))


def test_a_broken_frame_is_named(tmp_path: Path) -> None:
    data = encapsulated(dicom(GREY), [b"\xff\xd8\xff\xe0 nothing"] * 4, "1.2.840.10008.1.2.4.50")
    with pytest.raises(ClipError, match="frame 0 cannot be decoded"):
        read_clip(saved(data, tmp_path / "a.dcm"))
