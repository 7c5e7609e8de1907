from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from echomotion.analysis_types import Analysis
from echomotion.core import OutputError
from echomotion.io.write import read_masks, read_tracks
from echomotion.report import save
from echomotion.report.figures import FIGURES
from echomotion.report.save import check_folder, save_analysis
from tests.report.samples import no_ventricle, ventricle

ALWAYS = {
    "overlay.mp4",
    "report.html",
    "key_frames.png",
    "measurements.csv",
    "measurements.json",
    "tracks.npz",
    "masks.nii.gz",
    "provenance.json",
    "curves.csv",
}
# Of an apical view.
PICTURES = set(FIGURES) - {"curves.csv", "dimensions.svg", "dimensions.png"}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return ventricle(fps=10, shape=(160, 160), spacing_mm=(0.9, 0.9))


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_all_results_come_back(analysis: Analysis, tmp_path: Path) -> None:
    folder = save_analysis(analysis, tmp_path / "new" / "out")
    assert _names(folder) == ALWAYS | PICTURES | {"tracks_endocardial.npz", "tracks_epicardial.npz"}
    assert _names(tmp_path / "new") == {"out"}
    for name, layer in (
        ("tracks.npz", "mid_wall"),
        ("tracks_endocardial.npz", "endocardial"),
        ("tracks_epicardial.npz", "epicardial"),
    ):
        tracks = read_tracks(folder / name)
        assert tracks.wall is not None
        assert tracks.wall.layer == layer
        assert np.array_equal(tracks.xy, analysis.tracks[layer].xy)
    masks, times = read_masks(folder / "masks.nii.gz")
    assert np.array_equal(masks.labels, analysis.masks.labels)
    assert times == pytest.approx(analysis.clip.times_s)
    curves = pd.read_csv(folder / "curves.csv")
    assert len(curves) == analysis.clip.n_frames
    assert curves.shape[1] == 1 + len(analysis.curves)
    table = pd.read_csv(folder / "measurements.csv")
    assert table["value"].to_numpy() == pytest.approx([row.value for row in analysis.measurements], nan_ok=True)
    values = json.loads((folder / "measurements.json").read_text())
    assert [row["name"] for row in values["measurements"]] == [row.name for row in analysis.measurements]
    assert set(values["curves"]) == set(analysis.curves)
    assert len(values["phases"]["beats"]) == len(analysis.phases.beats)
    assert json.loads((folder / "provenance.json").read_text()) == analysis.provenance
    assert folder.stat().st_mode & 0o055 == (tmp_path / "new").stat().st_mode & 0o055


def test_a_clip_without_a_ventricle_is_saved(tmp_path: Path) -> None:
    folder = save_analysis(no_ventricle(), tmp_path / "out")
    assert _names(folder) == ALWAYS
    assert read_tracks(folder / "tracks.npz").n_points == 0
    values = json.loads((folder / "measurements.json").read_text())
    assert all(row["value"] is None and row["reason"] for row in values["measurements"])


def test_earlier_results_are_refused(analysis: Analysis, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.html").write_text("earlier")
    with pytest.raises(OutputError, match="--overwrite") as error:
        save_analysis(analysis, folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert (folder / "report.html").read_text() == "earlier"
    assert _names(folder) == {"report.html"}


def test_overwriting_replaces_results_and_nothing_else(analysis: Analysis, tmp_path: Path) -> None:
    folder = save_analysis(analysis, tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    (folder / "more").mkdir()
    save_analysis(no_ventricle(), folder, overwrite=True)
    # The wall's second line belongs to the earlier run, so it must not stay beside the new results.
    assert _names(folder) == ALWAYS | {"notes.txt", "more"}
    assert (folder / "notes.txt").read_text() == "mine"
    assert "liver.mp4" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_folder_with_other_files_is_used(analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "case.dcm").write_text("input")
    check_folder(tmp_path, overwrite=False)
    save_analysis(analysis, tmp_path)
    assert _names(tmp_path) > ALWAYS
    assert (tmp_path / "case.dcm").read_text() == "input"


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [False, True])
def test_a_run_that_stops_leaves_things_as_they_were(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException, existing: bool
) -> None:
    folder = tmp_path / "out"
    if existing:
        folder.mkdir()
        (folder / "report.html").write_text("earlier")

    def fail(*_: object) -> None:
        raise stop

    monkeypatch.setattr(save, "write_masks", fail)
    with pytest.raises(OutputError if isinstance(stop, OSError) else KeyboardInterrupt):
        save_analysis(analysis, folder, overwrite=True)
    assert _names(tmp_path) == ({"out"} if existing else set())
    if existing:
        assert _names(folder) == {"report.html"}
        assert (folder / "report.html").read_text() == "earlier"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="name a folder"):
        check_folder(tmp_path / "out", overwrite=True)
