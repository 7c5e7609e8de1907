"""`echomotion analyze FOLDER`: every recording in a folder."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import typer

from echomotion.analysis_types import AnalysisOptions
from echomotion.batch import Case, CaseStatus, analyze_folder
from echomotion.batch.page import headline_numbers
from echomotion.core import Status
from echomotion.io.images import IMAGE_ENDINGS
from echomotion.report.words import SHORT, number
from echomotion.terminal import Stage, err, for_each, json_line, out, plain_text, progress_bar, tell


def is_folder_of_recordings(names: list[str]) -> bool:
    """Whether a single folder is named that is not itself a recording, as a folder of frames is."""
    if len(names) != 1 or not Path(names[0]).is_dir():
        return False
    frames = [path for path in Path(names[0]).iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    return len(frames) < 2


def analyze_recordings(
    folder: str,
    output: Path,
    options: AnalysisOptions,
    spacing_mm: tuple[float, float] | None,
    fps: float | None,
    view: str | None,
    *,
    dicom: bool,
    jobs: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Analyse the folder; one line for each recording.

    Raises
    ------
    typer.Exit
        With code 1 when a recording failed; what is no cine is no failure.
    """
    failed = []

    def work(_: str) -> None:
        with ExitStack() as bar:

            def begin(name: str, k: int, n: int) -> Stage:
                bar.close()
                return bar.enter_context(progress_bar(f"{k} of {n}, {name}", quiet=as_json))

            def ended(case: Case) -> None:
                bar.close()
                _tell_case(case, output, as_json=as_json)

            found = analyze_folder(
                folder,
                output,
                options=options,
                spacing_mm=spacing_mm,
                fps=fps,
                view=view,
                dicom=dicom,
                jobs=jobs,
                overwrite=overwrite,
                progress=begin,
                tell=ended,
            )
        counts = {str(status): found.count(status) for status in CaseStatus}
        if not as_json:
            tell({**counts, "other_files": found.others, "results": f"{output}; open index.html there"}, as_json=False)
        failed.append(found.count(CaseStatus.FAILED))

    for_each([folder], work, as_json=as_json)
    if any(failed):
        raise typer.Exit(1)


def _tell_case(case: Case, output: Path, *, as_json: bool) -> None:
    if as_json:
        facts = {"input": case.name, "status": str(case.status)}
        if case.status is CaseStatus.DONE:
            rows = [row.as_dict() for row in case.measurements]
            json_line({**facts, "output": str(output / case.name), "warnings": case.warnings, "measurements": rows})
        else:
            json_line({**facts, "error" if case.status is CaseStatus.FAILED else "reason": case.reason})
    elif case.status is CaseStatus.FAILED:
        err.print(f"echomotion: {case.name}: {case.reason}", markup=False, highlight=False, soft_wrap=True)
    elif case.status is CaseStatus.SKIPPED:
        out.print(f"[dim]no cine[/]  {plain_text(case.name)}: {plain_text(case.reason)}", soft_wrap=True)
    else:
        out.print(f"[green]done[/]  {plain_text(case.name)}  {plain_text(_brief(case))}", soft_wrap=True)


def _brief(case: Case) -> str:
    """The headline numbers in a line; a question mark where one is of low confidence."""
    rows = headline_numbers(case)
    marks = {Status.OK: "", Status.LOW_CONFIDENCE: " (?)", Status.NOT_MEASURABLE: ""}
    values = (f"{SHORT[row.name]} {number(row.value, row.unit)} {row.unit}".strip() + marks[row.status] for row in rows)
    return ", ".join(values).replace("\u2212", "-").replace("\u202f", " ").replace("\u2013", "-")
