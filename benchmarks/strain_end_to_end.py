"""How far strain and ejection fraction are off when the models that ship find the wall, not the truth.

    python -m benchmarks.strain_end_to_end --templates CAMUS [--count 12] [--quality good poor] [--segmenter NAME]
        [--json FILE]

Four-chamber clips of patients' anatomy that no model was fitted to (without `--templates` of drawn anatomy), 256 x 352
px, without R waves, recordings of good (difficulty 0.1) and poor (0.8) quality. Global longitudinal strain of the
mid-wall line at end-systole is compared with the simulator's own. Rows:

- tracker alone: the wall is asked for on its true line, the phases are the true ones;
- automatic: segmenter, phases and tracker as :func:`echomotion.analyze` runs them;
- automatic, true phases: that, read at the true phases;
- automatic, not held: the tracked lines as they are, not drawn to the segmented wall (``--anchor 0``).

Ejection fraction and global radial strain are those of the automatic row.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from echomotion.analysis import AnalysisOptions, analyze, compose
from echomotion.core import Layer
from echomotion.measure.anchor import held_lines
from echomotion.measure.volumes import volume_curve
from echomotion.models.run import track
from echomotion.simulate.sequence import Sequence, simulate
from echomotion.simulate.templates import read_template, template_names

DIFFICULTY = {"good": 0.1, "poor": 0.8}
_SHAPE, _FRAMES, _RATE_HZ = (256, 352), 32, 34.0
# The clip begins this many frames before end-diastole, so that its standstill is seen.
_BEFORE = 3
ROWS = ("tracker alone", "automatic", "automatic, true phases", "automatic, not held")


def sequences(quality: str, count: int, first: int, templates: Path | None) -> Iterator[Sequence]:
    """The recordings of one quality, the same hearts for both."""
    names = [] if templates is None else template_names(templates, "validation")
    for k in range(count):
        template = None if templates is None else read_template(templates, names[k * len(names) // count])
        yield simulate(
            "A4C",
            first + k,
            template=template,
            difficulty=DIFFICULTY[quality],
            shape=_SHAPE,
            n_frames=_FRAMES,
            frame_rate_hz=_RATE_HZ,
            reference_frame=_BEFORE,
            n_tracks=16,
        )


def judge(sequence: Sequence, options: AnalysisOptions) -> dict[str, float | str]:
    """Strain of one recording, found and true, its ejection fraction, and the errors of its phases."""
    clip = sequence.clip.with_(r_wave_times_s=None)
    phases = sequence.phases
    line = sequence.wall_line(Layer.MID_WALL, options.points)
    alone = compose(
        clip, sequence.masks, {Layer.MID_WALL: track(clip, line.wall, warn=False)} if line.wall else {}, phases
    )
    loose = analyze(clip, options=replace(options, anchor=0))
    volumes = volume_curve(loose.masks, clip.spacing_mm)
    tracks = {Layer(layer): line for layer, line in loose.tracks.items()}
    held, _ = held_lines(tracks, volumes.walls, volumes.area, clip.times_s, clip.spacing_mm)
    errors = {Layer(layer): missed for layer, missed in loose.forward_backward_px.items()}
    found, timed = (
        compose(clip, loose.masks, held, read_at, volumes=volumes, forward_backward_px=errors)
        for read_at in (loose.phases, phases)
    )
    read = dict(zip(ROWS, (alone, found, timed, loose), strict=True))
    values: dict[str, float | str] = {
        "heart": sequence.recording.heart.kind,
        "true": sequence.truth.end_systolic_strain,
        "true_ef": sequence.truth.ejection_fraction,
        "ef": found["ejection_fraction"].value,
        "true_radial": float(np.interp(phases.beats[0].es_s, clip.times_s, sequence.truth.radial_strain)),
        "radial": found["global_radial_strain"].value,
        "radial: status": str(found["global_radial_strain"].status),
    }
    for name, analysis in read.items():
        row = analysis["global_longitudinal_strain"]
        values[name] = row.value
        values[f"{name}: status"] = str(row.status) + (f" ({row.reason})" if row.reason else "")
    true = phases.beats[0]
    beat = min(found.phases.beats, key=lambda b: abs(b.es_s - true.es_s), default=None)
    values["ed_error_ms"] = float("nan") if beat is None else 1000 * (beat.ed_s - true.ed_s)
    values["es_error_ms"] = float("nan") if beat is None else 1000 * (beat.es_s - true.es_s)
    return values


def summary(clips: list[dict[str, float | str]], name: str, truth: str = "true") -> dict[str, float]:
    """Bias, mean absolute difference, limits of agreement, and how many clips have a value."""
    difference = np.array([float(clip[name]) - float(clip[truth]) for clip in clips])
    known = difference[np.isfinite(difference)]
    figures = {
        "bias": known.mean(),
        "mean_absolute": np.abs(known).mean(),
        "limits_of_agreement": 1.96 * known.std(ddof=1),
        "largest": np.abs(known).max(),
    }
    return {"clips": len(known), "of": len(clips), **{key: round(float(value), 2) for key, value in figures.items()}}


def main() -> None:
    """Print one line a clip and the table, and write both as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=12, help="recordings of each quality")
    parser.add_argument("--first", type=int, default=900, help="seed of the first")
    parser.add_argument("--quality", nargs="+", choices=tuple(DIFFICULTY), default=tuple(DIFFICULTY))
    parser.add_argument("--templates", type=Path, help="CAMUS folder")
    parser.add_argument("--segmenter", default=AnalysisOptions.segmenter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {}
    for quality in options.quality:
        clips = []
        for sequence in sequences(quality, options.count, options.first, options.templates):
            clips.append(judge(sequence, AnalysisOptions(segmenter=options.segmenter)))
            print(json.dumps(clips[-1]), file=sys.stderr, flush=True)
        table = {name: summary(clips, name) for name in ROWS}
        table["ejection fraction"] = summary(clips, "ef", "true_ef")
        table["radial strain, automatic"] = summary(clips, "radial", "true_radial")
        for name, figures in table.items():
            print(quality, name, *(f"{key} {value}" for key, value in figures.items()), sep="  ")
        result[quality] = {"table": table, "clips": clips}
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
