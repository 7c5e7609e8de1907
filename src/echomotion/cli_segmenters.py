"""The commands that judge segmenters: side by side, steadiness of masks, and what the parts of PointSeg add."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echomotion.core import DataError
from echomotion.io.write import write_json
from echomotion.models.registry import create_segmenter, create_tracker
from echomotion.models.run import DEFAULT_SEGMENTER, DEFAULT_TRACKER
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
    share_of,
    step,
)

if TYPE_CHECKING:
    import pandas as pd

# Side of the released models' grids, px.
_GRID = 256

CamusFolder = Annotated[Path, typer.Option(help="CAMUS folder.")]
JsonFile = Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every case.")]
Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]


def evaluate_segmentation(
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    dataset: Annotated[str, typer.Option(help="Layout of the folder; camus is the one known so far.")] = "camus",
    split: Annotated[str, typer.Option(help="training, validation or testing.")] = "validation",
    model: Annotated[str, typer.Option(help="Segmenter; see `echomotion models`.")] = DEFAULT_SEGMENTER,
    weights: Annotated[str | None, typer.Option(help="Folder of weights, in place of the installed ones.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="JSON with every case.")] = None,
    as_json: Json = False,
) -> None:
    """Dice and HD95 against expert masks, per class, phase and image quality."""
    if dataset != "camus":
        raise typer.BadParameter(f"unknown dataset {dataset!r}; known is camus")

    def work(name: str) -> None:
        needs_extra("train", "monai")
        from echomotion.datasets.camus import read_camus
        from echomotion.evaluation import segmentation

        segmenter = create_segmenter(model, weights=weights)
        with progress_bar(f"{model} on {dataset} {split}", quiet=as_json) as stage:
            report = segmentation.evaluate_segmentation(
                segmenter, read_camus(name, split), progress=step(stage, "segment")
            )
        head = {"dataset": dataset, "split": split, "model": model}
        finish_evaluation({**head, **report.as_dict()}, _rows(report.summary()), output, as_json)

    for_each([str(data)], work, as_json=as_json)


def benchmark_segmentation(
    data: CamusFolder,
    segmenter: Annotated[
        list[str],
        typer.Option(help="Segmenter, repeatable; NAME=WEIGHTS for other weights. The first is the baseline."),
    ],
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="stills, ejection_fraction, pairs, beats, degraded, degraded_beats or speed, repeatable; all if none."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Patients of single frames.")] = "validation",
    beats: Annotated[int, typer.Option(min=1, help="Beats of each kind.")] = 10,
    degraded_patients: Annotated[int, typer.Option(min=1, help="Patients whose pictures are degraded.")] = 20,
    output: JsonFile = None,
    figure: Annotated[
        Path | None, typer.Option(help="SVG or PNG of Dice against degradation, of frames and of beats.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run segmenters on CAMUS: single frames, ejection fraction, whole beats, degraded pictures, speed."""

    def work(name: str) -> None:
        needs_extra("train", "monai")
        from echomotion.evaluation.degraded_figure import draw_degraded
        from echomotion.evaluation.named import named_segmenter
        from echomotion.evaluation.segmentation_benchmark import DEGRADED, PARTS
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
        curves = {told: result[key] for key, told in DEGRADED.items() if key in result}
        if figure is not None and curves:
            draw_degraded(curves, figure)
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
    data: Annotated[Path, typer.Option(help="CAMUS folder; for TR-net that of its cines.")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="Receives one run for each variant, and a table.")],
    recipe: Annotated[str, typer.Option(help="A recipe of PointSeg, NCM-Net or TR-net.")] = "pointseg_small",
    grid: Annotated[int, typer.Option(min=32, help="Side of a segmenter's grid in px; smaller is quicker.")] = 256,
    max_minutes: Annotated[float | None, typer.Option(help="Of each variant; a reduced budget is stated.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each variant, in place of the recipe's.")] = None,
    beats: Annotated[
        int, typer.Option(min=0, help="Simulated beats of validation patients that a segmenter is judged by as well.")
    ] = 6,
    split: Annotated[str, typer.Option(help="Patients who judge.")] = "validation",
    as_json: Json = False,
) -> None:
    """Train PointSeg, NCM-Net or TR-net with parts switched off; compare the myocardium with that of the whole.

    Beats are segmented without being steadied afterwards, which would hide what the parts do.
    """

    def work(name: str) -> None:
        needs_extra("train", "monai", "lightning_fabric")
        from echomotion.evaluation.ablation import ablation_rows, judged_beats
        from echomotion.evaluation.beat_masks import validation_beats
        from echomotion.evaluation.segmentation_benchmark import finite
        from echomotion.training.ablation import WHOLE, ablation_of
        from echomotion.training.recipe import read_recipe
        from echomotion.training.variants import train_variants

        model = read_recipe(name).model
        if model == "trnet" and grid != _GRID:
            raise DataError("TR-net runs on the grid of its detector; leave --grid out")
        with progress_bar("ablation", quiet=as_json) as stage:
            variants = ablation_of(name, training=_on_grid(grid))
            runs = train_variants(variants, data, folder, max_minutes=max_minutes, steps=steps, progress=stage)
            if model == "trnet":
                told = [f"--model trnet:weights={path}" for path in runs.values()]
                out.print(plain_text(f"Judge them by: echomotion evaluate keypoints --data HELD {' '.join(told)}"))
                return
            cases = _judged({variant: (model, path) for variant, path in runs.items()}, data, split, stage)
            shown = list(validation_beats(data, "simulated", beats))
            moving = {}
            for variant, path in runs.items() if shown else ():
                # As the network says it: what is steadied or carried afterwards hides what the parts do.
                carried = {"carry_s": 0.0} if model.startswith(("pointseg", "ncmnet")) else {}
                raw = create_segmenter(model, weights=str(path), steady_s=0.0, **carried)
                moving[variant] = judged_beats(raw, shown, step(stage, f"{variant}: beats"))
        rows = ablation_rows(cases, moving, WHOLE)
        result = {
            "recipe": name,
            "split": split,
            "grid": grid,
            "budget": _budget(max_minutes, steps),
            "beats": len(shown),
            "variants": finite(rows),
        }
        _finish_study(result, rows, folder / "ablation.json", as_json)

    for_each([recipe], work, as_json=as_json)


def few_labels(
    data: CamusFolder,
    folder: Annotated[Path, typer.Option("-o", "--output", help="Receives one run for each cell, table and figure.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="unet, mean_teacher, pointseg_small, ncmnet; repeatable, all if none."),
    ] = None,
    share: Annotated[list[str] | None, typer.Option(help="Patients with masks; 5%, 10%, 25% and 100% if none.")] = None,
    phases: Annotated[list[str] | None, typer.Option(help="Masks that are shown: both, ED or ES; repeatable.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="Choices of patients for each share.")] = 3,
    grid: Annotated[int, typer.Option(min=32, help="Side of all models' grid in px; smaller is quicker.")] = 256,
    max_minutes: Annotated[float | None, typer.Option(help="Of each run; a reduced budget is stated.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of each run, in place of the recipes'.")] = None,
    first_steps: Annotated[
        int, typer.Option(min=0, help="Of a U-Net on the same masks before, as which all methods begin; 0: none.")
    ] = 0,
    split: Annotated[str, typer.Option(help="Patients who judge.")] = "validation",
    as_json: Json = False,
) -> None:
    """Train methods with few masks and compare them: a table, paired tests and a figure."""

    def work(_: str) -> None:
        needs_extra("train", "monai", "lightning_fabric")
        from echomotion.evaluation.label_study import draw_study, study_rows
        from echomotion.evaluation.segmentation_benchmark import finite
        from echomotion.training.label_study import METHODS, begun_as, first_unet, name_of, study_of
        from echomotion.training.recipe import read_recipe
        from echomotion.training.variants import train_variants

        shares = [share_of(text) for text in share or ("5%", "10%", "25%", "100%")]
        # Motion and simulated sequences are the same in all runs.
        training = _on_grid(grid) | {"cache": str(folder / "cache")}
        study = study_of(method or METHODS, shares, draws, phases=phases or ("both",), training=training)
        with progress_bar("few labels", quiet=as_json) as stage:
            if first_steps:
                before = {cell: first_unet(cell, training) for cell in study}
                first = train_variants(
                    dict(before.values()), data, folder, max_minutes=max_minutes, steps=first_steps, progress=stage
                )
                study = {cell: begun_as(variant, first[before[cell][0]]) for cell, variant in study.items()}
            named = {name_of(cell): variant for cell, variant in study.items()}
            runs = train_variants(named, data, folder, max_minutes=max_minutes, steps=steps, progress=stage)
            models = {name: (read_recipe(variant.recipe).model, runs[name]) for name, variant in named.items()}
            cases = _judged(models, data, split, stage)
        rows = study_rows({(*cell,): cases[name_of(cell)] for cell in study})
        draw_study(rows, folder / "few-labels.svg")
        brief = [
            {key: row[key] for key in ("method", "share", "phases", "class", "draws", "dice")}
            | {f"less {other}": found["difference"] for other, found in row["less"].items()}
            for row in rows
        ]
        budget = _budget(max_minutes, steps)
        if first_steps:
            budget += f", after {first_steps} steps of a U-Net on the same masks, as which all begin"
        result = {"split": split, "grid": grid, "budget": budget, "rows": finite(rows)}
        _finish_study(result, brief, folder / "few-labels.json", as_json)

    for_each(["few labels"], work, as_json=as_json)


def _judged(
    models: dict[str, tuple[str, Path]], data: Path, split: str, stage: Callable[[str, int, int], None]
) -> dict[str, pd.DataFrame]:
    """Cases of every (model, weights) on the same frames."""
    from echomotion.datasets.camus import read_camus
    from echomotion.evaluation.segmentation import evaluate_segmentation

    frames = list(read_camus(data, split))
    return {
        name: evaluate_segmentation(
            create_segmenter(model, weights=str(weights)), frames, progress=step(stage, name)
        ).cases
        for name, (model, weights) in models.items()
    }


def _on_grid(side: int) -> dict[str, object]:
    """Fields of a recipe for a study on a grid of that side throughout; none where it is the recipes' own."""
    return {} if side == _GRID else {"grid": side, "early_grid": side}


def _budget(max_minutes: float | None, steps: int | None) -> str:
    parts = [] if steps is None else [f"{steps} steps"]
    parts += [] if max_minutes is None else [f"{'at most ' if parts else ''}{max_minutes:g} minutes"]
    return f"{', '.join(parts)} a run" if parts else "that of the recipe"


def _finish_study(result: dict[str, Any], rows: list[dict[str, Any]], path: Path, as_json: bool) -> None:
    write_json(path, result)
    if as_json:
        json_line(result)
        return
    out.print(rows_table(rows))
    out.print(plain_text(f"Budget: {result['budget']}. Patients: {result['split']}."), soft_wrap=True)


def _show(result: dict[str, Any]) -> None:
    """Tables of a benchmark of segmenters, one for each part."""
    from echomotion.evaluation.segmentation_benchmark import DEGRADED

    for part, what in (("stills", "single frames"), ("pairs", "frames shown in pairs")):
        if part not in result:
            continue
        keys: tuple[str, ...] = ("group", "class", "patients", "dice", "hd95_mm")
        for name, rows in result[part]["models"].items():
            out.print(plain_text(f"{name}: {what}"))
            out.print(rows_table([{key: row[key] for key in keys} for row in rows]))
        if result[part]["compared"]:
            keys = ("model", "class", "metric", "group", "difference", "low", "high", "p_t")
            out.print(plain_text(f"against {result['baseline']}, paired over patients"))
            out.print(rows_table([{key: row[key] for key in keys} for row in result[part]["compared"]]))
    fractions = {"one view": result.get("ejection_fraction"), "pairs": result.get("pairs", {}).get("ejection_fraction")}
    for what, found in fractions.items():
        if found is None:
            continue
        out.print(plain_text(f"ejection fraction, {what}, against the reference"))
        rows = [
            {
                "model": row["model"],
                "patients": row["patients"],
                **{key: _interval(row[key]) for key in ("correlation", "bias", "spread")},
            }
            for row in found
        ]
        out.print(rows_table(rows))
    for kind, found in result.get("beats", {}).items():
        out.print(plain_text(f"{kind} beats"))
        keys = (
            "model", "class", "dice", "contour_jitter", "area_roughness", "excursion_ratio", "es_shift_frames",
            "es_shift_beyond_level_frames",
        )  # fmt: skip
        out.print(rows_table([{key: row.get(key) for key in keys} for row in found]))
    for part, what in DEGRADED.items():
        if part in result:
            out.print(plain_text(f"{what}, made worse"))
            out.print(rows_table(result[part]))
    if "speed" in result:
        out.print(rows_table(result["speed"]))


def _interval(estimate: dict[str, float | None]) -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
