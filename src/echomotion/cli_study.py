"""`echomotion analyze --study`: several views of one heart."""

from __future__ import annotations

import re
from pathlib import Path

from echomotion.analysis_types import AnalysisOptions
from echomotion.core import Clip, DataError, View
from echomotion.io import read_clip
from echomotion.report.study import check_study_folder, save_study
from echomotion.study import analyze_study, check_views
from echomotion.terminal import err, for_each, plain_text, progress_bar, tell

_BRIEF = ("ejection_fraction", "global_longitudinal_strain", "mechanical_dispersion", "wall_motion_score_index")


def analyze_views(
    names: list[str],
    output: Path,
    options: AnalysisOptions,
    spacing_mm: tuple[float, float] | None,
    fps: float | None,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Read the views, analyse them and write the study; a single folder stands for the files in it."""

    def work(_: str) -> None:
        clips = [_named(read_clip(name, spacing_mm=spacing_mm, fps=fps), name) for name in _files(names)]
        check_views(clips)
        check_study_folder(output, [str(clip.view) for clip in clips], overwrite=overwrite)
        with progress_bar("study", quiet=as_json) as stage:
            found = analyze_study(clips, options=options, progress=stage)
            stage("pictures", 0, 0)
            save_study(found, output, overwrite=overwrite)
        if as_json:
            tell({"status": "done", "output": str(output), **found.as_dict()}, as_json=True)
            return
        for warning in found.warnings:
            err.print(f"[yellow]warning:[/] {plain_text(warning)}", soft_wrap=True)
        values = {name: found[name] for name in _BRIEF}
        facts = {name: f"{row.value:.3g} {row.unit} ({row.status})" for name, row in values.items()}
        tell({"output": str(output), **facts}, as_json=False)

    for_each(["study"], work, as_json=as_json)


def _files(names: list[str]) -> list[str]:
    if len(names) != 1 or not Path(names[0]).is_dir():
        return names
    found = sorted(str(path) for path in Path(names[0]).iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise DataError(f"{names[0]}: the folder holds no files; name a folder with one recording for each view")
    return found


def _named(clip: Clip, name: str) -> Clip:
    """The clip with its view, from the file's name where the file does not state one."""
    if clip.view is not View.UNKNOWN:
        return clip
    words = re.split(r"[^A-Za-z0-9]+", Path(name).name.upper())
    found = [view for view in View if str(view) in words and view is not View.UNKNOWN]
    return clip.with_(view=found[0]) if len(found) == 1 else clip
