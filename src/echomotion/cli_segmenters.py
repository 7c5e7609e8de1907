"""The commands that judge segmenters: side by side, steadiness of masks, and what the parts of PointSeg add."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echomotion.io.write import write_json
from echomotion.models.registry import create_segmenter, create_tracker
from echomotion.models.run import DEFAULT_TRACKER
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
)

CamusFolder = Annotated[Path, typer.Option(help="CAMUS folder.")]
JsonFile = Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every case.")]
Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]


def benchmark_segmentation(
    data: CamusFolder,
    segmenter: Annotated[
        list[str],
        typer.Option(help="Segmenter, repeatable; NAME=WEIGHTS for other weights. The first is the baseline."),
    ],
    part: Annotated[
        list[str] | None,
        typer.Option(help="stills, ejection_fraction, beats, degraded or speed, repeatable; all if not given."),
    ] = None,
    split: Annotated[str, typer.Option(help="Patients of single frames.")] = "validation",
    beats: Annotated[int, typer.Option(min=1, help="Beats of each kind.")] = 10,
    degraded_patients: Annotated[int, typer.Option(min=1, help="Patients whose pictures are degraded.")] = 20,
    output: JsonFile = None,
    figure: Annotated[Path | None, typer.Option(help="SVG or PNG of Dice against degradation.")] = None,
    as_json: Json = False,
) -> None:
    """Run segmenters on CAMUS: single frames, ejection fraction, whole beats, degraded pictures, speed."""

    def work(name: str) -> None:
        needs_extra("train", "monai")
        from echomotion.evaluation.degraded_figure import draw_degraded
        from echomotion.evaluation.named import named_segmenter
        from echomotion.evaluation.segmentation_benchmark import PARTS
        from echomotion.evaluation.segmentation_benchmark import benchmark_segmentation as run

        models = [named_segmenter(entry) for entry in segmenter]
        with progress_bar("benchmark", quiet=as_json) as stage:
            result = run(
                models,
                name,
                split=split,
                parts=part or PARTS,
                beats=beats,
                degraded_patients=degraded_patients,
                progress=stage,
            )
        if output is not None:
            write_json(output, result)
        if figure is not None and "degraded" in result:
            draw_degraded(result["degraded"], figure)
        if as_json:
            json_line(result)
            return
        _show(result)
        if output is not None:
            out.print(facts_table({"every case": str(output)}))

    for_each([str(data)], work, as_json=as_json)


def stability(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A cine; see `echomotion segment`.")],
    model: Annotated[list[str], typer.Option(help="Segmenters, one option each.")],
    tracker: Annotated[str, typer.Option(help="Tracker; see `echomotion models`.")] = DEFAULT_TRACKER,
    name: Annotated[str, typer.Option("--class", help="Class of the masks.")] = "lv_cavity",
    output: JsonFile = None,
    as_json: Json = False,
) -> None:
    """How steady masks are over time; all models are held against the same tracks of a grid of points."""

    def work(path: str) -> None:
        from echomotion.evaluation.stability import stability as judge
        from echomotion.io import read_clip
        from echomotion.models.queries import grid_queries

        cine = read_clip(path)
        queries = grid_queries(cine, spacing_px=max(cine.shape) / 16, frame=cine.n_frames // 2)
        tracks = create_tracker(tracker).track(cine, queries)
        rows = []
        for one in model:
            with progress_bar(one, quiet=as_json) as stage:
                masks = create_segmenter(one).segment(cine, progress=step(stage, "segment"))
            rows.append({"model": one, **judge(cine, masks, name, tracks).as_dict()})
        result = {"clip": Path(path).name, "tracker": tracker, "frames": cine.n_frames, "models": rows}
        finish_evaluation(result, rows, output, as_json)

    for_each([clip], work, as_json=as_json)


def ablation(
    data: CamusFolder,
    folder: Annotated[Path, typer.Option("-o", "--output", help="Receives one run for each variant, and a table.")],
    recipe: Annotated[str, typer.Option(help="A recipe of PointSeg.")] = "pointseg_small",
    max_minutes: Annotated[float | None, typer.Option(help="Of each variant; a reduced budget is stated.")] = None,
    split: Annotated[str, typer.Option(help="Patients who judge.")] = "validation",
    as_json: Json = False,
) -> None:
    """Train PointSeg with parts switched off and compare Dice and HD95 of the myocardium with the whole."""

    def work(name: str) -> None:
        needs_extra("train", "monai", "lightning_fabric")
        from echomotion.datasets.camus import read_camus
        from echomotion.evaluation.comparison import paired_difference
        from echomotion.evaluation.segmentation import evaluate_segmentation
        from echomotion.evaluation.segmentation_benchmark import finite
        from echomotion.training.ablation import train_variants
        from echomotion.training.recipe import read_recipe

        with progress_bar("ablation", quiet=as_json) as stage:
            runs = train_variants(name, data, folder, max_minutes=max_minutes, progress=stage)
            frames, found = list(read_camus(data, split)), {}
            for variant, weights in runs.items():
                segmenter = create_segmenter(read_recipe(name).model, weights=str(weights))
                cases = evaluate_segmentation(segmenter, frames, progress=step(stage, variant)).cases
                found[variant] = cases[cases["class"] == "lv_myocardium"].groupby("patient")[["dice", "hd95_mm"]].mean()
        rows: list[dict[str, Any]] = []
        for variant, cases in found.items():
            paired = paired_difference(cases["dice"], found["whole"]["dice"])
            means = {key: float(cases[key].mean()) for key in ("dice", "hd95_mm")}
            rows.append({"variant": variant, **means, "difference": paired.difference, "p (t)": paired.p_t})
        budget = "that of the recipe" if max_minutes is None else f"{max_minutes:g} minutes a variant"
        result = {"recipe": name, "split": split, "budget": budget, "variants": finite(rows)}
        write_json(folder / "ablation.json", result)
        if as_json:
            json_line(result)
            return
        out.print(rows_table(rows))
        out.print(plain_text(f"Budget: {budget}. Patients: {split}."), soft_wrap=True)

    for_each([recipe], work, as_json=as_json)


def _show(result: dict[str, Any]) -> None:
    """Tables of a benchmark of segmenters, one for each part."""
    if "stills" in result:
        keys: tuple[str, ...] = ("group", "class", "patients", "dice", "hd95_mm")
        for name, rows in result["stills"]["models"].items():
            out.print(plain_text(f"{name}: single frames"))
            out.print(rows_table([{key: row[key] for key in keys} for row in rows]))
        if result["stills"]["compared"]:
            keys = ("model", "class", "metric", "group", "difference", "low", "high", "p_t")
            out.print(plain_text(f"against {result['baseline']}, paired over patients"))
            out.print(rows_table([{key: row[key] for key in keys} for row in result["stills"]["compared"]]))
    if "ejection_fraction" in result:
        out.print(plain_text("ejection fraction, one view, against the reference"))
        rows = [
            {
                "model": row["model"],
                "patients": row["patients"],
                **{key: _interval(row[key]) for key in ("correlation", "bias", "spread")},
            }
            for row in result["ejection_fraction"]
        ]
        out.print(rows_table(rows))
    for kind, found in result.get("beats", {}).items():
        out.print(plain_text(f"{kind} beats"))
        keys = ("model", "class", "dice", "contour_jitter", "area_roughness", "excursion_ratio", "es_shift_frames")
        out.print(rows_table([{key: row.get(key) for key in keys} for row in found]))
    if "degraded" in result:
        out.print(rows_table(result["degraded"]))
    if "speed" in result:
        out.print(rows_table(result["speed"]))


def _interval(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
