"""The physics of the rendered echo, and what the machine makes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from echomotion.core import DataError
from echomotion.simulate import ultrasound
from echomotion.simulate.artefacts import Artefacts, draw_artefacts
from echomotion.simulate.machine import average_frames, compress, jpeg, smooth_and_sharpen
from echomotion.simulate.probe import FWHM, PROBE_RANGES, draw_probe
from echomotion.simulate.scan_conversion import fan_mask, scan_convert
from echomotion.simulate.speckle import BeamGrid
from echomotion.simulate.ultrasound import Picture, Probe, beam_echo, fitting_picture, render

CPU = torch.device("cpu")
# A region some tens of resolution cells across, so that the tests stay fast.
PROBE = Probe(sector_deg=50.0, depth_mm=120.0)


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform_tissue(probe: Probe, per_mm2: float, clips: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Scatterers spread evenly over the fan and beyond its edges, of 0 dB."""
    g = generator(seed)
    half, depth = math.radians(probe.sector_deg / 2 + 8), probe.depth_mm + 5
    count = int(per_mm2 * half * depth**2)
    r = depth * torch.sqrt(torch.rand(clips, 1, count, generator=g))
    t = half * (2 * torch.rand(clips, 1, count, generator=g) - 1)
    sign = torch.where(torch.rand(clips, 1, count, generator=g) < 0.5, -1.0, 1.0)
    return torch.stack([r * t.sin(), r * t.cos()], -1), sign / math.sqrt(per_mm2)


def cell_area_mm2(probe: Probe, depth_mm: float) -> float:
    """Area of a resolution cell, from the equivalent widths of the intensity's autocovariance."""
    lateral = float(probe.lateral_sigma_rad(torch.tensor(depth_mm))) * depth_mm
    return 2 * math.pi * probe.axial_sigma_mm * lateral


@pytest.fixture(scope="module")
def speckle() -> torch.Tensor:
    positions, amplitudes = uniform_tissue(PROBE, 7.0, clips=6)
    return beam_echo(positions, amplitudes, PROBE, None, generator())[:, 0]


def region(probe: Probe, low_mm: float, high_mm: float) -> torch.Tensor:
    depth = probe.depths_mm()
    return (depth > low_mm) & (depth < high_mm)


def test_envelope_of_uniform_tissue_is_rayleigh(speckle):
    rows = region(PROBE, 55, 115)
    assert 7.0 * cell_area_mm2(PROBE, 55.0) >= 10
    cells = 6 * 0.5 * math.radians(50) * (115**2 - 55**2) / cell_area_mm2(PROBE, 85.0)
    assert cells >= 2000
    envelope = speckle[:, rows].abs()
    assert float(envelope.mean() / envelope.std()) == pytest.approx(1.91, abs=0.05)


def test_tissue_of_0_db_has_unit_intensity_at_every_depth(speckle):
    for low in (30, 50, 70, 90):
        intensity = speckle[:, region(PROBE, low, low + 20)].abs().square().mean()
        assert float(intensity) == pytest.approx(1.0, rel=0.12)


def half_width(covariance: np.ndarray) -> float:
    """Where a falling row from 1 crosses a half, doubled."""
    i = int(np.argmax(covariance < 0.5))
    return 2 * (i - 1 + (covariance[i - 1] - 0.5) / (covariance[i - 1] - covariance[i]))


@pytest.mark.parametrize(
    ("probe", "depth_mm"),
    [
        (PROBE, 90.0),
        (replace(PROBE, near_field_mm=2.0, n_lines=None, n_samples=None), 45.0),
        (replace(PROBE, bandwidth=0.5, aperture_mm=12.0, n_lines=None, n_samples=None), 80.0),
    ],
)
def test_autocovariance_of_intensity_has_the_widths_asked_for(probe, depth_mm):
    positions, amplitudes = uniform_tissue(probe, 5.0, clips=6, seed=2)
    echo = beam_echo(positions, amplitudes, probe, None, generator())[:, 0]
    intensity = echo[:, region(probe, depth_mm - 15, depth_mm + 15)].abs().square().numpy()
    fluctuation = intensity - intensity.mean()
    _, rows, columns = fluctuation.shape
    spectrum = np.abs(np.fft.fft2(fluctuation, (2 * rows, 2 * columns))) ** 2
    covariance = np.fft.ifft2(spectrum.mean(0)).real
    along = covariance[:20, 0] / (rows - np.arange(20))
    across = covariance[0, :20] / (columns - np.arange(20))
    axial = half_width(along / along[0]) * probe.axial_step_mm
    lateral = half_width(across / across[0]) * probe.angular_step_rad
    assert axial == pytest.approx(FWHM * probe.axial_sigma_mm, rel=0.1)
    assert lateral == pytest.approx(FWHM * float(probe.lateral_sigma_rad(torch.tensor(depth_mm))), rel=0.1)


def test_widths_follow_from_pulse_and_aperture():
    assert Probe(frequency_mhz=2.0, bandwidth=0.5).axial_sigma_mm == pytest.approx(
        1.54 / (4 * math.pi * (0.5 * 2.0 / FWHM))
    )
    assert Probe(aperture_mm=20.0, frequency_mhz=2.2).angular_sigma_rad * FWHM == pytest.approx(0.886 * 0.7 / 20)
    widths = PROBE.lateral_sigma_rad(torch.tensor([20.0, 60.0, 110.0])) * torch.tensor([20.0, 60.0, 110.0])
    assert bool((widths.diff() > 0).all())


def test_one_scatterer_echoes_where_it_is():
    # Between nodes in both directions; moved by less than a sample.
    for x, y in ((0.3, 60.1), (12.2, 80.33), (-20.4, 101.7)):
        position = torch.tensor([[[[x, y]]]])
        energy = beam_echo(position, torch.ones(1, 1, 1), PROBE, None, generator())[0, 0].abs().square()
        energy /= energy.sum()
        depth = float((energy.sum(1) * PROBE.depths_mm()).sum())
        angle = float((energy.sum(0) * PROBE.angles_rad()).sum())
        assert depth == pytest.approx(math.hypot(x, y), abs=0.02)
        assert angle == pytest.approx(math.atan2(x, y), abs=2e-4)


def test_phase_turns_with_depth():
    step = PROBE.wavelength_mm / 8
    positions = torch.tensor([[[[0.0, 60.0]], [[0.0, 60.0 + step]]]])
    echo = beam_echo(positions, torch.ones(1, 2, 1), PROBE, None, generator())[0]
    row, line = divmod(int(echo[0].abs().argmax()), echo.shape[-1])
    turned = torch.angle(echo[1, row, line] / echo[0, row, line])
    assert float(turned) == pytest.approx(-math.pi / 2, abs=0.02)


def test_nothing_wraps_round_the_edges():
    half = math.radians(PROBE.sector_deg / 2)
    outside = [(PROBE.depth_mm + 0.3, 0.0), (60.0, half + 0.001), (60.0, half + 0.3), (300.0, 0.0)]
    for r, t in outside:
        position = torch.tensor([[[[r * math.sin(t), r * math.cos(t)]]]])
        echo = beam_echo(position, torch.ones(1, 1, 1), PROBE, None, generator())[0, 0].abs()
        assert float(echo[5:30].max()) < 1e-3
        assert float(echo[:, :10].max()) < 1e-3


def test_render_shows_a_scatterer_at_its_pixel():
    picture = fitting_picture(PROBE)
    # Below white, so that the middle of the spot can be told.
    probe = replace(PROBE, dynamic_range_db=40.0, gain_db=0.0)
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    for place in ((0.0, 60.0), (18.0, 80.0), (-25.0, 95.0)):
        position = torch.tensor([[[place]]])
        frame = render(position, torch.ones(1, 1, 1), probe, picture, None, generator())[0, 0].numpy().astype(float)
        assert 100 < frame.max() < 255
        expected = picture.to_px(torch.tensor(place)).tolist()
        found = [(x * frame).sum() / frame.sum(), (y * frame).sum() / frame.sum()]
        # The spot bends with the arc of equal depth, which moves its middle up a little.
        assert found == pytest.approx(expected, abs=0.5)


def test_speckle_moves_with_the_tissue():
    positions, amplitudes = uniform_tissue(PROBE, 2.0, clips=1)
    picture = fitting_picture(PROBE)
    shift = 4 * picture.spacing_mm
    moved = torch.cat([positions, positions + torch.tensor([0.0, shift])], dim=1)
    frames = render(moved, amplitudes.expand(1, 2, -1), PROBE, picture, None, generator())[0].float()
    before, after = frames[0, 100:220, 100:156], frames[1, 104:224, 100:156]
    assert float(torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1]) > 0.93
    still = frames[1, 100:220, 100:156]
    assert float(torch.corrcoef(torch.stack([before.flatten(), still.flatten()]))[0, 1]) < 0.4


def test_batches_are_of_the_right_type_and_repeat():
    positions, amplitudes = uniform_tissue(PROBE, 0.3, clips=2)
    positions, amplitudes = positions.expand(2, 3, -1, 2), amplitudes.expand(2, 3, -1)
    artefacts = draw_artefacts(np.random.default_rng(3), 0.7)
    picture = fitting_picture(PROBE, (96, 128))
    times = torch.arange(3) * 0.02
    frames, again = (
        render(positions, amplitudes, PROBE, picture, artefacts, generator(9), times_s=times) for _ in range(2)
    )
    assert frames.shape == (2, 3, 96, 128)
    assert frames.dtype == torch.uint8
    assert torch.equal(frames, again)
    fan = fan_mask(PROBE, picture)
    assert int(frames[..., ~fan].max()) == 0
    assert not torch.equal(frames[0], frames[1])


@pytest.mark.slow
def test_frames_do_not_depend_on_how_they_are_divided(monkeypatch):
    positions, amplitudes = uniform_tissue(PROBE, 0.3, clips=2)
    positions, amplitudes = positions.expand(2, 5, -1, 2), amplitudes.expand(2, 5, -1)
    artefacts = replace(draw_artefacts(np.random.default_rng(3), 0.7), noise_db=-120.0)
    times = torch.arange(5) * 0.02

    def echo() -> torch.Tensor:
        return beam_echo(positions, amplitudes, PROBE, artefacts, generator(9), times_s=times)

    whole = echo()
    nodes = math.prod(BeamGrid(PROBE, CPU).shape)
    for frames_at_a_time in (1, 2, 5, 7):
        monkeypatch.setattr(ultrasound, "_CHUNK_NODES", frames_at_a_time * nodes)
        torch.testing.assert_close(echo(), whole, rtol=1e-4, atol=1e-4)


def test_integer_sums_equal_the_plain_ones():
    # What accelerators do; on the CPU both can run.
    positions, amplitudes = uniform_tissue(PROBE, 0.3, clips=1)
    beam = BeamGrid(PROBE, CPU)
    plain = beam.splat(positions[0], amplitudes[0])
    exact = beam.splat(positions[0], amplitudes[0], exact=True)
    torch.testing.assert_close(exact, plain, rtol=1e-4, atol=1e-5)


def test_compression_is_linear_in_db():
    probe = replace(PROBE, dynamic_range_db=50.0, gain_db=-10.0)
    envelope = torch.tensor([10.0 ** (db / 20) for db in (20.0, 10.0, -15.0, -40.0, -60.0)])
    level = compress(envelope[:, None, None].expand(-1, *probe.grid), probe)[:, 0, 0]
    torch.testing.assert_close(level, torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]), atol=1e-5, rtol=0)


def test_sliders_change_the_gain_with_depth():
    probe = replace(PROBE, dynamic_range_db=60.0, gain_db=-30.0, time_gain_db=(-6.0, 0.0, 6.0))
    level = compress(torch.ones(probe.grid), probe)[:, 0] * 60.0
    torch.testing.assert_close(level[[0, -1]], torch.tensor([24.0, 36.0]), atol=0.01, rtol=0)


def test_grey_map_keeps_black_white_and_order():
    probe = replace(PROBE, dynamic_range_db=60.0, gain_db=0.0, gamma=1.6, contrast=0.7)
    envelope = 10.0 ** (torch.linspace(-60.0, 0.0, 50) / 20.0)
    level = compress(envelope[:, None, None].expand(-1, *probe.grid), probe)[:, 0, 0]
    assert bool((level.diff() > 0).all())
    assert float(level[0]) == pytest.approx(0.0, abs=1e-4)
    assert float(level[-1]) == pytest.approx(1.0, abs=1e-6)


def test_frame_averaging_is_a_running_mean():
    step = torch.tensor([0.0, 1.0, 1.0, 1.0])[None, :, None, None]
    shown = average_frames(step, 0.5)[0, :, 0, 0]
    torch.testing.assert_close(shown, torch.tensor([0.0, 0.5, 0.75, 0.875]))
    torch.testing.assert_close(average_frames(step, 0.0), step)


def test_smoothing_takes_away_and_sharpening_adds_contrast():
    frames = torch.rand((2, 40, 40), generator=generator())
    smooth = smooth_and_sharpen(frames, 1.5, 0.0)
    sharp = smooth_and_sharpen(frames, 0.0, 0.5)
    assert float(smooth.std()) < 0.4 * float(frames.std())
    assert float(sharp.std()) > 1.2 * float(frames.std())
    flat = torch.full((1, 20, 20), 0.4)
    torch.testing.assert_close(smooth_and_sharpen(flat, 1.0, 0.5), flat)


@pytest.mark.parametrize("quality", [20, 60, 90])
def test_jpeg_loses_what_a_jpeg_library_loses(quality):
    positions, amplitudes = uniform_tissue(PROBE, 2.0, clips=1)
    frame = render(positions, amplitudes, PROBE, fitting_picture(PROBE, (125, 150)), None, generator())[0, 0]
    ours = jpeg(frame[None].float(), quality)[0].numpy()
    stream = BytesIO()
    Image.fromarray(frame.numpy()).save(stream, "jpeg", quality=quality)
    theirs = np.asarray(Image.open(stream), dtype=np.float32)
    lost = np.abs(theirs - frame.numpy().astype(np.float32)).mean()
    assert lost > 0.3
    # Integer transforms there round by a grey level here and there, whatever the quality; whole blocks must agree.
    difference = np.abs(ours - theirs)[:120, :144]
    assert difference.mean() < 0.25
    assert np.mean(difference <= 1) > 0.99


def test_scan_conversion_puts_beams_where_they_belong():
    probe = replace(PROBE, tilt_deg=12.0)
    picture = fitting_picture(probe, (200, 220))
    depth, angle = probe.depths_mm(), probe.angles_rad()
    shown = scan_convert(
        torch.stack([depth[:, None].expand(probe.grid), angle[None].expand(probe.grid)]), probe, picture
    )
    for x, y in ((10.0, 70.0), (40.0, 80.0), (-5.0, 50.0)):
        column, row = picture.to_px(torch.tensor([x, y])).round().int().tolist()
        back_x, back_y = picture.to_mm(torch.tensor([float(column), float(row)])).tolist()
        assert float(shown[0, row, column]) == pytest.approx(math.hypot(back_x, back_y), abs=0.01)
        assert float(shown[1, row, column]) == pytest.approx(math.atan2(back_x, back_y), abs=1e-3)


@pytest.mark.parametrize("tilt", [-40.0, 0.0, 25.0])
@pytest.mark.parametrize("sector", [30.0, 75.0, 110.0])
def test_fitting_picture_holds_the_whole_fan(sector, tilt):
    probe = Probe(sector_deg=sector, tilt_deg=tilt, depth_mm=150.0)
    picture = fitting_picture(probe, (180, 240))
    angle = torch.linspace(math.radians(tilt - sector / 2), math.radians(tilt + sector / 2), 50)
    rim = torch.stack([150.0 * angle.sin(), 150.0 * angle.cos()], -1)
    pixels = picture.to_px(torch.cat([rim, torch.zeros(1, 2)]))
    assert bool((pixels >= 1.9).all())
    assert bool((pixels <= torch.tensor([237.1, 177.1])).all())


def test_parameters_round_trip_and_random_probes_are_valid(rng):
    for _ in range(20):
        probe = draw_probe(rng, rng.uniform(90, 200))
        assert Probe(**probe.as_dict()) == probe
    picture = fitting_picture(PROBE)
    assert Picture(**picture.as_dict()) == picture


@pytest.mark.parametrize("name", sorted(PROBE_RANGES))
def test_impossible_settings_are_refused_by_name_and_range(name):
    low, high = PROBE_RANGES[name]
    for wrong in (low - 1.0, high + 1.0, math.nan):
        with pytest.raises(DataError, match=rf"^{name} is .*between {low:g} and {high:g}"):
            Probe(**{name: wrong})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_lines": 20}, "n_lines is 20; it must lie between"),
        ({"n_samples": 100}, "n_samples is 100; it must lie between"),
        ({"jpeg_quality": 0}, "jpeg_quality is 0; it must lie between 1 and 100"),
        ({"time_gain_db": (0.0, 50.0)}, "time_gain_db is 50; it must lie between"),
    ],
)
def test_other_impossible_settings_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        Probe(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (4, 256)}, "shape is 4"),
        ({"spacing_mm": 0.0}, "spacing_mm is 0"),
        ({"origin_px": (math.nan, 0.0)}, "origin_px is nan"),
        ({"shape": (256,)}, "two numbers each"),
    ],
)
def test_impossible_pictures_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        Picture(**changes)


@pytest.mark.parametrize(
    ("positions", "amplitudes", "times"),
    [
        ((1, 2, 5, 2), (1, 2, 4), None),
        ((2, 5, 2), (2, 5), None),
        ((1, 0, 5, 2), (1, 0, 5), None),
        ((1, 2, 5, 2), (1, 2, 5), 3),
    ],
)
def test_shapes_that_do_not_fit_are_refused(positions, amplitudes, times):
    moments = None if times is None else torch.arange(times) * 0.1
    with pytest.raises(DataError, match="shape"):
        render(
            torch.zeros(positions), torch.zeros(amplitudes), PROBE, Picture(), Artefacts(), generator(), times_s=moments
        )
