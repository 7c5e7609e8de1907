"""Artefacts do what their strengths say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from echomotion.core import DataError
from echomotion.simulate.artefacts import (
    ARTEFACT_RANGES,
    Artefacts,
    Shadow,
    blood_amplitudes,
    coherence_field,
    draw_artefacts,
    flash_gain,
    scatterer_amplitudes,
    swirl,
)
from echomotion.simulate.ultrasound import Probe, beam_echo, fitting_picture, render

PROBE = Probe(sector_deg=50.0, depth_mm=120.0)
TIMES = torch.arange(12) * 0.02


def generator(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def echo_of(artefacts: Artefacts, amplitude: float, times: torch.Tensor = TIMES, seed: int = 5) -> torch.Tensor:
    """Beam-space echo (T, S, L) of still, uniform tissue."""
    g = generator(1)
    count = 12000
    r, t = 125.0 * torch.rand(count, generator=g), 0.55 * (2 * torch.rand(count, generator=g) - 1)
    positions = torch.stack([r * t.sin(), r * t.cos()], -1)
    strength = amplitude * torch.sqrt(r * (125.0 * 1.1 / count))
    sign = torch.where(torch.rand(count, generator=g) < 0.5, -1.0, 1.0)
    shape = (1, len(times), count)
    return beam_echo(
        positions.expand(*shape, 2), (strength * sign).expand(shape), PROBE, artefacts, generator(seed), times_s=times
    )[0]


def power_db(echo: torch.Tensor) -> float:
    return 10 * math.log10(float(echo.abs().square().mean()))


def rows(low_mm: float, high_mm: float) -> torch.Tensor:
    depth = PROBE.depths_mm()
    return (depth > low_mm) & (depth < high_mm)


def similarity(a: torch.Tensor, b: torch.Tensor) -> float:
    """Magnitude of the coherence of two complex pictures."""
    return float((a * b.conj()).sum().abs() / (a.abs().square().sum() * b.abs().square().sum()).sqrt())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_scatterers_lose_coherence_as_the_two_times_say(share):
    artefacts = Artefacts(fast_share=share, fast_s=0.03, slow_s=0.5)
    times = torch.tensor([0.0, 0.01, 0.05, 0.07, 0.2, 0.5])
    base = torch.full((1, 60000), 2.0)
    values = scatterer_amplitudes(base, torch.full_like(base, 1 - share), times, artefacts, generator())[0]
    products = (values @ values.T) / values.shape[1]
    lag = (times[:, None] - times[None]).abs()
    expected = 4.0 * ((1 - share) * torch.exp(-lag / 0.5) + share * torch.exp(-lag / 0.03))
    torch.testing.assert_close(products, expected, atol=0.08, rtol=0)


def test_without_loss_scatterers_never_change():
    base = torch.rand((2, 50), generator=generator())
    values = scatterer_amplitudes(base, torch.ones(2, 50), TIMES, Artefacts(), generator())
    torch.testing.assert_close(values, values[:, :1].expand_as(values))


def test_movement_through_the_slice_comes_back():
    artefacts = Artefacts(out_of_plane=1.0)
    base = torch.ones(1, 40000)
    shift = torch.tensor([[0.0, 0.5, 1.0, 0.5, 0.0]])
    values = scatterer_amplitudes(base, base, torch.arange(5) * 0.1, artefacts, generator(), slice_shift=shift)[0]
    products = (values[0] * values).mean(1)
    expected = torch.cos(shift[0])
    torch.testing.assert_close(products, expected, atol=0.03, rtol=0)
    torch.testing.assert_close(values[4], values[0])


def test_blood_is_renewed_soon():
    artefacts = Artefacts(blood_s=0.02)
    values = blood_amplitudes(torch.full((1, 40000), 0.5), torch.tensor([0.0, 0.02, 0.2]), artefacts, generator())[0]
    products = (values[0] * values).mean(1) / 0.25
    torch.testing.assert_close(products, torch.tensor([1.0, math.exp(-1), 0.0]), atol=0.03, rtol=0)


def test_coherence_is_uneven_smooth_and_near_what_was_asked():
    artefacts = Artefacts(fast_share=0.3, coherence_spread=1.0)
    line = torch.stack([torch.linspace(-60, 60, 1201), torch.full((1201,), 80.0)], -1).expand(40, -1, 2)
    field = coherence_field(line, TIMES, artefacts, generator())
    assert field.shape == (40, 12, 1201)
    assert float(field.min()) >= 0
    assert float(field.max()) <= 1
    assert float(field.mean()) == pytest.approx(0.7, abs=0.06)
    assert float(field.std()) > 0.1
    # A tenth of a millimetre, and 20 ms, change it little.
    assert float(field.diff(dim=2).abs().max()) < 0.02
    assert float(field.diff(dim=1).abs().max()) < 0.25
    even = coherence_field(line, TIMES, replace(artefacts, coherence_spread=0.0), generator())
    assert bool((even == 1 - 0.3).all())


def test_swirl_turns_blood_about_the_middle_and_keeps_the_rim():
    artefacts = Artefacts(swirl_turns_per_s=2.0)
    centre, radius = torch.tensor([[[5.0, 60.0]]]).expand(1, 12, 2), torch.full((1, 12), 20.0)
    start = torch.tensor([[5.0, 60.0], [15.0, 60.0], [25.0, 60.0], [5.0, 90.0]]).expand(1, 12, 4, 2)
    moved = swirl(start, centre, radius, TIMES, artefacts)
    distance = (moved - centre[:, :, None]).norm(dim=-1)
    torch.testing.assert_close(distance, (start - centre[:, :, None]).norm(dim=-1))
    torch.testing.assert_close(moved[:, :, [0, 2, 3]], start[:, :, [0, 2, 3]])
    turned = math.atan2(float(moved[0, 5, 1, 1]) - 60, float(moved[0, 5, 1, 0]) - 5)
    assert turned == pytest.approx(2 * math.pi * 2.0 * 0.1 * 0.75**2, abs=1e-4)
    assert swirl(start, centre, radius, TIMES, Artefacts()) is start


def test_flashes_are_short_and_no_stronger_than_asked():
    times = torch.arange(400) * 0.0025
    gain = flash_gain(20, times, Artefacts(flash_db=12.0), generator())
    strongest = 10 ** (12 / 20)
    assert float(gain.max()) == pytest.approx(strongest, rel=0.02)
    assert float(gain.min()) >= 1
    assert float((gain > 1.5).float().mean()) < 0.25
    assert bool((flash_gain(3, times, Artefacts(), generator()) == 1).all())


def test_shadow_takes_what_it_says_and_only_there():
    shadow = Artefacts(shadows=(Shadow(10.0, width_deg=8.0, loss_db=20.0, start_mm=60.0),))
    dark, clear = echo_of(shadow, 1.0, TIMES[:1])[0], echo_of(Artefacts(), 1.0, TIMES[:1])[0]
    angle = torch.rad2deg(PROBE.angles_rad())
    middle, edge, far = ((angle - at).abs() < 0.7 for at in (10.0, 14.0, -10.0))
    deep = rows(75, 115)
    for lines, loss in ((middle, 20.0), (edge, 10.0), (far, 0.0)):
        lost = power_db(clear[deep][:, lines]) - power_db(dark[deep][:, lines])
        assert lost == pytest.approx(loss, abs=1.0)
    shallow = rows(10, 50)
    assert power_db(clear[shallow]) - power_db(dark[shallow]) == pytest.approx(0.0, abs=0.1)


def test_clutter_stands_still_at_its_level():
    echo = echo_of(Artefacts(clutter_db=-15.0), 0.0)
    torch.testing.assert_close(echo, echo[:1].expand_as(echo))
    assert power_db(echo) == pytest.approx(-15.0, abs=2.0)


def test_haze_fades_with_depth_and_changes_slowly():
    echo = echo_of(Artefacts(haze_db=-5.0, haze_depth_mm=30.0), 0.0, torch.arange(12) * 0.1)
    near, far = power_db(echo[:, rows(20, 35)]), power_db(echo[:, rows(80, 95)])
    assert near - far == pytest.approx(20 * math.log10(math.e) * 60 / 30, abs=1.5)
    assert similarity(echo[0], echo[1]) > 0.5
    assert min(similarity(echo[0], later) for later in echo) < 0.95
    still = echo_of(Artefacts(haze_db=-5.0, haze_depth_mm=30.0), 0.0, torch.zeros(3))
    torch.testing.assert_close(still[0], still[2])


def test_arcs_lie_at_the_probe_across_the_lines():
    echo = echo_of(Artefacts(ring_db=0.0, ring_mm=4.0), 0.0, TIMES[:1])[0].abs()
    assert float(echo[rows(0, 12)].mean()) > 20 * float(echo[rows(40, 60)].mean())
    row = echo[rows(7, 9)]
    assert float((row.std(1) / row.mean(1)).mean()) < 0.4


def test_noise_has_its_level_slope_and_no_memory():
    echo = echo_of(Artefacts(noise_db=-10.0, noise_slope_db=12.0), 0.0)
    assert power_db(echo[:, rows(115, 121)]) == pytest.approx(-10.25, abs=0.5)
    assert power_db(echo[:, rows(0, 6)]) == pytest.approx(-21.7, abs=0.5)
    assert similarity(echo[0], echo[1]) < 0.1
    # The pulse smooths it along depth; lines are independent.
    assert similarity(echo[:, 1:], echo[:, :-1]) > 0.7
    assert similarity(echo[..., 1:], echo[..., :-1]) < 0.1


def test_reverberation_is_a_weaker_copy_deeper_down():
    position = torch.tensor([[[[0.0, 50.0]]]])
    artefacts = Artefacts(reverberation_db=-20.0, reverberation_mm=30.0)
    echo = beam_echo(position, torch.ones(1, 1, 1), PROBE, artefacts, generator())[0, 0].abs()
    first, second = echo[rows(40, 60)].max(), echo[rows(70, 90)].max()
    assert 20 * math.log10(float(second / first)) == pytest.approx(-20.0, abs=0.1)
    depth = PROBE.depths_mm()[rows(70, 90)][int(echo[rows(70, 90)].amax(1).argmax())]
    assert float(depth) == pytest.approx(80.0, abs=PROBE.axial_step_mm)


@pytest.mark.slow
def test_window_is_uneven_in_space_and_stands_still():
    clear = echo_of(Artefacts(), 1.0, TIMES[:2]).abs()
    spreads = []
    for seed in range(12):
        window = echo_of(Artefacts(window_db=6.0), 1.0, TIMES[:2], seed).abs()
        torch.testing.assert_close(window[0], window[1])
        gain_db = 20 * torch.log10(window[0, 5:] / clear[0, 5:])
        spreads.append(float(gain_db.square().mean()))
    # About 0 dB in the mean over draws, with the standard deviation asked for.
    assert math.sqrt(np.mean(spreads)) == pytest.approx(6.0, rel=0.25)


def test_fading_comes_and_goes_with_its_strength_and_time():
    times = torch.arange(150) * 0.02
    clear = echo_of(Artefacts(), 1.0, times[:1]).abs()
    faded = echo_of(Artefacts(fading_db=6.0, fading_s=0.06), 1.0, times).abs()
    gain_db = 20 * torch.log10(faded[:, 5:] / clear[:, 5:])
    gain_db = gain_db - gain_db.mean(0)
    power = gain_db.square().mean()
    assert float(power.sqrt()) == pytest.approx(6.0, rel=0.2)
    for lag, expected in ((1, math.exp(-1 / 3)), (3, math.exp(-1))):
        kept = (gain_db[lag:] * gain_db[:-lag]).mean() / power
        assert float(kept) == pytest.approx(expected, abs=0.12)


def test_gain_offset_darkens_and_saturates():
    g = generator(1)
    positions = torch.stack(
        [40 * torch.rand(1, 1, 9000, generator=g) - 20, 60 + 40 * torch.rand(1, 1, 9000, generator=g)], -1
    )
    amplitudes = torch.full((1, 1, 9000), 0.4)
    probe, picture = replace(PROBE, gain_db=-20.0), fitting_picture(PROBE, (128, 128))

    def frame(offset: float) -> torch.Tensor:
        return render(positions, amplitudes, probe, picture, Artefacts(gain_offset_db=offset), generator())[0, 0]

    low, usual, high = (frame(offset) for offset in (-25.0, 0.0, 25.0))
    assert float(low.float().mean()) < float(usual.float().mean()) < float(high.float().mean())
    shown = usual > 60
    assert float((high[shown] == 255).float().mean()) > 0.4
    assert float((usual[shown] == 255).float().mean()) < 0.05


def test_random_artefacts_round_trip_and_grow_with_the_level(rng):
    shares = []
    for level in (0.0, 0.5, 1.0):
        drawn = [draw_artefacts(rng, level) for _ in range(30)]
        assert all(Artefacts.from_dict(a.as_dict()) == a for a in drawn)
        shares.append(np.mean([a.fast_share for a in drawn]))
    assert shares[0] < 0.1
    assert shares[0] + 0.2 < shares[1] < shares[2] - 0.2
    anything = [draw_artefacts(rng).fast_share for _ in range(200)]
    assert min(anything) < 0.1
    assert max(anything) > shares[2] - 0.1


@pytest.mark.parametrize("name", sorted(ARTEFACT_RANGES))
def test_impossible_strengths_are_refused_by_name_and_range(name):
    low, high = ARTEFACT_RANGES[name]
    for wrong in (low - 1.0, high + 1.0, math.nan):
        with pytest.raises(DataError, match=rf"^{name} is .*between {low:g} and {high:g}"):
            Artefacts(**{name: wrong})


@pytest.mark.parametrize("changes", [{"width_deg": 0.0}, {"loss_db": -3.0}, {"angle_deg": 90.0}, {"start_mm": -1.0}])
def test_impossible_shadows_are_refused(changes):
    with pytest.raises(DataError, match=rf"^{next(iter(changes))} is .*between"):
        Shadow(**{"angle_deg": 0.0, **changes})


@pytest.mark.parametrize("level", [-0.1, 1.5, math.nan])
def test_impossible_level_is_refused(level, rng):
    with pytest.raises(DataError, match=r"level is .* between 0 and 1"):
        draw_artefacts(rng, level)
