"""The command line: one verb a job, one line an error, exit code 0 done, 1 some inputs failed, 2 wrong usage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from echomotion import (
    analysis,
    cli_agreement,
    cli_batch,
    cli_datasets,
    cli_evaluation,
    cli_keypoints,
    cli_segmenters,
    cli_study,
    cli_training,
)
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
from echomotion.models.run import DEFAULT_DETECTOR, DEFAULT_SEGMENTER, DEFAULT_TRACKER, segment, track
from echomotion.preprocess.familiarity import unfamiliar
from echomotion.terminal import (
    err,
    for_each,
    json_line,
    out,
    plain_text,
    progress_bar,
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
# Groups of the list of commands; what is asked of recordings comes first.
_TABLES, _DEVELOPERS = "Commands on tables", "Commands for developers"
evaluate_app = typer.Typer(no_args_is_help=True, help="Compare a model with reference data.")
app.add_typer(evaluate_app, name="evaluate", rich_help_panel=_DEVELOPERS)
app.command("agreement", rich_help_panel=_TABLES)(cli_agreement.agreement)
app.command("classify", rich_help_panel=_TABLES)(cli_keypoints.classify)
app.command("models", rich_help_panel=_DEVELOPERS)(cli_training.models)
app.command("train", rich_help_panel=_DEVELOPERS)(cli_training.train)
app.command("simulate", rich_help_panel=_DEVELOPERS)(cli_training.simulate)
evaluate_app.command("impartiality")(cli_evaluation.impartiality)
evaluate_app.command("test-retest")(cli_evaluation.retest)
evaluate_app.command("held-out")(cli_evaluation.held_out)
evaluate_app.command("stability")(cli_segmenters.stability)
evaluate_app.command("keypoints")(cli_keypoints.evaluate)
evaluate_app.command("flow")(cli_evaluation.flow)
evaluate_app.command("segmentation")(cli_segmenters.evaluate_segmentation)
evaluate_app.command("tracking")(cli_evaluation.evaluate_tracking)
datasets_app = typer.Typer(no_args_is_help=True, help="Look at datasets.")
app.add_typer(datasets_app, name="datasets", rich_help_panel=_DEVELOPERS)
datasets_app.command("check")(cli_datasets.check)
benchmark_app = typer.Typer(no_args_is_help=True, help="Compare all models on the same data, with time and memory.")
app.add_typer(benchmark_app, name="benchmark", rich_help_panel=_DEVELOPERS)
benchmark_app.command("tracking")(cli_evaluation.benchmark_tracking)
benchmark_app.command("segmentation")(cli_segmenters.benchmark_segmentation)
benchmark_app.command("ablation")(cli_segmenters.ablation)
benchmark_app.command("classification")(cli_keypoints.cohort)
benchmark_app.command("few-labels")(cli_segmenters.few_labels)
benchmark_app.command("few-keypoints")(cli_keypoints.few_keypoints)

CLIP_HELP = "DICOM, AVI, MP4, MOV, GIF, TIFF, NIfTI, MHD, NPY or NPZ file, or a folder of PNG or JPEG images."
ANALYZED_HELP = f"{CLIP_HELP[:-1]}; or one folder of recordings."
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
    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help=ANALYZED_HELP)],
    output: Output,
    spacing: Spacing = None,
    fps: Fps = None,
    view: ViewName = None,
    segmenter: SegmenterName = DEFAULT_SEGMENTER,
    tracker: TrackerName = DEFAULT_TRACKER,
    anchor: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="How far tracked lines are held on the segmented wall, 0 to 1; half where both agree on the beat.",
        ),
    ] = None,
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
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="The picture is displayed left for right: walls change their names.")
    ] = False,
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
    jobs: Annotated[int, typer.Option(min=1, help="Of a folder of recordings: how many at once.")] = 1,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Track, segment and measure; write pictures, curves, tables and a page.

    With one CLIP the results go into the output folder, with several into one folder each inside it. A folder of
    recordings is searched; each has its results under its own path, and tables and a page of all are made as well
    (given again, the same command goes on where it was stopped). With --study the clips are views of one heart, of
    which numbers and a page are made as well; the view of a file that does not state one is taken from its name
    (A4C.dcm).
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
            mirrored=mirrored,
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
    if cli_batch.is_folder_of_recordings(clips):
        if ed is not None:
            raise typer.BadParameter("--ed and --es are of one recording; name that, not a folder")
        cli_batch.analyze_recordings(
            clips[0],
            output,
            options,
            _spacing(spacing),
            fps,
            view,
            dicom=dicom,
            jobs=jobs,
            overwrite=overwrite,
            as_json=as_json,
        )
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
