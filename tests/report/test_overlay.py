from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from echomotion.analysis_types import Analysis
from echomotion.core import Geometry, Masks, Tracks
from echomotion.report.outlines import outlines
from echomotion.report.overlay import overlay_frames, write_overlay
from echomotion.report.picture import draw_frame, fit, region_of_interest
from echomotion.report.strip import Strip
from echomotion.report.style import SEGMENT_COLOURS, rgb
from echomotion.wall_tracking import LAYERS
from tests.report.samples import no_ventricle, ventricle


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return ventricle()


def _near(picture: np.ndarray, colour: tuple[int, int, int], tolerance: int = 12) -> np.ndarray:
    return (np.abs(picture.astype(int) - colour) <= tolerance).all(axis=-1)


def test_one_picture_a_frame_of_even_size(analysis: Analysis) -> None:
    frames = list(overlay_frames(analysis))
    assert len(frames) == analysis.clip.n_frames
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert frames[0].dtype == np.uint8
    assert frames[0].shape[0] % 2 == 0
    assert frames[0].shape[1] % 2 == 0
    assert 700 <= max(frames[0].shape[:2]) <= 1000
    assert (frames[0] != frames[5]).any()


def test_the_video_has_the_clips_frames_and_rate(analysis: Analysis, tmp_path: Path) -> None:
    write_overlay(tmp_path / "overlay.mp4", analysis)
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(1 / analysis.clip.frame_interval_s, rel=0.01)
        assert sum(1 for _ in container.decode(stream)) == analysis.clip.n_frames


def test_a_clip_without_a_ventricle_still_has_an_overlay() -> None:
    empty = no_ventricle()
    assert len(list(overlay_frames(empty))) == empty.clip.n_frames


def test_outlines_follow_the_labels(analysis: Analysis) -> None:
    found = outlines(analysis.masks, 0)
    assert set(found) == {"endocardium", "epicardium", "atrium"}
    y, x = np.nonzero(analysis.masks.mask("lv_cavity")[0])
    low, high = found["endocardium"].min(axis=0), found["endocardium"].max(axis=0)
    # The border runs between the last pixel inside and the first outside.
    assert low == pytest.approx([x.min() - 0.5, y.min() - 0.5], abs=1.5)
    assert high == pytest.approx([x.max() + 0.5, y.max() + 0.5], abs=1.5)


def test_outlines_from_probabilities_are_on_the_native_grid() -> None:
    shape, grid = (120, 160), (64, 64)
    geometry = Geometry.letterbox(shape, (20.5, 9.5, 139.5, 109.5), grid)
    y, x = np.mgrid[: grid[0], : grid[1]]
    native = geometry.to_native(np.stack([x, y], axis=-1))
    centre, radius = np.array([81.0, 60.0]), 25.0
    inside = 1 / (1 + np.exp(np.hypot(*np.moveaxis(native - centre, -1, 0)) - radius))
    probability = np.zeros((1, 4, *grid), np.float32)
    probability[0, 1], probability[0, 0] = inside, 1 - inside
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    labels = (np.hypot(columns - centre[0], rows - centre[1]) < radius).astype(np.uint8)[None]
    contour = outlines(Masks(labels, probability=probability, geometry=geometry), 0)["endocardium"]
    assert np.hypot(*(contour - centre).T) == pytest.approx(radius, abs=0.15)


def test_no_outline_without_labels() -> None:
    assert outlines(no_ventricle().masks, 0) == {}


def test_pictures_have_square_pixels() -> None:
    clip = ventricle().clip
    geometry = fit(clip.with_(spacing_mm=(0.3, 0.6)), (960, 720))
    assert geometry.scale[1] / geometry.scale[0] == pytest.approx(0.5)
    assert geometry.grid_shape[0] / geometry.grid_shape[1] == pytest.approx(0.5, abs=0.01)


def test_points_are_drawn_where_they_are_in_the_colour_of_their_segment(analysis: Analysis) -> None:
    tracks = analysis.tracks[LAYERS[0]]
    geometry = fit(analysis.clip, (960, 720))
    picture = draw_frame(analysis, 6, geometry, trails=False)
    for index, colour in ((4, SEGMENT_COLOURS[0]), (56, SEGMENT_COLOURS[-1])):
        x, y = np.round(geometry.to_grid(tracks.xy[index, 6])).astype(int)
        assert _near(picture[y : y + 1, x : x + 1], rgb(colour)).all()


def test_unsure_points_are_hollow(analysis: Analysis) -> None:
    tracks = analysis.tracks[LAYERS[0]]
    geometry = fit(analysis.clip, (960, 720))
    assert (tracks.confidence[15] < 0.5).all()
    x, y = np.round(geometry.to_grid(tracks.xy[15, 6])).astype(int)
    without = draw_frame(replace(analysis, tracks={}), 6, geometry)
    with_points = draw_frame(analysis, 6, geometry, trails=False)
    # Trails and neighbours may touch the middle's edge; a filled point would change it altogether.
    assert np.abs(with_points[y, x].astype(int) - without[y, x]).max() < 12
    assert (with_points[y - 6 : y + 7, x - 6 : x + 7] != without[y - 6 : y + 7, x - 6 : x + 7]).any()


def test_lost_points_are_not_drawn(analysis: Analysis) -> None:
    tracks = analysis.tracks[LAYERS[0]]
    xy = tracks.xy.copy()
    xy[:, 6] = np.nan
    lost = Tracks(xy, tracks.visible, tracks.confidence, tracks.queries, tracks.wall)
    geometry = fit(analysis.clip, (960, 720))
    picture = draw_frame(replace(analysis, tracks={str(LAYERS[0]): lost}), 6, geometry, trails=False)
    assert (picture == draw_frame(replace(analysis, tracks={}), 6, geometry)).all()


def test_trails_reach_back_in_time_not_in_frames() -> None:
    slow, fast = ventricle(fps=20), ventricle(fps=80)
    shares = []
    for analysis in (slow, fast):
        geometry = fit(analysis.clip, (480, 480))
        frame = analysis.clip.frame_at(0.25)
        trails = draw_frame(analysis, frame, geometry)
        changed = (trails != draw_frame(analysis, frame, geometry, trails=False)).any(axis=-1)
        shares.append(changed.mean())
    assert shares[0] == pytest.approx(shares[1], rel=0.25)


def test_the_region_of_interest_holds_every_label_and_point(analysis: Analysis) -> None:
    box = region_of_interest(analysis)
    assert box is not None
    y, x = np.nonzero((analysis.masks.labels > 0).any(axis=0))
    assert (box[0], box[1]) <= (x.min(), y.min())
    assert min(y.min() - box[1], box[2] - x.max(), box[3] - y.max()) >= 0
    assert region_of_interest(no_ventricle()) is None


def test_the_cursor_runs_along_the_curves(analysis: Analysis) -> None:
    strip = Strip(analysis, 960, 220)
    assert strip.at(0.0).shape == (220, 960, 3)

    def moved(time: float) -> float:
        return float(np.nonzero((strip.at(time) != strip.at(0.0)).any(axis=(0, 2)))[0].max())

    assert moved(0.2) < moved(0.4) < moved(0.6)
