"""A folder is analysed case by case; what is done stays done, and nothing stops the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from echomotion.analysis_types import AnalysisOptions
from echomotion.batch import Case, CaseStatus, analyze_folder, run
from echomotion.core import DataError, OutputError
from tests.report.samples import ventricle

STATUSES = {"a.npz": "done", "deep/b.npz": "done", "still.npz": "skipped", "broken.avi": "failed"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, count in (("a", 4), ("deep/b", 4), ("still", 1)):
        frames = rng.integers(0, 40, (count, 48, 64)).astype(np.uint8)
        np.savez(root / f"{name}.npz", frames=frames, fps=30.0)
    (root / "broken.avi").write_bytes(b"junk")
    return root


@pytest.fixture
def analysed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the recordings that were analysed, by a stand-in for the slow part whose answer is known."""
    names: list[str] = []
    made = ventricle(fps=10, shape=(64, 64), spacing_mm=(2.0, 2.0))

    def analyze(clip, *, options, progress):
        names.append(clip.source.name)
        source = {"name": clip.source.name, "sha256": clip.source.sha256}
        return type(made)(**{**made.__dict__, "provenance": {**made.provenance, "input": source}})

    monkeypatch.setattr(run, "analyze", analyze)
    return names


def statuses(found: run.Batch) -> dict[str, str]:
    return {case.name: str(case.status) for case in found.cases}


def test_every_recording_has_its_results_or_a_reason(folder: Path, analysed: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun: list[tuple[str, int, int]] = []
    told: list[Case] = []
    found = analyze_folder(folder, out, progress=lambda *step: begun.append(step), tell=told.append)
    assert statuses(found) == STATUSES
    assert list(statuses(found)) == sorted(STATUSES)
    assert [case.name for case in told] == [name for name, _, _ in begun] == sorted(STATUSES)
    assert begun[-1][1:] == (4, 4)
    assert (found.count(CaseStatus.DONE), found.others) == (2, 0)
    assert (out / "deep" / "b.npz" / "report.html").is_file()
    assert not (out / "still.npz").exists()
    reasons = {case.name: case.reason for case in found.cases}
    # The file's name stands beside its reason, not in it.
    assert reasons["still.npz"].startswith("a single frame")
    assert reasons["broken.avi"].startswith("the video cannot be decoded")
    table = pd.read_csv(out / "cases.csv").set_index("case")
    assert table["status"].to_dict() == STATUSES
    assert set(pd.read_csv(out / "measurements.csv")["case"]) == {"a.npz", "deep/b.npz"}
    assert (out / "index.html").is_file()


def test_the_same_call_keeps_what_is_done_and_tries_the_rest_again(
    folder: Path, analysed: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    analyze_folder(folder, out)
    page = out / "a.npz" / "report.html"
    first = page.stat().st_mtime_ns
    analysed.clear()
    frames = np.zeros((3, 48, 64), np.uint8)
    np.savez(folder / "still.npz", frames=frames, fps=30.0)
    again = analyze_folder(folder, out)
    assert analysed == ["still.npz"]
    assert page.stat().st_mtime_ns == first
    assert statuses(again) == {**STATUSES, "still.npz": "done"}
    assert len(again.cases[0].measurements) > 0
    # Another recording under the name of one that is done is not mixed up with it.
    np.savez(folder / "a.npz", frames=frames, fps=30.0)
    changed = analyze_folder(folder, out)
    assert statuses(changed)["a.npz"] == "failed"
    assert "--overwrite" in changed.cases[0].reason
    analysed.clear()
    assert statuses(analyze_folder(folder, out, overwrite=True))["a.npz"] == "done"
    assert sorted(analysed) == ["a.npz", "b.npz", "still.npz"]


def test_results_made_otherwise_are_not_mixed(folder: Path, analysed: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    analyze_folder(folder, out)
    analysed.clear()
    with pytest.raises(OutputError, match=r"made otherwise \(other options and fps\)"):
        analyze_folder(folder, out, options=AnalysisOptions(segmenter="unet"), fps=20.0)
    assert analysed == []
    analyze_folder(folder, out, fps=20.0, overwrite=True)
    with pytest.raises(OutputError, match=r"other fps"):
        analyze_folder(folder, out)


def test_an_overwrite_that_was_stopped_leaves_no_mixture(folder: Path, analysed: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    analyze_folder(folder, out)

    def stop_at_the_third(name: str, k: int, n: int) -> None:
        if k == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze_folder(folder, out, fps=20.0, overwrite=True, progress=stop_at_the_third)
    analysed.clear()
    assert statuses(analyze_folder(folder, out, fps=20.0)) == STATUSES
    # The first was done anew before the stop, the other was still of the first call.
    assert analysed == ["b.npz"]


def test_what_was_done_is_told_when_the_work_is_stopped(
    folder: Path, analysed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def stop_at_the_third(name: str, k: int, n: int) -> None:
        if k == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze_folder(folder, out, progress=stop_at_the_third)
    assert pd.read_csv(out / "cases.csv")["case"].tolist() == ["a.npz", "broken.avi"]
    assert "2 recordings have not been looked at yet" in (out / "index.html").read_text(encoding="utf-8")
    analysed.clear()
    assert statuses(analyze_folder(folder, out)) == STATUSES
    assert analysed == ["b.npz"]


def test_a_fault_in_one_recording_does_not_stop_the_others(
    folder: Path, analysed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = run.analyze

    def fails_once(clip, **rest):
        if clip.source.name == "a.npz":
            raise ZeroDivisionError("division\nby zero")
        return works(clip, **rest)

    monkeypatch.setattr(run, "analyze", fails_once)
    found = analyze_folder(folder, tmp_path / "out")
    assert statuses(found) == {**STATUSES, "a.npz": "failed"}
    assert found.cases[0].reason == "a fault of echomotion (ZeroDivisionError: division by zero); please report it"


def test_bad_calls_are_refused_before_the_work(folder: Path, analysed: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="jobs is 0"):
        analyze_folder(folder, tmp_path / "out", jobs=0)
    with pytest.raises(DataError, match="there is no such folder"):
        analyze_folder(tmp_path / "absent", tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write there"):
        analyze_folder(folder, tmp_path / "file")
    assert analysed == []


def test_several_at_once_come_to_the_same(folder: Path, tmp_path: Path) -> None:
    one = analyze_folder(folder, tmp_path / "one")
    two = analyze_folder(folder, tmp_path / "two", jobs=2)
    assert statuses(one) == statuses(two) == STATUSES
    for a, b in zip(one.cases, two.cases, strict=True):
        assert [m.as_dict() for m in a.measurements] == [m.as_dict() for m in b.measurements]
        assert a.reason == b.reason
