import cv2
import numpy as np
import pytest
from scipy import ndimage

from echomotion.core import Layer, Masks
from echomotion.measure import wall
from echomotion.measure.contours import arc_length
from echomotion.measure.wall import WallNotFoundError, enclosed_area, find_wall
from tests.phantoms import HalfEllipse, degraded

SHAPE_MM = (200, 200)


def ventricle(angle=0.0, spacing=(0.6, 0.6), **changes):
    shape = int(SHAPE_MM[0] / spacing[0]), int(SHAPE_MM[1] / spacing[1])
    base = (
        (shape[1] - 1) / 2 - 25 * np.sin(angle) / spacing[1] + 0.3,
        (shape[0] - 1) / 2 + 25 * np.cos(angle) / spacing[0] + 0.1,
    )
    return HalfEllipse(base, **{"radius": 24, "length": 85, **changes}, angle=angle, spacing_mm=spacing), shape


def wall_of(labels, spacing=None):
    return find_wall(Masks(labels[None]), 0, spacing)


def far_off(line, truth, step):
    """Distances (mm) of the points of a line from a dense true line."""
    return np.sqrt((((line[:, None] - truth[None]) * step) ** 2).sum(-1)).min(1)


@pytest.mark.parametrize("atrium", [True, False])
@pytest.mark.parametrize("spacing", [(0.6, 0.6), (0.308, 0.154), (0.3, 0.6)])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.4, np.pi, -2.2])
def test_lines_annulus_and_apex_of_a_half_ellipse(angle, spacing, atrium):
    phantom, shape = ventricle(angle, spacing)
    wall = wall_of(phantom.labels(shape, atrium=atrium), spacing)
    step = np.array(spacing[::-1])
    assert np.hypot(*((wall.annulus - phantom.annulus) * step).T).max() < 1.2
    assert np.hypot(*((wall.apex - phantom.apex) * step)) < 0.6
    for line, share, limit in ((wall.endocardial, 0, 1.0), (wall.mid_wall, 0.5, 1.0), (wall.epicardial, 1, 1.5)):
        off = far_off(line, phantom.line(share), step)
        assert off.max() < limit
        assert off.mean() < 0.35
    assert np.array_equal(wall.endocardial[[0, -1]], wall.annulus)
    assert enclosed_area(wall, spacing) == pytest.approx(100 * phantom.area_cm2, rel=0.012)


def test_the_line_starts_at_the_base_on_the_left_of_the_image_whichever_way_the_apex_points():
    for angle in (0.0, np.pi):
        phantom, shape = ventricle(angle)
        wall = wall_of(phantom.labels(shape), phantom.spacing_mm)
        assert wall.annulus[0, 0] < wall.annulus[1, 0]
        assert np.array_equal(wall.endocardial[wall.apex_index], wall.apex)


def test_the_result_moves_with_the_image_and_mirrors_with_it():
    phantom, shape = ventricle(0.35)
    labels = phantom.labels(shape)
    wall = wall_of(labels)
    mirrored = wall_of(labels[:, ::-1])
    back = np.array([shape[1] - 1, 0]) + mirrored.mid_wall[::-1] * [-1, 1]
    assert np.abs(back - wall.mid_wall).max() < 0.8
    shifted = wall_of(np.pad(labels, ((40, 0), (25, 0))))
    assert np.allclose(shifted.mid_wall, wall.mid_wall + np.array([25, 40]), atol=1e-6)


@pytest.mark.parametrize("atrium", [True, False])
def test_damaged_masks_give_nearly_the_same_wall(rng, atrium):
    phantom, shape = ventricle(0.3, (0.4, 0.4))
    step = np.array([0.4, 0.4])
    clean = phantom.labels(shape, atrium=atrium)
    mid_off, annulus_off = [], []
    for _ in range(8):
        labels = degraded(clean, rng)
        # The gap of `degraded` may fall on the annulus itself; a wall that is whole there is asked for here.
        ring = phantom.labels(shape) == 2
        low = np.abs(phantom.to_local(np.stack(np.mgrid[: shape[0], : shape[1]][::-1], -1))[..., 1]) < 20
        labels[ring & low] = 2
        wall = wall_of(labels, (0.4, 0.4))
        mid_off.append(far_off(wall.mid_wall, phantom.line(0.5), step).max())
        annulus_off.append(np.hypot(*((wall.annulus - phantom.annulus) * step).T).max())
    assert max(annulus_off) < 3.0
    assert np.median(mid_off) < 2.0
    assert max(mid_off) < 5.0


def test_a_wall_that_is_missing_over_a_stretch_is_bridged_at_its_thickness():
    phantom, shape = ventricle(0.0, (0.5, 0.5))
    labels = phantom.labels(shape)
    y, x = np.mgrid[: shape[0], : shape[1]]
    u, v = np.moveaxis(phantom.to_local(np.stack([x, y], -1)), -1, 0)
    labels[(labels == 2) & (v > 25) & (v < 55) & (u > 0)] = 0  # the middle of the right wall
    labels[(labels == 2) & (v > 80)] = 0  # the apex
    wall = wall_of(labels, (0.5, 0.5))
    step = np.array([0.5, 0.5])
    assert far_off(wall.mid_wall, phantom.line(0.5), step).max() < 1.5
    assert np.hypot(*((wall.annulus - phantom.annulus) * step).T).max() < 1.2


def test_lines_do_not_cross_themselves_nor_each_other(rng):
    phantom, shape = ventricle(0.0, (0.5, 0.5))
    labels = phantom.labels(shape)
    # A papillary muscle dents the cavity.
    y, x = np.mgrid[: shape[0], : shape[1]]
    u, v = np.moveaxis(phantom.to_local(np.stack([x, y], -1)), -1, 0)
    labels[(labels == 1) & (((u - 22) / 9) ** 2 + ((v - 40) / 10) ** 2 < 1)] = 2
    wall = wall_of(labels, (0.5, 0.5))
    for line in (wall.endocardial, wall.mid_wall, wall.epicardial):
        assert not crosses_itself(line)
    assert np.all(np.hypot(*(wall.mid_wall - wall.endocardial).T) > 3)


def crosses_itself(line):
    a, b = line[:-1], line[1:]
    d = b - a

    def side(p, q, r):
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    i, j = np.triu_indices(len(d), 2)
    return bool(
        np.any(
            (side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0)
            & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)
        )
    )


def test_without_myocardium_the_atrium_gives_the_annulus_but_there_is_no_mid_wall():
    phantom, shape = ventricle()
    labels = phantom.labels(shape)
    labels[labels == 2] = 0
    wall = wall_of(labels, phantom.spacing_mm)
    assert np.hypot(*((wall.annulus - phantom.annulus) * 0.6).T).max() < 2.5
    assert wall.mid_wall is None
    with pytest.raises(WallNotFoundError, match="too little myocardium"):
        wall.line(Layer.MID_WALL)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p, s: np.zeros(s, np.uint8), "missing or too small"),
        (lambda p, s: np.where(p.labels(s) == 1, 1, 0).astype(np.uint8), "neither myocardium nor left atrium"),
        (lambda p, s: p.labels(s)[:, int(p.base[0]) :], "border of the image"),
        (lambda p, s: closed_ring(p, s), "no open base"),
        (lambda p, s: wide_open(p, s), "too little of the cavity's border"),
    ],
)
def test_what_is_no_ventricle_is_refused_with_a_reason(damage, reason):
    phantom, shape = ventricle()
    labels = np.ascontiguousarray(damage(phantom, shape))
    with pytest.raises(WallNotFoundError, match=reason) as caught:
        wall_of(labels)
    assert str(caught.value).startswith("no ventricular wall on frame 0: ")


def closed_ring(phantom, shape):
    labels = (phantom.labels(shape) == 1).astype(np.uint8)
    ring = cv2.dilate(labels, np.ones((15, 15), np.uint8))
    return np.where(labels == 1, 1, 2 * ring).astype(np.uint8)


def wide_open(phantom, shape):
    labels = phantom.labels(shape, atrium=False)
    y, x = np.mgrid[: shape[0], : shape[1]]
    v = phantom.to_local(np.stack([x, y], -1))[..., 1]
    labels[(labels == 2) & (v < 80)] = 0
    return labels


def test_a_frame_that_does_not_exist_is_refused():
    phantom, shape = ventricle()
    with pytest.raises(ValueError, match="no frame 3"):
        find_wall(Masks(phantom.labels(shape)[None]), 3)


def test_expert_masks_of_real_hearts_all_give_a_wall(echo_data):
    nibabel = pytest.importorskip("nibabel")
    folders = sorted((echo_data / "CAMUS_public" / "database_nifti").iterdir())[::37]
    for folder in folders:
        for phase in ("ED", "ES"):
            image = nibabel.load(folder / f"{folder.name}_4CH_{phase}_gt.nii.gz")
            labels = np.ascontiguousarray(np.asarray(image.dataobj).T.astype(np.uint8))
            spacing = tuple(float(v) for v in image.header.get_zooms()[1::-1])
            wall = wall_of(labels, spacing)
            assert wall.apex[1] < wall.annulus[:, 1].min()
            assert not crosses_itself(wall.mid_wall)
            inside = [labels[round(y), round(x)] for x, y in wall.mid_wall]
            assert np.mean(np.array(inside) == 2) > 0.95
            assert 100 < arc_length(wall.mid_wall * spacing[::-1])[-1] < 320


def test_distances_are_those_of_the_distance_transform(rng):
    part = ndimage.gaussian_filter(rng.normal(size=(60, 80)), 4) > 0.05
    points = rng.uniform((0, 0), (79 * 0.7, 59 * 1.3), (200, 2))
    whole = ndimage.distance_transform_edt(~part, sampling=(1.3, 0.7))
    expected = ndimage.map_coordinates(whole, [points[:, 1] / 1.3, points[:, 0] / 0.7], order=1, mode="nearest")
    assert wall._distance(part, points, np.array([0.7, 1.3])) == pytest.approx(expected, abs=1e-12)
