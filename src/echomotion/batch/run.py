"""Analyse every recording of a folder; what is done stays done when the work is stopped and started again."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from echomotion.analysis import analyze
from echomotion.analysis_types import AnalysisOptions
from echomotion.batch.case import Case, CaseStatus, analysed_hash, read_case
from echomotion.batch.page import write_page
from echomotion.batch.recordings import Recording, find_recordings
from echomotion.batch.tables import all_measurements, case_table
from echomotion.core import DataError, EchoMotionError, NotACineError, OutputError, View
from echomotion.io import read_clip
from echomotion.io.read import content_hash
from echomotion.io.write import write_json, write_table
from echomotion.report.save import check_folder, save_analysis
from echomotion.version import __version__
from echomotion.wall_tracking import Stage

# How the results of a folder were made; other ones are not put among them.
_HOW = "batch.json"
# Tables and page of many recordings take seconds to write: not after every one, and for a small part of the time.
_REFRESH_S, _REFRESH_SHARE = 60.0, 0.05


@dataclass(frozen=True)
class _Request:
    """What is asked of every recording."""

    options: AnalysisOptions
    spacing_mm: float | tuple[float, float] | None
    fps: float | None
    view: View | str | None
    dicom: bool
    overwrite: bool

    def how(self) -> dict[str, Any]:
        """All that decides the numbers, as plain values."""
        asked = {key: value for key, value in asdict(self).items() if key not in ("overwrite", "dicom")}
        return json.loads(json.dumps({"echomotion": __version__, **asked}, default=str))


@dataclass(frozen=True)
class Batch:
    """What came of a folder of recordings.

    Attributes
    ----------
    folder : Path
        Of the results.
    cases : tuple of Case
        In the order of their names.
    others : int
        Files in the folder that are no recordings.
    """

    folder: Path
    cases: tuple[Case, ...]
    others: int

    def count(self, status: CaseStatus) -> int:
        """How many recordings came to that."""
        return sum(case.status is status for case in self.cases)


def analyze_folder(
    folder: str | Path,
    output: str | Path,
    *,
    options: AnalysisOptions | None = None,
    spacing_mm: float | tuple[float, float] | None = None,
    fps: float | None = None,
    view: View | str | None = None,
    dicom: bool = False,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Callable[[str, int, int], Stage | None] | None = None,
    tell: Callable[[Case], None] | None = None,
) -> Batch:
    """Analyse every recording in a folder and below it.

    Each recording's results lie in `output` under its own path (``output/visit1/IM_0001/report.html``). Beside them
    stand ``cases.csv`` (a row for each recording), ``measurements.csv`` (a row for each measurement) and
    ``index.html``, written every few minutes and at the end, whatever ends it. The same call goes on where an earlier
    one stopped: what is done is kept, what failed is tried again.

    Parameters
    ----------
    folder : path
        See :func:`find_recordings`.
    output : path
        Made where it does not exist.
    options : AnalysisOptions, optional
        For all recordings.
    spacing_mm, fps, view
        As in :func:`echomotion.read_clip`, for all recordings.
    dicom : bool
        Also write DICOM results.
    jobs : int
        How many recordings are worked on at once; each takes about one gigabyte of memory.
    overwrite : bool
        Do everything again, whatever is there.
    progress : callable, optional
        With one job: called as ``progress(name, k, n)`` before the k-th of n recordings (from 1); what it returns, if
        anything, is called as ``stage(name, done, total)`` while that is worked on.
    tell : callable, optional
        Called with each case when it has ended.

    Returns
    -------
    Batch

    Raises
    ------
    DataError
        When there is no such folder, no recording in it, or `jobs` is below 1.
    OutputError
        When the output folder cannot be written, or holds results that were made with other options or by another
        version and `overwrite` is not given.
    """
    if jobs < 1:
        raise DataError(f"jobs is {jobs}; it must be 1 or more")
    target = Path(output)
    recordings, others = find_recordings(folder, without=target)
    request = _Request(options or AnalysisOptions(), spacing_mm, fps, view, dicom, overwrite)
    _claim(target, request)
    title = Path(folder).resolve().name
    cases: list[Case] = []
    due_s = time.monotonic() + _REFRESH_S
    try:
        for case in _all_cases(recordings, target, request, jobs, progress or (lambda name, k, n: None)):
            cases.append(case)
            if time.monotonic() > due_s:
                begun_s = time.monotonic()
                _write(target, cases, title, len(recordings))
                now_s = time.monotonic()
                due_s = now_s + max(_REFRESH_S, (now_s - begun_s) / _REFRESH_SHARE)
            if tell is not None:
                tell(case)
    finally:
        # Who stops the work finds what was done.
        _write(target, cases, title, len(recordings))
    return Batch(target, tuple(_in_order(cases)), others)


def _claim(target: Path, request: _Request) -> None:
    """Note in the output folder how its results are made, or refuse one where they were made otherwise."""
    path = target / _HOW
    if path.exists() and not request.overwrite:
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: it cannot be read ({error}); give another folder or --overwrite") from None
        differing = [key for key, value in request.how().items() if earlier.get(key) != value]
        if differing:
            raise OutputError(
                f"{target}: the folder holds results that were made otherwise (other {' and '.join(differing)}); "
                "give another or --overwrite"
            )
        return
    write_json(path, request.how())


def _all_cases(
    recordings: Sequence[Recording],
    target: Path,
    request: _Request,
    jobs: int,
    progress: Callable[[str, int, int], Stage | None],
) -> Iterator[Case]:
    if jobs == 1:
        for k, recording in enumerate(recordings, start=1):
            yield _case(recording, target, request, progress(recording.name, k, len(recordings)))
        return
    # A forked process would share the threads of the network's library, which does not bear it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_share_cores, initargs=(jobs,))
    try:
        waiting = {pool.submit(_case, recording, target, request): recording.name for recording in recordings}
        for future in as_completed(waiting):
            yield _outcome(future, waiting[future])
    finally:
        # Who stops the work does not wait for what has not begun.
        pool.shutdown(cancel_futures=True)


def _outcome(future: Future[Case], name: str) -> Case:
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a process ended before its time, perhaps for want of memory; run again with fewer jobs"
        return Case(name, CaseStatus.FAILED, reason)


def _share_cores(jobs: int) -> None:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))


def _case(recording: Recording, target: Path, request: _Request, stage: Stage | None = None) -> Case:
    """Analyse one recording, or keep what is there; whatever goes wrong is told in the case."""
    folder = target / recording.name
    try:
        overwrite = request.overwrite
        if not overwrite and analysed_hash(folder) == content_hash(recording.path):
            if _is_later(folder / "measurements.json", target / _HOW):
                return read_case(recording.name, folder)
            # Made before the last --overwrite, which was stopped: in another way, perhaps.
            overwrite = True
        check_folder(folder, overwrite=overwrite)
        clip = read_clip(recording.path, spacing_mm=request.spacing_mm, fps=request.fps, view=request.view)
        result = analyze(clip, options=request.options, progress=stage)
        save_analysis(result, folder, overwrite=overwrite, dicom=recording.path if request.dicom else None)
        return read_case(recording.name, folder)
    except NotACineError as error:
        return Case(recording.name, CaseStatus.SKIPPED, _reason(error, recording))
    except (EchoMotionError, OSError) as error:
        return Case(recording.name, CaseStatus.FAILED, _reason(error, recording))
    except Exception as error:  # noqa: BLE001
        # A night's work does not end at a fault of ours in one recording.
        kind = type(error).__name__
        fault = f"a fault of echomotion ({kind}: {_reason(error, recording)}); please report it"
        return Case(recording.name, CaseStatus.FAILED, fault)


def _is_later(path: Path, than: Path) -> bool:
    return path.stat().st_mtime_ns >= than.stat().st_mtime_ns


def _reason(error: Exception, recording: Recording) -> str:
    """The error in one line, without the file's name, which stands beside it."""
    return " ".join(str(error).split()).removeprefix(f"{recording.path.name}: ")


def _in_order(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: case.name)


def _write(folder: Path, ended: Sequence[Case], title: str, total: int) -> None:
    """Tables and page of what has ended so far."""
    cases = _in_order(ended)
    try:
        write_table(folder / "cases.csv", case_table(cases))
        write_table(folder / "measurements.csv", all_measurements(cases))
        write_page(folder / "index.html", cases, title=title, total=total)
    except OSError as error:
        raise OutputError(f"{folder}: cannot write there ({error.strerror}); choose another folder") from None
