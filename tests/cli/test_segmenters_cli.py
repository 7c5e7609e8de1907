"""The commands that judge segmenters, on small patients."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from echomotion.cli import app
from echomotion.terminal import share_of
from echomotion.training.recipe import read_recipe


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


@pytest.mark.slow
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


def test_an_ablation_trains_each_variant_and_compares_it_with_the_whole(hearts, tmp_path):
    recipe = read_recipe("ncmnet").model_dump()
    recipe["options"] |= {"encoder_widths": [8, 8, 16, 16, 16], "dim": 16, "fine": [16, 8]}
    recipe["training"] |= {
        "pairs": 1.0,
        "joined": 0.0,
        "simulated": 0.0,
        "pretrained": False,
        "frames": 4,
        "labels": 0.4,
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(recipe))
    splits = hearts / "database_split"
    *fit, judges = (splits / "subgroup_training.txt").read_text().split()
    (splits / "subgroup_training.txt").write_text("\n".join(fit))
    (splits / "subgroup_validation.txt").write_text(judges)
    out = tmp_path / "ablation"
    arguments = ("benchmark", "ablation", "--recipe", path, "--data", hearts, "-o", out)
    done = run(*arguments, "--grid", 64, "--steps", 1, "--beats", 0, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads((out / "ablation.json").read_text())
    assert (result["grid"], result["budget"], result["beats"]) == (64, "1 steps a run", 0)
    variants = [row["variant"] for row in result["variants"]]
    assert variants[-1] == "whole"
    assert "no_mining" in variants
    assert result["variants"][-1]["dice more"] == 0
    assert json.loads((out / "no_mining" / "model.json").read_text())["options"]["mining"] is False
