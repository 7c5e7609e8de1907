"""The command line: one verb a job, one line an error, exit code 0 done, 1 some inputs failed, 2 wrong usage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from echomotion import analysis, cli_agreement, cli_evaluation, cli_keypoints, cli_segmenters, cli_study
from echomotion.core import Clip, DataError, Layer, View
from echomotion.core.subject import Subject
from echomotion.core.views import SegmentModel
from echomotion.io import read_clip
from echomotion.io.write import check_target, write_masks, write_tracks
from echomotion.measure.clip_measurements import MeasureOptions
from echomotion.measure.disks import Convention, Technique, chosen
from echomotion.measure.lengths import StrainKind
from echomotion.measure.strain_types import StrainOptions
from echomotion.models.base import Progress as Step
from echomotion.models.queries import grid_queries, mask_queries, read_queries
from echomotion.models.registry import create_segmenter, create_tracker, list_models
from echomotion.models.run import DEFAULT_DETECTOR, DEFAULT_SEGMENTER, DEFAULT_TRACKER, segment, track
from echomotion.preprocess.familiarity import unfamiliar
from echomotion.terminal import (
    err,
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
    tell,
)
from echomotion.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From an echocardiography cine to motion and numbers. Not a medical device.",
)
evaluate_app = typer.Typer(no_args_is_help=True, help="Compare a model with reference data.")
app.add_typer(evaluate_app, name="evaluate")
app.command("agreement")(cli_agreement.agreement)
app.command("classify")(cli_keypoints.classify)
evaluate_app.command("impartiality")(cli_evaluation.impartiality)
evaluate_app.command("test-retest")(cli_evaluation.retest)
evaluate_app.command("held-out")(cli_evaluation.held_out)
evaluate_app.command("stability")(cli_segmenters.stability)
evaluate_app.command("keypoints")(cli_keypoints.evaluate)
benchmark_app = typer.Typer(no_args_is_help=True, help="Compare all models on the same data, with time and memory.")
app.add_typer(benchmark_app, name="benchmark")
benchmark_app.command("tracking")(cli_evaluation.benchmark_tracking)
benchmark_app.command("segmentation")(cli_segmenters.benchmark_segmentation)
benchmark_app.command("ablation")(cli_segmenters.ablation)
benchmark_app.command("few-labels")(cli_segmenters.few_labels)

CLIP_HELP = "DICOM, AVI, MP4, MOV, GIF, TIFF, NIfTI, MHD, NPY or NPZ file, or a folder of PNG or JPEG images."
ClipName = Annotated[str, typer.Argument(metavar="CLIP", help=CLIP_HELP)]
ClipNames = Annotated[list[str], typer.Argument(metavar="CLIP...", help=CLIP_HELP)]
Spacing = Annotated[str | None, typer.Option(help="Pixel size in mm: one number, or ROW,COLUMN.")]
Fps = Annotated[float | None, typer.Option(help="Frames per second, in place of what the file says.")]
ViewName = Annotated[str | None, typer.Option("--view", help=f"One of {', '.join(View)}.")]
Json = Annotated[bool, typer.Option("--json", help="One machine-readable line per result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Where results go.")]
TrackerName = Annotated[str, typer.Option(help="Tracker; see `echomotion models`.")]
SegmenterName = Annotated[str, typer.Option(help="Segmenter; see `echomotion models`.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and stop.")] = False) -> None:
    if version:
        typer.echo(f"echomotion {__version__}")
        raise typer.Exit


@app.command()
def info(
    clips: ClipNames, spacing: Spacing = None, fps: Fps = None, view: ViewName = None, as_json: Json = False
) -> None:
    """Say what a file holds: frames, times, pixel size, and where each came from."""

    def work(name: str) -> None:
        facts = analysis.describe_clip(_read(name, spacing, fps, view))
        tell({"input": name, "status": "done", **facts} if as_json else facts, as_json=as_json)

    for_each(clips, work, as_json=as_json)


@app.command()
def analyze(
    clips: ClipNames,
    output: Output,
    spacing: Spacing = None,
    fps: Fps = None,
    view: ViewName = None,
    segmenter: SegmenterName = DEFAULT_SEGMENTER,
    tracker: TrackerName = DEFAULT_TRACKER,
    anchor: Annotated[bool, typer.Option("--anchor", help="Hold the tracked lines on the segmented wall.")] = False,
    ed: Annotated[float | None, typer.Option(help="Time of end-diastole in seconds, set by hand.")] = None,
    es: Annotated[float | None, typer.Option(help="Time of end-systole in seconds, set by hand.")] = None,
    strain: Annotated[str, typer.Option(help="Lagrangian or natural strain.")] = "Lagrangian",
    drift_compensation: Annotated[bool, typer.Option(help="Take the linear drift out of strain curves.")] = True,
    smoothing: Annotated[float, typer.Option(metavar="S", help="Smoothing of lengths, seconds; 0 for none.")] = 0.0,
    rate_filter: Annotated[float, typer.Option(metavar="S", help="Width of the strain-rate filter, seconds.")] = 0.02,
    avc: Annotated[
        float | None, typer.Option(metavar="S", help="Aortic valve closure, seconds after end-diastole.")
    ] = None,
    segments: Annotated[int, typer.Option(help="Segments of the ventricle: 16, 17 or 18.")] = 16,
    technique: Annotated[str, typer.Option(help="Of volumes: disks or area_length.")] = "disks",
    convention: Annotated[str, typer.Option(help="Height of disks: ase or camus.")] = "ase",
    sex: Annotated[str | None, typer.Option(help="F or M, for the geometry of the ventricle.")] = None,
    height: Annotated[float | None, typer.Option(metavar="CM", help="Body height, for indices.")] = None,
    weight: Annotated[float | None, typer.Option(metavar="KG", help="Body weight, for indices.")] = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write a DICOM Structured Report and, of a DICOM clip, a Segmentation.")
    ] = False,
    study: Annotated[
        bool, typer.Option("--study", help="The clips (or the files of a folder) are views of one heart.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Track, segment and measure; write pictures, curves, tables and a page.

    With one CLIP the results go into the output folder, with several into one folder each inside it. With --study
    the clips are views of one heart, of which numbers and a page are made as well; the view of a file that does not
    state one is taken from its name (A4C.dcm).
    """
    from echomotion.report.dicom_header import read_header
    from echomotion.report.save import check_folder, save_analysis
    from echomotion.report.tables import terminal_table

    if (ed is None) != (es is None):
        raise typer.BadParameter("--ed and --es are given together")
    try:
        measure = MeasureOptions(
            strain=StrainOptions(
                kind=chosen(StrainKind, strain),
                drift_compensation=drift_compensation,
                avc_after_ed_s=avc,
                smoothing_s=smoothing,
            ),
            filter_s=rate_filter,
            segment_model=SegmentModel.of(segments),
            technique=chosen(Technique, technique),
            convention=chosen(Convention, convention),
            subject=Subject(sex, height, weight),  # type: ignore[arg-type]
        )
    except DataError as error:
        raise typer.BadParameter(str(error)) from None
    options = analysis.AnalysisOptions(
        segmenter=segmenter, tracker=tracker, anchor=anchor, ed_s=ed, es_s=es, measure=measure
    )
    if study:
        if view is not None or ed is not None or dicom:
            raise typer.BadParameter("--study does not go with --view, --ed, --es and --dicom")
        cli_study.analyze_views(clips, output, options, _spacing(spacing), fps, overwrite=overwrite, as_json=as_json)
        return
    folders = _output_folders(clips, output)

    def work(name: str) -> None:
        check_folder(folders[name], overwrite=overwrite)
        clip = _read(name, spacing, fps, view)
        # What a file lacks for DICOM results is said before the work.
        header = read_header(name, clip) if dicom else None
        with progress_bar(Path(name).name, quiet=as_json) as stage:
            result = analysis.analyze(clip, options=options, progress=stage)
            stage("pictures", 0, 0)
            save_analysis(result, folders[name], overwrite=overwrite, dicom=name if dicom else None)
        warnings = [*result.warnings, *([header.no_masks] if header is not None and header.no_masks else [])]
        if as_json:
            rows = [m.as_dict() for m in result.measurements]
            where = str(folders[name])
            json_line({"input": name, "status": "done", "output": where, "warnings": warnings, "measurements": rows})
            return
        out.print(terminal_table(result))
        for warning in warnings:
            out.print(f"[yellow]warning:[/] {plain_text(warning)}", soft_wrap=True)
        out.print(f"Results are in {plain_text(str(folders[name]))}; open report.html there.", soft_wrap=True)

    for_each(clips, work, as_json=as_json)


@app.command("track")
def track_points(
    clip: ClipName,
    output: Output,
    queries: Annotated[
        Path | None,
        typer.Option(
            "--queries",
            "--points",
            metavar="FILE.csv",
            help="Points from a csv with the header t,x,y (frame, native pixels), or x,y for points on frame 0.",
        ),
    ] = None,
    grid: Annotated[
        float | None, typer.Option(metavar="PX", help="A grid over the frame, points so many native pixels apart.")
    ] = None,
    wall: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER",
            help="A line of the wall that the default segmenter finds: endocardial, mid_wall, epicardial, or all.",
        ),
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Points inside a class that the default segmenter finds, for instance lv_myocardium; see --mask-step.",
        ),
    ] = None,
    mask_step: Annotated[
        float, typer.Option(metavar="PX", help="With --mask: points so many native pixels apart.")
    ] = 8.0,
    frame: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Frame on which points are placed. Default: 0; with --wall the first end-diastole."
        ),
    ] = None,
    model: TrackerName = DEFAULT_TRACKER,
    weights: Annotated[str | None, typer.Option(help="Folder of weights, in place of the installed ones.")] = None,
    spacing: Spacing = None,
    fps: Fps = None,
    view: ViewName = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Follow points through a clip; write a .npz (all fields) or a .csv (one row a point and frame).

    The points come from exactly one of --queries, --grid, --wall and --mask.
    """
    if sum(option is not None for option in (queries, grid, wall, mask)) != 1:
        raise typer.BadParameter("name the points by exactly one of --queries, --grid, --wall and --mask")
    if queries is not None and frame is not None:
        raise typer.BadParameter("--frame goes with --grid, --wall and --mask; a csv names frames in its column t")

    def asked(name: str, cine: Clip, stage: Step) -> Any:
        if queries is not None:
            return read_queries(queries)
        if grid is not None:
            return grid_queries(cine, spacing_px=grid, frame=frame or 0)
        # What can be known to be wrong is said before the work of segmenting.
        if wall is not None and wall not in (*Layer, "all"):
            raise DataError(f"there is no layer {wall!r}; there are {', '.join(Layer)} and all")
        if frame is not None and not 0 <= frame < cine.n_frames:
            raise DataError(f"--frame is {frame}; {name} has frames 0 to {cine.n_frames - 1}")
        masks = segment(cine, progress=stage)
        if mask is not None:
            return mask_queries(masks, frame=frame or 0, classes=mask, spacing_px=mask_step)
        if wall != "all":
            return analysis.wall_of(cine, masks, layer=wall or "", frame=frame)
        return np.concatenate([analysis.wall_of(cine, masks, layer=layer, frame=frame).queries for layer in Layer])

    def work(name: str) -> None:
        check_target(output, (".npz", ".csv"), overwrite=overwrite)
        cine = _read(name, spacing, fps, view)
        with progress_bar(Path(name).name, quiet=as_json) as stage:
            points = asked(Path(name).name, cine, step(stage, "segment"))
            tracks = track(cine, points, model=model, weights=weights, progress=step(stage, "track"), warn=False)
        write_tracks(output, tracks)
        strange = unfamiliar(cine)
        facts: dict[str, Any] = {"points": tracks.n_points, "frames": tracks.n_frames, "model": tracks.model}
        if as_json:
            facts["warnings"] = [] if strange is None else [strange]
        elif strange is not None:
            err.print(f"[yellow]warning:[/] {plain_text(strange)}", soft_wrap=True)
        tell({"input": name, "status": "done", "output": str(output), **facts}, as_json=as_json)

    for_each([clip], work, as_json=as_json)


@app.command("segment")
def segment_frames(
    clip: ClipName,
    output: Output,
    model: SegmenterName = DEFAULT_SEGMENTER,
    spacing: Spacing = None,
    fps: Fps = None,
    view: ViewName = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Label every frame; write a NIfTI file (.nii.gz)."""

    def work(name: str) -> None:
        check_target(output, (".nii.gz", ".nii"), overwrite=overwrite)
        cine = _read(name, spacing, fps, view)
        with progress_bar(Path(name).name, quiet=as_json) as stage:
            masks = segment(cine, model=model, progress=step(stage, "segment"))
        write_masks(output, masks, cine.spacing_mm, cine.times_s)
        facts = {"frames": masks.n_frames, "classes": list(masks.classes.values()), "model": masks.model}
        tell({"input": name, "status": "done", "output": str(output), **facts}, as_json=as_json)

    for_each([clip], work, as_json=as_json)


@app.command("keypoints")
def find_keypoints(
    clip: ClipName,
    output: Output,
    model: Annotated[
        str, typer.Option(help="Detector, NAME or NAME:OPTION=VALUE,...; see `echomotion models`.")
    ] = DEFAULT_DETECTOR,
    weights: Annotated[str | None, typer.Option(help="Folder of weights, in place of the installed ones.")] = None,
    adapt: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Fit TR-net to the clip by losses that need no key-points.")
    ] = 0,
    spacing: Spacing = None,
    fps: Fps = None,
    view: ViewName = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Follow the four key-points of a parasternal long axis; write tables, curves and an overlay into a folder."""

    def work(name: str) -> None:
        cine = _read(name, spacing, fps, view)
        cli_keypoints.find_in_clip(
            name, cine, output, model=model, weights=weights, adapt=adapt, overwrite=overwrite, as_json=as_json
        )

    for_each([clip], work, as_json=as_json)


@app.command()
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


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    output: Output,
    max_minutes: Annotated[float | None, typer.Option(help="Stop in time; the run can be resumed.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Share of the masks that are shown, 10% or 0.1; the others are hidden.")
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
                progress=step(stage, "step"),
            )
        tell({"input": name, "status": "done", "output": str(output), **figures}, as_json=as_json)

    for_each([recipe], work, as_json=as_json)


@app.command()
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


@evaluate_app.command("segmentation")
def evaluate_segmentation(
    data: Annotated[Path, typer.Option(help="Folder of the dataset.")],
    dataset: Annotated[str, typer.Option(help="Layout of the folder; camus is the one known so far.")] = "camus",
    split: Annotated[str, typer.Option(help="training, validation or testing.")] = "validation",
    model: SegmenterName = DEFAULT_SEGMENTER,
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


@evaluate_app.command("tracking")
def evaluate_tracking(
    data: Annotated[Path, typer.Option(help="Folder of .npz clips with true tracks.")],
    model: TrackerName = DEFAULT_TRACKER,
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


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


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


def main() -> None:
    """Entry point of the ``echomotion`` command."""
    app()


def _read(name: str, spacing: str | None, fps: float | None, view: str | None) -> Clip:
    return read_clip(name, spacing_mm=_spacing(spacing), fps=fps, view=None if view is None else view.upper())


def _spacing(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise typer.BadParameter(f"--spacing is {text!r}; one number or ROW,COLUMN in mm is needed")
    return numbers[0], numbers[-1]


def _output_folders(clips: list[str], output: Path) -> dict[str, Path]:
    if len(clips) == 1:
        return {clips[0]: output}
    folders: dict[str, Path] = {}
    for name in clips:
        # Two clips may share a file name; the later one gets a number.
        stem = Path(name).name.split(".")[0] or "clip"
        count = sum(folder.name.rsplit("-", 1)[0] == stem or folder.name == stem for folder in folders.values())
        folders[name] = output / (f"{stem}-{count + 1}" if count else stem)
    return folders
