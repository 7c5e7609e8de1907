"""What bad input gets: one error of one line that names the file, the cause and the remedy."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from echomotion.core import ClipError
from echomotion.io import read_clip
from echomotion.io.write import write_video
from tests.io.samples import cine_of_still, dicom, grey_cine, jpeg_dicom, region, saved

GREY = grey_cine(6)
COLOUR = np.repeat(GREY[..., None], 3, axis=3)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


def nifti(path: Path, array: np.ndarray, zooms: tuple[float, ...] = (0.5, 0.5, 0.03)) -> Path:
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units("mm", "sec")
    # nibabel repairs a zero length; the header on disk gets the true one.
    image.to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[80 : 80 + 4 * len(zooms)] = struct.pack(f"<{len(zooms)}f", *zooms)
    path.write_bytes(bytes(raw))
    return path


def video(path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (40, 64, 64, 3), dtype=np.uint8), 25)
    return path


def gif(path: Path) -> Path:
    pages = [Image.fromarray(frame) for frame in GREY]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=40)
    return path


def tiff(path: Path, frames: np.ndarray) -> Path:
    pages = [Image.fromarray(frame) for frame in frames]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def folder(path: Path, frames: list[np.ndarray]) -> Path:
    path.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"{number}.png")
    return path


def ct(path: Path) -> Path:
    data = dicom(GREY)
    data.Modality = "CT"
    return saved(data, path)


def header_only(path: Path, rows: int, columns: int, frames: int) -> Path:
    data = dicom(GREY)
    data.Rows, data.Columns, data.NumberOfFrames = rows, columns, frames
    return saved(data, path)


def npy_header(path: Path, shape: tuple[int, ...]) -> Path:
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        stream.truncate(128)
    return path


def mhd(path: Path, *, spacing: str = "0.3 0.15 1", size: str = "64 48 6", raw: bytes | None = GREY.tobytes()) -> Path:
    if raw is not None:
        path.with_suffix(".raw").write_bytes(raw)
    path.write_text(
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"ElementSpacing = {spacing}\n"
        f"DimSize = {size}\nElementType = MET_UCHAR\nElementDataFile = {path.with_suffix('.raw').name}\n"
    )
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    # name: how the file is made in a folder, a word of the cause, a word of the remedy
    "missing": (lambda f: f / "nowhere.dcm", "no such file", "check the path"),
    "empty": (lambda f: written(f / "a.dcm", b""), "empty", "copy it again"),
    "empty mp4": (lambda f: written(f / "a.mp4", b""), "empty", "copy it again"),
    "text as .dcm": (lambda f: written(f / "a.dcm", b"patient notes\n" * 40), "not a readable DICOM", "check what"),
    "text as .mp4": (lambda f: written(f / "a.mp4", b"patient notes\n" * 40), "cannot be decoded", "copy it again"),
    "text as .nii": (lambda f: written(f / "a.nii", b"patient notes\n" * 40), "not a whole NIfTI", "copy it again"),
    "text as .nii.gz": (lambda f: written(f / "a.nii.gz", b"notes\n" * 90), "not a whole NIfTI", "copy it again"),
    "text as .npy": (lambda f: written(f / "a.npy", b"patient notes\n"), "not a readable NumPy", "save it again"),
    "text as .tif": (lambda f: written(f / "a.tif", b"patient notes\n"), "not a readable picture", "export it again"),
    "text as .mhd": (lambda f: written(f / "a.mhd", b"patient notes\n"), "not a MetaImage", "export it again"),
    "unknown kind": (lambda f: written(f / "a.docx", b"patient notes\n"), "not known", "known are DICOM"),
    "truncated DICOM": (lambda f: cut(saved(dicom(GREY), f / "a.dcm"), 0.7), "cannot be decoded", "copy it again"),
    "truncated DICOM header": (lambda f: cut(saved(dicom(GREY), f / "a.dcm"), 0.01), "DICOM", "copy it again"),
    "truncated JPEG DICOM": (lambda f: cut(saved(jpeg_dicom(GREY), f / "a.dcm"), 0.6), "DICOM", "copy it again"),
    "truncated MP4": (lambda f: cut(video(f / "a.mp4"), 0.6), "truncated", "copy it again"),
    "truncated MP4 header": (lambda f: cut(video(f / "a.mp4"), 0.003), "truncated", "copy it again"),
    "truncated GIF": (lambda f: cut(gif(f / "a.gif"), 0.6), "truncated", "copy it again"),
    "truncated NIfTI": (lambda f: cut(nifti(f / "a.nii", GREY.T), 0.7), "truncated", "copy it again"),
    "truncated NIfTI.gz": (
        lambda f: cut(written(f / "a.nii.gz", gzip.compress(nifti(f / "b.nii", GREY.T).read_bytes())), 0.7),
        "truncated",
        "copy it again",
    ),
    "truncated MHD": (lambda f: mhd(f / "a.mhd", raw=GREY.tobytes()[:-999]), "truncated", "copy it again"),
    "MHD without raw": (lambda f: mhd(f / "a.mhd", raw=None), "a.raw, which is absent", "put that file beside it"),
    "truncated NPZ": (lambda f: cut(npz(f / "a.npz", frames=GREY, fps=20), 0.7), "not a readable", "save it again"),
    "truncated NPY": (lambda f: cut(npy(f / "a.npy", GREY), 0.7), "not a readable NumPy", "save it again"),
    "pickled NPY": (
        lambda f: npy(f / "a.npy", np.full((2, 2, 2), None, dtype=object)), "not a readable", "without pickles"
    ),
    "DICOM without pixels": (lambda f: saved(dicom(None), f / "a.dcm"), "no pixel data", "export the cine"),
    "DICOM without PixelData": (
        lambda f: saved(dicom(GREY, PixelData=None), f / "a.dcm"),
        "no pixel data",
        "export the cine",
    ),
    "CT": (lambda f: ct(f / "a.dcm"), "modality is CT", "give an echocardiography cine"),
    "CT example": (
        lambda f: Path(str(get_testdata_file("CT_small.dcm", download=False))), "modality is CT", "give an echo"
    ),
    "colour still": (
        lambda f: Path(str(get_testdata_file("examples_rgb_color.dcm", download=False))), "single frame", "give a cine"
    ),
    "one-frame DICOM": (lambda f: saved(dicom(GREY[:1]), f / "a.dcm"), "single frame", "give a cine"),
    "one-frame NPY": (lambda f: npy(f / "a.npy", GREY[:1]), "single frame", "give a cine"),
    "one-frame NIfTI": (lambda f: nifti(f / "a.nii", GREY[0].T, (0.3, 0.3)), "single frame", "give a cine"),
    "one-page TIFF": (lambda f: tiff(f / "a.tif", GREY[:1]), "single frame", "give a cine"),
    "one-image folder": (lambda f: folder(f / "images", [GREY[0]]), "single frame", "give a cine"),
    "PNG": (lambda f: folder(f / "images", [GREY[0]]) / "0.png", "single picture", "give a cine"),
    "empty folder": (lambda f: folder(f / "images", []), "no PNG or JPEG", "name a file"),
    "images of two sizes": (lambda f: folder(f / "images", [GREY[0], GREY[1, :40]]), "64 x 40 px", "one size"),
    "16-bit DICOM": (lambda f: saved(dicom(GREY.astype(np.uint16)), f / "a.dcm"), "16-bit", "8-bit"),
    "16-bit NPY": (lambda f: npy(f / "a.npy", GREY.astype(np.int16)), "16 bits", "8-bit"),
    "16-bit NIfTI": (lambda f: nifti(f / "a.nii", GREY.T.astype(np.uint16)), "16 bits", "8-bit"),
    "16-bit TIFF": (lambda f: tiff(f / "a.tif", GREY.astype(np.uint16)), "16 bits", "8-bit"),
    "16-bit images": (lambda f: folder(f / "images", [GREY[0].astype(np.uint16)] * 2), "16 bits", "8-bit"),
    "zero spacing in NPZ": (lambda f: npz(f / "a.npz", frames=GREY, fps=20, spacing_mm=0.0), "positive", "--spacing"),
    "negative spacing in NPZ": (
        lambda f: npz(f / "a.npz", frames=GREY, fps=20, spacing_mm=(0.3, -0.3)), "positive", "--spacing"
    ),
    "zero spacing in MHD": (lambda f: mhd(f / "a.mhd", spacing="0 0.15 1"), "not positive", "header"),
    "zero spacing in DICOM": (
        lambda f: saved(dicom(GREY, SequenceOfUltrasoundRegions=[region((0, 0, 63, 47), 0.0)]), f / "a.dcm"),
        "positive",
        "--spacing",
    ),
    "frame time 0": (lambda f: saved(dicom(GREY, FrameTime=0), f / "a.dcm"), "FrameTime is 0", "--fps"),
    "no frame time": (lambda f: npy(f / "a.npy", GREY), "no frame rate", "--fps"),
    "fps 0 in NPZ": (lambda f: npz(f / "a.npz", frames=GREY, fps=0), "fps in the file is 0", "--fps"),
    "times that stand still": (
        lambda f: npz(f / "a.npz", frames=GREY, times_s=[0, 0, 1, 2, 3, 4]), "no later time", "--fps"
    ),
    "too few times": (lambda f: npz(f / "a.npz", frames=GREY, times_s=[0, 1]), "no later time", "--fps"),
    "NaN": (lambda f: npy(f / "a.npy", np.where(GREY > 200, np.nan, GREY / 255)), "NaN", "replace them"),
    "NaN in NIfTI": (
        lambda f: nifti(f / "a.nii", np.where(GREY.T > 200, np.nan, GREY.T / 255).astype(np.float32)), "NaN", "replace"
    ),
    "values out of range": (lambda f: npy(f / "a.npy", GREY * 10.0), "values from", "0..255"),
    "wrong shape": (lambda f: npy(f / "a.npy", GREY[0, 0]), "shape", "frames (T, H, W)"),
    "no frames in NPZ": (lambda f: npz(f / "a.npz", video=GREY), "no array 'frames'", "save frames"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gets_one_line(name: str, tmp_path: Path) -> None:
    make, cause, remedy = CASES[name]
    path = make(tmp_path)
    if "MHD" in name and "raw" not in name:
        pytest.importorskip("SimpleITK")
    needs_times = not any(word in name for word in ("time", "fps"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ClipError) as failure:
        read_clip(path, fps=None if not needs_times or path.suffix == ".npz" else 25)
    message = str(failure.value)
    assert "\n" not in message
    assert path.name in message
    assert cause in message
    assert remedy in message
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "make",
    [
        lambda f: header_only(f / "a.dcm", 20000, 20000, 2),
        lambda f: npy_header(f / "a.npy", (2, 20000, 20000)),
        lambda f: mhd(f / "a.mhd", size="20000 20000 2"),
        lambda f: tiff_header(f / "a.tif"),
        lambda f: bare_nifti(f / "a.nii"),
    ],
    ids=["DICOM", "NPY", "MHD", "TIFF", "NIfTI"],
)
def test_a_huge_frame_is_refused_before_it_is_allocated(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(ClipError, match="over the limit of 64 million pixels"):
        read_clip(path, fps=20)
    assert time.perf_counter() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_too_many_frames_are_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="limit of 4 thousand million pixels"):
        read_clip(header_only(tmp_path / "a.dcm", 4000, 4000, 300))


@pytest.mark.parametrize("spacing", [0, -0.3, (0.3, 0), (0.3, float("nan")), (1, 2, 3), "wide"])
def test_a_spacing_given_by_the_caller_must_be_positive(tmp_path: Path, spacing: object) -> None:
    with pytest.raises(ClipError, match=r"a\.dcm: spacing_mm"):
        read_clip(saved(dicom(GREY), tmp_path / "a.dcm"), spacing_mm=spacing)


@pytest.mark.parametrize("fps", [0, -20, float("nan"), float("inf")])
def test_a_frame_rate_given_by_the_caller_must_be_positive(tmp_path: Path, fps: float) -> None:
    with pytest.raises(ClipError, match=r"a\.dcm: the frame rate given is"):
        read_clip(saved(dicom(GREY), tmp_path / "a.dcm"), fps=fps)


def test_a_view_given_by_the_caller_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="there is no view 'A5C'; give one of A4C"):
        read_clip(saved(dicom(GREY), tmp_path / "a.dcm"), view="A5C")


def test_a_missing_simpleitk_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "SimpleITK", None)
    with pytest.raises(ClipError, match=r'pip install "echomotion\[mhd\]"'):
        read_clip(mhd(tmp_path / "a.mhd"), fps=20)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", ["dcm", "jpeg dcm", "palette dcm", "mp4", "avi", "nii", "gif", "npz", "tif"])
def test_a_file_cut_anywhere_fails_cleanly_or_gives_a_clip(kind: str, share: float, tmp_path: Path) -> None:
    makers: dict[str, Callable[[], Path]] = {
        "dcm": lambda: saved(dicom(GREY), tmp_path / "a.dcm"),
        "jpeg dcm": lambda: saved(jpeg_dicom(COLOUR), tmp_path / "a.dcm"),
        "palette dcm": lambda: saved(cine_of_still("examples_palette.dcm"), tmp_path / "a.dcm"),
        "mp4": lambda: video(tmp_path / "a.mp4"),
        "avi": lambda: video(tmp_path / "a.mp4").rename(tmp_path / "a.avi"),
        "nii": lambda: nifti(tmp_path / "a.nii", GREY.T),
        "gif": lambda: gif(tmp_path / "a.gif"),
        "npz": lambda: npz(tmp_path / "a.npz", frames=GREY, fps=20),
        "tif": lambda: tiff(tmp_path / "a.tif", GREY),
    }
    path = cut(makers[kind](), share)
    with pytest.raises(ClipError) as failure:
        read_clip(path, fps=20)
    assert "\n" not in str(failure.value)


def tiff_header(path: Path) -> Path:
    """A little-endian TIFF whose one directory declares 20,000 x 20,000 grey pixels that are not there."""
    entries = [(256, 20000), (257, 20000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 20000), (279, 8)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    start = b"II*\0" + struct.pack("<I", 16) + b"\0" * 8
    return written(path, start + struct.pack("<H", len(entries)) + body + b"\0" * 4)


def bare_nifti(path: Path) -> Path:
    header = nibabel.Nifti1Header()
    header.set_data_shape((20000, 20000, 2))
    header.set_data_dtype(np.uint8)
    return written(path, header.binaryblock + b"\0" * 4)
