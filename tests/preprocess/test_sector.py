"""The fan is found in pictures whose fan is known, and in real ones; where there is none, none is found."""

from __future__ import annotations

from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import loadmat

from echomotion.preprocess.sector import Sector, find_sector, mask_outside


def draw(sector: Sector, rng: np.random.Generator, *, frames: int = 8, brightness: float = 90.0) -> NDArray[np.uint8]:
    """Speckle that changes from frame to frame inside a fan, black outside."""
    speckle = rng.rayleigh(brightness / 1.25, (frames, *sector.shape)).clip(0, 255)
    return (speckle * sector.mask()).astype(np.uint8)


def assert_close(found: Sector | None, true: Sector, *, pixels: float = 2.0, degrees: float = 0.7) -> None:
    assert found is not None
    np.testing.assert_allclose(found.apex, true.apex, atol=1.5 * pixels)
    np.testing.assert_allclose(np.rad2deg(found.angles), np.rad2deg(true.angles), atol=degrees)
    assert abs(found.r_max - true.r_max) < 1.5 * pixels
    np.testing.assert_allclose(found.box, true.box, atol=1.5 * pixels)
    overlap = (found.mask() & true.mask()).sum() / (found.mask() | true.mask()).sum()
    assert overlap > 1 - 0.015 * pixels


FANS = {
    "narrow": Sector((160.0, 12.0), (-0.55, 0.55), 8.0, 210.0, (240, 320)),
    "wide": Sector((300.0, 40.0), (-0.75, 0.75), 14.0, 400.0, (480, 640)),
    "asymmetric": Sector((140.0, 20.0), (-0.45, 0.70), 10.0, 200.0, (240, 320)),
    "pointed": Sector((128.0, 3.0), (-0.65, 0.65), 0.0, 190.0, (200, 256)),
    "curved probe": Sector((200.0, -60.0), (-0.6, 0.6), 100.0, 380.0, (340, 420)),
}


@pytest.mark.parametrize("name", FANS)
@pytest.mark.parametrize("frames", [1, 8])
def test_parameters_of_a_plain_fan(name: str, frames: int, rng: np.random.Generator) -> None:
    true = FANS[name]
    assert_close(find_sector(draw(true, rng, frames=frames)), true)


def test_text_scale_colour_bar_and_trace_do_not_move_the_fan(rng: np.random.Generator) -> None:
    true = FANS["wide"]
    clip = draw(true, rng, frames=12)
    for t, frame in enumerate(clip):
        cv2.putText(frame, "Apical 4C  25 Hz", (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
        cv2.putText(frame, f"{60 + t} bpm", (560, 470), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
        for y in range(40, 440, 40):
            cv2.line(frame, (625, y), (632, y), 220, 1)
        frame[60:200, 600:612] = np.linspace(255, 0, 140).astype(np.uint8)[:, None]
        x = np.arange(0, 40 * (t + 1))
        frame[(450 + 12 * np.sin(x / 9)).astype(int), x] = 255
        cv2.circle(frame, (330, 46), 4, 255, -1)
    assert_close(find_sector(clip), true)


def test_dark_flanks_are_completed(rng: np.random.Generator) -> None:
    true = FANS["wide"]
    x, y = np.meshgrid(np.arange(640) - 300.0, np.arange(480) - 40.0)
    angle = np.arctan2(x, y)
    gain = np.where(np.abs(angle) > 0.4, 0.08, 1.0)
    assert_close(find_sector((draw(true, rng) * gain).astype(np.uint8)), true, pixels=3.0, degrees=1.2)


def test_dark_chambers_do_not_split_the_fan(rng: np.random.Generator) -> None:
    true = FANS["wide"]
    clip = draw(true, rng)
    cv2_mask = cv2.ellipse(np.zeros(true.shape, np.uint8), (300, 240), (60, 120), 0, 0, 360, 1, -1)
    cv2.ellipse(cv2_mask, (410, 330), (40, 60), 0, 0, 360, 1, -1)
    assert_close(find_sector(clip * (1 - cv2_mask)), true)


def test_a_fan_cut_off_by_the_frame_is_completed(rng: np.random.Generator) -> None:
    whole = FANS["wide"]
    clip = draw(whole, rng)[:, :, 60:560]
    true = Sector((240.0, 40.0), whole.angles, whole.r_min, whole.r_max, (480, 500))
    found = find_sector(clip)
    assert_close(found, true)
    assert found is not None
    assert found.box[0] < -20
    assert found.box[2] > 505


def test_compression_hardly_moves_the_fan(rng: np.random.Generator) -> None:
    true = FANS["narrow"]
    speckle = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.2) for frame in rng.rayleigh(70, (8, *true.shape))])
    clip = (speckle.clip(0, 255) * true.mask()).astype(np.uint8)
    coded = [
        cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_GRAYSCALE)
        for frame in clip
    ]
    assert_close(find_sector(np.stack(coded)), true, pixels=3.0, degrees=1.0)


def test_pixels_that_are_not_square(rng: np.random.Generator) -> None:
    true = Sector((160.0, 10.0), (-0.6, 0.6), 8.0, 220.0, (460, 320), pixel_aspect=0.5)
    found = find_sector(draw(true, rng), pixel_aspect=0.5)
    assert_close(found, true, pixels=3.0)


@pytest.mark.parametrize(
    "picture",
    [
        lambda rng: rng.integers(30, 200, (6, 200, 300)),
        lambda rng: np.pad(rng.integers(30, 200, (6, 160, 200)), ((0, 0), (20, 20), (50, 50))),
        lambda rng: rng.integers(30, 200, (6, 250, 250)) * (np.hypot(*(np.indices((250, 250)) - 125)) < 110),
        lambda rng: np.pad(rng.integers(2, 60, (6, 230, 250)), ((0, 0), (20, 0), (0, 0))),
        lambda rng: np.zeros((6, 200, 300)),
        lambda rng: np.full((6, 200, 300), 128),
        lambda rng: np.full((1, 4, 4), 128),
    ],
    ids=["whole frame", "rectangle", "disk", "lower rectangle", "black", "grey", "tiny"],
)
def test_no_fan_is_found_where_there_is_none(picture, rng: np.random.Generator) -> None:
    assert find_sector(picture(rng).astype(np.uint8)) is None


def test_mask_outside_blackens_only_the_outside(rng: np.random.Generator) -> None:
    true = FANS["narrow"]
    clip = rng.integers(1, 255, (3, *true.shape), dtype=np.uint8)
    before = clip.copy()
    masked = mask_outside(clip, true)
    inside = true.mask()
    assert np.array_equal(masked[:, inside], clip[:, inside])
    assert not masked[:, ~inside].any()
    assert np.array_equal(clip, before)


def test_the_box_holds_the_mask() -> None:
    for sector in FANS.values():
        rows, columns = np.nonzero(sector.mask())
        x0, y0, x1, y1 = sector.box
        assert columns.min() >= x0 - 0.5
        assert columns.max() <= x1 + 0.5
        assert rows.min() >= y0 - 0.5
        assert rows.max() <= y1 + 0.5


def test_a_plane_wave_picture_of_a_disk_is_no_fan(echo_data: Path) -> None:
    frames = loadmat(echo_data / "rotating_disk" / "bmode_PWI_disk.mat")["I"].transpose(2, 0, 1)
    assert find_sector(np.ascontiguousarray(frames)) is None


@pytest.mark.parametrize("patient", ["patient0001", "patient0077", "patient0333"])
def test_camus_fans_fill_their_pictures(echo_data: Path, patient: str) -> None:
    path = echo_data / "CAMUS_public" / "database_nifti" / patient / f"{patient}_4CH_ED.nii.gz"
    image = np.asarray(nibabel.load(path).dataobj).T.astype(np.uint8)
    found = find_sector(image[None])
    assert found is not None
    rows, columns = image.shape
    np.testing.assert_allclose(found.box, (-0.5, -0.5, columns - 0.5, rows - 0.5), atol=4)


def test_a_dark_near_field_is_no_curved_array(rng):
    true = Sector((300.0, 10.0), (-0.65, 0.65), 0.0, 440.0, (460, 600))
    frames = draw(true, rng, frames=1)
    y, x = np.mgrid[: true.shape[0], : true.shape[1]]
    near = np.hypot(x - true.apex[0], y - true.apex[1]) < 200
    # As after a loss of gain: a few echoes are left, on which the outline of what is bright does not rest.
    faint = np.where(cv2.GaussianBlur(rng.random(true.shape), (0, 0), 6) > 0.5, 5, 0)
    frames[0][near & true.mask()] = faint[near & true.mask()]
    found = find_sector(frames)
    assert found is None or found.r_min < 20
