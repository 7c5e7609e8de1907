"""The commands that judge segmenters, on small patients."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.terminal import share_of


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_few_labels_gives_a_table_paired_tests_and_a_figure(hearts, tmp_path):
    out = tmp_path / "study"
    arguments = (
        "benchmark", "few-labels", "--data", hearts, "-o", out, "--method", "unet", "--method", "mean_teacher",
        "--share", "40%", "--draws", 1, "--grid", 32, "--steps", 1, "--split", "training", "--json",
    )  # fmt: skip
    done = run(*arguments)
    assert done.exit_code == 0, done.output
    result = json.loads((out / "few-labels.json").read_text())
    assert result["budget"] == "1 steps a run"
    rows = {(row["method"], row["class"]) for row in result["rows"]}
    assert rows == {(m, c) for m in ("unet", "mean_teacher") for c in ("lv_cavity", "lv_myocardium")}
    assert "mean_teacher" in result["rows"][0]["less"] or "unet" in result["rows"][0]["less"]
    assert "<svg" in (out / "few-labels.svg").read_text()
    assert (out / "unet-40-both-0" / "model.safetensors").is_file()


def test_methods_begin_as_one_unet(hearts, tmp_path):
    out = tmp_path / "study"
    done = run(
        "benchmark", "few-labels", "--data", hearts, "-o", out, "--method", "unet", "--method", "ncmnet", "--share",
        "40%", "--draws", 1, "--grid", 64, "--steps", 1, "--first-steps", 2, "--split", "training", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads((out / "few-labels.json").read_text())
    assert result["budget"] == "1 steps a run, after 2 steps of a U-Net on the same masks, as which all begin"
    assert {row["method"] for row in result["rows"]} == {"unet", "ncmnet"}
    for name in ("unet", "ncmnet"):
        card = json.loads((out / f"{name}-40-both-0" / "model.json").read_text())
        assert card["recipe"]["training"]["start"] == str(out / "first-40-both-0")


@pytest.mark.slow
def test_a_benchmark_of_one_segmenter(hearts, tmp_path):
    table = (hearts / "database_nifti").iterdir()
    lines = ["Patient,ImageQuality,EF"] + [f"{patient.name},Good,55" for patient in sorted(table)]
    (hearts / "patients_info.csv").write_text("\n".join(lines))
    out = tmp_path / "bench.json"
    arguments = ("benchmark", "segmentation", "--data", hearts, "--segmenter", "unet", "--split", "training", "-o", out)
    done = run(
        *arguments, "--part", "stills", "--part", "degraded", "--degraded-patients", 1, "--figure", tmp_path / "d.svg"
    )
    assert done.exit_code == 0, done.output
    result = json.loads(out.read_text())
    assert set(result) >= {"stills", "degraded", "machine", "split"}
    assert (tmp_path / "d.svg").is_file()
    refused = run(*arguments, "--part", "colour")
    assert refused.exit_code == 1
    assert "no part colour" in refused.stderr


def test_wrong_studies_are_one_line(hearts, tmp_path):
    base = ("benchmark", "few-labels", "--data", hearts, "-o", tmp_path / "study")
    for wrong, message in ((("--method", "vnet"), "no method 'vnet'"), (("--share", "many"), "'many' is no share")):
        done = run(*base, *wrong)
        assert done.exit_code == 1
        assert message in done.stderr
        assert "Traceback" not in done.output


@pytest.mark.parametrize(("text", "value"), [("10%", 0.1), ("0.25", 0.25), ("100%", 1.0)])
def test_shares(text, value):
    assert share_of(text) == pytest.approx(value)
