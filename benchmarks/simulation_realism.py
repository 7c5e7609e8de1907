"""How real the simulated recordings are: likeness along tracks, grey levels, agreement with physics, speed.

    python benchmarks/simulation_realism.py --data DIR [--only PART] [--json FILE] [--figure FILE.png]

DIR holds ``CAMUS_public`` (training patients alone are read) and ``pymust_validation``. The figure shows patients
beside simulated frames and must not be published with the project.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from echomotion.core import DataError
from echomotion.datasets.camus import read_camus
from echomotion.datasets.tracking import TrackingCase, read_tracking
from echomotion.evaluation.tracking import evaluate_tracking
from echomotion.preprocess.sector import find_sector
from echomotion.simulate.artefacts import Artefacts, Shadow
from echomotion.simulate.draw import draw_heart
from echomotion.simulate.heart import WholeMotion
from echomotion.simulate.probe import Probe
from echomotion.simulate.scan_conversion import fan_mask
from echomotion.simulate.sequence import Sequence, simulate
from echomotion.simulate.similarity import patch_correlation
from echomotion.simulate.templates import iter_templates

GOOD, POOR = (0.94, 0.90, 0.84, 0.78, 0.73), (0.66, 0.57, 0.50, 0.43, 0.38)
# The fan fills the height, as in a real recording.
SHAPE = (256, 352)
TRACKERS = ("lucas_kanade", "block_matching")
# Labels in CAMUS and in the simulated four-chamber view.
CAVITY, WALL = 1, 2


def main() -> None:
    """Run all parts and print them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--json", type=Path)
    options.add_argument("--figure", type=Path)
    options.add_argument("--only", choices=("speed", "correlation", "grey_levels", "physics"))
    options.add_argument("--clips", type=int, default=8, help="clips for each level of difficulty")
    options.add_argument("--patients", type=int, default=40, help="patients for grey levels")
    chosen = options.parse_args()
    parts: dict[str, Callable[[], Any]] = {
        "speed": speed,
        "correlation": lambda: correlation(chosen.clips),
        "grey_levels": lambda: grey_levels(chosen.data, chosen.patients),
        "physics": lambda: physics(chosen.data / "pymust_validation", chosen.clips),
    }
    # One part may be measured again: the others stay as they were.
    found = json.loads(chosen.json.read_text()) if chosen.json and chosen.only and chosen.json.exists() else {}
    for name, part in parts.items():
        if chosen.only in (None, name):
            found[name] = part()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    if chosen.figure:
        cv2.imwrite(str(chosen.figure), figure(chosen.data))


def speed() -> dict[str, float]:
    """Seconds for a clip of 36 frames with 256 tracks, and for one twice as long; peak memory of this process."""
    simulate("A4C", 0, n_frames=4)
    seconds = {}
    for frames in (36, 72):
        taken = []
        for seed in range(5):
            start = time.perf_counter()
            simulate("A4C", seed, n_frames=frames, n_tracks=256)
            taken.append(time.perf_counter() - start)
        seconds[frames] = float(np.median(taken))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    row = {
        "seconds_36_frames": round(seconds[36], 2),
        "seconds_72_frames": round(seconds[72], 2),
        "peak_gb": round(peak, 2),
        "threads": torch.get_num_threads(),
    }
    print("speed", row, flush=True)
    return row


def correlation(clips: int) -> list[dict[str, Any]]:
    """Median correlation of patches of the wall along true tracks by difficulty, at 45 frames a beat."""
    rows = []
    for level in (0.0, 0.25, 0.5, 0.75, 1.0, None):
        values = [
            _wall_correlation(_usual(seed, level, 45)) for seed in range(clips if level is not None else 3 * clips)
        ]
        median = np.median(values, axis=0)
        rows.append(
            {
                "difficulty": "drawn" if level is None else level,
                "median": median.round(3).tolist(),
                "p5": np.percentile(values, 5, axis=0).round(3).tolist(),
                "p95": np.percentile(values, 95, axis=0).round(3).tolist(),
            }
        )
        print("correlation", rows[-1], flush=True)
    print("wanted", GOOD, "to", POOR)
    return rows


def _usual(
    seed: int, difficulty: float | None, frames_a_beat: int, n_frames: int | None = None, **more: Any
) -> Sequence:
    """A four-chamber clip with so many frames in its first beat."""
    for attempt in range(20):
        try:
            draft = simulate("A4C", seed + 1000 * attempt, n_frames=1, n_tracks=1, difficulty=difficulty)
            rate = frames_a_beat / draft.recording.heart.rhythm.rr_s[0]
            return simulate(
                "A4C",
                seed + 1000 * attempt,
                n_frames=n_frames or frames_a_beat,
                n_tracks=96,
                difficulty=difficulty,
                frame_rate_hz=float(np.clip(rate, 20, 120)),
                reference_frame=0,
                shape=SHAPE,
                **more,
            )
        except DataError:
            continue
    raise DataError(f"seed {seed}: no heart could be simulated")


def _wall_correlation(sequence: Sequence) -> NDArray[np.float64]:
    wall = np.array([name == "wall" for name in sequence.point_tissue])
    return patch_correlation(sequence.clip.frames, sequence.tracks.xy[wall], visible=sequence.tracks.visible[wall])


def grey_levels(data: Path, patients: int) -> dict[str, dict[str, float]]:
    """Median distance (Wasserstein, grey levels) between histograms of a region: simulated to real, real to real."""
    real = [_regions(*_resized(frame)) for frame in _every_other(read_camus(data, "fit"), patients)]
    parametric = [_simulated_regions(_usual(seed, None, 36, n_frames=4)) for seed in range(patients)]
    patient = []
    for number, template in enumerate(iter_templates(data, "fit")):
        if number >= patients:
            break
        patient.append(
            _simulated_regions(simulate("A4C", number, template=template, n_frames=4, n_tracks=16, shape=SHAPE))
        )
    rows = {}
    for region in ("wall", "cavity", "surroundings"):
        among = _distances(real, real, region)
        rows[region] = {
            "real_to_real": among,
            "parametric_to_real": _distances(parametric, real, region),
            "templates_to_real": _distances(patient, real, region),
        }
        print("grey levels", region, rows[region], flush=True)
    return rows


def _every_other(frames: Any, count: int) -> list[Any]:
    """End-diastolic frames of so many patients."""
    found = []
    for frame in frames:
        if str(frame.phase).upper().endswith("ED"):
            found.append(frame)
        if len(found) == count:
            break
    return found


def _resized(frame: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    image = frame.clip.frames[0]
    size = (round(image.shape[1] * 256 / image.shape[0]), 256)
    sector = find_sector(frame.clip.frames)
    fan = sector.mask() if sector is not None else image > 0
    return (
        cv2.resize(image, size, interpolation=cv2.INTER_AREA),
        cv2.resize(frame.labels, size, interpolation=cv2.INTER_NEAREST),
        cv2.resize(fan.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0,
    )


def _simulated_regions(sequence: Sequence) -> dict[str, NDArray[np.uint8]]:
    fan = fan_mask(sequence.recording.probe, sequence.recording.picture).numpy()
    return _regions(sequence.clip.frames[0], sequence.masks.labels[0], fan)


def _regions(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], fan: NDArray[np.bool_]
) -> dict[str, NDArray[np.uint8]]:
    return {
        "wall": image[labels == WALL],
        "cavity": image[labels == CAVITY],
        "surroundings": image[(labels == 0) & fan],
    }


def _distances(some: list[Any], others: list[Any], region: str) -> float:
    found = [
        wasserstein_distance(a[region][::7], b[region][::7])
        for i, a in enumerate(some)
        for j, b in enumerate(others)
        if not (some is others and j <= i) and len(a[region]) > 50 and len(b[region]) > 50
    ]
    return round(float(np.median(found)), 2)


def physics(folder: Path, clips: int) -> list[dict[str, Any]]:
    """Errors of conventional trackers on clips of a wave simulator, and on ours at equal patch correlation.

    Ours have the wave simulator's kind of probe, hearts that move by contraction alone, and the same kinds of trouble,
    from none to more than in its hardest clips. What both say is compared level by level, over its two
    hearts.
    """
    alike, motion, errors = [], [], []
    for strength in (0.0, 0.4, 0.6, 0.8, 1.0):
        for seed in range(clips):
            kind = ("healthy", "reduced")[seed % 2]
            sequence = simulate(
                "A4C",
                seed,
                heart=replace(draw_heart("A4C", np.random.default_rng(seed), kind), motion=WholeMotion()),
                probe=Probe(frequency_mhz=2.7, depth_mm=140.0),
                artefacts=_trouble(strength),
                shape=SHAPE,
                reference_frame=0,
                frame_rate_hz=40.0,
                n_tracks=96,
            )
            wall = np.array([name == "wall" for name in sequence.point_tissue])
            alike.append(float(_wall_correlation(sequence).mean()))
            motion.append(_median_motion(sequence.tracks.xy[wall]))
            errors.append(_errors(sequence.clip, sequence.tracks.xy[wall], sequence.tracks.visible[wall]))
    levels: dict[str, list[NDArray[np.float64]]] = {}
    for case in read_tracking(folder):
        level = float(patch_correlation(case.clip.frames, case.xy).mean())
        # Those of ours that are as alike along their tracks, and move about as much.
        weight = np.exp(-0.5 * ((np.array(alike) - level) / 0.04) ** 2)
        weight *= np.exp(-0.5 * (np.log(np.array(motion) / _median_motion(case.xy)) / 0.5) ** 2)
        ours = weight @ np.log(errors) / weight.sum()
        theirs = np.log(_errors(case.clip, case.xy, case.visible))
        levels.setdefault(case.name.split("_")[1], []).append(np.array([*ours, *theirs, level]))
    rows = []
    for name, values in levels.items():
        mean = np.mean(values, axis=0)
        ours, theirs = np.exp(mean[:2]), np.exp(mean[2:4])
        row: dict[str, Any] = {"level": name, "correlation": round(float(mean[4]), 3)}
        for tracker, mine, other in zip(TRACKERS, ours, theirs, strict=True):
            ratio = round(float(mine / other), 2)
            row[tracker] = {"ours_px": round(float(mine), 2), "physics_px": round(float(other), 2), "ratio": ratio}
        rows.append(row)
        print("physics", row, flush=True)
    return rows


def _median_motion(xy: NDArray[np.floating]) -> float:
    return float(np.median(np.linalg.norm(xy - xy[:, :1], axis=-1)[:, 1:]))


def _trouble(strength: float) -> Artefacts:
    """Decorrelation, clutter, noise and at last a dropout, as the clips of the wave simulator have them.

    Their scatterers last, those of blood too.
    """
    if strength == 0:
        return Artefacts(blood_s=1.0)
    return Artefacts(
        blood_s=1.0,
        fast_share=0.3 * strength,
        fast_s=0.02,
        clutter_db=-1.0 + 4.0 * strength,
        noise_db=-33.0 + 10.0 * strength,
        shadows=(Shadow(-22.0, 24.0, 14.0 * strength),) if strength > 0.6 else (),
    )


def _errors(clip: Any, xy: NDArray[np.floating], visible: NDArray[np.bool_]) -> list[float]:
    kept = visible[:, 0]
    case = TrackingCase("clip", clip, np.asarray(xy[kept], dtype=np.float64), np.asarray(visible[kept]))
    return [evaluate_tracking(name, [case]).rows[0]["median_error_px"] for name in TRACKERS]


def figure(data: Path) -> NDArray[np.uint8]:
    """Real frames above, simulated ones below: parametric hearts, then patients' anatomy."""
    real = [_framed(_resized(frame)[0]) for frame in _every_other(read_camus(data, "fit"), 5)]
    drawn = [_usual(seed, level, 36, n_frames=4).clip.frames[0] for seed, level in enumerate((0, 0.25, 0.5, 0.75, 1))]
    patients = []
    for number, template in enumerate(iter_templates(data, "fit")):
        if number == 5:
            break
        patients.append(simulate("A4C", number, template=template, n_frames=4, n_tracks=16, shape=SHAPE).clip.frames[0])
    return np.vstack([np.hstack(row) for row in (real, drawn, patients)])


def _framed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    out = np.zeros(SHAPE, np.uint8)
    width = min(SHAPE[1], image.shape[1])
    left, place = (image.shape[1] - width) // 2, (SHAPE[1] - width) // 2
    out[:, place : place + width] = image[:, left : left + width]
    return out


if __name__ == "__main__":
    main()
