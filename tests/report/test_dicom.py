from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.sr import _concepts_dict
from pydicom.sr.coding import Code

import echomotion as em
from echomotion.analysis_types import Analysis
from echomotion.core import Clip, DataError, Layer, Masks, Measurement, OutputError, Source, Status, View
from echomotion.core.views import segment_names
from echomotion.report import dicom_codes, dicom_header, dicom_seg, save
from echomotion.report.dicom_header import read_header
from echomotion.report.dicom_seg import read_seg, write_seg
from echomotion.report.dicom_sr import write_sr
from echomotion.report.dicom_sr_read import read_sr
from tests.io.samples import dicom, saved
from tests.report.samples import no_ventricle, ventricle

IDENTITY = {
    "PatientName": "Müller^Änne",
    "PatientID": "204",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "StudyDate": "20160503",
    "StudyTime": "120850",
    "AccessionNumber": "A7",
    "StudyID": "1",
    "ReferringPhysicianName": "",
}
UIDS = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.4.5"}


def source_file(path: Path, frames: np.ndarray, **tags: object) -> Path:
    return saved(dicom(frames, **{"SpecificCharacterSet": "ISO_IR 100", **UIDS, **IDENTITY, **tags}), path)


def of_file(path: Path, clip: Clip, kind: str = "dicom") -> Clip:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return clip.with_(source=Source(path.name, kind, digest))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Analysis]:
    """A DICOM file, and the analysis of it."""
    analysis = ventricle(fps=10, shape=(96, 96), spacing_mm=(1.5, 1.2))
    path = source_file(tmp_path_factory.mktemp("dicom") / "case.dcm", analysis.clip.frames)
    return path, replace(analysis, clip=of_file(path, analysis.clip), warnings=("look at the overlay",))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Analysis]:
    """A file that is no DICOM, and the analysis of it."""
    analysis = ventricle(fps=10, shape=(96, 96), spacing_mm=(1.5, 1.2), calibrated=False)
    path = tmp_path_factory.mktemp("video") / "case.avi"
    path.write_bytes(b"RIFF")
    return path, replace(analysis, clip=of_file(path, analysis.clip, "avi"))


def texts_of(report: pydicom.Dataset) -> set[str]:
    return {item.value for item in report.iterall() if item.keyword == "TextValue"}


def rows_of(measurements: tuple[Measurement, ...]) -> list[str]:
    return sorted(repr(row.as_dict()) for row in measurements)


def test_every_standard_code_is_one_of_the_standard() -> None:
    known = {
        (scheme, value)
        for scheme, keywords in _concepts_dict.concepts.items()
        for codes in keywords.values()
        for value in codes
    }
    tables = (*vars(dicom_codes).values(),)
    found = [value for value in tables if isinstance(value, Code)]
    found += [code for table in tables if isinstance(table, dict) for code in table.values() if isinstance(code, Code)]
    schemes = ("DCM", "SCT", "LN")
    standard = {(code.scheme_designator, code.value) for code in found if code.scheme_designator in schemes}
    assert len(standard) > 60
    assert standard <= known
    for view in (View.A4C, View.A2C, View.A3C):
        assert set(segment_names(view)) <= set(dicom_codes.SEGMENTS)


@pytest.mark.parametrize(
    ("row", "concept"),
    [
        (Measurement("ejection_fraction", 55, "%", method="disk summation", view=View.A4C), "79993-2"),
        (Measurement("ejection_fraction", 55, "%", method="disk summation"), "79991-6"),
        (Measurement("ejection_fraction", 55, "%", method="area-length", view=View.A4C), "18043-0"),
        (Measurement("ejection_fraction", 55, "%", method="disk summation", view=View.UNKNOWN), "18043-0"),
        (
            Measurement("global_longitudinal_strain", -20, "%", view=View.A2C, layer=Layer.ENDOCARDIAL),
            "130688",
        ),
        (Measurement("global_longitudinal_strain", -20, "%", view=View.A2C, layer=Layer.MID_WALL), "130670"),
        (Measurement("peak_longitudinal_strain", -20, "%", layer="endocardial", segment="apex"), "130671"),
        (Measurement("global_longitudinal_strain", -20, "%", method="natural strain"), "global_longitudinal_strain"),
        (Measurement("shoe_size", 42, "1"), "shoe_size"),
    ],
)
def test_the_code_says_no_more_than_what_was_measured(row: Measurement, concept: str) -> None:
    assert dicom_codes.concept_of(row).value == concept


def test_numbers_come_back_from_a_report(case: tuple[Path, Analysis], tmp_path: Path) -> None:
    path, analysis = case
    write_sr(tmp_path / "sr.dcm", analysis, read_header(path, analysis.clip))
    assert rows_of(read_sr(tmp_path / "sr.dcm")) == rows_of(analysis.measurements)
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    assert {keyword: str(report[keyword].value) for keyword in IDENTITY} == IDENTITY
    assert report.StudyInstanceUID == UIDS["StudyInstanceUID"]
    assert report.SeriesInstanceUID != UIDS["SeriesInstanceUID"]
    assert report.VerificationFlag == "UNVERIFIED"
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    source = pydicom.dcmread(path, stop_before_pixels=True)
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "look at the overlay" in texts_of(report)
    # Frames are counted from 1 there.
    fraction = next(row for row in analysis.measurements if row.name == "ejection_fraction")
    assert str([frame + 1 for frame in fraction.frames]) in str(report).replace("'", "")


def test_whatever_a_measurement_says_comes_back(case: tuple[Path, Analysis], tmp_path: Path) -> None:
    path, analysis = case
    rows = (
        Measurement("a_name_that_is_longer_than_sixteen_signs", 1 / 3, "furlong/s", interval=(0.1, 2 / 3)),
        Measurement("longitudinal_strain", 1e-9, "%", view=View.UNKNOWN, segment="basal_left_wall", layer="full_wall"),
        Measurement("lv_mass", 1e7, "g", Status.LOW_CONFIDENCE, "Über ½ · “doubtful”", "a way", (3,), View.PLAX, 2),
        Measurement.missing("septal_thickness_diastole", "mm", "not seen", view=View.PLAX, frames=(0, 5, 5)),
        Measurement.missing("wall_motion_score_index", "1", "no segments", segment="apex"),
        Measurement("volume", 3.0, "px3", method="counted", frames=tuple(range(9)), view=View.RV_FOCUSED, beat=0),
    )
    in_memory = replace(analysis, clip=analysis.clip.with_(source=Source()))
    for file, other in ((path, analysis), (tmp_path / "x.avi", in_memory)):
        write_sr(tmp_path / "sr.dcm", replace(other, measurements=rows), read_header(file, other.clip))
        assert rows_of(read_sr(tmp_path / "sr.dcm")) == rows_of(rows)


def test_a_video_gives_a_report_that_invents_nobody(video: tuple[Path, Analysis], tmp_path: Path) -> None:
    path, analysis = video
    header = read_header(path, analysis.clip)
    write_sr(tmp_path / "sr.dcm", analysis, header)
    assert rows_of(read_sr(tmp_path / "sr.dcm")) == rows_of(analysis.measurements)
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    assert not any(report[keyword].value for keyword in IDENTITY)
    assert "CurrentRequestedProcedureEvidenceSequence" not in report
    assert "IMAGE" not in {item.value for item in report.iterall() if item.keyword == "ValueType"}
    assert "case.avi is not a DICOM file" in header.no_masks
    assert header.no_masks in texts_of(report)
    with pytest.raises(OutputError, match="not a DICOM file"):
        write_seg(tmp_path / "seg.dcm", analysis.masks, None, header)


def test_masks_come_back_from_a_segmentation(case: tuple[Path, Analysis], tmp_path: Path) -> None:
    path, analysis = case
    write_seg(tmp_path / "seg.dcm", analysis.masks, analysis.clip.spacing_mm, read_header(path, analysis.clip))
    masks, spacing = read_seg(tmp_path / "seg.dcm")
    assert np.array_equal(masks.labels, analysis.masks.labels)
    assert dict(masks.classes) == dict(analysis.masks.classes)
    assert spacing == (1.5, 1.2)
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert str(data.PatientName) == IDENTITY["PatientName"]
    assert "FrameOfReferenceUID" not in data
    uid = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
    last = data.PerFrameFunctionalGroupsSequence[-1].DerivationImageSequence[0].SourceImageSequence[0]
    assert (last.ReferencedSOPInstanceUID, last.ReferencedFrameNumber) == (uid, analysis.clip.n_frames)


def test_a_segmentation_lies_where_the_recording_lies(tmp_path: Path) -> None:
    analysis = no_ventricle()
    path = source_file(tmp_path / "in.dcm", analysis.clip.frames, FrameOfReferenceUID="1.2.9", PatientSex="U")
    clip = of_file(path, analysis.clip)
    masks = Masks(analysis.masks.labels, {0: "background", 4: "right_ventricle"}, model="none")
    write_seg(tmp_path / "seg.dcm", masks, None, read_header(path, clip))
    data = pydicom.dcmread(tmp_path / "seg.dcm")
    assert (data.FrameOfReferenceUID, data.PatientSex) == ("1.2.9", "")
    found, spacing = read_seg(tmp_path / "seg.dcm")
    assert spacing is None
    assert found.labels.shape == masks.labels.shape
    assert not found.labels.any()
    assert dict(found.classes) == {0: "background", 1: "right_ventricle"}


def test_other_readers_open_what_was_written(case: tuple[Path, Analysis], tmp_path: Path) -> None:
    import highdicom as hd

    path, analysis = case
    header, report, masks = read_header(path, analysis.clip), tmp_path / "sr.dcm", tmp_path / "seg.dcm"
    missing = Measurement.missing("volume", "mL", "not seen")
    write_sr(report, replace(analysis, measurements=(*analysis.measurements, missing)), header)
    write_seg(masks, analysis.masks, None, header)
    with dicom_header.quiet():
        groups = hd.sr.srread(report).content.get_image_measurement_groups()
        seg = hd.seg.segread(masks)
    # What could not be measured is text, not a number.
    known = [m for m in analysis.measurements if m.status is not Status.NOT_MEASURABLE]
    assert sum(len(group.get_measurements()) for group in groups) == len(known) > 0
    labels = [seg.get_segment_description(number).segment_label for number in seg.segment_numbers]
    assert labels == list(analysis.masks.classes.values())[1:]
    write_seg(masks, analysis.masks, (1.5, 1.2), header)
    tools = {"dciodvfy": (report, masks), "dsrdump": (report,), "dcmdump": (report, masks)}
    for tool in filter(shutil.which, tools):
        for file in tools[tool]:
            done = subprocess.run([tool, file], capture_output=True, text=True, errors="replace", check=False)
            assert done.returncode == 0, (tool, done.stderr)
            assert "Error" not in done.stderr, (tool, done.stderr)


def test_results_are_all_there_or_none(case: tuple[Path, Analysis], tmp_path: Path, monkeypatch) -> None:
    path, analysis = case
    for name in ("write_overlay", "write_page"):
        monkeypatch.setattr(save, name, lambda *_: None)
    folder = save.save_analysis(analysis, tmp_path / "in" / "out", dicom=path)
    assert len(read_sr(folder / "measurements.dcm")) == len(analysis.measurements)
    assert read_seg(folder / "masks.dcm")[0].n_frames == analysis.clip.n_frames
    shutil.rmtree(tmp_path / "in")

    def fails(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(dicom_seg, "_segmentation", fails)
    with pytest.raises(OutputError, match=r"Segmentation of case\.dcm cannot be made") as error:
        save.save_analysis(analysis, tmp_path / "out", dicom=path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"StudyInstanceUID": ""}, "no valid StudyInstanceUID"),
        ({"SeriesInstanceUID": ""}, "no valid SeriesInstanceUID"),
        ({"NumberOfFrames": 2}, "frames are not those"),
    ],
)
def test_a_file_that_cannot_be_referred_to_is_refused(tags: dict, message: str, tmp_path: Path) -> None:
    clip = Clip(np.zeros((3, 8, 8), np.uint8), np.arange(3.0))
    path = source_file(tmp_path / "in.dcm", clip.frames, **tags)
    with pytest.raises(OutputError, match=message) as error:
        read_header(path, of_file(path, clip))
    assert "\n" not in str(error.value)


def test_bad_input_is_refused_in_one_line(case: tuple[Path, Analysis], tmp_path: Path, monkeypatch) -> None:
    path, analysis = case
    other = source_file(tmp_path / "other.dcm", analysis.clip.frames)
    with pytest.raises(OutputError, match="not the file that was analysed"):
        read_header(other, analysis.clip)
    with pytest.raises(OutputError, match="cannot be read again"):
        read_header(tmp_path / "gone.dcm", analysis.clip)
    text = tmp_path / "text.dcm"
    text.write_text("nothing")
    for file in (text, path, tmp_path / "gone.dcm"):
        for read in (read_sr, read_seg):
            with pytest.raises(DataError, match=re.escape(str(file))) as error:
                read(file)
            assert "\n" not in str(error.value)
            assert "Müller" not in str(error.value)
    monkeypatch.setattr(dicom_header.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(OutputError, match=r"echomotion\[dicom\]"):
        read_header(path, analysis.clip)


@pytest.mark.slow
def test_results_of_a_real_cine_come_back_with_the_same_numbers_and_open_elsewhere(tmp_path: Path) -> None:
    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    found = em.analyze(em.read_clip(path))
    folder = found.save(tmp_path / "out", dicom=path)

    def by_place(rows: tuple[Measurement, ...]) -> dict[tuple[object, ...], tuple[object, ...]]:
        return {(m.name, m.view, m.beat, m.layer, m.segment): (m.value, m.unit, m.status, m.frames) for m in rows}

    written, read = by_place(found.measurements), by_place(read_sr(folder / "measurements.dcm"))
    assert len(written) == len(found.measurements) > 100
    assert written.keys() == read.keys()
    for place, (value, *rest) in written.items():
        assert read[place][0] == pytest.approx(value, rel=1e-9, nan_ok=True)
        assert list(read[place][1:]) == rest
    masks, spacing = read_seg(folder / "masks.dcm")
    np.testing.assert_array_equal(masks.labels, found.masks.labels)
    assert spacing == pytest.approx(found.clip.spacing_mm)
    for tool, name in (("dsrdump", "measurements.dcm"), ("dcmdump", "measurements.dcm"), ("dcmdump", "masks.dcm")):
        if shutil.which(tool):
            done = subprocess.run([tool, folder / name], capture_output=True, text=True, errors="replace", check=False)
            assert done.returncode == 0, (tool, done.stderr)
