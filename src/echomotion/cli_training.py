"""The commands that list, train and feed models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echomotion.models.registry import list_models
from echomotion.terminal import (
    for_each,
    json_line,
    needs_extra,
    out,
    progress_bar,
    rows_table,
    share_of,
    step,
    tell,
)

Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where results go.")]


def models(
    kind: Annotated[str | None, typer.Option(help="tracker, segmenter, keypoint_detector or flow.")] = None,
    as_json: Json = False,
) -> None:
    """List the models with their size, installed weights and licence."""

    def work(_: str) -> None:
        found = list_models(kind)
        if as_json:
            for model in found:
                json_line(vars(model))
            return
        columns = ("kind", "name", "parameters", "weights", "licence", "summary")
        rows = [{column: getattr(model, column) for column in columns} for model in found]
        for row, model in zip(rows, found, strict=True):
            row["weights"] = ", ".join([model.weights, *model.variants])
        out.print(rows_table(rows))

    for_each([kind or "models"], work, as_json=as_json)


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    output: Output,
    max_minutes: Annotated[float | None, typer.Option(help="Stop in time; the run can be resumed.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Share of the masks that are shown, 10% or 0.1; the others are hidden.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Weights to begin with: `released`, or a folder; to fit a model to other data.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model by a recipe, or go on with a stopped run; write weights, model.json and the curve."""

    def work(name: str) -> None:
        needs_extra("train", "monai", "lightning_fabric")
        from echomotion.training.recipe import run_recipe

        with progress_bar(f"train {Path(name).stem}", quiet=as_json) as stage:
            figures = run_recipe(
                name,
                data,
                output,
                max_minutes=max_minutes,
                labels=None if labels is None else share_of(labels),
                start=start,
                progress=step(stage, "step"),
            )
        tell({"input": name, "status": "done", "output": str(output), **figures}, as_json=as_json)

    for_each([recipe], work, as_json=as_json)


def simulate(
    output: Output,
    view: Annotated[str, typer.Option("--view", help="a4c, a2c, a3c, plax, psax or rv_focused.")] = "a4c",
    count: Annotated[int, typer.Option(help="Number of sequences.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same sequences.")] = 0,
    kind: Annotated[str | None, typer.Option(help="Kind of heart, for instance dilated; drawn if not given.")] = None,
    difficulty: Annotated[
        float | None, typer.Option(help="From 0, a good recording, to 1, a poor one; drawn if not given.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of each clip.")] = 36,
    points: Annotated[int, typer.Option(help="Tracked points of each clip.")] = 256,
    size: Annotated[int, typer.Option(help="Rows and columns of each frame.")] = 256,
    templates: Annotated[
        Path | None, typer.Option(help="CAMUS folder whose patients give anatomy and echogenicity; a4c only.")
    ] = None,
    preview: Annotated[int, typer.Option(min=0, help="Write a contact sheet and a video of so many sequences.")] = 0,
    as_json: Json = False,
) -> None:
    """Simulate recordings whose motion is known; a run that was stopped goes on where it ended."""

    def work(_: str) -> None:
        from echomotion.simulate.preview import write_previews
        from echomotion.simulate.store import simulate_to_folder

        with progress_bar(f"simulate {view}", quiet=as_json) as stage:
            shards = simulate_to_folder(
                view.upper(),
                count,
                seed,
                output,
                templates=templates,
                progress=step(stage, "sequence"),
                kind=kind,
                difficulty=difficulty,
                n_frames=frames,
                n_tracks=points,
                shape=(size, size),
            )
            pictures = write_previews(output, preview, progress=step(stage, "preview"))
        facts = {"sequences": count, "shards": len(shards), "pictures": len(pictures)}
        tell({"status": "done", "output": str(output), **facts}, as_json=as_json)

    for_each([f"simulate {view}"], work, as_json=as_json)
