"""The commands that judge trackers."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from echomotion.core import EchoMotionError
from echomotion.io.write import write_json
from echomotion.models.registry import create_flow_estimator, create_tracker
from echomotion.models.run import DEFAULT_FLOW, DEFAULT_TRACKER
from echomotion.terminal import (
    facts_table,
    finish_evaluation,
    for_each,
    json_line,
    needs_extra,
    out,
    plain_text,
    progress_bar,
    rows_table,
    step,
    tell,
)

Data = Annotated[Path, typer.Option(help="Folder of .npz clips with true tracks.")]
OneTracker = Annotated[str, typer.Option("--tracker", "--model", help="Tracker; see `echomotion models`.")]
JsonFile = Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every case.")]
Templates = Annotated[
    Path | None, typer.Option(help="CAMUS folder whose validation patients give the four-chamber clips their anatomy.")
]
Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]


def impartiality(
    data: Data,
    tracker: Annotated[
        str, typer.Option("--tracker", "--model", help="Tracker; NAME=WEIGHTS for other weights.")
    ] = DEFAULT_TRACKER,
    output: JsonFile = None,
    as_json: Json = False,
) -> None:
    """Whether errors differ when clips are mirrored, turned, reversed, or asked for in another phase of the beat."""

    def work(name: str) -> None:
        from echomotion.datasets.tracking import read_tracking
        from echomotion.evaluation.impartiality import impartiality as run
        from echomotion.evaluation.named import named_tracker

        model = named_tracker(tracker)
        cases = list(read_tracking(name))
        with progress_bar(f"{model.name} on {Path(name).name}", quiet=as_json) as stage:
            report = run(model, cases, progress=step(stage, "track"))
        result = {"dataset": Path(name).name, "model": model.name, **report.as_dict()}
        finish_evaluation(result, report.to_table(), output, as_json)

    for_each([str(data)], work, as_json=as_json)


def retest(
    tracker: OneTracker = DEFAULT_TRACKER,
    count: Annotated[int, typer.Option(min=1, help="Number of hearts.")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed gives the same hearts.")] = 0,
    output: JsonFile = None,
    as_json: Json = False,
) -> None:
    """Agreement of longitudinal strain between two simulated recordings of one heart."""

    def work(name: str) -> None:
        from echomotion.evaluation.retest import retest_pairs, retest_strain

        model = create_tracker(tracker)
        with progress_bar(name, quiet=as_json) as stage:
            pairs = retest_pairs(count, seed)
            report = retest_strain(model, pairs, progress=step(stage, "heart"), total=count)
        rows = [{"figure": figure.replace("_", " "), tracker: value} for figure, value in report.summary.items()]
        finish_evaluation({"seed": seed, **report.as_dict()}, rows, output, as_json)

    for_each([f"{tracker} test-retest"], work, as_json=as_json)


def flow(
    data: Annotated[Path, typer.Option(help="Folder of simulated sequences.")],
    model: Annotated[list[str] | None, typer.Option(help="Flow network, repeatable; NAME=FOLDER for weights.")] = None,
    tracker: Annotated[
        list[str] | None, typer.Option(help="Tracker that follows the same points, repeatable; NAME=WEIGHTS.")
    ] = None,
    output: JsonFile = None,
    as_json: Json = False,
) -> None:
    """How well dense motion from one frame to all others follows tissue, beside trackers and no motion at all."""

    def work(name: str) -> None:
        from echomotion.datasets.simulated import read_simulated
        from echomotion.evaluation import flow as judged
        from echomotion.evaluation.named import named_tracker

        methods: dict[str, judged.Follow] = {judged.NO_MOTION: judged.standing_still}
        for entry in model or [DEFAULT_FLOW]:
            network, _, weights = entry.partition("=")
            methods[network] = judged.by_flow(create_flow_estimator(network, weights=weights or None))
        for entry in tracker or ():
            follower = named_tracker(entry)
            methods[follower.name] = judged.by_tracker(follower)
        sequences, reports = list(read_simulated(name)), []
        for method, follow in methods.items():
            with progress_bar(f"{method} on {Path(name).name}", quiet=as_json) as stage:
                reports.append(judged.evaluate_motion(method, follow, sequences, progress=step(stage, "clip")))
        result = {"dataset": Path(name).name, "reports": [report.as_dict() for report in reports]}
        rows = [{"method": report.method, **report.summary} for report in reports]
        finish_evaluation(result, rows, output, as_json)

    for_each([str(data)], work, as_json=as_json)


def held_out(
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the clips go.")],
    templates: Templates = None,
    as_json: Json = False,
) -> None:
    """Write the fixed set of simulated clips on which trackers are judged; never train on it."""

    def work(_: str) -> None:
        from echomotion.evaluation.held_out import held_out_parts, write_held_out

        with progress_bar("held-out set", quiet=as_json) as stage:
            folder = write_held_out(output, templates=templates, progress=step(stage, "clip"))
        counts = {part: len(list(path.glob("*.npz"))) for part, path in held_out_parts(folder).items()}
        tell({"status": "done", "output": str(folder), **counts}, as_json=as_json)

    for_each(["held-out set"], work, as_json=as_json)


def benchmark_tracking(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of .npz clips, or a held-out set; that of the cache, made on first use, if not given."
        ),
    ] = None,
    tracker: Annotated[
        list[str] | None,
        typer.Option(
            help="Tracker, repeatable; NAME=WEIGHTS for other weights (a folder or a variant). "
            "All that have their weights if not given."
        ),
    ] = None,
    onnx: Annotated[
        list[str] | None, typer.Option(help="Outside tracker as NAME=PATH of an ONNX file, repeatable.")
    ] = None,
    templates: Templates = None,
    speed: Annotated[bool, typer.Option(help="Time fixed numbers of points and frames.")] = True,
    full: Annotated[bool, typer.Option("--full", help="Also time 1,024 points over 300 frames.")] = False,
    output: JsonFile = None,
    as_json: Json = False,
) -> None:
    """Run all trackers on the same clips in one process: accuracy, paired comparison, seconds, memory."""

    def work(name: str) -> None:
        needs_extra("train", "monai")
        from echomotion.datasets.tracking import read_tracking
        from echomotion.evaluation import benchmark
        from echomotion.evaluation.held_out import held_out_folder, held_out_parts

        trackers = benchmark.benchmark_trackers(tracker, onnx or ())
        with progress_bar(name, quiet=as_json) as stage:
            folder = data or held_out_folder(templates=templates, progress=step(stage, "held-out clip"))
            parts = {part: list(read_tracking(path)) for part, path in held_out_parts(folder).items()}
            report = benchmark.benchmark_tracking(
                trackers, parts, speed=speed, full=full, progress=step(stage, "clip or load")
            )
        result = {"dataset": Path(folder).name, **report.as_dict()}
        if output is not None:
            write_json(output, result)
        if as_json:
            json_line(result)
        else:
            _show_benchmark(report.parts, report.speed, report.yardstick_s)
            if output is not None:
                out.print(facts_table({"every case": str(output)}))
        if report.failed:
            raise EchoMotionError("; ".join(f"{name} failed: {why}" for name, why in report.failed.items()))

    for_each(["benchmark tracking" if data is None else str(data)], work, as_json=as_json)


# Two tables, each narrow enough for a plain terminal.
_COLUMNS: tuple[dict[str, str], ...] = (
    {
        "tracker": "tracker",
        "share_within": "share",
        "within_2_px": "< 2 px",
        "median_error_px": "median px",
        "average_jaccard": "AJ",
        "survival": "survival",
    },
    {
        "tracker": "tracker",
        "jitter": "jitter px",
        "signed_error_px": "along px",
        "gls_error": "GLS error",
        "seconds": "s a clip",
        "peak_memory_mb": "MiB",
    },
)
_SPEED_COLUMNS = {
    "tracker": "tracker",
    "points": "points",
    "frames": "frames",
    "seconds": "s",
    "of_yardstick": "of yardstick",
    "peak_memory_mb": "MiB",
}


def _show_benchmark(parts: dict[str, dict[str, Any]], speed: list[dict[str, Any]], yardstick_s: float) -> None:
    for name, part in parts.items():
        out.print(plain_text(f"{name}: {part['clips']} clips, fingerprint {part['fingerprint']}"), soft_wrap=True)
        for columns in _COLUMNS:
            out.print(rows_table(_chosen(part["trackers"], columns)))
        for figure, rows in groupby(part["comparison"], key=lambda row: row["figure"]):
            compared = list(rows)
            best = f"{compared[0]['baseline']} ({compared[0]['baseline_mean']:.3f})"
            out.print(plain_text(f"{figure} against {best}, paired over clips"), soft_wrap=True)
            out.print(rows_table([_comparison_row(row) for row in compared]))
    if speed:
        out.print(
            f"Speed; the yardstick, a ResNet-18 over 24 frames of 256 x 256, takes {yardstick_s:.3f} s", soft_wrap=True
        )
        out.print(rows_table(_chosen(speed, _SPEED_COLUMNS)))


def _chosen(rows: list[dict[str, Any]], columns: dict[str, str]) -> list[dict[str, Any]]:
    return [{title: row[key] for key, title in columns.items()} for row in rows]


def _comparison_row(row: dict[str, Any]) -> dict[str, Any]:
    kept = {title: row[title] for title in ("tracker", "clips", "difference", "low", "high")}
    return {**kept, "p (t)": _p_value(row["p_t"]), "p (W)": _p_value(row["p_wilcoxon"])}


def _p_value(p: float) -> str:
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def evaluate_tracking(
    data: Annotated[Path, typer.Option(help="Folder of .npz clips with true tracks.")],
    model: Annotated[str, typer.Option(help="Tracker; see `echomotion models`.")] = DEFAULT_TRACKER,
    weights: Annotated[str | None, typer.Option(help="Folder of weights, in place of the installed ones.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every clip.")] = None,
    as_json: Json = False,
) -> None:
    """Position accuracy, occlusion, median error and strain error against true tracks."""

    def work(name: str) -> None:
        from echomotion.datasets.tracking import read_tracking
        from echomotion.evaluation import tracking

        tracker = create_tracker(model, weights=weights)
        cases = list(read_tracking(name))
        with progress_bar(f"{model} on {Path(name).name}", quiet=as_json) as stage:
            report = tracking.evaluate_tracking(tracker, cases, progress=step(stage, "track"))
        head = {"dataset": Path(name).name, "model": model}
        finish_evaluation({**head, **report.as_dict()}, _brief_tracking(report.to_table()), output, as_json)

    for_each([str(data)], work, as_json=as_json)


_TRACKING_COLUMNS = {
    "clip": "clip",
    "share_within": "share",
    "within_2_px": "< 2 px",
    "median_error_px": "median px",
    "average_jaccard": "AJ",
    "occlusion_accuracy": "OA",
    "gls_error": "GLS error",
    "seconds": "s",
}


def _brief_tracking(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{title: row[name] for name, title in _TRACKING_COLUMNS.items()} for row in rows]
