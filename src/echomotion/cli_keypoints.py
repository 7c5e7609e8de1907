"""The commands about key-points of the parasternal long axis."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echomotion.core import Clip, DataError
from echomotion.models.registry import create_keypoint_detector
from echomotion.terminal import (
    finish_evaluation,
    for_each,
    json_line,
    needs_extra,
    out,
    plain_text,
    progress_bar,
    rows_table,
    share_of,
    step,
)

Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]


def find_in_clip(
    name: str,
    clip: Clip,
    output: Path,
    *,
    model: str,
    weights: str | None,
    adapt: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Find key-points, measure, and write everything into a folder."""
    from echomotion.analysis_types import AnalysisOptions
    from echomotion.keypoint_analysis import analyze_keypoints
    from echomotion.report.save import check_folder, save_analysis
    from echomotion.report.tables import terminal_table

    check_folder(output, overwrite=overwrite)
    method, options = method_of(model)
    options |= {"adapt": adapt} if adapt else {}
    options |= {"weights": weights} if weights is not None else {}
    with progress_bar(Path(name).name, quiet=as_json) as stage:
        asked = AnalysisOptions(detector=method, detector_options=options)
        result = analyze_keypoints(clip, options=asked, progress=stage)
        stage("pictures", 0, 0)
        save_analysis(result, output, overwrite=overwrite)
    if as_json:
        rows = [row.as_dict() for row in result.measurements]
        facts = {"output": str(output), "model": method, "warnings": list(result.warnings), "measurements": rows}
        json_line({"input": name, "status": "done", **facts})
        return
    out.print(terminal_table(result))
    for warning in result.warnings:
        out.print(f"[yellow]warning:[/] {plain_text(warning)}", soft_wrap=True)
    out.print(f"Results are in {plain_text(str(output))}; open report.html there.", soft_wrap=True)


def evaluate(
    data: Annotated[Path, typer.Option(help="Folder of simulated parasternal sequences, or of annotated videos.")],
    dataset: Annotated[str, typer.Option(help="simulated, annotated or echonet_lvh.")] = "simulated",
    model: Annotated[
        list[str] | None,
        typer.Option(help="Methods, one option each: NAME, or NAME:OPTION=VALUE,... (default: sknet and tracked)."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Method that the others are compared with, as --model spells it; else the first.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every clip.")] = None,
    as_json: Json = False,
) -> None:
    """Key-points against the truth: shares within thresholds, dimensions, steadiness; one row a method."""
    if dataset not in ("simulated", "annotated", "echonet_lvh"):
        raise typer.BadParameter(f"unknown dataset {dataset!r}; known are simulated, annotated and echonet_lvh")
    methods = model or ["sknet", "tracked"]
    if against is not None and against not in methods:
        raise typer.BadParameter(f"--against {against!r} is none of the methods {', '.join(methods)}")

    def work(name: str) -> None:
        from echomotion.datasets.echonet_lvh import read_echonet_lvh
        from echomotion.datasets.keypoints import read_annotated
        from echomotion.evaluation.keypoints import compare_keypoints, evaluate_keypoints, simulated_cases

        readers = {"simulated": simulated_cases, "annotated": read_annotated, "echonet_lvh": read_echonet_lvh}
        cases = list(readers[dataset](name))
        reports = []
        for entry in methods:
            method, options = method_of(entry)
            detector = create_keypoint_detector(method, **options)
            with progress_bar(f"{entry} on {Path(name).name}", quiet=as_json) as stage:
                report = evaluate_keypoints(detector, cases, progress=step(stage, "key-points"))
            reports.append(type(report)(entry, report.rows))
        base = against or reports[0].method
        rows = compare_keypoints(reports, base) if len(reports) > 1 else []
        result = {"dataset": Path(name).name, "reports": [r.as_dict() for r in reports], "comparison": _finite(rows)}
        numbered = [{"row": k, "method": _brief(r.method)} for k, r in enumerate(reports, start=1)]
        table = [
            {"row": k, **{title: r.summary[key] for key, title in _COLUMNS.items()}}
            for k, r in enumerate(reports, start=1)
        ]
        if not as_json:
            out.print(rows_table(numbered))
        finish_evaluation(result, table, output, as_json)

    for_each([str(data)], work, as_json=as_json)


def classify(
    cohort: Annotated[
        Path,
        typer.Argument(help="Table with patient, label and features; see `features.csv` of `echomotion keypoints`."),
    ],
    positive: Annotated[str, typer.Option(help="Label of the disease.")],
    negative: Annotated[str, typer.Option(help="Label of those it is told from.")] = "normal",
    apply: Annotated[Path | None, typer.Option(help="Table of new patients without label, to be told apart.")] = None,
    seed: Annotated[int, typer.Option(help="Of the folds and the intervals.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every decision.")] = None,
    as_json: Json = False,
) -> None:
    """Tell a disease from curves over a cycle: cross-validation by patient, or decisions for new patients."""

    def work(name: str) -> None:
        needs_extra("classify", "sklearn")
        from echomotion.evaluation.classification import apply_classifier, evaluate_classifier, read_cohort

        table = read_cohort(name)
        if apply is not None:
            rows = apply_classifier(table, read_cohort(apply, labelled=False), positive, negative).to_dict("records")
            result: dict[str, Any] = {"cohort": Path(name).name, "patients": rows}
            finish_evaluation(result, [{str(k): v for k, v in row.items()} for row in rows], output, as_json)
            return
        report = evaluate_classifier(table, positive, negative, seed=seed)
        decisions = report.decisions.to_dict("records")
        shown = [
            {"figure": figure, "value": part.value, "low": part.low, "high": part.high}
            for figure in ("auc", "sensitivity", "specificity")
            if (part := getattr(report, figure))
        ]
        finish_evaluation(
            {"cohort": Path(name).name, **report.as_dict(), "decisions": decisions}, shown, output, as_json
        )

    for_each([str(cohort)], work, as_json=as_json)


def cohort(
    folder: Annotated[Path, typer.Option("-o", "--output", help="Receives hearts, features and cohort.json.")],
    hearts: Annotated[int, typer.Option(min=60, help="Patients; the mix of diseases is the paper's.")] = 300,
    model: Annotated[
        list[str] | None, typer.Option(help="Detectors, one option each: NAME, or NAME:OPTION=VALUE,...")
    ] = None,
    difficulty: Annotated[float, typer.Option(help="Of the recordings, 0 to 1.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of hearts, folds and intervals.")] = 0,
    as_json: Json = False,
) -> None:
    """Tell disease on a simulated cohort: what each detector loses against the true curves."""

    def work(_: str) -> None:
        needs_extra("classify", "sklearn")
        from echomotion.evaluation.cohort import cohort_tables, judge_cohort

        detectors = {}
        for entry in model or _COHORT:
            name, options = method_of(entry)
            detectors[entry] = create_keypoint_detector(name, **options)
        with progress_bar("cohort", quiet=as_json) as stage:
            tables = cohort_tables(folder, detectors, hearts, seed=seed, difficulty=difficulty, progress=stage)
            stage("judging", 0, 0)
            rows = judge_cohort(tables, seed=seed)
        shown = [{key: row[key] for key in ("disease", "method", "auc", "low", "high", "lost")} for row in rows]
        facts = {"hearts": hearts, "difficulty": difficulty, "seed": seed}
        finish_evaluation({**facts, "rows": _finite(rows)}, shown, folder / "cohort.json", as_json)

    for_each(["cohort"], work, as_json=as_json)


def few_keypoints(
    data: Annotated[Path, typer.Option(help="Folder of simulated parasternal cines; `fit` and `selection` in it.")],
    held: Annotated[Path, typer.Option(help="Folder of simulated parasternal sequences that judge.")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="Receives two runs for each share, table, figure.")],
    share: Annotated[list[str] | None, typer.Option(help="Cines with key-points; 10% and 100% if none.")] = None,
    static: Annotated[str, typer.Option(help="Recipe of SK-net.")] = "sknet",
    temporal: Annotated[str, typer.Option(help="Recipe of TR-net.")] = "trnet",
    static_steps: Annotated[int | None, typer.Option(min=1, help="Of SK-net, in place of its recipe's.")] = None,
    temporal_steps: Annotated[int | None, typer.Option(min=1, help="Of TR-net, in place of its recipe's.")] = None,
    as_json: Json = False,
) -> None:
    """Train SK-net with few key-points and TR-net over it without any: what TR-net gains with each share."""

    def work(_: str) -> None:
        needs_extra("train", "lightning_fabric")
        from echomotion.evaluation.keypoint_study import draw_keypoint_study, keypoint_study_rows
        from echomotion.evaluation.keypoints import evaluate_keypoints, simulated_cases
        from echomotion.training.keypoint_study import train_few_keypoints

        shares = [share_of(text) for text in share or ("10%", "100%")]
        cases = list(simulated_cases(held))
        with progress_bar("few key-points", quiet=as_json) as stage:
            runs = train_few_keypoints(
                shares,
                data,
                folder,
                static=static,
                temporal=temporal,
                static_steps=static_steps,
                temporal_steps=temporal_steps,
                progress=stage,
            )
            found = {}
            for key, run in runs.items():
                detectors = (
                    create_keypoint_detector("sknet", weights=str(run.sknet)),
                    create_keypoint_detector("trnet", weights=str(run.trnet), sknet=str(run.sknet)),
                )
                first, second = (
                    evaluate_keypoints(each, cases, progress=step(stage, f"{each.name}, {100 * key:g} %"))
                    for each in detectors
                )
                found[key] = (first, second)
        rows = keypoint_study_rows(found)
        draw_keypoint_study(rows, folder / "few-keypoints.svg")
        facts = {
            "held": Path(held).name,
            "clips": len(cases),
            "sknet_steps": static_steps,
            "trnet_steps": temporal_steps,
        }
        finish_evaluation({**facts, "rows": _finite(rows)}, rows, folder / "few-keypoints.json", as_json)

    for_each(["few key-points"], work, as_json=as_json)


def method_of(entry: str) -> tuple[str, dict[str, Any]]:
    """Name and options, ``weights`` among them, from ``NAME`` or ``NAME:OPTION=VALUE,OPTION=VALUE``.

    Raises
    ------
    DataError
        When an option is not of that form.
    """
    name, _, rest = entry.partition(":")
    options: dict[str, Any] = {}
    for part in rest.split(",") if rest else ():
        key, given, text = part.partition("=")
        if not (key and given and text):
            raise DataError(f"{entry!r} names no method; give NAME or NAME:OPTION=VALUE,OPTION=VALUE")
        options[key] = _value(text)
    return name, options


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# What the table of the cohort has where nothing is named.
_COHORT = (
    "sknet",
    "trnet",
    "tracked",
    "tracked:tracker=lucas_kanade,anchor=false",
    "tracked:tracker=block_matching,anchor=false",
)

_COLUMNS = {
    "share_within": "share",
    "median_error_px": "px",
    "ivs_mae_mm": "IVS",
    "lvid_mae_mm": "LVID",
    "lvpw_mae_mm": "LVPW",
    "ivs_sd_mm": "sdIVS",
    "lvid_sd_mm": "sdLVID",
    "lvpw_sd_mm": "sdLVPW",
    "vector_error_px": "AVE",
    "seconds": "s",
}


def _brief(entry: str) -> str:
    """A method without the folders of its options, for a table."""
    name, options = method_of(entry)
    shown = ", ".join(f"{key}={Path(str(value)).name}" for key, value in options.items())
    return f"{name} ({shown})" if shown else name


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows for JSON; NaN becomes None."""
    return [{k: None if isinstance(v, float) and v != v else v for k, v in row.items()} for row in rows]
